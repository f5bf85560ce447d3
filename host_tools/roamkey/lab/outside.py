"""What is outside the networks: the correspondent, and the router's way to it."""

from collections.abc import Callable

from roamkey.lab.lans import (
    CORRESPONDENT_ADDRESS,
    CORRESPONDENT_IPV4,
    ROUTER_OUTSIDE,
    ROUTER_OUTSIDE_IPV4,
)
from roamkey.lab.namespaces import Namespace

CORRESPONDENT_INTERFACE = "eth0"
ROUTER_INTERFACE = "wan"
#: The ends in the switch of both cables: the user-space bridge joins them.
CABLES = ("wan-r", "wan-c")


def build(
    switch: Namespace, router: Namespace, correspondent: Namespace, mac: Callable[[], str]
) -> None:
    """Both cables, with addresses and routes of both protocols at their ends."""
    near, far = mac(), mac()
    switch.add_veth(CABLES[0], mac(), router, ROUTER_INTERFACE, near)
    switch.add_veth(CABLES[1], mac(), correspondent, CORRESPONDENT_INTERFACE, far)
    for namespace, end, address, ipv4 in (
        (router, ROUTER_INTERFACE, ROUTER_OUTSIDE, ROUTER_OUTSIDE_IPV4),
        (correspondent, CORRESPONDENT_INTERFACE, CORRESPONDENT_ADDRESS, CORRESPONDENT_IPV4),
    ):
        namespace.set_ipv6(end, accept_ra=0, accept_dad=0)
        namespace.set_up(end)
        namespace.add_address(end, f"{address}/64")
        namespace.add_address(end, f"{ipv4}/24")
    for cable in CABLES:
        switch.set_up(cable)
    # The link stands for many hops: finding the neighbour's MAC must not take its delay.
    for there, back in (
        (CORRESPONDENT_ADDRESS, ROUTER_OUTSIDE),
        (CORRESPONDENT_IPV4, ROUTER_OUTSIDE_IPV4),
    ):
        router.add_neighbour(ROUTER_INTERFACE, there, far)
        correspondent.add_neighbour(CORRESPONDENT_INTERFACE, back, near)
        correspondent.add_route("default", back, CORRESPONDENT_INTERFACE)
