"""How a home agent's daemon is to serve: what its command line says, and its home link."""

from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from socket import if_indextoname, if_nameindex

from roamkey.correspondent import localaddress
from roamkey.correspondent.localaddress import State
from roamkey.correspondent.settings import Settings
from roamkey.errors import BadInputError, SystemRefusedError

_GLOBAL = 0
_HOST_BITS = 128
_NAME_SHOWN = 40
_FORWARDING = Path("/proc/sys/net/ipv6/conf/all/forwarding")


@dataclass(frozen=True)
class HomeSettings(Settings):
    """As `Settings`. `home_link`: the interface on the home link; `home_prefixes`: those that home
    addresses may be of."""

    home_link: str = ""
    home_prefixes: tuple[IPv6Network, ...] = ()


def parse_prefix(text: str) -> IPv6Network:
    """The prefix in "2001:db8:a::/64"; raises BadInputError."""
    try:
        prefix = IPv6Network(text)
    except ValueError:
        prefix = None
    if prefix is None or "/" not in text or prefix.is_multicast or prefix.is_link_local:
        raise BadInputError(f"{text!r} is no prefix for home addresses, as 2001:db8:a::/64")
    return prefix


def link_of(address: IPv6Address) -> str:
    """The name of the interface that has the home agent's address; raises SystemRefusedError."""
    state, index = localaddress.look(address)
    if state is not State.GONE:
        with suppress(OSError):
            return if_indextoname(index)
    raise SystemRefusedError(f"{address} {state.value}: give it to the home link's interface")


def named_link(name: str) -> str:
    """The name, where there is such an interface; raises BadInputError."""
    if name not in (there for _, there in if_nameindex()):
        raise BadInputError(f"no interface {name[:_NAME_SHOWN]!r}")
    return name


def prefixes_of(interface: str) -> tuple[IPv6Network, ...]:
    """The prefixes of an interface's addresses; raises SystemRefusedError where it has none."""
    found = []
    with suppress(OSError, ValueError):
        for line in Path("/proc/net/if_inet6").read_text().splitlines():
            address, _, length, scope, _, name = line.split()  # all but the name in hex
            bits = int(length, 16)
            if name == interface and int(scope, 16) == _GLOBAL and bits < _HOST_BITS:
                number = int(address, 16) >> _HOST_BITS - bits << _HOST_BITS - bits
                found.append(IPv6Network((number, bits)))
    if not found:
        raise SystemRefusedError(
            f"home link {interface} has no prefix of its own: name one with --home-prefix"
        )
    return tuple(dict.fromkeys(found))


def check_forwards() -> None:
    """See that this host forwards packets; raises SystemRefusedError."""
    with suppress(OSError):
        if _FORWARDING.read_text().strip() != "0":
            return
    raise SystemRefusedError(
        "a home agent is a router, and this host forwards nothing: sysctl -w "
        "net.ipv6.conf.all.forwarding=1"
    )
