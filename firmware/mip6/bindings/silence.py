"""Whether the address in use still leads anywhere, as the answers to updates show it."""

from ..compat import const
from . import states
from .series import all_tried_at

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from .update_list import BindingUpdateList

_SILENCE_MS = const(2500)  # two updates unanswered for so long: the way may lead nowhere


def silent_at(bindings: "BindingUpdateList") -> "int | None":
    """When it is time to look whether the address in use brings answers, or None."""
    found = None
    for binding in bindings.bindings:
        if binding.pace.unanswered > 1 and bindings.care_of != bindings.home_address:
            at = binding.pace.since + _SILENCE_MS
            found = at if found is None else min(at, found)
    return found


def silent_since(bindings: "BindingUpdateList", now: int) -> "int | None":
    """Since when updates go unanswered, where no correspondent has answered meanwhile."""
    at = silent_at(bindings)
    if at is None or now < at:
        return None
    since = at - _SILENCE_MS
    return since if all(one.heard_at < since for one in bindings.bindings) else None


def stuck_at(bindings: "BindingUpdateList") -> int | None:
    """When a correspondent can't be reached by any way that is known; None: not so far."""
    soonest = None
    for binding in bindings.bindings:
        at = all_tried_at(binding)
        if at is not None and (soonest is None or at < soonest):
            soonest = at
    return soonest


def heard_at(bindings: "BindingUpdateList") -> int:
    """When a correspondent last answered authentically."""
    return max(binding.heard_at for binding in bindings.bindings)


def verify(bindings: "BindingUpdateList", now: int) -> None:
    """Another router is on the link: see whether the address in use still leads anywhere."""
    for binding in bindings.bindings:
        if binding.usable and binding.unproven(now):
            binding.feed(states.REQUESTED, now)
