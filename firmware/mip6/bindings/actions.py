"""What the state table (states.py) has a binding do. Each action raises before it changes
anything: errors.Exhausted, errors.StorageError."""

from .. import messages
from ..compat import const
from ..limits import LIFETIME_UNIT_S
from . import states, ways
from .series import choose

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from typing import Any

    from .binding import Binding

# Milliseconds
_UNSUPPORTED_PAUSE = const(600000)  # RFC 6275 section 11.3.5 wants one and names none
_BLOCKED_PAUSE = const(32000)
_BARRED_PAUSE = const(86400000)
_MARGIN_MAX = const(60000)  # refresh so long before the end: room for five retransmissions
_TOGETHER = const(100)  # updates that left so close to each other, and their answers

_KEEPALIVE_MAX_S = const(86400)
_NO_KEEPALIVE = const(0xFFFFFFFF)  # in NAT Detection: none is needed


def _nothing(binding: "Binding", now: int, what: "Any") -> None:
    pass


def _drop(binding: "Binding", now: int, what: "Any") -> None:
    binding.owner.drop("unexpected")


def _register(binding: "Binding", now: int, what: "Any") -> None:
    binding.deleting = False
    _hold_on(binding)
    if binding.before is None and binding.way not in binding.owner.ways.of(binding.index):
        binding.expires_at = None
    binding.begin(now)


def _hold_on(binding: "Binding") -> None:
    """Have data go on as they go now, if the node has another uplink than before beside it."""
    overlaps = binding.owner.overlaps
    if binding.usable:
        binding.before = binding.way if overlaps else None
    elif binding.state == states.AT_HOME or binding.state == states.RETURNING:
        binding.before = (ways.NATIVE, binding.owner.home_address, None, 0) if overlaps else None
        binding.expires_at = None  # plain data need no binding


def _delete(binding: "Binding", now: int, what: "Any") -> None:
    binding.deleting = True
    binding.before = None
    binding.begin(now)
    binding.expires_at = binding.may_exist_until


def _send(binding: "Binding", now: int, what: "Any") -> None:
    if binding.unused is None:  # a handover waits for this: few names, no detour
        generation, sequence = binding.numbers.take(binding.index)
    else:
        generation, sequence = _number_again(binding)
    if generation != binding.generation:
        binding.pace.give_up()  # numbers count anew under the next key
        binding.aimed = None
    choose(binding, now)
    binding.update.number(sequence)
    binding.sequence = sequence
    if not binding.deleting:
        until = now + 1000 * binding.lifetime
        binding.may_exist_until = max(binding.may_exist_until, until)
    assert binding.aimed is not None
    binding.transmit_at = binding.pace.note(sequence, now, binding.aimed)
    binding.drawn = binding.update.packet()
    binding.owner.emit("update", binding.correspondent, sequence)


def _number_again(binding: "Binding") -> tuple[int, int]:
    """The (generation, number) that never left, while that generation is in use."""
    unused, binding.unused = binding.unused, None
    assert unused is not None
    if unused[0] == binding.generation:
        return unused
    return binding.numbers.take(binding.index)


def _accept(binding: "Binding", now: int, what: "Any") -> None:
    message, sent_at = what
    binding.granted = 1000 * min(LIFETIME_UNIT_S * message.lifetime, binding.peer.lifetime)
    binding.expires_at = binding.may_exist_until = sent_at + binding.granted
    binding.refresh_at = sent_at + _refresh_after(binding.granted, message)
    _follow(binding, message, now - sent_at, now)
    assert binding.way is not None
    binding.held = (binding.way, binding.refresh_at, binding.expires_at)
    binding.accepted = message.sequence
    binding.acknowledged = True
    binding.why = None
    binding.transmit_at = None
    binding.pace.answered(message.sequence)
    warning = binding.numbers.warning(binding.index)
    if warning != binding.warned:
        binding.warned = warning
        binding.owner.emit("warning", binding.correspondent, warning)


def _follow(binding: "Binding", message: "messages.Message", round_trip: int, now: int) -> None:
    """Have data go the way that brought the answer.

    Of several updates the correspondent believes the last: where one is on its way that left
    later by another way, it is told once more; but where that is a better one, and left just
    behind, its own answer is about to be there.
    """
    way = binding.pace.way_of(message.sequence)
    last, apart = binding.pace.later(message.sequence)
    assert way is not None  # update_list.py: the answer is to one that is awaited
    binding.round_trip = round_trip
    binding.pace.took(round_trip)
    if last is not None and last != way:
        better = way in binding.ways and last in binding.ways[: binding.ways.index(way)]
        binding.refresh_at = now + (_TOGETHER if better and apart < _TOGETHER else 0)
    if way[0] != binding.told:
        binding.told = way[0]
        binding.owner.emit("way", binding.correspondent, ways.NAMES[way[0]])
    binding.way = way
    binding.owner.ways.answered(binding.index, way)
    detection = message.option(messages.NAT_DETECTION)
    binding.nat = detection is not None
    seconds = 0 if detection is None else int.from_bytes(detection[2:6], "big")
    if seconds == _NO_KEEPALIVE or not binding.owner.keepalive_s:
        binding.keepalive_ms = 0
    else:
        binding.keepalive_ms = 1000 * min(seconds or binding.owner.keepalive_s, _KEEPALIVE_MAX_S)
    binding.keepalive_at = now + binding.keepalive_ms if way[2] and binding.keepalive_ms else None


def _refuse(binding: "Binding", now: int, what: "Any") -> None:
    binding.expires_at = binding.refresh_at = binding.held = binding.before = None
    binding.acknowledged = False
    _slow(binding, now, what)


def _remake(binding: "Binding", now: int, what: "Any") -> None:
    binding.numbers.advance(binding.index, what.sequence)
    binding.unused = None
    # A correspondent that names ever higher numbers mustn't hurry the key to its end.
    if not binding.jumped:
        binding.transmit_at = binding.pace.allowed(now)
    binding.jumped = True


def _lapse(binding: "Binding", now: int, what: "Any") -> None:
    binding.expires_at = binding.held = binding.before = None
    binding.acknowledged = False
    if binding.transmit_at is None:
        binding.begin(now)


def _slow(binding: "Binding", now: int, what: "Any") -> None:
    if what is not None:
        binding.why = what[0].status
    binding.transmit_at = binding.pace.slow_down(now)


def _cease(binding: "Binding", now: int, what: "Any") -> None:
    binding.transmit_at = None


def _pause(binding: "Binding", now: int, what: "Any") -> None:
    _stop(binding, now, what)
    if what is None:
        binding.retry_at = now + _BLOCKED_PAUSE
    else:
        binding.why = what
        binding.retry_at = now + _UNSUPPORTED_PAUSE


def _stop(binding: "Binding", now: int, what: "Any") -> None:
    binding.expires_at = binding.refresh_at = binding.retry_at = binding.before = None
    binding.halt()


def _unbind(binding: "Binding", now: int, what: "Any") -> None:
    _stop(binding, now, what)
    binding.may_exist_until = now
    binding.acknowledged = False
    binding.held = None
    if isinstance(what, tuple):
        binding.accepted = what[0].sequence
    binding.why = None


def _resume(binding: "Binding", now: int, what: "Any") -> None:
    _stop(binding, now, what)
    binding.deleting = False
    assert binding.held is not None
    binding.way, binding.refresh_at, binding.expires_at = binding.held


def _bar(binding: "Binding", now: int, what: "Any") -> None:
    _unbind(binding, now, what)
    binding.why = what[0].status
    binding.retry_at = now + _BARRED_PAUSE


#: In the order of states.py.
ROUTINES = (
    _nothing, _drop, _register, _delete, _send, _accept, _refuse, _remake, _lapse, _slow, _cease,
    _pause, _stop, _unbind, _resume, _bar,
)  # fmt: skip


def _refresh_after(granted: int, message: "messages.Message") -> int:
    """Milliseconds after the update was sent at which it is renewed.

    At the Binding Refresh Advice (section 6.2.4) where that lies within the lifetime; else a
    quarter of the lifetime before its end, and a minute at most.
    """
    advice = message.option(messages.BINDING_REFRESH_ADVICE)
    if advice is not None:
        interval = 1000 * LIFETIME_UNIT_S * int.from_bytes(advice, "big")
        if 0 < interval < granted:
            return interval
    return renewed_after(granted)


def renewed_after(granted: int) -> int:
    """As _refresh_after() where no advice was given."""
    return granted - min(_MARGIN_MAX, granted // 4)
