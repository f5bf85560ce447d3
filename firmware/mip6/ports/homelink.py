"""The home address on Linux, where a home agent defends it while the node is away.

Away, the home agent answers for the address (RFC 6275 section 10.4.1), so at home duplicate
address detection would fail, and the kernel take it away. The node knows its home link by the
prefix instead, and has the kernel use the address there without asking (section 11.5.4); once the
home agent let go, the neighbours are told whose it is now (section 11.5.5). Where another network
is heard in its place the address goes. Needs CAP_NET_ADMIN: without it the home link is a network
like any other.
"""

import struct

from ..clock import now
from ..compat import const
from . import netlink
from .sockets import neighbourly, place

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Callable

    from .link import Link

_PREFIX_OCTETS = const(8)
_MAC_OCTETS = const(6)
_AGAIN_MS = const(1000)  # the kernel has its time to do as told
_ALL_NODES = b"\xff\x02" + bytes(13) + b"\x01"
_ADVERTISEMENT = const(136)
_OVERRIDE = const(0x20)
_TARGET_LINK_LAYER_ADDRESS = b"\x02\x01"  # in units of eight octets


class HomeLink:
    """`tell(octets)`: a message to the kernel, over netlink; OSError.

    `address`: the home address (16 octets) where there is a home agent, else None.
    """

    def __init__(self, tell: "Callable[[bytes], None]") -> None:
        self._tell = tell
        self.address: bytes | None = None
        self._index: int | None = None  # of the interface that has the address because of us
        self._taken_at = 0

    def heard(self, link: "Link", prefix: bytes, formed: bool = False) -> None:
        """A router advertises a prefix (16 octets) on a link, or (`formed`) the kernel has just
        formed the address from it; raises OSError."""
        if self.address is None:
            return
        if prefix[:_PREFIX_OCTETS] == self.address[:_PREFIX_OCTETS]:
            link.is_home = True
            self._take(link, formed)
        elif not link.is_home and link.index == self._index:
            self.leave()

    def seen(self, link: "Link") -> None:
        """An address of a link is usable; raises OSError."""
        home = self.address
        if home is None or not link.up or self._index not in (None, link.index):
            return
        for address in link.usable:
            if address != home and address[:_PREFIX_OCTETS] == home[:_PREFIX_OCTETS]:
                self._take(link)
                return

    def _take(self, link: "Link", formed: bool = False) -> None:
        assert self.address is not None
        at = now()
        if self._index == link.index:
            fresh = self.address in link.usable or at - self._taken_at < _AGAIN_MS
            if fresh and not formed:
                return
        else:
            self.leave()
        self._index = link.index
        self._taken_at = at
        # One that the kernel formed itself may be asked about just now: that is to end. One of
        # ours may be left of a start before.
        self._tell(netlink.remove_address(link.index, self.address, True))
        self._tell(netlink.remove_address(link.index, self.address))
        self._tell(netlink.add_address(link.index, self.address))

    def gone(self, link: "Link") -> None:
        """A link is no more."""
        if self._index == link.index:
            self._index = None

    def leave(self) -> None:
        """Have the address no more; raises OSError."""
        index, self._index = self._index, None
        if index is not None and self.address is not None:
            self._tell(netlink.remove_address(index, self.address))

    def announce(self, link: "Link") -> None:
        """Tell the neighbours on a link that the address is ours (RFC 6275 section 11.5.5), where
        they know each other by a MAC; raises OSError."""
        assert self.address is not None
        if len(link.mac) != _MAC_OCTETS:
            return
        stream = neighbourly(link.name, self.address)
        try:
            head = struct.pack(">BBHI", _ADVERTISEMENT, 0, 0, _OVERRIDE << 24)
            body = head + self.address + _TARGET_LINK_LAYER_ADDRESS + link.mac
            stream.sendto(body, place(_ALL_NODES))
        finally:
            stream.close()
