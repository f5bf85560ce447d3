"""The networks that boards visit: bridges in the switch, cables to the router and to stations."""

from collections.abc import Callable, Sequence

from roamkey.lab.lans import Lan
from roamkey.lab.namespaces import Namespace

# As plain Linux has them, whatever this machine gives new interfaces: what is quicker than that is
# the agent's doing. Addresses are those of RFC 4862, told by the MAC.
_BOARD_SETTINGS = {
    "forwarding": 0,
    "accept_ra": 1,
    "autoconf": 1,
    "use_tempaddr": 0,
    "addr_gen_mode": 0,
    "keep_addr_on_down": 0,
}


def build_network(
    lan: Lan,
    switch: Namespace,
    router: Namespace,
    mac: Callable[[], str],
    ends: Sequence[str] = (),
) -> str:
    """One network with the router on it; the MAC of the router there.

    `ends`: of a link between router and bridge, where the user-space bridge is to pass frames on.
    """
    network = lan.name
    mine, bridge, port = mac(), f"br-{network}", f"{network}-p"
    switch.add_bridge(bridge)
    if ends:  # router ── (user-space bridge) ── kernel bridge
        router_side, switch_side = ends
        switch.add_veth(router_side, mac(), router, network, mine)
        switch.add_veth(switch_side, mac(), switch, port, mac())
        switch.set_up(router_side)
        switch.set_up(switch_side)
    else:
        switch.add_veth(port, mac(), router, network, mine)
    switch.set_bridge(port, bridge)
    switch.set_up(port)
    router.set_ipv6(network, accept_ra=0, accept_dad=0, disable_ipv6=int(not lan.conditions.ipv6))
    router.set_up(network)
    if lan.conditions.ipv6:
        router.add_address(network, f"{lan.router_ipv6}/64")
    if lan.conditions.ipv4:
        router.add_address(network, f"{lan.router_ipv4}/24")
    return mine


def add_station(
    switch: Namespace, port: str, mac: str, station: Namespace, interface: str, number: int
) -> None:
    """An interface of station `number`, which decides its addresses, on a cable to the switch."""
    switch.add_veth(port, mac, station, interface, station_mac(number))
    station.set_ipv6(interface, **_BOARD_SETTINGS)


def station_mac(number: int) -> str:
    """The MAC of station `number`, from 1."""
    return f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}"
