"""The kinds of events, and what an event says to people.

An event is what happened at one correspondent address at one instant. Its fields, where they
apply:

    id                a number that only rises, in the order of recording
    at_ms             milliseconds since 1970
    correspondent     our address
    kind              one of the kinds below
    home_address      the node; where nothing was authenticated, who the sender said it is
    name              what the node is called in the registry now, where it has a name
    care_of_address   where the node is, or was until now; of what was removed the home address
                      itself: the node is at home, any other: it shuts down there
    previous          where it was before, where that is known and another place
    sequence, generation, lifetime_s   of the Binding Update; no generation: return routability
    count             how many there were: drops and refusals are gathered for a second
    reason            why; of what was refused or dropped, as in `roamkey correspondent drops`
    way, endpoint     how the node is reached: native, udp6 or udp4 (inside UDP), and then from
                      which outer address and port
    gap_ms            time without data from or to the node around a registration

None of them is a secret.
"""

from datetime import datetime, timezone
from ipaddress import IPv4Network, IPv6Address
from typing import Any

from roamkey.correspondent.core.entries import RETURN_ROUTABILITY

BOUND = "bound"  # a binding where there was none
REFRESHED = "refreshed"  # the same care-of address again
MOVED = "moved"  # another care-of address
REMOVED = "removed"  # the node de-registered: it is at home, or shuts down
EXPIRED = "expired"  # the lifetime is over
REFUSED = "refused"  # authentic, and answered with a status of 128 or above, or not at all
DROPPED = "dropped"
GAP = "gap"  # data flow again after a registration
STARTED = "started"  # the daemon
STOPPED = "stopped"
LOST = "lost"  # so many events could not be recorded

KINDS = (
    BOUND, REFRESHED, MOVED, REMOVED, EXPIRED, REFUSED, DROPPED, GAP, STARTED, STOPPED, LOST,
)  # fmt: skip
UPDATES = (BOUND, REFRESHED, MOVED, REMOVED)  # accepted Binding Updates

_NETWORK_BITS = 64
_NETWORK4_BITS = 24  # of IPv4 nobody tells; most networks are of its size
_S = 1000


def network(address: str) -> str:
    """The network of a care-of address, as its prefix of 64 bits; of an IPv4 address, of 24."""
    if "." in address:
        return str(IPv4Network((address, _NETWORK4_BITS), strict=False))
    bits = int(IPv6Address(address)) >> _NETWORK_BITS << _NETWORK_BITS
    return f"{IPv6Address(bits)}/{_NETWORK_BITS}"


def key(generation: int | None) -> str:
    """What an update was authorized by: a key, by its generation; None: no key was needed."""
    return RETURN_ROUTABILITY if generation is None else f"key {generation}"


def text(event: dict[str, Any]) -> str:
    """What an event says, without its time and node."""
    kind = event["kind"]
    where = event.get("care_of_address", "")
    if "endpoint" in event:
        where += f" by {event['way']} from {event['endpoint']}"
    number = f"sequence {event.get('sequence')}, {key(event.get('generation'))}"
    if kind == MOVED:
        return f"from {event['previous']} to {where}, {number}, for {event['lifetime_s']} s"
    if kind in (BOUND, REFRESHED):
        return f"at {where}, {number}, for {event['lifetime_s']} s"
    if kind == REMOVED:
        return f"no longer at {event.get('previous', 'any address')}: de-registered, {number}"
    if kind == EXPIRED:
        return f"no longer at {where}: its lifetime is over"
    if kind in (REFUSED, DROPPED):
        count = event["count"]
        return f"{event['reason']}" + (f", {count} times" if count > 1 else "")
    if kind == GAP:
        return f"{event['gap_ms'] / _S:.3f} s without data"
    if kind == LOST:
        return f"{event['count']} events were not recorded: there were too many"
    return str(event.get("reason") or "")


def stamp(at_ms: int) -> str:
    """An instant for machines."""
    time = datetime.fromtimestamp(at_ms / _S, timezone.utc)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
