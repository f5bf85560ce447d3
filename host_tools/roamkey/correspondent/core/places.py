"""Where nodes may be, so that what is sent to them ends there (no I/O)."""

from collections.abc import Callable

from mip6 import addresses
from roamkey.correspondent.core import endpoints


class Places:
    """`own`: the addresses of our host."""

    def __init__(self, correspondent: bytes, port: int, is_home: Callable[[bytes], bool]) -> None:
        """For our address and our UDP port. `is_home(address)`: whether it is a node's home
        address: from there a binding would lead on, in the end in a circle."""
        self._correspondent = correspondent
        self._port = port
        self._is_home = is_home
        self.own: frozenset[bytes] = frozenset()

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

    def _is_an_end(self, address: bytes) -> bool:
        return (
            endpoints.is_unicast(address)
            and address != self._correspondent
            and not self._is_home(address)
        )
