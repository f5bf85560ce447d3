"""The least that return routability takes for one move, with its messages really sent.

    mobile node ── 10 ms ──┐
    home agent  ── 10 ms ──┤ router        so any two of the three are 20 ms apart
    correspondent ─ 10 ms ─┘

RFC 6275 section 5.2.5: the Home Test Init goes to the correspondent through a tunnel to the home
agent (IPv6 in IPv6), the Care-of Test Init directly; the Home Test comes back through the home
agent, the Care-of Test directly; only when both tokens are there can the Binding Update be signed.
All of them cross real raw sockets and the same user-space bridge as everything in the laboratory.

The least: the clock starts when the first message leaves, not when an address appears; the home
agent takes the new address for granted (no home registration is waited for, no IPsec protects the
tunnel); nothing is lost; the correspondent checks the authenticator and is done (no disk).
"""

import secrets
import selectors
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack

from mip6 import keys, messages, packets
from roamkey.lab.helper import Helper
from roamkey.lab.namespaces import Namespace

_LEGS = ("mobile", "agent", "correspondent")
_NETWORKS = {"mobile": "2001:db8:1::", "agent": "2001:db8:a::", "correspondent": "2001:db8:c::"}


def _octets(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, text)


CARE_OF = "2001:db8:1::2"
HOME_AGENT = "2001:db8:a::2"
HOME = "2001:db8:a::100"
CORRESPONDENT = "2001:db8:c::2"
_CO, _HOA, _CN = _octets(CARE_OF), _octets(HOME), _octets(CORRESPONDENT)

_IPV6_IN_IPV6 = socket.IPPROTO_IPV6  # 41
_LIFETIME = 105  # units of 4 s: the 420 s that return routability may ask for at most
_WAIT_S = 10.0


def measure(one_way_ms: float, runs: int) -> list[float]:
    """Milliseconds from the first message to the bound correspondent, of each run.

    Call it inside a sandbox. Raises TimeoutError where a message doesn't arrive.
    """
    with ExitStack() as stack:
        nodes = _build_star(stack, one_way_ms / 2)
        loop = _Loop(stack)
        correspondent = _Correspondent(loop, nodes["correspondent"])
        _HomeAgent(loop, nodes["agent"])
        mobile = _MobileNode(loop, nodes["mobile"])
        found = []
        for run in range(runs + 1):
            start = mobile.start()
            loop.run_until(lambda: correspondent.bound_at is not None)
            assert correspondent.bound_at is not None
            if run:  # the first warms routes and caches
                found.append((correspondent.bound_at - start) * 1000)
            correspondent.bound_at = None
        return found


def _build_star(stack: ExitStack, leg_ms: float) -> dict[str, Namespace]:
    """Router, bridge and three nodes, each `leg_ms` from the router."""

    def namespace(name: str) -> Namespace:
        made = Namespace(name)
        stack.callback(made.close)
        return made

    switch, router = namespace("switch"), namespace("router")
    for scope in ("all", "default"):
        switch.set_ipv6(scope, disable_ipv6=1)
        router.set_ipv6(scope, forwarding=1)
    nodes = {}
    for number, leg in enumerate(_LEGS):
        node = nodes[leg] = namespace(leg)
        macs = [f"02:00:00:02:{number:02x}:{end:02x}" for end in range(4)]
        switch.add_veth(f"{leg[:5]}-r", macs[0], router, leg, macs[1])
        switch.add_veth(f"{leg[:5]}-n", macs[2], node, "eth0", macs[3])
        for end, interface, host in ((router, leg, "1"), (node, "eth0", "2")):
            end.set_ipv6(interface, accept_ra=0, accept_dad=0)
            end.set_up(interface)
            end.add_address(interface, f"{_NETWORKS[leg]}{host}/64")
        switch.set_up(f"{leg[:5]}-r")
        switch.set_up(f"{leg[:5]}-n")
        # Neighbours are known, as in the laboratory network: a leg stands for many hops.
        router.add_neighbour(leg, f"{_NETWORKS[leg]}2", macs[3])
        node.add_neighbour("eth0", f"{_NETWORKS[leg]}1", macs[1])
        node.add_route("default", f"{_NETWORKS[leg]}1", "eth0")
        if leg == "agent":  # it takes what is sent to the home address (RFC 6275 section 10.4.1)
            node.add_address("eth0", f"{HOME}/64")
            router.add_neighbour(leg, HOME, macs[3])
    links = {leg: [f"{leg[:5]}-r", f"{leg[:5]}-n"] for leg in _LEGS}
    bridge = Helper(switch, "roamkey.lab.bridge", {"links": links, "seed": 0})
    stack.callback(bridge.close)
    for leg in _LEGS:
        for direction in ("forward", "back"):
            bridge.ask("set_delay", link=leg, direction=direction, milliseconds=leg_ms)
    return nodes


class _Loop:
    """All nodes' sockets in one loop: whoever waits on the network waits in one place."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._selector = stack.enter_context(selectors.DefaultSelector())

    def open(
        self,
        node: Namespace,
        protocol: int,
        address: str,
        receive: Callable[[bytes, bytes], None] | None = None,
    ) -> socket.socket:
        """A raw socket at an address; `receive(payload, source)` gets what arrives."""
        made = node.socket(socket.AF_INET6, socket.SOCK_RAW, protocol)
        self._stack.callback(made.close)
        made.bind((address, 0))
        if receive is not None:
            self._selector.register(made, selectors.EVENT_READ, receive)
        return made

    def run_until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _WAIT_S
        while not done():
            if time.monotonic() > deadline:
                raise TimeoutError("return routability: a message did not arrive")
            for key, _ in self._selector.select(_WAIT_S):
                assert isinstance(key.fileobj, socket.socket)
                payload, place = key.fileobj.recvfrom(2048)
                key.data(payload, _octets(place[0]))


def _message(kind: int, source: bytes, destination: bytes, **fields: bytes | int) -> bytes:
    encoded = messages.Message(kind, **fields).encode()
    return bytes(messages.with_checksum(encoded, source, destination))


class _MobileNode:
    """Sends both inits, waits for both tokens, signs and sends the Binding Update."""

    def __init__(self, loop: _Loop, node: Namespace) -> None:
        self._tunnel = loop.open(node, _IPV6_IN_IPV6, CARE_OF, self._unwrap)
        self._direct = loop.open(node, packets.MOBILITY, CARE_OF, self._receive)
        self._update = loop.open(node, packets.DESTINATION_OPTIONS, CARE_OF)
        self._tokens: dict[int, bytes] = {}
        self._cookie = b""
        self._sequence = 0

    def start(self) -> float:
        """Begin a registration; when (monotonic seconds)."""
        self._tokens.clear()
        self._cookie = secrets.token_bytes(8)
        start = time.monotonic()
        home = _message(messages.HOME_TEST_INIT, _HOA, _CN, home_init_cookie=self._cookie)
        inner = packets.ipv6_header(_HOA, _CN, packets.MOBILITY, len(home)) + home
        self._tunnel.sendto(inner, (HOME_AGENT, 0))
        care_of = _message(messages.CARE_OF_TEST_INIT, _CO, _CN, care_of_init_cookie=self._cookie)
        self._direct.sendto(care_of, (CORRESPONDENT, 0))
        return start

    def _unwrap(self, payload: bytes, source: bytes) -> None:
        packet = packets.parse(payload)
        if source == _octets(HOME_AGENT) and packet.checksum_ok():
            self._receive(bytes(packet.payload), packet.source)

    def _receive(self, payload: bytes, source: bytes) -> None:
        message = messages.decode(payload)
        if source != _CN:
            return
        if message.kind == messages.HOME_TEST and message.home_init_cookie == self._cookie:
            self._tokens[message.kind] = message.home_keygen_token
        if message.kind == messages.CARE_OF_TEST and message.care_of_init_cookie == self._cookie:
            self._tokens[message.kind] = message.care_of_keygen_token
        if len(self._tokens) == 2:
            self._send_update()

    def _send_update(self) -> None:
        kbm = keys.binding_management_key(
            self._tokens[messages.HOME_TEST], self._tokens[messages.CARE_OF_TEST]
        )
        header = messages.Message(
            messages.BINDING_UPDATE,
            [(messages.NONCE_INDICES, bytes(4)), (messages.BINDING_AUTHORIZATION_DATA, bytes(12))],
            sequence=self._sequence,
            flags=messages.FLAG_ACKNOWLEDGE,
            lifetime=_LIFETIME,
        ).encode()
        self._sequence += 1
        header = header[:-12] + keys.authenticator(kbm, _CO, _CN, header)
        header = messages.with_checksum(header, _HOA, _CN)
        option = packets.home_address_option(_HOA, packets.MOBILITY)
        self._update.sendto(option + header, (CORRESPONDENT, 0))


class _HomeAgent:
    """Takes packets out of the tunnel and puts those for the home address into it."""

    def __init__(self, loop: _Loop, node: Namespace) -> None:
        self._tunnel = loop.open(node, _IPV6_IN_IPV6, HOME_AGENT, self._forward)
        self._out = loop.open(node, socket.IPPROTO_RAW, HOME)  # sends packets with their header
        loop.open(node, packets.MOBILITY, HOME, self._intercept)

    def _forward(self, payload: bytes, source: bytes) -> None:
        packet = packets.parse(payload)
        if source == _CO and packet.source == _HOA:  # RFC 6275 section 10.4.5
            destination = socket.inet_ntop(socket.AF_INET6, packet.destination)
            self._out.sendto(payload, (destination, 0))

    def _intercept(self, payload: bytes, source: bytes) -> None:
        inner = packets.ipv6_header(source, _HOA, packets.MOBILITY, len(payload)) + payload
        self._tunnel.sendto(inner, (CARE_OF, 0))


class _Correspondent:
    """Answers the inits from its key and nonce, checks the update. `bound_at`: monotonic s."""

    def __init__(self, loop: _Loop, node: Namespace) -> None:
        self.bound_at: float | None = None
        self._key = secrets.token_bytes(20)
        self._nonce = secrets.token_bytes(8)
        self._tests = loop.open(node, packets.MOBILITY, CORRESPONDENT, self._answer)
        loop.open(node, packets.DESTINATION_OPTIONS, CORRESPONDENT, self._check)

    def _answer(self, payload: bytes, source: bytes) -> None:
        message = messages.decode(payload)
        if message.kind == messages.HOME_TEST_INIT:
            answer = _message(
                messages.HOME_TEST, _CN, source,
                home_init_cookie=message.home_init_cookie,
                home_keygen_token=keys.home_keygen_token(self._key, source, self._nonce),
            )  # fmt: skip
        elif message.kind == messages.CARE_OF_TEST_INIT:
            answer = _message(
                messages.CARE_OF_TEST, _CN, source,
                care_of_init_cookie=message.care_of_init_cookie,
                care_of_keygen_token=keys.care_of_keygen_token(self._key, source, self._nonce),
            )  # fmt: skip
        else:
            return
        self._tests.sendto(answer, (socket.inet_ntop(socket.AF_INET6, source), 0))

    def _check(self, payload: bytes, source: bytes) -> None:
        packet = packets.parse_payload(packets.DESTINATION_OPTIONS, payload, source, _CN)
        home, header = packet.logical_source, bytes(packet.payload)
        kbm = keys.binding_management_key(
            keys.home_keygen_token(self._key, home, self._nonce),
            keys.care_of_keygen_token(self._key, source, self._nonce),
        )
        if packet.checksum_ok() and keys.verify(kbm, source, _CN, header):
            self.bound_at = time.monotonic()
