"""The networks of a laboratory: their numbers, prefixes and addresses, and what they give."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass

from roamkey.errors import BadInputError
from roamkey.lab.conditions import Conditions

CORRESPONDENT_ADDRESS = "2001:db8:c::2"
CORRESPONDENT_IPV4 = "203.0.113.2"
CORRESPONDENT_NAME = "correspondent.test"  # RFC 6761
ROUTER_OUTSIDE = "2001:db8:c::1"
ROUTER_OUTSIDE_IPV4 = "203.0.113.1"  # what the NAT makes of everybody
KEYLESS_ADDRESS = "2001:db8:d::2"  # a second correspondent, which has no keys
HOST_ADDRESS = "2001:db8:e::2"  # a host that knows nothing of mobility
HOME_AGENT_ADDRESS = "2001:db8:a::fe"
HOME_ROUTER = "2001:db8:a::fd"  # boards are given the lowest addresses there
HOME_AGENT_IPV4 = "198.51.100.2"
HOME_ROUTER_IPV4 = "198.51.100.1"
RESOLVERS = ("192.0.2.53", "2001:db8:53::53")

#: Networks that are always there.
HOME = "home"
ALWAYS = (HOME, "visited1", "visited2")

_NUMBERS = {HOME: 0xA, "visited1": 1, "visited2": 2}
_FURTHER = range(3, 10)
_NAME = re.compile(r"[a-z][a-z0-9]{0,9}")  # an interface's name, too
_TAKEN = ("wan", "lo", "eth0", "all", "default", "keyless", "host")
_FIRST_STATION = 10  # its last octet; the router is 1


@dataclass(frozen=True)
class Lan:
    """One network: `name`, the `number` from which its addresses come, and what it gives."""

    name: str
    number: int
    conditions: Conditions

    @property
    def ipv6_prefix(self) -> str:
        """Of its addresses, whether it advertises it or not."""
        return f"2001:db8:{self.number:x}::/64"

    @property
    def router_ipv6(self) -> str:
        """The router's address here, where there is IPv6."""
        return HOME_ROUTER if self.name == HOME else f"2001:db8:{self.number:x}::1"

    @property
    def ipv4_prefix(self) -> str:
        """Of its private addresses, whether it gives any or not."""
        return f"192.168.{self.number}.0/24"

    @property
    def router_ipv4(self) -> str:
        """The router's address here."""
        return f"192.168.{self.number}.1"

    def station_ipv4(self, station: int) -> str:
        """The address of station number `station`, from 1."""
        return f"192.168.{self.number}.{_FIRST_STATION + station}"

    @property
    def prefixes(self) -> list[str]:
        """Of the addresses that a station gets here: IPv6 first."""
        given = self.conditions
        return [self.ipv6_prefix] * given.ipv6 + [self.ipv4_prefix] * given.ipv4

    @property
    def start(self) -> str:
        """How the text of a station's address begins; IPv6 where there is any."""
        first = self.prefixes[0]
        return first.partition("::")[0] + ":" if ":" in first else first.removesuffix("0/24")

    def holds(self, address: str) -> bool:
        """Whether an address (text) is one of this network's."""
        found = ipaddress.ip_address(address)
        return any(found in ipaddress.ip_network(prefix) for prefix in self.prefixes)


def lay_out(networks: Mapping[str, Conditions]) -> dict[str, Lan]:
    """All networks: those that are always there, native unless named, then the others.

    Raises BadInputError for names that can't be, too many, or a home that isn't native.
    """
    further = [name for name in networks if name not in ALWAYS]
    for name in further:
        if not _NAME.fullmatch(name) or name in _TAKEN:
            raise BadInputError(
                f"network {name!r}: a name has one to ten of a-z and 0-9, a letter first"
            )
    if len(further) > len(_FURTHER):
        raise BadInputError(f"{len(_FURTHER)} networks at most besides {', '.join(ALWAYS)}")
    if networks.get(HOME, Conditions()) != Conditions():
        raise BadInputError(f"{HOME} is native: who returns there is on its own link")
    numbers = {**_NUMBERS, **dict(zip(further, _FURTHER, strict=False))}
    return {
        name: Lan(name, number, networks.get(name, Conditions()))
        for name, number in numbers.items()
    }
