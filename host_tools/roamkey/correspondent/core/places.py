"""Where nodes may be, so that what is sent to them ends there (no I/O)."""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from mip6 import addresses
from mip6.limits import ADDRESS_OCTETS
from roamkey.correspondent.core import endpoints
from roamkey.registry.records import Binding


class Link(NamedTuple):
    """A prefix that is on a link of this host: its network, 16 octets, and its length in bits."""

    network: bytes
    bits: int

    def has(self, address: bytes) -> bool:
        """Whether an address is of it."""
        differ = int.from_bytes(self.network, "big") ^ int.from_bytes(address, "big")
        return not differ >> (8 * ADDRESS_OCTETS - self.bits)


class Ends:
    """The addresses that packets for bound nodes are sent to, each as often as it is one."""

    def __init__(self) -> None:
        """None yet."""
        self._count: Counter[bytes] = Counter()

    def __contains__(self, address: bytes) -> bool:
        """Whether something is sent there."""
        return address in self._count

    def change(self, before: Binding | None, after: Binding | None) -> None:
        """A node has another binding."""
        if after is not None:
            self._count[_end(after)] += 1
        if before is not None:
            end = _end(before)
            self._count[end] -= 1
            if not self._count[end]:
                del self._count[end]


class Places:
    """`own`: the addresses of our host; `links`: the prefixes on its links."""

    def __init__(self, correspondent: bytes, port: int, is_home: Callable[[bytes], bool]) -> None:
        """For our address and our UDP port. `is_home(address)`: whether it is the home address of
        a node with a key: from there a binding would lead on, in the end in a circle."""
        self._correspondent = correspondent
        self._port = port
        self._is_home = is_home
        self.own: frozenset[bytes] = frozenset()
        self.links: frozenset[Link] = frozenset()

    def allow(self, care_of: bytes, endpoint: bytes) -> bool:
        """Whether a node may be at a care-of address, or, where there is one, at an endpoint.

        Natively not on our own host: what is sent there comes to ourselves. Inside UDP it may be,
        at another port than ours, as a virtual board is; and an IPv4 care-of address is its own
        behind its NAT, whoever else has it.
        """
        if not endpoint:
            is_ours = care_of in self.own or addresses.is_ipv4(care_of)
            return not is_ours and self._is_an_end(care_of)
        address, port, _ = endpoints.unpack(endpoint)
        if not self._is_an_end(address) or (address in self.own and port == self._port):
            return False
        if addresses.is_ipv4(care_of):
            return endpoints.is_unicast(care_of)
        return self._is_an_end(care_of)

    def allow_home(self, home: bytes) -> bool:
        """Whether a stranger, of whom nothing is known but that it is heard there, may have this
        home address: what this host sends there would go elsewhere. So it is none of ours, nor of
        a neighbour's on our links, where the router, the resolver and the database may be."""
        if home in self.own or any(link.has(home) for link in self.links):
            return False
        return self._is_an_end(home)

    def _is_an_end(self, address: bytes) -> bool:
        return (
            endpoints.is_unicast(address)
            and address != self._correspondent
            and not self._is_home(address)
        )


def _end(binding: Binding) -> bytes:
    return binding.endpoint[:ADDRESS_OCTETS] or binding.care_of_address
