"""Home addresses from a prefix: the lowest that nobody has, and nobody had."""

import ipaddress
import threading
from collections.abc import Iterable

from mip6 import addresses
from roamkey.errors import BadInputError, RefusedError
from roamkey.registry import Registry


def network_of(prefix: str) -> ipaddress.IPv6Network:
    """The network that is written as fd00:0:0:a::/64; raises BadInputError where none of its
    addresses could be a board's."""
    try:
        network = ipaddress.IPv6Network(prefix)
    except ValueError:
        raise BadInputError(f"{prefix}: not an IPv6 prefix (as 2001:db8:a::/64)") from None
    first = (network.network_address + 1).packed
    if network.prefixlen > 126 or not addresses.is_unicast_global(first):
        raise BadInputError(f"{prefix}: no prefix for global addresses of boards")
    return network


class Pool:
    """Gives out addresses of one prefix; any thread may ask.

    An address that ever was in the registry isn't given again: what was captured under its old
    keys stays without meaning. A board that has an address of the prefix keeps it.
    """

    def __init__(self, registry: Registry, prefix: str, taken: Iterable[bytes] = ()) -> None:
        """`prefix`: text such as 2001:db8:a::/64; `taken`: 16 octets each, not to be given."""
        self._network = network_of(prefix)
        self._registry = registry
        self._taken = set(taken)
        self._given: dict[str, bytes] = {}
        self._next = 1  # 0 is the routers' anycast address (RFC 4291 section 2.6.1)
        self._lock = threading.Lock()

    @property
    def prefix(self) -> str:
        """The prefix, in text."""
        return str(self._network)

    def address_for(self, board: str) -> bytes:
        """The address of this board, 16 octets; raises RefusedError where none is left."""
        node = self._registry.node_by_board(board)
        if node is not None and ipaddress.IPv6Address(node.home_address) in self._network:
            return node.home_address
        with self._lock:
            if board in self._given:
                return self._given[board]
            known = self._registry.home_addresses()
            while self._next < self._network.num_addresses:
                address = (self._network.network_address + self._next).packed
                self._next += 1
                if address not in known and address not in self._taken:
                    self._given[board] = address
                    return address
        raise RefusedError(f"{self._network}: no address is left")

    def drop(self, board: str) -> None:
        """Another command gave the address of this board away first: the next one, then."""
        with self._lock:
            self._given.pop(board, None)
