"""What one board's log tells of its handovers, by the board's own clock.

The links of several uplinks are kept apart: where one comes while another carries data, nothing is
lost; where the one in use goes and another was there already, no link had to be waited for. Of
logs of before, whose `attached` names no uplink, that is the last one whose link came.
"""

from dataclasses import dataclass, field

from roamkey.field import values
from roamkey.field.boardlog import Event
from roamkey.field.values import NATIVE, WAYS

ACCEPTED_BELOW = 128  # RFC 6275 section 6.1.8
_DIGITS_MAX = 16
_GOING = ("closing", "closed")  # bindings/states.py: it shuts down, or its keys are about to go
_WAITED = {"waited": True, "new": False}
_NOBODY = ""  # the name of a link that has none


@dataclass(frozen=True)
class Update:
    """A Binding Update that left the board. `generation`: None where the log doesn't say."""

    ms: int
    correspondent: str
    sequence: int
    generation: int | None


@dataclass
class Place:
    """An address in use, and how it came to that. `why`: start, power, move, home.

    `left`: the link was lost, or the board started; `joined`: there was a link; `router`: a router
    was heard, maybe only after the address was `usable`. Each is None where nobody wrote it down.
    """

    care_of_address: str
    why: str
    left: int | None
    joined: int | None
    router: int | None
    usable: int
    uplink: str | None
    signal: int | None


@dataclass
class Registration:
    """A registration at one correspondent from a place. `waited`: whether the first datagram had
    to; None where the log doesn't say. `tested`: when the last test of an address was answered
    that the first update waited for; None where a key authorizes."""

    correspondent: str
    place: Place
    updates: list[Update] = field(default_factory=list)
    acknowledged: int | None = None
    data: int | None = None
    waited: bool | None = None
    way: str = NATIVE
    tested: int | None = None


class Follower:
    """Goes through a board's events in order. `generations`: the key in use with a correspondent,
    as far as the boots before said so; it is kept up to date."""

    def __init__(self, home_address: str, generations: dict[str, int]) -> None:
        self.registrations: list[Registration] = []
        self.updates: list[Update] = []
        self._home_address = home_address
        self._generations = generations
        self._links: dict[str, int] = {}  # uplink -> when its link came
        self._routers: dict[str, int] = {}
        self._used: set[str] = set()  # uplinks that an address was attached on since they came
        self._uplink: str | None = None  # in use
        self._newest: str | None = None  # whose link came last
        self._place: Place | None = None
        self._left: int | None = None
        self._why = "start"
        self._signal: int | None = None
        self._open: dict[str, Registration] = {}
        self._ways: dict[str, str] = {}  # the last told, by correspondent: a start knows of none
        self._tests: dict[str, int] = {}  # the last answered here, by correspondent
        self._answered: dict[str, Registration] = {}  # its acknowledgement was the last event

    def take(self, event: Event) -> None:
        """One event; what makes no sense is left alone."""
        handler = _HANDLERS.get(event.kind)
        if handler is not None:
            handler(self, event.ms, event.detail, event.boot)

    def _started(self, ms: int, detail: tuple[str, ...], boot: int) -> None:
        self._left, self._why = ms, "start" if boot == 1 else "power"

    def _link(self, ms: int, detail: tuple[str, ...], boot: int) -> None:
        name = " ".join(detail[:-1]) or _NOBODY
        if detail[-1:] == ("up",):
            self._links[name], self._newest, self._signal = ms, name, None
            self._routers.pop(name, None)
            self._used.discard(name)
        elif detail[-1:] == ("down",):
            if name == _NOBODY:  # a station, which has one network at a time
                self._links.clear()
            self._links.pop(name, None)
            if name in (_NOBODY, self._uplink) or self._uplink is None:
                self._lose(ms)

    def _lose(self, ms: int) -> None:
        if self._left is None:
            self._left = ms

    def _router(self, ms: int, detail: tuple[str, ...], boot: int) -> None:
        name = " ".join(detail)
        if name in self._links and name not in self._routers:
            self._routers[name] = ms
            place = self._place
            if place is not None and place.uplink == name and place.joined is not None:
                place.router = ms if place.router is None else place.router

    def _heard_signal(self, ms: int, detail: tuple[str, ...], boot: int) -> None:
        if is_number(detail[:1]):
            self._signal = int(detail[0])
            if self._place is not None and self._place.signal is None:
                self._place.signal = self._signal  # of a link whose address was there at once

    def _detached(self, ms: int, detail: tuple[str, ...], boot: int) -> None:
        self._lose(ms)
        self._leave()

    def _leave(self) -> None:
        self._place, self._open, self._answered, self._tests = None, {}, {}, {}

    def _attached(self, ms: int, detail: tuple[str, ...], boot: int) -> None:
        if not detail:
            return
        address = normal(detail[0])
        uplink = " ".join(detail[1:]) or self._newest
        came = self._links.get(uplink) if uplink is not None else None
        joined = came
        if came is not None and self._left is not None:
            joined = max(came, self._left)
        elif uplink in self._used:  # another address on a link that was there all along
            joined = None
        router = self._routers.get(uplink) if uplink is not None and joined is not None else None
        why = "home" if self._why == "move" and address == self._home_address else self._why
        self._place = Place(address, why, self._left, joined, router, ms, uplink, self._signal)
        if uplink is not None:
            self._used.add(uplink)
        self._uplink = uplink if len(detail) > 1 else None
        self._left, self._why = None, "move"
        self._open, self._answered, self._tests = {}, {}, {}

    def _tested(self, ms: int, detail: tuple[str, ...], boot: int) -> None:
        if detail:
            self._tests[detail[0]] = ms

    def _state(self, ms: int, detail: tuple[str, ...], boot: int) -> None:
        if detail[-1:] and detail[-1] in _GOING:  # what follows begins anew
            self._lose(ms)
            self._leave()
            self._why = "power"
            self._generations.pop(detail[0], None)

    def _generation(self, ms: int, detail: tuple[str, ...], boot: int) -> None:
        if is_number(detail[1:]):
            self._generations[detail[0]] = int(detail[1])

    def _update(self, ms: int, detail: tuple[str, ...], boot: int) -> None:
        if not is_number(detail[1:]):
            return
        word = detail[0]
        update = Update(ms, normal(word), int(detail[1]), self._generations.get(word))
        self.updates.append(update)
        if self._place is None:
            return
        self._answered.pop(word, None)
        one = self._open.get(word)
        if one is None:
            one = self._open[word] = Registration(update.correspondent, self._place)
            one.tested = self._tests.get(word)
            self.registrations.append(one)
        if one.acknowledged is None:
            one.updates.append(update)

    def _way(self, ms: int, detail: tuple[str, ...], boot: int) -> None:
        if len(detail) > 1 and detail[1] in WAYS:
            self._ways[detail[0]] = detail[1]
            if detail[0] in self._answered:  # it may stand before or behind the acknowledgement
                self._answered[detail[0]].way = detail[1]

    def _acknowledged(self, ms: int, detail: tuple[str, ...], boot: int) -> None:
        one = self._open.get(detail[0]) if detail else None
        if one is None or one.acknowledged is not None or not is_number(detail[1:]):
            return
        if int(detail[1]) < ACCEPTED_BELOW:
            one.acknowledged = ms
            one.way = self._ways.get(detail[0], NATIVE)
            self._answered[detail[0]] = one

    def _data(self, ms: int, detail: tuple[str, ...], boot: int) -> None:
        one = self._open.get(detail[0]) if detail else None
        if one is not None and one.data is None:
            one.data = ms
            one.waited = _WAITED.get(" ".join(detail[1:]))


_HANDLERS = {
    "boot": Follower._started, "link": Follower._link, "router": Follower._router,
    "signal": Follower._heard_signal, "detached": Follower._detached,
    "attached": Follower._attached, "state": Follower._state,
    "generation": Follower._generation, "tested": Follower._tested,
    "update": Follower._update, "way": Follower._way,
    "acknowledged": Follower._acknowledged, "data": Follower._data,
}  # fmt: skip


def is_number(detail: tuple[str, ...]) -> bool:
    """Whether a word is there and a number of a size that there is."""
    digits = detail[0].removeprefix("-") if detail else ""
    return digits.isascii() and digits.isdecimal() and len(digits) < _DIGITS_MAX


def normal(word: str) -> str:
    """An address in its usual form; what is none, as it is."""
    try:
        return values.address(word)
    except ValueError:
        return word
