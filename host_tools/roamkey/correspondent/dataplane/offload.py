"""Bindings in the kernel: its own Mobile IPv6 carries the data, and no packet comes here.

Changes wait until `flush`, as those of `routes`; the last for an address counts. What the kernel
has is looked at now and then: what passed is counted, what somebody took away is put back. A state
ends by itself with its binding, should nobody be left to take it away.
"""

import errno
import time
from contextlib import suppress

from roamkey.correspondent.dataplane import inkernel, xfrm
from roamkey.correspondent.dataplane.bound import Bound, Counts, Passed

_AT_A_TIME = 64  # bindings in one call
_KINDS = (xfrm.OUT, xfrm.IN)
_LOOK_S = 1.0
_SHARE = 20  # of our time, one part at most goes into looking
_LATE_S = 2  # a state's end behind its binding's, which is told in time


class Offload:
    """The bindings of one correspondent address. `close` it.

    `failures`: what the kernel refused; `repaired`: states and policies put back.
    """

    def __init__(self, ours: bytes) -> None:
        """Take away what was left behind, and begin. Raises OSError, SystemRefusedError."""
        self._ours = ours
        inkernel.sweep(ours)
        self._socket = xfrm.open_socket()
        self._dump = xfrm.open_socket()
        self.failures = self.repaired = 0
        self._bound: dict[bytes, Bound] = {}
        self._leaving: dict[bytes, Bound] = {}
        self._changed: dict[bytes, None] = {}
        # Home addresses with states: when each was made (`time.monotonic()`), by its kind
        self._there: dict[bytes, dict[int, float]] = {}
        self._prefixes: dict[bytes, int] = {}  # how many of those are in each
        self._asking: list[bytes] = []  # what is still to be asked of the kernel in this look
        self._missed: dict[int, set[bytes]] = {}
        self._missed_policies: dict[bytes, int] = {}
        self._look_at = time.monotonic() + _LOOK_S
        self._looked = 0.0
        self._counts = Counts()
        self._has_wildcard = False
        self._put_wildcard()

    def close(self) -> None:
        """Take all of ours away."""
        self._socket.close()
        self._dump.close()
        inkernel.sweep(self._ours)

    def __len__(self) -> int:
        """How many bindings the kernel has."""
        return len(self._there)

    def has(self, home: bytes) -> bool:
        """Whether the kernel has, or is about to have, a binding."""
        return home in self._bound

    def bind(
        self, home: bytes, care_of_address: bytes, until_ms: int, outward: bool = True
    ) -> None:
        """A node is there now, natively; `until_ms` by `clock.boot_ms`. `outward`: the kernel
        carries what goes there, too."""
        bound = self._bound.get(home) or self._leaving.pop(home, None) or Bound()
        self._bound[home] = bound
        bound.updates += bound.care_of_address == care_of_address
        bound.care_of_address, bound.until_ms, bound.outward = care_of_address, until_ms, outward
        self._changed[home] = None

    def leave_outward(self, home: bytes) -> None:
        """The kernel carries no longer what goes there, until it is bound anew."""
        bound = self._bound.get(home)
        if bound is not None and bound.outward:
            bound.outward = False
            self._changed[home] = None

    def unbind(self, home: bytes, by_update: bool) -> None:
        """It is nowhere natively; `by_update`: it said so itself, from where it was."""
        bound = self._bound.pop(home, None)
        if bound is not None:
            bound.updates += by_update
            self._leaving[home] = bound
            self._changed[home] = None

    def flush(self, now_ms: int) -> bool:
        """Make some of the changes that wait; whether there are more."""
        if not self._changed:
            return False
        chosen = [self._changed.popitem()[0] for _ in range(min(_AT_A_TIME, len(self._changed)))]
        now = time.monotonic()
        requests = [
            request
            for at, home in enumerate(chosen)
            for request in self._request(home, at, now, now_ms)
        ]
        self._send(requests, chosen)
        for home in chosen:
            self._leaving.pop(home, None)
        return bool(self._changed)

    def _request(self, home: bytes, sequence: int, now: float, now_ms: int) -> list[bytes]:
        bound, there = self._bound.get(home), self._there.get(home)
        if bound is None:
            if there is None:
                return []
            del self._there[home]
            self._leave_prefix(home)
            return [one for kind in there for one in self._away(kind, home, sequence)]
        if there is None:
            there = self._there[home] = {}
            self._enter_prefix(home)
        left = max(0, bound.until_ms - now_ms) // 1000 + _LATE_S
        requests = []
        for kind in _KINDS:
            if bound.wants(kind):
                new = kind not in there
                made_at = there.setdefault(kind, now)
                seconds = left + int(now - made_at)
                care_of = bound.care_of_address
                requests.append(
                    xfrm.state(kind, self._ours, home, care_of, seconds, sequence, new)
                )
            elif there.pop(kind, None) is not None:
                requests += self._away(kind, home, sequence)
        for missed in self._missed.values():
            missed.discard(home)  # what is being told is older
        return requests

    def _away(self, kind: int, home: bytes, sequence: int) -> tuple[bytes, bytes]:
        """Have a state taken away, and told before what it has passed."""
        return (
            xfrm.ask_state(kind, self._ours, home, sequence),
            xfrm.no_state(kind, self._ours, home, sequence),
        )

    def _send(self, requests: list[bytes], homes: list[bytes]) -> None:
        if not requests:
            return
        try:
            self._socket.send(b"".join(requests))
        except OSError:
            self.failures += len(homes)
            return
        while True:  # it has answered by now
            try:
                told = self._socket.recv(xfrm.OCTETS)
            except BlockingIOError:
                return
            except OSError:  # more refusals than the socket's buffer holds: a look finds them
                self.failures += 1
                continue
            for one in xfrm.states(told):
                if one is not None:
                    self._count(one)
            for sequence, number in xfrm.errors(told):
                if number not in (0, errno.ESRCH):
                    self.failures += 1
                if number == errno.ESRCH and homes[sequence] in self._bound:
                    self._lose(homes[sequence])  # somebody took its states away

    def _lose(self, home: bytes) -> None:
        """Its states are gone, or one of them is: they are made anew."""
        if self._there.pop(home, None) is not None:
            self._leave_prefix(home)
            self._forget([xfrm.no_state(kind, self._ours, home) for kind in _KINDS])
            self._changed[home] = None
            self.repaired += 1

    # --- policies, of each home prefix in use

    def _enter_prefix(self, home: bytes) -> None:
        prefix = xfrm.prefix_of(home)
        count = self._prefixes.get(prefix, 0)
        self._prefixes[prefix] = count + 1
        if not count:
            self._put_policies(prefix)

    def _leave_prefix(self, home: bytes) -> None:
        prefix = xfrm.prefix_of(home)
        self._prefixes[prefix] -= 1
        if not self._prefixes[prefix]:
            del self._prefixes[prefix]
            self._forget(xfrm.no_policies(self._ours, prefix))

    def _forget(self, requests: list[bytes]) -> None:
        """Have something taken away that may be gone already."""
        with suppress(OSError):
            for request in requests:
                self._socket.send(request)
            while True:
                self._socket.recv(xfrm.OCTETS)

    def _put_policies(self, prefix: bytes) -> None:
        for request in xfrm.policies(self._ours, prefix):
            self.failures += self._ask(request) not in (0, errno.EEXIST)

    def _put_wildcard(self) -> None:
        number = self._ask(xfrm.wildcard(self._ours))
        self.failures += number not in (0, errno.EEXIST)

    def _ask(self, request: bytes) -> int:
        try:
            return xfrm.ask(self._socket, request)
        except OSError as error:
            return error.errno or errno.EIO

    # --- what the kernel has

    def fileno(self) -> int:
        """For poll: the kernel tells what it has been asked."""
        return self._dump.fileno()

    def wakes_at(self) -> float:
        """When to `look` (`time.monotonic()`)."""
        return self._look_at

    def look(self, now: float) -> None:
        """Ask the kernel what it has, where it is time to; `hear` the answer."""
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_S
        if self._missed:  # the one before isn't over
            return
        self._missed = {
            kind: {home for home, there in self._there.items() if kind in there} for kind in _KINDS
        }
        self._missed_policies = dict.fromkeys(self._prefixes, 0)
        self._has_wildcard = False
        self._asking = [xfrm.ask_states(kind, self._ours) for kind in _KINDS]
        self._asking.append(xfrm.ask_policies())
        self._looked = 0.0
        self._ask_next()

    def _ask_next(self) -> None:
        try:
            self._dump.send(self._asking[0])
        except OSError:
            self._asking, self._missed = [], {}

    def hear(self) -> None:
        """Hear some of it."""
        started = time.monotonic()
        try:
            told = self._dump.recv(xfrm.OCTETS)
        except BlockingIOError:
            return
        except OSError:
            self._asking, self._missed = [], {}
            return
        if not self._asking:
            return
        hears = self._hear_states if len(self._asking) > 1 else self._hear_policies
        over = hears(told)
        self._looked += time.monotonic() - started
        if over:
            self._asking.pop(0)
            if self._asking:
                self._ask_next()
            else:
                self._mend()

    def _hear_states(self, told: bytes) -> bool:
        """Whether that was the last."""
        for one in xfrm.states(told):
            if one is None:
                return True
            bound = self._count(one)
            if bound is None:
                self._has_wildcard |= one.home_address == bytes(16)
            elif one.care_of_address == bound.care_of_address:
                self._missed[one.kind].discard(one.home_address)
        return False

    def _count(self, one: xfrm.State) -> Bound | None:
        """Count what a state has passed since it was read last; whose it is."""
        bound = self._bound.get(one.home_address) or self._leaving.get(one.home_address)
        if bound is not None:
            self._counts.add(bound, one)
        return bound

    def _hear_policies(self, told: bytes) -> bool:
        for one in xfrm.prefixes(told, self._ours):
            if one is None:
                return True
            prefix, which = one
            if prefix in self._missed_policies:
                self._missed_policies[prefix] |= 1 << which
        return False

    def _mend(self) -> None:
        """What somebody took away is put back."""
        missed = self._missed[xfrm.OUT] | self._missed[xfrm.IN]
        self._missed = {}
        self._look_at = time.monotonic() + max(_LOOK_S, self._looked * _SHARE)
        for home in missed:
            if home in self._there and home not in self._changed:
                self._lose(home)
        for prefix, which in self._missed_policies.items():
            if which != (1 << xfrm.POLICIES) - 1 and prefix in self._prefixes:
                self._put_policies(prefix)
                self.repaired += 1
        if not self._has_wildcard:
            self._put_wildcard()
            self.repaired += 1

    def take_passed(self) -> Passed:
        """What passed since the last time."""
        return self._counts.take()
