"""Handovers put together from both logs.

The board knows when its links went and came, when an address was usable, when it sent each update
and when the acknowledgement was there; the correspondent when it accepted. A handover of which the
board has no record (its power failed before the log was saved) is known from the correspondent
alone, and says so. A node that shuts down has its binding removed where it is: that is no return
home, and what comes next is a start.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from roamkey.field.acceptances import ACCEPTED, Acceptances
from roamkey.field.boardlog import BoardLog, Event
from roamkey.field.clocks import Alignment, from_pair, from_reading
from roamkey.field.folder import Datagram, Told
from roamkey.field.handovers import Handover
from roamkey.field.registrations import Follower, Registration, Update, is_number
from roamkey.field.values import NATIVE

_SOON_MS = 2_000  # what is on its way as a binding is removed has arrived

Matched = dict[Update, Told]


@dataclass
class Joined:
    """What both logs say of a home address. `alignments`: (boot, its clock's); `marks`: (ms, what)
    of restarts."""

    home_address: str
    board: str | None
    handovers: list[Handover] = field(default_factory=list)
    alignments: list[tuple[int, Alignment]] = field(default_factory=list)
    marks: list[tuple[float, str]] = field(default_factory=list)
    signal: list[tuple[float, int]] = field(default_factory=list)
    unaligned: list[int] = field(default_factory=list)


def join(
    logs: Sequence[BoardLog],
    told: Sequence[Told],
    home_address: str,
    data: Sequence[Datagram] = (),
) -> Joined:
    """Put together the logs of the boards that had a home address, one after the other (there may
    be none), and what was told of it; `data` arrived from there, in order."""
    joined = Joined(home_address, logs[0].board if logs else None)
    acceptances = Acceptances(told)
    claimed: set[int] = set()
    for log in logs:
        _join_log(joined, log, acceptances, claimed)
    joined.handovers += _only_told(acceptances.all, claimed, home_address, data)
    known = {one.correspondent for one in joined.handovers} - {None}
    if len(known) == 1:  # then whatever doesn't say is of that one
        (only,) = known
        for handover in joined.handovers:
            handover.correspondent = only
    joined.handovers.sort(key=lambda handover: handover.at_ms)
    return joined


def _join_log(joined: Joined, log: BoardLog, acceptances: Acceptances, claimed: set[int]) -> None:
    boots: dict[int, list[Event]] = {}
    for event in log.events:
        boots.setdefault(event.boot, []).append(event)
    generations: dict[str, int] = {}
    for boot, events in sorted(boots.items()):
        follower = Follower(joined.home_address, generations)
        for event in events:
            follower.take(event)
        matched = acceptances.match(follower.updates)
        alignment = _align(log, boot, follower.registrations, matched)
        if not alignment.known:
            joined.unaligned.append(boot)
            continue
        joined.alignments.append((boot, alignment))
        claimed.update(id(one) for one in matched.values())
        for registration in follower.registrations:
            handover = _aligned(registration, boot, alignment, matched, joined.home_address)
            joined.handovers.append(handover)
        for event in events:
            at = event.ms + alignment.offset(event.ms)[0]
            if event.kind == "boot" and boot > 1:
                joined.marks.append((at, "started again"))
            elif event.kind == "signal" and is_number(event.detail[:1]):
                joined.signal.append((at, int(event.detail[0])))


def _align(
    log: BoardLog, boot: int, registrations: list[Registration], matched: Matched
) -> Alignment:
    """The offset of a boot: by its updates, or else by the console."""
    bounds = []
    for one in registrations:
        pairs = [(each.ms, matched[each].at_ms) for each in one.updates if each in matched]
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
    one: Registration, boot: int, alignment: Alignment, matched: Matched, home_address: str
) -> Handover:
    place = one.place
    offset, error = alignment.offset(place.usable)

    def at(ms: int | None) -> float | None:
        return None if ms is None else ms + offset

    sent = _answered(one, matched, offset + error)
    told = None if sent is None else matched[sent]
    return Handover(
        home_address,
        place.why,
        boot,
        place.care_of_address,
        correspondent=one.correspondent,
        left_ms=at(place.left),
        joined_ms=at(place.joined),
        router_ms=at(place.router),
        usable_ms=at(place.usable),
        tested_ms=at(one.tested),
        first_ms=at(one.updates[0].ms),
        sent_ms=None if sent is None else at(sent.ms),
        accepted_ms=told.at_ms if told else None,
        acknowledged_ms=at(one.acknowledged),
        data_ms=at(one.data),
        error_ms=error,
        first_sequence=one.updates[0].sequence,
        sequence=None if sent is None else sent.sequence,
        generation=told.generation if told else one.updates[0].generation,
        updates=len(one.updates),
        uplink=place.uplink,
        way=(told and told.way) or one.way,
        waited=one.waited,
        signal_dbm=place.signal,
    )


def _answered(one: Registration, matched: Matched, offset_high: float) -> Update | None:
    """Which update was acknowledged: the last that was accepted before the answer came."""
    found: Update | None = None
    for update in one.updates:
        told = matched.get(update)
        if told is None:
            continue
        in_time = one.acknowledged is None or told.at_ms <= one.acknowledged + offset_high + 1
        if in_time or found is None:
            found = update
    return found


def _only_told(
    told: Sequence[Told], claimed: set[int], home_address: str, data: Sequence[Datagram]
) -> list[Handover]:
    """Moves that the correspondents saw and the board's log doesn't tell of."""
    found: list[Handover] = []
    by_correspondent: dict[str | None, list[Told]] = {}
    several = len({one.correspondent for one in told} - {None}) > 1
    for one in told:
        by_correspondent.setdefault(one.correspondent if several else None, []).append(one)
    arrivals = [one.at_ms for one in data]
    for mine in by_correspondent.values():
        why, before = "start", ""
        for index, one in enumerate(mine):
            if one.outcome == "removed" and not _at_home(mine, index, home_address, arrivals):
                why, before = "power", ""
                continue
            address = home_address if one.outcome == "removed" else one.care_of_address or ""
            if id(one) not in claimed and address != before:
                reason = "home" if why == "move" and address == home_address else why
                found.append(
                    Handover(
                        home_address,
                        reason,
                        None,
                        address,
                        correspondent=one.correspondent,
                        accepted_ms=one.at_ms,
                        sequence=one.sequence,
                        generation=one.generation,
                        way=one.way or NATIVE,
                    )
                )
            why, before = "move", address
    return found


def _at_home(told: Sequence[Told], index: int, home_address: str, arrivals: list[float]) -> bool:
    """Whether the node had its binding removed because it is at home, and not for a farewell.

    Records of before don't say: then it was one if the node registers next from where it was, and
    nothing came from it meanwhile.
    """
    one = told[index]
    if one.care_of_address is not None:
        return one.care_of_address == home_address
    following = told[index + 1] if index + 1 < len(told) else None
    if following is None or following.outcome not in ACCEPTED:
        return True
    before = one.previous or (told[index - 1].care_of_address if index else None)
    if following.care_of_address != before:
        return True
    soon = one.at_ms + _SOON_MS
    return any(soon < at < following.at_ms for at in arrivals)
