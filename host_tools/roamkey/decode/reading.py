"""From an input, hexadecimal text or a capture, to the facts of its packets and their counts."""

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from roamkey.decode import captures, hextext
from roamkey.decode.facts import Facts, describe, is_mobility
from roamkey.decode.links import LINKS, unframed
from roamkey.errors import BadInputError
from roamkey.registry.records import PairKeys

_NOT_DAMAGE = ("fragment", "routing")  # what packets.parse doesn't read although it may be sound


class Reading:
    """One pass over an input; the counts are complete once its packets were taken.

    `skipped`: packets not of mobility; `damaged`: packets; `unsupported`: link types of frames
    that couldn't be read; `failure`: what to tell the user at the end, or None.
    """

    def __init__(self, pairs: Sequence[PairKeys] | None = None, everything: bool = False) -> None:
        """With `pairs` authenticators are checked; with `everything` no packet is skipped."""
        self.skipped = 0
        self.damaged = 0
        self.unsupported: set[int] = set()
        self.failure: BadInputError | None = None
        self._pairs = pairs
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
            "truncated": self.truncated,
            "unsupported_link_types": sorted(self.unsupported),
        }

    def hexadecimal(self, text: str) -> Iterator[Facts]:
        """The packets in `text`. A damaged one is a failure; alone, it isn't given."""
        found = hextext.packets_in(text)
        for number, octets in enumerate(found, 1):
            facts = {"number": number, **describe(unframed(octets), self._pairs)}
            if "damaged" in facts:
                self.damaged += 1
                where = f"packet {number}: " if len(found) > 1 else ""
                damage = facts["damaged"]["text"]
                self.failure = self.failure or BadInputError(f"{where}{damage}")
                if len(found) == 1:
                    return
            yield facts

    def capture(self, file: BinaryIO, head: bytes = b"") -> Iterator[Facts]:
        """The packets in a capture file; damaged ones among them, counted."""
        first: int | None = None
        readable = False
        try:
            for frame in captures.frames(file, head):
                if frame.link not in LINKS:
                    self.unsupported.add(frame.link)
                    continue
                readable = True
                first = frame.time if first is None else first
                facts = self._of_frame(frame, first)
                if facts:
                    yield facts
        except BadInputError as error:
            self.failure = error
        if self.unsupported and not readable and not self.failure:
            types = ", ".join(map(str, sorted(self.unsupported)))
            self.failure = BadInputError(f"a capture of link type {types}, which isn't supported")

    def _of_frame(self, frame: captures.Frame, first: int | None) -> Facts | None:
        stamp: Facts = {"number": frame.number}
        if frame.time is not None and first is not None:
            stamp |= {"time": frame.time / 1e9, "since_first": (frame.time - first) / 1e9}
        if frame.packet is None:
            self.skipped += 1
            return None
        facts = stamp | describe(frame.packet, self._pairs)
        unreadable = "protocol" not in facts and facts["damaged"]["reason"] not in _NOT_DAMAGE
        if not (self._everything or unreadable or is_mobility(facts)):
            self.skipped += 1
            return None
        if "damaged" in facts:
            self.damaged += 1
            if frame.kept < frame.octets and facts["damaged"]["reason"] == "truncated":
                kept = f" (the capture kept {frame.kept} of {frame.octets} octets)"
                facts["damaged"]["text"] += kept
        return facts
