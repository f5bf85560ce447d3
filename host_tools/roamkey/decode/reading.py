"""From an input, hexadecimal text or a capture, to the facts of its packets and their counts."""

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, TextIO

from roamkey.decode import captures, hextext
from roamkey.decode.authenticity import Registrations, by_pair
from roamkey.decode.facts import Facts, describe, is_mobility
from roamkey.decode.links import ENCRYPTED, LINKS, unframed
from roamkey.decode.partial import EXTENSIONS
from roamkey.errors import BadInputError
from roamkey.registry.records import PairKeys

_NOT_DAMAGE = ("fragment", "routing")  # what packets.parse doesn't read although it may be sound


class Reading:
    """One pass over an input; the counts are complete once its packets were taken.

    `skipped`: packets not of mobility; `damaged`: packets; `encrypted`: frames of
    Wi-Fi; `unsupported`: link types of frames that couldn't be read; `failure`: what to tell the
    user at the end, or None.
    """

    def __init__(self, pairs: Sequence[PairKeys] | None = None, everything: bool = False) -> None:
        """With `pairs` authenticators are checked; with `everything` no packet is skipped."""
        self.skipped = 0
        self.damaged = 0
        self.encrypted = 0
        self.unsupported: set[int] = set()
        self.failure: BadInputError | None = None
        self._pairs = None if pairs is None else by_pair(pairs)
        self._seen = Registrations()
        self._everything = everything

    @property
    def truncated(self) -> bool:
        """Whether the capture file ends in the midst of a packet."""
        return isinstance(self.failure, captures.TruncatedCaptureError)

    def counts(self) -> dict[str, Any]:
        """The counts, as they stand in the JSON document."""
        return {
            "skipped": self.skipped,
            "damaged": self.damaged,
            "encrypted": self.encrypted,
            "truncated": self.truncated,
            "unsupported_link_types": sorted(self.unsupported),
        }

    def hexadecimal(self, text: TextIO) -> Iterator[Facts]:
        """The packets in `text`. A damaged one is a failure; alone, it is given only where it
        tells enough to be of mobility. What isn't hexadecimal ends it."""
        found = hextext.packets_in(text)
        number = 0
        try:
            octets = next(found, None)
            while octets is not None:
                number += 1
                facts = {"number": number, **describe(unframed(octets), self._pairs, self._seen)}
                damaged = facts.get("damaged")
                first = number == 1 and damaged is not None
                following = self._following(found) if first else None
                alone = first and following is None and self.failure is None
                if damaged is not None:
                    self.damaged += 1
                    where = "" if alone else f"packet {number}: "
                    self.failure = self.failure or BadInputError(f"{where}{damaged['text']}")
                if not alone or is_mobility(facts):
                    yield facts
                octets = following if first else next(found, None)
        except BadInputError as error:
            self.failure = self.failure or error

    def _following(self, found: Iterator[bytes]) -> bytes | None:
        try:
            return next(found, None)
        except BadInputError as error:
            self.failure = error
            return None

    def capture(self, file: BinaryIO, head: bytes = b"") -> Iterator[Facts]:
        """The packets in a capture file; damaged ones among them, counted."""
        first: int | None = None
        readable = given = False
        try:
            for frame in captures.frames(file, head):
                if frame.link not in LINKS:
                    self.unsupported.add(frame.link)
                    continue
                readable = True
                first = frame.time if first is None else first
                facts = self._of_frame(frame, first)
                if facts:
                    given = True
                    yield facts
        except BadInputError as error:
            self.failure = error
        if self.encrypted and self.encrypted == self.skipped and not given and not self.failure:
            self.failure = BadInputError(
                "every frame of data is encrypted (Wi-Fi): capture on an open network, or behind "
                "the access point"
            )
        if self.unsupported and not readable and not self.failure:
            types = ", ".join(map(str, sorted(self.unsupported)))
            self.failure = BadInputError(f"a capture of link type {types}, which isn't supported")

    def _of_frame(self, frame: captures.Frame, first: int | None) -> Facts | None:
        stamp: Facts = {"number": frame.number}
        if frame.time is not None and first is not None:
            stamp |= {"time": frame.time / 1e9, "since_first": (frame.time - first) / 1e9}
        if frame.packet is None or frame.packet is ENCRYPTED:
            self.encrypted += frame.packet is ENCRYPTED
            self.skipped += 1
            return None
        facts = stamp | describe(frame.packet, self._pairs, self._seen)
        if not (self._everything or is_mobility(facts) or _is_unreadable(facts, frame)):
            self.skipped += 1
            return None
        if "damaged" in facts:
            self.damaged += 1
            if frame.kept < frame.octets and facts["damaged"]["reason"] == "truncated":
                kept = f" (the capture kept {frame.kept} of {frame.octets} octets)"
                facts["damaged"]["text"] += kept
        return facts


def _is_unreadable(facts: Facts, frame: captures.Frame) -> bool:
    """Whether nobody knows that a packet isn't of mobility: it is damaged or cut before that."""
    if "damaged" not in facts or facts["damaged"]["reason"] in _NOT_DAMAGE:
        return False
    if "source" not in facts and frame.packet and frame.packet[0] >> 4 == 4:
        return False  # IPv4, of which hardly any is ours
    if facts.get("protocol", EXTENSIONS[0]) in EXTENSIONS:
        return True
    # Cut by the capture is no damage; shorter than it says is.
    short = frame.packet is not None and len(frame.packet) < facts["octets"]
    return short and frame.kept >= frame.octets
