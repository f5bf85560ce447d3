"""The kernel's tunnels of one home agent: bindings in them, followed, counted, looked after.

Changes wait until `flush`; the last for a home address counts. The device outlives a process that
is killed, so another process waits for the end of this one, and takes it away.
"""

import errno
import time
from collections import OrderedDict
from contextlib import ExitStack
from functools import partial
from ipaddress import IPv6Address

from roamkey.correspondent.control import lock_path
from roamkey.correspondent.dataplane.guard import Guard
from roamkey.correspondent.dataplane.routes import PRIORITY, Routes
from roamkey.errors import SystemRefusedError
from roamkey.home_agent.tunnel import device
from roamkey.home_agent.tunnel.vetted import DROPS, Vetted

# Before those into the TUN device, which stay: what a device that was taken away doesn't carry
# goes there.
_PRIORITY = PRIORITY // 2 - 1
_AT_A_TIME = 128  # changes
_AGAIN_S = 0.005  # the kernel makes room for more elements in its own time
_FULL = (errno.ENOMEM, errno.E2BIG)
_LOOK_S = 1.0
_SHARE = 20  # of our time, one part at most goes into counting

# Care-of address, until when, and whether what goes there is carried, too; None: nowhere
_Change = tuple[bytes, int, bool] | None


class Offload:
    """`failures`: what the kernel refused; `repaired`: devices made anew; `interface`, `mtu`: the
    device's. `packets`, `octets`: that passed, inward and outward; `used`, `heard`: home addresses
    that data went to, or came from; take them out."""

    def __init__(self, address: IPv6Address, most: int, stack: ExitStack) -> None:
        """Begin; what must be undone goes onto `stack`. `most`: bindings. Raises
        SystemRefusedError, which says why this kernel doesn't do it."""
        self._address = address
        tidy = partial(device.remove, address)
        stack.enter_context(Guard(lock_path(address, "ip6tnl"), tidy))
        try:
            self._vetted = Vetted(address, most)
        except OSError as error:
            raise SystemRefusedError(_why(error)) from None
        stack.callback(self._vetted.close)
        stack.callback(tidy)
        self.failures = self.repaired = 0
        self._changed: OrderedDict[bytes, _Change] = OrderedDict()
        self._there: dict[bytes, tuple[int, ...]] = {}  # what had passed when it was last looked
        self._inward_alone: set[bytes] = set()
        self._again_at = 0.0
        self._look_at = time.monotonic() + _LOOK_S
        self.packets, self.octets = [0, 0], [0, 0]
        self.used: set[bytes] = set()
        self.heard: set[bytes] = set()
        self._routes: Routes | None = None
        self._open()
        stack.callback(self._close_routes)

    def _open(self) -> None:
        vetted = self._vetted
        self.index, self.interface, self.mtu = device.make(
            self._address, vetted.inward, vetted.outward
        )
        self._close_routes()
        self._routes = Routes(self.index, self._address, device.OVERHEAD, _PRIORITY)
        for home in self._there.keys() - self._inward_alone:
            self._routes.add(home, device.OVERHEAD)

    def _close_routes(self) -> None:
        if self._routes is not None:
            self.failures += self._routes.failures
            self._routes.close()
            self._routes = None

    def __len__(self) -> int:
        """How many bindings the kernel has."""
        return len(self._there)

    def bind(self, home: bytes, care_of: bytes, until_ms: int, outward: bool = True) -> None:
        """A node is there, natively, until then (`clock.boot_ms`); `outward`: the kernel carries
        what goes there, too."""
        self._changed[home] = care_of, until_ms, outward

    def leave_outward(self, home: bytes) -> None:
        """The kernel carries no longer what goes there, until it is bound anew."""
        change = self._changed.get(home)
        if change is not None:
            self._changed[home] = (*change[:2], False)
        elif home in self._there and home not in self._changed:
            self._inward_alone.add(home)
            if self._routes is not None:
                self._routes.remove(home)

    def unbind(self, home: bytes) -> None:
        """It is nowhere natively."""
        if home in self._there or home in self._changed:
            self._changed[home] = None

    def flush(self) -> bool:
        """Make some of the changes that wait; whether there are more to be made at once."""
        routes = self._routes
        if routes is None or time.monotonic() < self._again_at:
            return False
        full: dict[bytes, _Change] = {}
        for _ in range(min(_AT_A_TIME, len(self._changed))):
            home, change = self._changed.popitem(last=False)
            try:
                self._make(home, change, routes)
            except OSError as error:
                if error.errno in _FULL:
                    full[home] = change
                else:
                    self.failures += 1
        if full:
            self._changed.update(full)
            self._again_at = time.monotonic() + _AGAIN_S
        return routes.flush() or bool(self._changed and not full)

    def _make(self, home: bytes, change: _Change, routes: Routes) -> None:
        if change is not None:
            care_of, until_ms, outward = change
            self._vetted.put(home, care_of, until_ms)
            self._there.setdefault(home, (0,) * 4)
            if outward:
                self._inward_alone.discard(home)
                routes.add(home, device.OVERHEAD)
            else:
                self._inward_alone.add(home)
                routes.remove(home)
            return
        routes.remove(home)
        passed = self._vetted.remove(home)
        self._count(home, passed)
        self._there.pop(home, None)
        self._inward_alone.discard(home)

    def waits(self) -> bool:
        """Whether a change isn't made yet."""
        return bool(self._changed)

    def wakes_at(self) -> float:
        """When to `look` and `flush` (`time.monotonic()`)."""
        return min(self._look_at, self._again_at if self._changed else self._look_at)

    def look(self) -> None:
        """See what has passed, where it is time to."""
        started = time.monotonic()
        if started < self._look_at:
            return
        try:
            for home, passed in self._vetted.counts():
                if passed != self._there.get(home, passed):
                    self._count(home, passed)
        except OSError:
            self.failures += 1
        now = time.monotonic()
        self._look_at = now + max(_LOOK_S, (now - started) * _SHARE)

    def _count(self, home: bytes, passed: tuple[int, ...]) -> None:
        before = self._there.get(home, (0,) * 4)
        for way, whose in enumerate((self.heard, self.used)):
            at = 2 * way
            if passed[at] != before[at]:
                whose.add(home)
            self.packets[way] += passed[at] - before[at]
            self.octets[way] += passed[at + 1] - before[at + 1]
        self._there[home] = passed

    def drops(self) -> dict[str, int]:
        """How many packets didn't pass, by why, since the beginning."""
        return dict(zip(DROPS, self._vetted.drops(), strict=True))

    def mend(self, mtu: int) -> None:
        """See that the device is what it should be, and its routes; raises nothing: who looks
        again, tries again."""
        if self._routes is not None and device.is_whole(self.index, mtu):
            self._routes.ask()
            return
        try:
            self._open()
            self.repaired += 1
        except (SystemRefusedError, OSError):
            self.failures += 1

    def fileno(self) -> int:
        """For poll: the kernel tells of the routes that it was asked for; -1: of none."""
        return -1 if self._routes is None else self._routes.fileno()

    def hear(self) -> None:
        """Hear some of that."""
        if self._routes is not None:
            self._routes.hear_told()

    def routes_repaired(self) -> int:
        """How many routes were put back."""
        return 0 if self._routes is None else self._routes.repaired


def _why(error: OSError) -> str:
    if error.errno == errno.EPERM:
        return "the kernel's tunnels need root, or CAP_BPF beside CAP_NET_ADMIN, to be checked"
    if error.errno == errno.ENOSYS:
        return "nothing can check this kernel's tunnels (CONFIG_BPF_SYSCALL)"
    return f"nothing can check this kernel's tunnels: {error.strerror}"
