"""Binding Refresh Requests: before the binding of a node that data flow with ends (no I/O).

RFC 6275 section 9.5.5: whoever knows that a binding is in active use may ask for a new one, and
ask again, until an update comes or the binding is over. The node renews its binding by itself in
time (section 11.7.2); a request is for the node whose updates were lost, or that went by another
clock. So it comes later than the node's own renewal, which is a quarter of the lifetime before its
end: in the last twentieth, 30 s at most, but 2 s at least, or a fifth of what is shorter than ten;
then 1, 2, 4 and 8 s later, while nothing changes.
"""

from collections.abc import Callable
from heapq import heappop, heappush

from mip6 import messages, packets
from roamkey.correspondent.core.entries import Reply
from roamkey.correspondent.core.replies import inside_udp
from roamkey.registry.records import Binding

#: Whose bindings are asked to be renewed: those of nodes whose data flow, of all, of none
POLICIES = USED, ALWAYS, NEVER = ("used", "always", "never")

_LAST = 20  # the last 1/20 of a lifetime
_LAST_OF_SHORT = 5
_MARGIN_MIN_MS = 2_000  # for an answer to come in time
_MARGIN_MAX_MS = 30_000
_FIRST_WAIT_MS = 1_000
_REQUESTS_MAX = 5
_IN_USE_MS = 300_000  # without data for longer, a binding may end
_AT_ONCE = 512  # requests a second, so that they don't leave in one burst
_REST_MS = 1_000


class _Watch:
    __slots__ = ("asked", "at", "used")

    def __init__(self, at: int, used: int) -> None:
        self.at = at  # when to look at the binding again
        self.used = used  # when data last flowed
        self.asked = 0


class Refresher:
    """Knows which bindings are in use, and when to ask for new ones.

    `binding(home_address, now)` is the cache's. Instants are in milliseconds.
    """

    def __init__(
        self,
        correspondent: bytes,
        binding: Callable[[bytes, int], Binding | None],
        policy: str = USED,
    ) -> None:
        """For our address `correspondent` (16 octets), by one of the `POLICIES`."""
        self._correspondent = correspondent
        self._binding = binding
        self._policy = policy
        self._watched: dict[bytes, _Watch] = {}
        self._heap: list[tuple[int, bytes]] = []  # entries may be out of date
        self._rests_until = 0
        self.requests = 0

    def used(self, home_address: bytes, now: int) -> None:
        """Data flowed with a bound node. Cheap: it may be called for every packet."""
        watch = self._watched.get(home_address)
        if watch is not None:
            watch.used = now
        elif self._policy != NEVER:
            self._watch(home_address, now)

    def registered(self, home_address: bytes, now: int) -> None:
        """A binding was made or replaced, or read at the start."""
        watch = self._watched.get(home_address)
        if watch is not None:
            binding = self._binding(home_address, now)
            watch.asked = 0
            if binding and _ask_at(binding) < watch.at:
                self._look(home_address, watch, _ask_at(binding))
        elif self._policy == ALWAYS:
            self._watch(home_address, now)

    def wakes_at(self) -> int | None:
        """When to call `due` next, at the latest; None: not before something happens."""
        return max(self._heap[0][0], self._rests_until) if self._heap else None

    def due(self, now: int) -> list[Reply]:
        """The requests to send now."""
        requests: list[Reply] = []
        if now < self._rests_until <= now + _REST_MS:  # and no clock was set back
            return requests
        while self._heap and self._heap[0][0] <= now and len(requests) < _AT_ONCE:
            at, home_address = heappop(self._heap)
            watch = self._watched.get(home_address)
            if watch is None or watch.at != at:
                continue
            binding = self._binding(home_address, now)
            idle = self._policy == USED and now - watch.used > _IN_USE_MS
            if binding is None or idle:
                del self._watched[home_address]  # the next data watch it again
            elif _ask_at(binding) > now:  # renewed meanwhile
                watch.asked = 0
                self._look(home_address, watch, _ask_at(binding))
            elif watch.asked >= _REQUESTS_MAX:
                self._look(home_address, watch, binding.expires_ms)
            else:
                requests.append(_request(self._correspondent, home_address, binding))
                self._look(home_address, watch, now + (_FIRST_WAIT_MS << watch.asked))
                watch.asked += 1
        if len(requests) == _AT_ONCE:
            self._rests_until = now + _REST_MS
        self.requests += len(requests)
        return requests

    def _watch(self, home_address: bytes, now: int) -> None:
        binding = self._binding(home_address, now)
        if binding is not None:
            watch = self._watched[home_address] = _Watch(0, now)
            self._look(home_address, watch, _ask_at(binding))

    def _look(self, home_address: bytes, watch: _Watch, at: int) -> None:
        watch.at = at
        heappush(self._heap, (at, home_address))


def _ask_at(binding: Binding) -> int:
    lifetime = 1000 * binding.lifetime
    least = min(lifetime // _LAST_OF_SHORT, _MARGIN_MIN_MS)
    return binding.expires_ms - min(max(lifetime // _LAST, least), _MARGIN_MAX_MS)


def _request(correspondent: bytes, home_address: bytes, binding: Binding) -> Reply:
    """To the home address, as section 9.5.5 has it, and so by way of the care-of address, or of
    the endpoint."""
    header = messages.Message(messages.BINDING_REFRESH_REQUEST).encode()
    header = messages.with_checksum(header, correspondent, home_address)
    if binding.endpoint:
        return inside_udp(correspondent, home_address, header, binding.endpoint)
    route = packets.routing_header(home_address, packets.MOBILITY)
    return Reply(binding.care_of_address, packets.ROUTING, route + header)
