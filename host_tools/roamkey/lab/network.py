"""The laboratory network: boards, visited networks and a home, a router, a correspondent.

    board ── visited1 ──┐        ┌ ══ delay and loss ══ correspondent
    board ── visited2 ──┤ router ┤ ══ likewise ════════ keyless
    agent ── home ══════┘        └ ══ likewise ════════ host

Each node has its own network namespace. The networks are Ethernet bridges in a namespace of
their own ("switch"), where the user-space bridge (`bridge`) runs too: it joins the router with
each host, and with the home network, each with its own delay and loss ("links", of the hosts'
names and "home"; that has no delay at first). Home agent, `keyless` and `host` (outside.py) are
there where a home agent is wanted. The router advertises a prefix on each
network; a board's IPv6 addresses come from its kernel's autoconfiguration and from nowhere else.

Networks may be of other kinds (`conditions`), and more than these (`networks`): then the router
translates and filters by nftables, and resolver and DHCP server answer in it. A board that is a
process here has no DHCP client: the laboratory gives it its IPv4 address and route as it joins,
in the client's place.
"""

import contextlib
import itertools
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from roamkey import children
from roamkey.lab import cabling, conditions, dhcp, names, outside, resolver, sandbox
from roamkey.lab.conditions import Conditions
from roamkey.lab.helper import Helper
from roamkey.lab.lans import CORRESPONDENT_ADDRESS as CORRESPONDENT_ADDRESS
from roamkey.lab.lans import (
    HOME,
    RESOLVERS,
    Lan,
    lay_out,
)
from roamkey.lab.namespaces import Namespace
from roamkey.lab.outside import CORRESPONDENT_INTERFACE as CORRESPONDENT_INTERFACE
from roamkey.lab.resources import Resources

#: Of the networks that are always there, where they are native.
PREFIXES = {name: lan.ipv6_prefix for name, lan in lay_out({}).items()}
HOME_PREFIX = PREFIXES[HOME]

_HOME_ENDS = ("home-r", "home-s")
_DIRECTIONS = {"both": ("forward", "back"), "up": ("forward",), "down": ("back",)}
_TERMINATION_S = 3.0


class Network(Resources):
    """The topology, as a context manager; use it inside a sandbox (`sandbox.ensure()`).

    delay_ms: one way between router and hosts; loss_percent: of the frames to the correspondent;
    seed: of the losses; advertisement_interval: seconds between unasked Router Advertisements;
    networks: further ones, and conditions of those that are always there. Where they are given
    there is a resolver, which the sandbox's processes ask for names; nftables are wanted where
    one is other than native. home_agent: whether its host, `agent`, is there, and two more.
    Raises BadInputError, SystemRefusedError.
    """

    def __init__(
        self,
        *,
        delay_ms: float = 0.0,
        loss_percent: float = 0.0,
        seed: int = 0,
        advertisement_interval: float = 5.0,
        networks: Mapping[str, Conditions] | None = None,
        home_agent: bool = False,
    ) -> None:
        super().__init__()
        self.lans = lay_out(networks or {})
        self._named = networks is not None
        self.has_home_agent = home_agent
        self._places = [outside.CORRESPONDENT]
        self._places += [outside.KEYLESS, outside.HOST] * home_agent
        self._plain = all(lan.conditions.plain for lan in self.lans.values())
        self._delay_ms = delay_ms
        self._loss_percent = loss_percent
        self._seed = seed
        self._interval = advertisement_interval
        self._namespaces: dict[str, Namespace] = {}
        self._ports: dict[tuple[str, str], str] = {}
        self._stations: dict[tuple[str, str], int] = {}
        #: just before an interface of a node got its IPv4 address, its carrier (s since the epoch)
        self.given: dict[tuple[str, str], float] = {}
        self.carriers: dict[tuple[str, str], float] = {}
        self._processes: list[subprocess.Popen[Any]] = []
        self._numbers = itertools.count(1)
        self._cables = itertools.count(1)

    def _set_up(self, stack: contextlib.ExitStack) -> None:
        if not sandbox.inside():
            raise RuntimeError("a laboratory network is made inside a sandbox: sandbox.ensure()")
        self._build()

    # Nodes

    def add_node(self, name: str) -> Namespace:
        """A new node without interfaces: a board, a home agent, a third party."""
        if name in self._namespaces:
            raise ValueError(f"there is already a node {name}")
        namespace = Namespace(name)
        self._resources.callback(namespace.close)
        self._namespaces[name] = namespace
        return namespace

    def namespace(self, node: str) -> Namespace:
        """The namespace of `correspondent`, `router`, `switch` or an added node; else KeyError."""
        return self._namespaces[node]

    def attach(self, node: str, interface: str, network: str, *, dad: bool = True) -> None:
        """Join a network as a station does: the interface is made if need be, plugged in, up.

        A node that isn't there yet is added. dad: duplicate address detection as the kernel
        does it by default (about one second an address); without, addresses are usable at once.
        """
        if network not in self.lans:
            raise ValueError(f"no network {network}: {', '.join(self.lans)}")
        lan = self.lans[network]
        if node not in self._namespaces:
            self.add_node(node)
        if (node, interface) not in self._ports:
            self._add_interface(node, interface)
        self.detach(node, interface)
        number = self._stations[node, interface]
        if not self._plain:
            captive = conditions.held(cabling.station_mac(number), lan.conditions.captive_s)
            self.namespace("router").nft(captive)
        switch, port = self.namespace("switch"), self._ports[node, interface]
        namespace = self.namespace(node)
        # IPv6 starts when the switch forwards: its port opens some time after the carrier comes,
        # and what the node sent meanwhile, its first solicitation above all, would be lost.
        namespace.set_ipv6(interface, disable_ipv6=1, accept_dad=int(dad), dad_transmits=int(dad))
        switch.set_bridge(port, f"br-{network}")
        switch.set_up(port)
        self.carriers[node, interface] = time.time()
        namespace.set_up(interface)
        switch.wait_until_forwarding(port)
        namespace.set_ipv6(interface, disable_ipv6=0)
        if lan.conditions.ipv4:
            self._configure_ipv4(lan, node, interface)

    def _configure_ipv4(self, lan: Lan, node: str, interface: str) -> None:
        """In a DHCP client's place: address and route at once as lwIP's does, or as clients of
        Linux do, which add the route some time after the address."""
        address = f"{lan.station_ipv4(self._stations[node, interface])}/24"
        late_s = lan.conditions.route_late_s
        namespace = self.namespace(node)
        if late_s:
            self.given[node, interface] = time.time()
            namespace.add_address(interface, address)
            time.sleep(late_s)
        namespace.add_route("default", lan.router_ipv4, interface, onlink=True)
        if not late_s:  # nobody hears of the address before there is a way
            self.given[node, interface] = time.time()
            namespace.add_address(interface, address)

    def detach(self, node: str, interface: str) -> None:
        """Leave the network: the interface goes down and loses its addresses; it stays."""
        self.namespace(node).set_down(interface)
        self.namespace(node).remove_ipv4(interface)
        switch, port = self.namespace("switch"), self._ports[node, interface]
        switch.set_down(port)
        switch.set_bridge(port, None)

    def move(self, node: str, interface: str, network: str, *, dad: bool = True) -> None:
        """Leave one network and join another; the same as `attach`."""
        self.attach(node, interface, network, dad=dad)

    def wait_for_address(
        self, node: str, interface: str, network: str, timeout: float = 15.0
    ) -> str:
        """Wait (seconds) for a usable address of a network's prefix, IPv6 where it has any;
        raises TimeoutError."""
        return self.namespace(node).wait_for_address(interface, self.lans[network].start, timeout)

    def spawn(
        self, node: str, argv: Sequence[str | os.PathLike[str]], **options: Any
    ) -> "subprocess.Popen[Any]":
        """Start a process in a node's namespace; options and result as of subprocess.Popen.

        It has a session of its own, so the terminal's Ctrl-C doesn't reach it; what still runs
        when the network closes is terminated.
        """
        process: subprocess.Popen[Any] = self.namespace(node).popen(
            argv, **{"start_new_session": True, **options}
        )
        self._processes.append(process)
        return process

    # The way between

    def set_delay(
        self, milliseconds: float, *, link: str = "correspondent", direction: str = "both"
    ) -> None:
        """Delay one way; direction `up` is from the router outwards, `down` back to it."""
        for way in _DIRECTIONS[direction]:
            self._bridge.ask("set_delay", link=link, direction=way, milliseconds=milliseconds)

    def set_loss(
        self, percent: float, *, link: str = "correspondent", direction: str = "both"
    ) -> None:
        """How many of a hundred frames are lost, each way or one way as with `set_delay`."""
        for way in _DIRECTIONS[direction]:
            self._bridge.ask("set_loss", link=link, direction=way, percent=percent)

    def start_capture(self, path: str | os.PathLike[str], *, link: str = "correspondent") -> None:
        """Write what crosses a link to a pcap file, at the time it reaches the link."""
        file = Path(path).absolute()
        file.touch()  # a path that can't be written raises OSError here
        self._bridge.ask("start_capture", link=link, path=str(file))

    def stop_capture(self, *, link: str = "correspondent") -> None:
        """Close the file of `start_capture`."""
        self._bridge.ask("stop_capture", link=link)

    def statistics(self, *, link: str = "correspondent") -> dict[str, dict[str, int]]:
        """Per direction (`up`, `down`): what became of frames.

        frames and octets passed, lost (as set), waiting; unsent, overflowed and damaged are 0
        unless the laboratory itself was too slow.
        """
        found = self._bridge.ask("statistics", link=link)
        return {"up": found["forward"], "down": found["back"]}

    # What networks do

    def forget_ports(self) -> None:
        """The NATs forget all flows: whoever goes on sending comes from another port."""
        self.namespace("router").forget_connections()

    def set_resolver(self, network: str, does: str) -> None:
        """What a network's resolver does from now on: answers, fails, silent."""
        for prefix in self.lans[network].prefixes:
            self._resolver.ask("set", prefix=prefix, behaviour=does)

    def questions(self) -> int:
        """How many questions the resolver was asked, answered or not."""
        return int(self._resolver.ask("statistics")["asked"])

    # Building

    def _build(self) -> None:
        self._resources.callback(self._end_processes)
        for name in ("switch", "router", *(place.name for place in self._places)):
            self.add_node(name)
        switch, router = self.namespace("switch"), self.namespace("router")
        for scope in ("all", "default"):
            switch.set_ipv6(scope, disable_ipv6=1)  # cables and bridges say nothing themselves
            router.set_ipv6(scope, forwarding=1, accept_ra=0)
        for place in self._places:
            outside.build(place, switch, router, self.namespace(place.name), self._mac)
        router.set_ipv4(ip_forward=1)
        advertisements = {}
        for lan in self.lans.values():
            ends = _HOME_ENDS if lan.name == HOME else ()
            mac = cabling.build_network(lan, switch, router, self._mac, ends)
            if lan.conditions.ipv6:
                advertisements[lan.name] = {
                    "prefix": lan.ipv6_prefix, "mac": mac, "interval": self._interval,
                }  # fmt: skip
        if self.has_home_agent:
            agent = self.add_node(outside.HOME_AGENT)
            outside.build_home_agent(switch, router, agent, self._mac)
        if not self._plain:
            given = {name: lan.conditions for name, lan in self.lans.items()}
            others = [place.router for place in self._places] + [HOME]
            router.nft(conditions.rules(given, others))
        leases = dhcp.configuration(self.lans.values())
        if leases:
            self._start("router", "roamkey.lab.dhcp", leases)
        if self._named:
            self._build_resolver()
        links = {place.name: place.cables for place in self._places} | {HOME: list(_HOME_ENDS)}
        self._bridge = self._start(
            "switch", "roamkey.lab.bridge", {"links": links, "seed": self._seed}
        )
        for place in self._places:
            self.set_delay(self._delay_ms, link=place.name)
        self.set_loss(self._loss_percent)
        self._start("router", "roamkey.lab.advertise", advertisements)

    def _build_resolver(self) -> None:
        told = resolver.configuration(self.lans.values())
        for address in RESOLVERS:
            self.namespace("router").add_address("lo", f"{address}/{_whole(address)}")
        self._resolver = self._start("router", "roamkey.lab.resolver", told)
        self._resources.enter_context(names.asking(RESOLVERS))

    def _add_interface(self, node: str, interface: str) -> None:
        number = next(self._numbers)
        port = f"port{number}"
        namespace = self.namespace(node)
        cabling.add_station(
            self.namespace("switch"), port, self._mac(), namespace, interface, number
        )
        self._ports[node, interface] = port
        self._stations[node, interface] = number

    def _mac(self) -> str:
        """A MAC for a cable or a router; boards count separately, so theirs stay the same."""
        number = next(self._cables)
        return f"02:00:00:01:{number >> 8:02x}:{number & 255:02x}"

    def _start(self, node: str, module: str, configuration: object) -> Helper:
        helper = Helper(self.namespace(node), module, configuration)
        self._resources.callback(helper.close)
        return helper

    def _end_processes(self) -> None:
        running = [process for process in self._processes if process.poll() is None]
        for process in running:
            process.terminate()
        for process in running:
            children.end(process, None, _TERMINATION_S)


def _whole(address: str) -> int:
    return 128 if ":" in address else 32
