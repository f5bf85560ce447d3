"""A series of updates: which of the ways to a correspondent each of them takes (see ways.py).

A series begins where something changed, or where a binding is to be renewed, and ends with an
answer.
"""

from ..compat import const
from . import states
from .reasons import NO_WAY

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from .binding import Binding

# Milliseconds
_ANOTHER_WAY = const(350)  # without an answer, where no round trip is known
BETTER_WAY = const(3600000)  # between trials of one that was silent; doubled up to
_BETTER_WAY_MAX = const(86400000)

_NEVER = const(-10000000)


def begin_series(binding: "Binding", now: int) -> None:
    """Old updates on their way are forgotten; the next goes as soon as the rate allows.

    Where the binding is good the way in use comes first, twice, but for one that is better and
    is tried again now and then. On a network where the first of two had answers before, one
    that doesn't come was lost, most likely: then both are tried.
    """
    found = binding.owner.ways.of(binding.index)
    binding.tries = binding.twice = 0
    binding.both = False
    if binding.usable and binding.way in found:
        first = [binding.way]
        best = binding.owner.ways.by_merit(binding.index)[0]
        if best != binding.way and now >= binding.better_at:
            first = [best, binding.way]
            binding.better_at = now + binding.better_pause
            binding.better_pause = min(2 * binding.better_pause, _BETTER_WAY_MAX)
        else:
            binding.twice = int(len(found) > 1)
        found = first + [way for way in found if way not in first]
    else:
        binding.way = found[0] if found else None
        binding.both = len(found) == 2 and binding.owner.ways.passes(found[0][0])
        binding.twice = int(binding.both)
        binding.better_pause = BETTER_WAY
        binding.better_at = now + BETTER_WAY
    binding.ways = found
    binding.refresh_at = binding.retry_at = None
    binding.jumped = binding.free = False
    binding.aimed = None
    binding.transmit_at = binding.pace.begin(not binding.acknowledged, now)
    if not found:
        binding.transmit_at = None
        binding.why = NO_WAY


def choose(binding: "Binding", now: int) -> None:
    """The way of the next update: one after the other soon, from the first on; then, after a
    retransmission's pause, all of them again. With `both` the other way and the first one
    together are the first retransmission."""
    at = binding.tries
    binding.tries = at + 1
    binding.pace.soon = 0
    if binding.both and at < 3 and len(binding.ways) == 2:
        way = binding.ways[at & 1]
        if at < 2:
            binding.pace.soon = 1 if at else binding.pace.prompt
    else:
        way = binding.ways[(at - binding.twice if at else 0) % len(binding.ways)]
        if at >= binding.twice and way != binding.ways[-1]:
            binding.pace.soon = binding.pace.prompt or _ANOTHER_WAY
    if way != binding.aimed:
        binding.aim(way, now)
    if binding.held is not None and (binding.deleting or binding.held[0] != way):
        binding.held = None


def add_ways(binding: "Binding", now: int) -> None:
    """A name was looked up, or an address came beside the one in use."""
    found = binding.owner.ways.of(binding.index)
    news = [way for way in found if way not in binding.ways]
    if binding.state == states.REGISTERING and news:
        binding.ways = [way for way in binding.ways if way in found]
        binding.tries = len(binding.ways)
        binding.twice = 0
        binding.both = False
        binding.ways += news
        binding.way = binding.way if binding.way in binding.ways else binding.ways[0]
        binding.why = None if binding.why == NO_WAY else binding.why
        binding.transmit_at = binding.pace.allowed(now)


def all_tried_at(binding: "Binding") -> int | None:
    """When every way was tried and none has brought an answer, so that others are looked for;
    None: it has not come to that."""
    if binding.state != states.REGISTERING:
        return None
    if not binding.ways:
        return _NEVER
    if binding.pace.unanswered < len(binding.ways):
        return None
    return binding.pace.since + _ANOTHER_WAY * len(binding.ways)
