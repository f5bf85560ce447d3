"""Handovers: from a care-of address lost to data from the next, put together from both logs.

The board knows when its link went and came, when an address was usable, when it sent each update
and when the acknowledgement was there; the correspondent when it accepted. What joins them is the
home address and the sequence number, which is never used twice. A handover of which the board has
no record (its power failed before the log was saved) is known from the correspondent alone, and
says so.
"""

from dataclasses import dataclass, field

from roamkey.field.boardlog import BoardLog, Event
from roamkey.field.clocks import Alignment, from_pair, from_reading
from roamkey.field.folder import Told
from roamkey.field.values import NATIVE, WAYS

_DIGITS_MAX = 16
ACCEPTED_BELOW = 128  # RFC 6275 section 6.1.8

#: The phases of a handover, in order: field that begins it, field that ends it, what it is.
PHASES = (
    ("left_ms", "joined_ms", "link down", "no link: scan and join"),
    ("joined_ms", "usable_ms", "address", "link up → address usable"),
    ("usable_ms", "first_ms", "send", "address usable → first update sent"),
    ("first_ms", "sent_ms", "again", "updates sent again"),
    ("sent_ms", "accepted_ms", "there", "update sent → accepted"),
    ("accepted_ms", "acknowledged_ms", "back", "accepted → acknowledgement at the board"),
    ("acknowledged_ms", "data_ms", "data", "acknowledgement → first datagram"),
)


@dataclass
class Handover:
    """One registration at one correspondent from a new place. Times: ms since 1970 by the
    correspondent's clock, None where nobody wrote them down.

    `left_ms`: the link was lost, or the board started; `joined_ms`: there is a link;
    `usable_ms`: there is an address; `first_ms`: the first update was sent; `sent_ms`: the one
    that was acknowledged; `accepted_ms`: the correspondent accepted that; `acknowledged_ms`: the
    board knew; `data_ms`: the first datagram left. `error_ms`: how far the board's times may all
    be off together; differences between them are exact to a millisecond. `way`: by which the
    update that was accepted came, else the acknowledgement; native where nobody says.
    """

    home_address: str
    why: str  # start, power, move, home
    boot: int | None
    care_of_address: str
    left_ms: float | None = None
    joined_ms: float | None = None
    usable_ms: float | None = None
    first_ms: float | None = None
    sent_ms: float | None = None
    accepted_ms: float | None = None
    acknowledged_ms: float | None = None
    data_ms: float | None = None
    error_ms: float | None = None
    first_sequence: int | None = None
    sequence: int | None = None
    generation: int | None = None
    updates: int = 0
    network: str = ""
    way: str = NATIVE
    gap_ms: float | None = None
    lost: int | None = None
    signal_dbm: int | None = None

    @property
    def on_board(self) -> bool:
        """Whether the board's log tells of it."""
        return self.boot is not None

    @property
    def at_ms(self) -> float:
        """When it was done, for its place in the order."""
        for at in (self.accepted_ms, self.acknowledged_ms, self.first_ms, self.usable_ms):
            if at is not None:
                return at
        return 0.0

    @property
    def signalling_ms(self) -> float | None:
        """From a usable address to the acknowledgement."""
        return _between(self.usable_ms, self.acknowledged_ms)

    @property
    def total_ms(self) -> float | None:
        """From the link lost to the acknowledgement."""
        return _between(self.left_ms, self.acknowledged_ms)

    def phases(self) -> dict[str, float | None]:
        """The length of each phase in milliseconds, by its short name.

        At home data don't wait for the acknowledgement: then there is no such phase.
        """
        found = {
            name: _between(getattr(self, begin), getattr(self, end))
            for begin, end, name, _ in PHASES
        }
        if (found["data"] or 0) < 0:
            found["data"] = None
        return found


@dataclass
class _Registration:
    """A handover as the board's log tells it: times of the board, of one boot."""

    correspondent: str
    care_of_address: str
    why: str
    left: int | None
    joined: int | None
    usable: int
    updates: list[tuple[int, int]] = field(default_factory=list)  # ms, sequence
    acknowledged: int | None = None
    data: int | None = None
    signal: int | None = None
    way: str = NATIVE


@dataclass
class Joined:
    """What both logs say of a board. `alignments`: by boot; `marks`: (ms, what) of restarts."""

    home_address: str
    board: str | None
    handovers: list[Handover] = field(default_factory=list)
    alignments: dict[int, Alignment] = field(default_factory=dict)
    marks: list[tuple[float, str]] = field(default_factory=list)
    signal: list[tuple[float, int]] = field(default_factory=list)
    unaligned: list[int] = field(default_factory=list)


def join(log: BoardLog | None, told: list[Told], home_address: str) -> Joined:
    """Put together a board's log (None: there is none) and what was told of its home address."""
    joined = Joined(home_address, log.board if log else None)
    accepted = {
        one.sequence: one for one in told if one.outcome in ("accepted", "removed")
    }  # sequence numbers begin anew under another key: see _of_boot
    known: set[int | None] = set()
    boots: dict[int, list[Event]] = {}
    for event in log.events if log else []:
        boots.setdefault(event.boot, []).append(event)
    for boot, events in sorted(boots.items()):
        assert log is not None
        registrations = _registrations(events, home_address)
        alignment = _align(log, boot, registrations, accepted)
        if not alignment.known:
            joined.unaligned.append(boot)
            continue
        joined.alignments[boot] = alignment
        for registration in registrations:
            handover = _aligned(registration, boot, alignment, accepted, home_address)
            joined.handovers.append(handover)
            known.update(number for _, number in registration.updates)
        for event in events:
            at = event.ms + alignment.offset(event.ms)[0]
            if event.kind == "boot" and boot > 1:
                joined.marks.append((at, "started again"))
            elif event.kind == "signal" and _is_number(event.detail[:1]):
                joined.signal.append((at, int(event.detail[0])))
    joined.handovers += _only_told(told, known, home_address)
    joined.handovers.sort(key=lambda handover: handover.at_ms)
    return joined


def _registrations(events: list[Event], home_address: str) -> list[_Registration]:
    """What the events of one boot, in order, tell of handovers."""
    found: list[_Registration] = []
    open_ones: dict[str, _Registration] = {}
    place: tuple[str, int | None, int | None, int, str] | None = None
    left: int | None = None
    joined: int | None = None
    why = "start"
    dbm: int | None = None
    ways: dict[str, str] = {}  # the last told, by correspondent: a start knows of none
    answered: dict[str, _Registration] = {}  # of which the acknowledgement was the last event
    for event in events:
        detail = event.detail
        if event.kind == "boot":
            left, why = event.ms, "start" if event.boot == 1 else "power"
        elif event.kind == "link" and detail[-1:] == ("down",):
            left, joined = (event.ms if left is None else left), None
        elif event.kind == "link" and detail[-1:] == ("up",):
            joined = event.ms
        elif event.kind == "signal" and _is_number(detail[:1]):
            dbm = int(detail[0])
        elif event.kind == "detached":
            left = event.ms if left is None else left
            place, open_ones, answered = None, {}, {}
        elif event.kind == "attached" and detail:
            reason = "home" if why == "move" and detail[0] == home_address else why
            place = (detail[0], left, joined, event.ms, reason)
            left, joined, why, open_ones = None, None, "move", {}
        elif event.kind == "update" and place is not None and _is_number(detail[1:]):
            answered.pop(detail[0], None)
            one = open_ones.get(detail[0])
            if one is None:
                address, left_at, joined_at, usable, reason = place
                one = _Registration(detail[0], address, reason, left_at, joined_at, usable)
                one.signal = dbm
                open_ones[detail[0]] = one
                found.append(one)
            if one.acknowledged is None:
                one.updates.append((event.ms, int(detail[1])))
        elif event.kind == "way" and len(detail) > 1 and detail[1] in WAYS:
            ways[detail[0]] = detail[1]
            if detail[0] in answered:  # it may stand before or behind the acknowledgement
                answered[detail[0]].way = detail[1]
        elif event.kind in ("acknowledged", "data") and detail and detail[0] in open_ones:
            one = open_ones[detail[0]]
            if event.kind == "data":
                one.data = event.ms if one.data is None else one.data
            elif (
                one.acknowledged is None
                and _is_number(detail[1:])
                and int(detail[1]) < ACCEPTED_BELOW
            ):
                one.acknowledged = event.ms
                one.way = ways.get(detail[0], NATIVE)
                answered[detail[0]] = one
    return found


def _align(
    log: BoardLog, boot: int, registrations: list[_Registration], accepted: dict[int | None, Told]
) -> Alignment:
    """The offset of a boot: by its updates, or else by the console."""
    bounds = []
    for one in registrations:
        pairs = [(ms, accepted[number].at_ms) for ms, number in one.updates if number in accepted]
        for ms, at in pairs:
            # The acknowledgement may be that of any update accepted: the first has the low bound.
            acknowledged = one.acknowledged if at == pairs[0][1] else None
            bounds.append(from_pair(ms, at, acknowledged))
    alignment = Alignment(bounds)
    if alignment.known:
        return alignment
    readings = [one for one in log.clocks if one.boot == boot]
    by_host = [from_reading(one.ms, one.unix_ms, one.error_ms) for one in readings]
    return Alignment(by_host, by_host=True)


def _aligned(
    one: _Registration,
    boot: int,
    alignment: Alignment,
    accepted: dict[int | None, Told],
    home_address: str,
) -> Handover:
    offset, error = alignment.offset(one.usable)

    def at(ms: int | None) -> float | None:
        return None if ms is None else ms + offset

    sent, sequence = _answered(one, accepted, offset + error)
    told = accepted.get(sequence)
    return Handover(
        home_address,
        one.why,
        boot,
        one.care_of_address,
        left_ms=at(one.left),
        joined_ms=at(one.joined),
        usable_ms=at(one.usable),
        first_ms=at(one.updates[0][0]),
        sent_ms=at(sent),
        accepted_ms=told.at_ms if told else None,
        acknowledged_ms=at(one.acknowledged),
        data_ms=at(one.data),
        error_ms=error,
        first_sequence=one.updates[0][1],
        sequence=sequence,
        generation=told.generation if told else None,
        updates=len(one.updates),
        way=(told and told.way) or one.way,
        signal_dbm=one.signal,
    )


def _answered(
    one: _Registration, accepted: dict[int | None, Told], offset_high: float
) -> tuple[int | None, int | None]:
    """Which update was acknowledged: the last that was accepted before the answer came."""
    found: tuple[int | None, int | None] = (None, None)
    for ms, number in one.updates:
        told = accepted.get(number)
        if told is None:
            continue
        in_time = one.acknowledged is None or told.at_ms <= one.acknowledged + offset_high + 1
        if in_time or found[0] is None:
            found = (ms, number)
    return found


def _only_told(told: list[Told], known: set[int | None], home_address: str) -> list[Handover]:
    """Moves that the correspondent saw and the board's log doesn't tell of."""
    found: list[Handover] = []
    before: str | None = None
    for one in told:
        if one.outcome not in ("accepted", "removed"):
            continue
        address = home_address if one.outcome == "removed" else one.care_of_address or ""
        if one.sequence not in known and address != before:
            found.append(
                Handover(
                    home_address,
                    "home" if one.outcome == "removed" else "start" if before is None else "move",
                    None,
                    address,
                    accepted_ms=one.at_ms,
                    sequence=one.sequence,
                    generation=one.generation,
                    way=one.way or NATIVE,
                )
            )
        before = address
    return found


def _is_number(detail: tuple[str, ...]) -> bool:
    """Whether a word is there and a number of a size that there is."""
    digits = detail[0].removeprefix("-") if detail else ""
    return digits.isascii() and digits.isdecimal() and len(digits) < _DIGITS_MAX


def _between(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else end - begin
