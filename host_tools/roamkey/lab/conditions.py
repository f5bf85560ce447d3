"""What a network of the laboratory gives its stations: protocols, and what it does to packets.

A network is of a kind, the word for what paths of the Internet are like:

    native                  IPv6 as it should be
    ipv4                    IPv4 alone, private addresses behind a NAT
    dual                    IPv6 as it should be, and IPv4 behind a NAT
    no-destination-options  IPv6; a router drops packets with destination options (RFC 7872)
    no-routing-headers      IPv6; a router drops packets with routing headers
    no-extension-headers    IPv6; a router drops both

Besides, it may be captive (nothing is forwarded for a station that has just joined), and its
resolver answers, fails (SERVFAIL) or is silent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from roamkey.errors import BadInputError

#: What a network's resolver does.
RESOLVERS = ("answers", "fails", "silent")

#: kind -> (IPv6, IPv4, extension headers dropped, as nft names them)
_KINDS: Mapping[str, tuple[bool, bool, tuple[str, ...]]] = {
    "native": (True, False, ()),
    "ipv4": (False, True, ()),
    "dual": (True, True, ()),
    "no-destination-options": (True, False, ("dst",)),
    "no-routing-headers": (True, False, ("rt",)),
    "no-extension-headers": (True, False, ("dst", "rt")),
}
KINDS = tuple(_KINDS)
CAPTIVE_MOST_S = 3600.0
ROUTE_LATE_MOST_S = 5.0
_CAPTIVE = "inet roamkey_lab captive"


@dataclass(frozen=True)
class Conditions:
    """Of one network. `kind` as above; `captive_s`: seconds from joining during which nothing is
    forwarded; `resolver`: one of `RESOLVERS`; `route_late_s`: seconds between the IPv4 address of
    a station and its route. Raises BadInputError for what isn't there."""

    kind: str = "native"
    captive_s: float = 0.0
    resolver: str = "answers"
    route_late_s: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what nobody knows."""
        if self.kind not in _KINDS:
            raise BadInputError(f"kind is one of {', '.join(KINDS)}")
        if not 0 <= self.captive_s <= CAPTIVE_MOST_S:
            raise BadInputError(f"captive_s is a number from 0 to {CAPTIVE_MOST_S:g}")
        if not 0 <= self.route_late_s <= ROUTE_LATE_MOST_S:
            raise BadInputError(f"route_late_s is a number from 0 to {ROUTE_LATE_MOST_S:g}")
        if self.resolver not in RESOLVERS:
            raise BadInputError(f"resolver is one of {', '.join(RESOLVERS)}")

    @property
    def ipv6(self) -> bool:
        """Whether the router advertises a prefix and forwards IPv6."""
        return _KINDS[self.kind][0]

    @property
    def ipv4(self) -> bool:
        """Whether there are private IPv4 addresses, and a NAT."""
        return _KINDS[self.kind][1]

    @property
    def dropped(self) -> tuple[str, ...]:
        """The extension headers with which nothing passes, either way, as nft names them."""
        return _KINDS[self.kind][2]

    @property
    def plain(self) -> bool:
        """Whether the router has nothing to do but forward."""
        return not (self.ipv4 or self.dropped or self.captive_s)


def rules(networks: Mapping[str, Conditions], outside: Sequence[str]) -> str:
    """What the router's nftables hold. `networks`: by the router's interface; `outside`: those to
    the rest of the world. The NAT gives each flow a port that has nothing to do with its own."""
    others = "{ " + ", ".join(f'"{one}"' for one in outside) + " }"
    natted = [name for name, one in networks.items() if one.ipv4]
    drops = [
        f'{which} "{name}" exthdr {header} exists counter drop'
        for name, one in networks.items()
        for header in one.dropped
        for which in ("iifname", "oifname")
    ]
    drops += [
        f'iifname {others} oifname "{name}" meta nfproto ipv4 ct state new counter drop'
        for name in natted  # nobody outside has a route to private addresses
    ]
    masquerades = [
        f'iifname "{name}" oifname {others} meta nfproto ipv4 masquerade fully-random'
        for name in natted
    ]
    return f"""
table inet roamkey_lab {{
    set captive {{
        type ether_addr
        flags timeout
    }}
    chain passing {{
        type filter hook forward priority filter; policy accept;
        ether saddr @captive counter drop
        {_lines(drops)}
    }}
    chain leaving {{
        type nat hook postrouting priority srcnat; policy accept;
        {_lines(masquerades)}
    }}
}}
"""


def held(mac: str, seconds: float) -> str:
    """Have a station that joins now wait: nothing of it is forwarded for `seconds`."""
    lines = [f"add element {_CAPTIVE} {{ {mac} }}", f"delete element {_CAPTIVE} {{ {mac} }}"]
    if seconds:
        lines.append(f"add element {_CAPTIVE} {{ {mac} timeout {round(seconds * 1000)}ms }}")
    return "\n".join(lines) + "\n"


def _lines(found: list[str]) -> str:
    return "\n        ".join(found)
