"""What boards don't visit: hosts at places of their own, and the home agent's host.

The correspondent's place is always there. With a home agent there are two more: of a second
correspondent, which has no keys, and of a host that knows nothing of mobility. The home agent's
host is on the home network, which it reaches others by.
"""

from collections.abc import Callable
from dataclasses import dataclass

from roamkey.lab.lans import (
    CORRESPONDENT_ADDRESS,
    CORRESPONDENT_IPV4,
    HOME,
    HOME_AGENT_ADDRESS,
    HOME_AGENT_IPV4,
    HOME_ROUTER,
    HOME_ROUTER_IPV4,
    HOST_ADDRESS,
    KEYLESS_ADDRESS,
    ROUTER_OUTSIDE,
    ROUTER_OUTSIDE_IPV4,
)
from roamkey.lab.namespaces import Namespace

INTERFACE = "eth0"
CORRESPONDENT_INTERFACE = INTERFACE
HOME_AGENT = "agent"


@dataclass(frozen=True)
class Place:
    """Where a host is, behind a link of its own. `name`: of the host's node, and of the link;
    `router`: the router's interface there; then (host's, router's) addresses of each protocol."""

    name: str
    router: str
    ipv6: tuple[str, str]
    ipv4: tuple[str, str] | None = None

    @property
    def cables(self) -> list[str]:
        """The ends in the switch of both cables: the user-space bridge joins them."""
        return [f"{self.router}-r", f"{self.router}-c"]


CORRESPONDENT = Place(
    "correspondent",
    "wan",
    (CORRESPONDENT_ADDRESS, ROUTER_OUTSIDE),
    (CORRESPONDENT_IPV4, ROUTER_OUTSIDE_IPV4),
)
KEYLESS = Place("keyless", "keyless", (KEYLESS_ADDRESS, "2001:db8:d::1"))
HOST = Place("host", "host", (HOST_ADDRESS, "2001:db8:e::1"))


def build(
    place: Place, switch: Namespace, router: Namespace, host: Namespace, mac: Callable[[], str]
) -> None:
    """Both cables of a place, with addresses and routes of its protocols at their ends."""
    near, far = mac(), mac()
    switch.add_veth(place.cables[0], mac(), router, place.router, near)
    switch.add_veth(place.cables[1], mac(), host, INTERFACE, far)
    for cable in place.cables:
        switch.set_up(cable)
    for namespace, end in ((host, INTERFACE), (router, place.router)):
        namespace.set_ipv6(end, accept_ra=0, accept_dad=0)
        namespace.set_up(end)
    for length, pair in ((64, place.ipv6), (24, place.ipv4)):
        if pair is None:
            continue
        there, back = pair
        host.add_address(INTERFACE, f"{there}/{length}")
        router.add_address(place.router, f"{back}/{length}")
        # The link stands for many hops: finding the neighbour's MAC must not take its delay.
        router.add_neighbour(place.router, there, far)
        host.add_neighbour(INTERFACE, back, near)
        host.add_route("default", back, INTERFACE)


def build_home_agent(
    switch: Namespace, router: Namespace, agent: Namespace, mac: Callable[[], str]
) -> None:
    """The home agent's host on the home network, which is there: it forwards, and nodes behind a
    NAT reach it by IPv4."""
    port = f"{HOME_AGENT}-p"
    switch.add_veth(port, mac(), agent, INTERFACE, mac())
    switch.set_bridge(port, f"br-{HOME}")
    switch.set_up(port)
    for scope in ("all", INTERFACE):
        agent.set_ipv6(scope, forwarding=1)
    agent.set_ipv6(INTERFACE, accept_ra=0, accept_dad=0)
    agent.set_up(INTERFACE)
    agent.add_address(INTERFACE, f"{HOME_AGENT_ADDRESS}/64")
    agent.add_address(INTERFACE, f"{HOME_AGENT_IPV4}/24")
    router.add_address(HOME, f"{HOME_ROUTER_IPV4}/24")
    for back in (HOME_ROUTER, HOME_ROUTER_IPV4):
        agent.add_route("default", back, INTERFACE)
