"""The multicast groups of home addresses, joined on the home link: what is sent to them comes
here, also through switches that listen to who joins (MLD, RFC 4541)."""

import errno
import socket
import struct
from collections import Counter

from roamkey.home_agent.tunnel.neighbours import solicited_node

_OF_ONE_SOCKET = 128  # the kernel gives a socket little memory for them (optmem_max)
_REQUEST = struct.Struct("=16sI")  # struct ipv6_mreq


class Groups:
    """`close` it."""

    def __init__(self, index: int) -> None:
        """Of the interface with this index; none is joined yet."""
        self._index = index
        self._members: Counter[bytes] = Counter()  # group -> how many home addresses it is of
        self._joined: dict[bytes, socket.socket] = {}
        self._sockets: dict[socket.socket, int] = {}  # how many each has

    def add(self, address: bytes) -> None:
        """Hear who asks for an address. Raises OSError."""
        group = solicited_node(address)
        if not self._members[group]:
            self._join(group)
        self._members[group] += 1

    def remove(self, address: bytes) -> None:
        """Hear it no longer, unless it is another one's group as well."""
        group = solicited_node(address)
        self._members[group] -= 1
        if self._members[group] > 0:
            return
        del self._members[group]
        one = self._joined.pop(group, None)
        if one is None:
            return
        try:
            request = _REQUEST.pack(group, self._index)
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, request)
        except OSError as error:  # the interface has gone, and with it the membership
            if error.errno not in (errno.EADDRNOTAVAIL, errno.ENODEV):
                raise
        self._sockets[one] -= 1
        if not self._sockets[one]:
            del self._sockets[one]
            one.close()

    def close(self) -> None:
        """Leave all of them."""
        for one in self._sockets:
            one.close()

    def _join(self, group: bytes) -> None:
        one = next((s for s, count in self._sockets.items() if count < _OF_ONE_SOCKET), None)
        if one is None:
            one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            self._sockets[one] = 0
        request = _REQUEST.pack(group, self._index)
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, request)
        self._sockets[one] += 1
        self._joined[group] = one
