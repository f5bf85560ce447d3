"""Bindings in the kernel: its own Mobile IPv6 carries the data, and no packet comes here.

Changes wait until `flush`, as those of `routes`; the last for an address counts. What the kernel
has is looked at now and then: what passed is counted, what somebody took away is put back. A state
ends by itself with its binding, should nobody be left to take it away.
"""

import errno
import socket
import time
from contextlib import suppress
from typing import NamedTuple

from roamkey.correspondent.dataplane import xfrm

_AT_A_TIME = 64  # bindings in one call
_KINDS = (xfrm.OUT, xfrm.IN)
_OCTETS = 65536
_RECEIVE_BUFFER = 4 << 20
_LOOK_S = 1.0
_SHARE = 20  # of our time, one part at most goes into looking
_LATE_S = 2  # a state's end behind its binding's, which is told in time
_PASSED_EACH = {xfrm.OUT: -24, xfrm.IN: 16}  # from what the kernel counts to the inner packet


class Passed(NamedTuple):
    """What passed since it was asked for last: `used`, `heard`: home addresses that data went to,
    or came from."""

    packets: tuple[int, int]  # inward, outward
    octets: tuple[int, int]
    used: set[bytes]
    heard: set[bytes]


class _Bound:
    """A binding in the kernel: where, since when (`time.monotonic()`) there are states for it, and
    what they have passed, by their kind."""

    __slots__ = ("care_of_address", "made_at", "passed", "until_ms")

    def __init__(self, care_of_address: bytes, until_ms: int) -> None:
        self.care_of_address = care_of_address
        self.until_ms = until_ms
        self.made_at = 0.0
        self.passed = {xfrm.OUT: (0, 0), xfrm.IN: (0, 0)}


class Offload:
    """The bindings of one correspondent address. `close` it.

    `failures`: what the kernel refused; `repaired`: states and policies put back.
    """

    def __init__(self, ours: bytes) -> None:
        """Take away what was left behind, and begin. Raises OSError, SystemRefusedError."""
        self._ours = ours
        xfrm.sweep(ours)
        self._socket = xfrm.open_socket()
        self._dump = xfrm.open_socket()
        self.failures = self.repaired = 0
        self._bound: dict[bytes, _Bound] = {}
        self._changed: dict[bytes, None] = {}
        self._there: dict[bytes, float] = {}  # home addresses with states, and when they were made
        self._prefixes: dict[bytes, int] = {}  # how many of those are in each
        self._asking: list[bytes] = []  # what is still to be asked of the kernel in this look
        self._missed: dict[int, set[bytes]] = {}
        self._missed_policies: dict[bytes, int] = {}
        self._look_at = time.monotonic() + _LOOK_S
        self._looked = 0.0
        self._packets, self._octets = {43: 0, 60: 0}, {43: 0, 60: 0}
        self._used: dict[int, set[bytes]] = {xfrm.OUT: set(), xfrm.IN: set()}
        self._has_wildcard = False
        self._put_wildcard()

    def close(self) -> None:
        """Take all of ours away."""
        self._socket.close()
        self._dump.close()
        xfrm.sweep(self._ours)

    def __len__(self) -> int:
        """How many bindings the kernel has."""
        return len(self._there)

    def has(self, home: bytes) -> bool:
        """Whether the kernel has, or is about to have, a binding."""
        return home in self._bound

    def bind(self, home: bytes, care_of_address: bytes, until_ms: int) -> None:
        """A node is there now, natively; `until_ms` by `clock.boot_ms`."""
        bound = self._bound.get(home)
        if bound is None:
            self._bound[home] = _Bound(care_of_address, until_ms)
        else:
            bound.care_of_address, bound.until_ms = care_of_address, until_ms
        self._changed[home] = None

    def unbind(self, home: bytes) -> None:
        """It is nowhere natively."""
        if self._bound.pop(home, None) is not None:
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
        return bool(self._changed)

    def _request(self, home: bytes, sequence: int, now: float, now_ms: int) -> list[bytes]:
        bound, made_at = self._bound.get(home), self._there.get(home)
        if bound is None:
            if self._there.pop(home, None) is None:
                return []
            self._leave_prefix(home)
            return [xfrm.no_state(kind, self._ours, home, sequence) for kind in _KINDS]
        if made_at is None:
            self._there[home] = made_at = now
            self._enter_prefix(home)
            new = True
        else:
            new = False
        seconds = max(0, bound.until_ms - now_ms) // 1000 + int(now - made_at) + _LATE_S
        return [
            xfrm.state(kind, self._ours, home, bound.care_of_address, seconds, sequence, new)
            for kind in _KINDS
        ]

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
                told = self._socket.recv(_OCTETS)
            except BlockingIOError:
                return
            except OSError:  # more refusals than the socket's buffer holds: a look finds them
                self.failures += 1
                continue
            for sequence, number in xfrm.errors(told):
                if number not in (0, errno.ESRCH):
                    self.failures += 1
                if number == errno.ESRCH and homes[sequence] in self._bound:
                    self._lose(homes[sequence])  # somebody took its states away

    def _lose(self, home: bytes) -> None:
        """Its states are gone, or one of them is: they are made anew."""
        if self._there.pop(home, None) is not None:
            self._leave_prefix(home)
            with suppress(OSError):
                for kind in _KINDS:
                    self._socket.send(xfrm.no_state(kind, self._ours, home))
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
            with suppress(OSError):
                for request in xfrm.no_policies(self._ours, prefix):
                    self._socket.send(request)

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
        self._missed = {kind: set(self._there) for kind in _KINDS}
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
            told = self._dump.recv(_OCTETS)
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
        bound_of, missed = self._bound.get, self._missed
        for one in xfrm.states(told):
            if one is None:
                return True
            bound = bound_of(one.home_address)
            if bound is None:
                self._has_wildcard |= one.home_address == bytes(16)
                continue
            if one.care_of_address == bound.care_of_address or one.home_address in self._changed:
                missed[one.kind].discard(one.home_address)
            before_octets, before = bound.passed[one.kind]
            if one.packets != before:
                bound.passed[one.kind] = one.octets, one.packets
                if one.packets < before:  # made anew
                    before_octets = before = 0
                count = one.packets - before
                self._packets[one.kind] += count
                self._octets[one.kind] += one.octets - before_octets
                self._octets[one.kind] += count * _PASSED_EACH[one.kind]
                self._used[one.kind].add(one.home_address)
        return False

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
        inward, outward = xfrm.IN, xfrm.OUT
        passed = Passed(
            (self._packets[inward], self._packets[outward]),
            (self._octets[inward], self._octets[outward]),
            self._used[outward],
            self._used[inward],
        )
        self._packets, self._octets = {inward: 0, outward: 0}, {inward: 0, outward: 0}
        self._used = {outward: set(), inward: set()}
        return passed


class Reports:
    """The kernel's word on packets from where nobody is bound. `close` it."""

    def __init__(self, ours: bytes) -> None:
        """Raises OSError."""
        self._ours = ours
        self._socket = xfrm.open_socket(xfrm.REPORTS)
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self.fileno, self.close = self._socket.fileno, self._socket.close
        self.overflows = 0

    def hear(self) -> list[tuple[bytes, bytes, int]]:
        """Home address, care-of address and protocol of each packet that waits."""
        found = []
        for _ in range(_AT_A_TIME):
            try:
                told = self._socket.recv(_OCTETS)
            except BlockingIOError:
                break
            except OSError:  # more than the buffer holds
                self.overflows += 1
                continue
            found += [
                (home, care_of, protocol)
                for home, ours, care_of, protocol in xfrm.reports(told)
                if ours == self._ours
            ]
        return found
