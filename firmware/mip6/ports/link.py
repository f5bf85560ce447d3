"""What is known of one interface: its carrier, and which of its addresses count.

The kernel keeps addresses when the carrier fails for a moment, and what is there afterwards may be
another network. So once an address is advertised then, only such ones count: to try the old one
meanwhile would take longer than the kernel needs to find that its old router is gone.

An address is used while the kernel still asks whether it is anybody else's (settings.py). If it
is, the kernel takes it away, and gives it again at the next advertisement: from then on it counts
when the asking is over, and no sooner.
"""

from ..compat import const
from . import netlink

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    import asyncio

_ADDRESSES_MAX = const(16)


class Link:
    """An interface. Times in milliseconds. `up`, `changes`, `mac`: as netlink.read tells them."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.name = ""
        self.mac = b""
        self.up = False
        self.changes = 0  # of its carrier, as the kernel counts them
        # the usable addresses -> (preferred, when they end or None, how many came before)
        self.usable: dict[bytes, tuple[bool, int | None, int]] = {}
        self.came = 0
        # addresses from before the carrier's return: they count until another is advertised
        self.stale: set[bytes] = set()
        self.fresh = False
        self.optimistic: set[bytes] = set()  # of the usable ones, those still asked about
        self.taken: list[bytes] = []  # addresses that were somebody else's, when last asked about
        # Routers: the task that asks for advertisements, whether one left from an address of ours,
        # when the last was for want of a way, and whether any answered since the carrier came.
        self.asking: asyncio.Task[None] | None = None
        self.asked = False
        self.asked_at = 0
        self.heard = False
        self.is_home = False  # a router advertises the home address's prefix there

    def counts(self, address: bytes) -> bool:
        """Whether an address can be used."""
        return self.up and address in self.usable and not (self.fresh and address in self.stale)

    def failed(self) -> None:
        """The carrier went: what is on the link when it is back, only advertisements tell."""
        self.fresh = self.heard = False
        self.stale = {one for one, (_, until, _) in self.usable.items() if until is not None}

    def take(
        self,
        in_use: bytes | None,
        at: int,
        address: bytes,
        usable: int,
        preferred: bool,
        valid_s: int | None,
        news: bool,
    ) -> bool:
        """What the kernel says of an address at the time `at`; whether an advertisement is behind
        it. `in_use`: an address that is never dropped to make room."""
        if usable == netlink.UNUSABLE or (usable == netlink.OPTIMISTIC and address in self.taken):
            self.lose(address)
            return False
        if usable == netlink.OPTIMISTIC:
            self.optimistic.add(address)
        else:
            self.optimistic.discard(address)
            if address in self.taken:
                self.taken.remove(address)
        if len(self.usable) >= _ADDRESSES_MAX and address not in self.usable:
            del self.usable[self._least(in_use)]
        until = None if valid_s is None else at + 1000 * valid_s
        known = self.usable.get(address)
        if known is None:
            self.came += 1
        self.usable[address] = (preferred, until, self.came if known is None else known[2])
        advertised = news and valid_s is not None
        if advertised:
            self.stale.discard(address)
            self.fresh = True
        return advertised

    def lose(self, address: bytes) -> None:
        """An address is there no more. While it is asked about and the link is up, that says that
        it is somebody else's (RFC 4862 section 5.4.5), or looks like it: then it has to wait."""
        self.usable.pop(address, None)
        if address in self.optimistic:
            self.optimistic.discard(address)
            if self.up:
                if len(self.taken) == _ADDRESSES_MAX:
                    self.taken.pop(0)
                self.taken.append(address)

    def _least(self, in_use: bytes | None) -> bytes:
        """What makes room: deprecated ones first, then the oldest; what is in use, never."""
        rest = [one for one in self.usable if one != in_use]
        return min(rest, key=lambda one: (self.usable[one][0], self.usable[one][2]))
