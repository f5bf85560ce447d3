"""Networks of other kinds, each by plain sockets: what passes, what doesn't, what comes out."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from mip6 import packets
from roamkey.errors import BadInputError
from roamkey.lab.conditions import KINDS, Conditions
from roamkey.lab.interpreter import micropython
from roamkey.lab.lans import (
    CORRESPONDENT_IPV4,
    CORRESPONDENT_NAME,
    RESOLVERS,
    ROUTER_OUTSIDE_IPV4,
    lay_out,
)
from roamkey.lab.network import CORRESPONDENT_ADDRESS, Network

NFT = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin:/bin")
pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(
        NFT is None and not os.environ.get("CI"),
        reason="needs nft (Debian, Ubuntu: apt install nftables)",
    ),
]

DGRAM, RAW = socket.SOCK_DGRAM, socket.SOCK_RAW
PORT = 4191
LONG_S, SHORT_S = 20.0, 0.4  # for what must come, and for what must not
HOME = socket.inet_pton(socket.AF_INET6, "2001:db8:a::64")


@pytest.fixture
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    """A laboratory with one network more, `cafe`, of the conditions that the test names."""
    with Network(networks={"cafe": request.param}) as made:
        yield made


def of(kind: str, **more: object) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("network", [Conditions(kind, **more)], indirect=True)


def join(network: Network, lan: str = "cafe", node: str = "board") -> str:
    network.attach(node, "wlan0", lan, dad=False)
    return network.wait_for_address(node, "wlan0", lan)


class Ends:
    """A UDP socket at the board and one at the correspondent's port, of one protocol."""

    def __init__(self, network: Network, address: str) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.peer = CORRESPONDENT_ADDRESS if ":" in address else CORRESPONDENT_IPV4
        self.board = network.namespace("board").socket(family, DGRAM)
        self.board.bind((address, 0))
        self.correspondent = network.namespace("correspondent").socket(family, DGRAM)
        self.correspondent.bind((self.peer, PORT))

    def __enter__(self) -> "Ends":
        return self

    def __exit__(self, *_: object) -> None:
        self.board.close()
        self.correspondent.close()

    def up(self, data: bytes = b"up", timeout: float = LONG_S) -> tuple[str, int] | None:
        """Where the correspondent sees a datagram come from, None where it doesn't come."""
        self.board.sendto(data, (self.peer, PORT))
        return self._came(self.correspondent, data, timeout)

    def down(self, to: tuple[str, int], data: bytes = b"down", timeout: float = LONG_S) -> bool:
        """Whether a datagram of the correspondent arrives at the board."""
        self.correspondent.sendto(data, to)
        return self._came(self.board, data, timeout) is not None

    @staticmethod
    def _came(at: socket.socket, data: bytes, timeout: float) -> tuple[str, int] | None:
        at.settimeout(timeout)
        try:
            received, source = at.recvfrom(2000)
        except (TimeoutError, ConnectionRefusedError):
            return None
        assert received == data
        return str(source[0]), int(source[1])


@of("ipv4")
def test_ipv4_alone_behind_a_nat(network: Network) -> None:
    address = join(network)
    board = network.namespace("board")
    assert address.startswith("192.168.3.") and board.usable_addresses("wlan0") == []
    with Ends(network, address) as ends:
        own = ends.board.getsockname()[1]
        seen = ends.up()
        assert seen is not None and seen[0] == ROUTER_OUTSIDE_IPV4 and seen[1] != own
        assert ends.down(seen)
        assert ends.up() == seen, "a flow keeps its port"
        assert not ends.down((address, own), timeout=SHORT_S), "nobody has a route to it"
    with (
        board.socket(socket.AF_INET6, DGRAM) as client,
        pytest.raises(OSError, match="unreachable"),
    ):
        client.sendto(b"x", (CORRESPONDENT_ADDRESS, PORT))


@of("ipv4")
def test_a_nat_that_forgets_gives_another_port(network: Network) -> None:
    with Ends(network, join(network)) as ends:
        first = ends.up()
        network.forget_ports()
        assert first is not None and not ends.down(first, timeout=SHORT_S)
        second = ends.up()
        assert second is not None and second[0] == first[0] and second[1] != first[1]
        assert ends.down(second)


@of("ipv4", route_late_s=0.5)
def test_a_route_that_comes_late(network: Network) -> None:
    join(network, "visited1")
    joining = threading.Thread(target=join, args=(network,))
    joining.start()
    board = network.namespace("board")
    address = board.wait_for_address("wlan0", "192.168.3.")
    with board.socket(socket.AF_INET, DGRAM) as client:
        with pytest.raises(OSError, match="unreachable"):
            client.sendto(b"x", (CORRESPONDENT_IPV4, PORT))
        joining.join()
        with Ends(network, address) as ends:
            assert ends.up() is not None


@of("dual")
def test_both_protocols_in_one_network(network: Network) -> None:
    assert join(network).startswith("2001:db8:3:")
    board = network.namespace("board")
    (private,) = board.usable_addresses("wlan0", socket.AF_INET)
    for address, seen in (
        (board.usable_addresses("wlan0")[0], board.usable_addresses("wlan0")[0]),
        (private, ROUTER_OUTSIDE_IPV4),
    ):
        with Ends(network, address) as ends:
            came = ends.up()
            assert came is not None and came[0] == seen and ends.down(came)


def with_headers(network: Network, address: str) -> set[str]:
    """Which packets pass: `dst`, up, with a Home Address option; `rt`, down, with a routing
    header; `plain`, both ways."""
    board, correspondent = network.namespace("board"), network.namespace("correspondent")
    udp = packets.udp(HOME, socket.inet_pton(socket.AF_INET6, CORRESPONDENT_ADDRESS), 1, 2, b"x")
    passed = set()
    for name, sender, receiver, protocol, to, header in (
        ("dst", board, correspondent, packets.DESTINATION_OPTIONS, CORRESPONDENT_ADDRESS,
         packets.home_address_option(HOME, packets.UDP)),
        ("rt", correspondent, board, packets.ROUTING, address,
         packets.routing_header(HOME, packets.UDP)),
    ):  # fmt: skip
        with (
            receiver.socket(socket.AF_INET6, RAW, protocol) as there,
            sender.socket(socket.AF_INET6, RAW, protocol) as here,
        ):
            here.sendto(header + udp, (to, 0))
            there.settimeout(SHORT_S)
            try:
                if there.recv(2000) == header + udp:
                    passed.add(name)
            except TimeoutError:
                pass
    with Ends(network, address) as ends:
        came = ends.up()
        if came is not None and ends.down(came):
            passed.add("plain")
    return passed


@pytest.mark.parametrize(
    "kind, passes",
    [
        ("native", {"dst", "rt", "plain"}),
        ("no-destination-options", {"rt", "plain"}),
        ("no-routing-headers", {"dst", "plain"}),
        ("no-extension-headers", {"plain"}),
    ],
)
def test_extension_headers_are_dropped_and_nothing_else(kind: str, passes: set[str]) -> None:
    with Network(networks={"cafe": Conditions(kind)}) as network:
        assert with_headers(network, join(network)) == passes
        assert with_headers(network, join(network, "visited1")) == {"dst", "rt", "plain"}


@of("ipv4", captive_s=1.5)
def test_a_captive_network_forwards_nothing_at_first(network: Network) -> None:
    join(network, "visited1")
    joined = time.monotonic()
    with Ends(network, join(network)) as ends:
        while ends.up(timeout=0.1) is None:
            assert time.monotonic() < joined + LONG_S
        assert time.monotonic() - joined >= 1.5
        assert ends.up() is not None
    again = time.monotonic()
    with Ends(network, join(network)) as ends:  # whoever joins anew waits anew
        assert ends.up(timeout=0.1) is None
        while ends.up(timeout=0.1) is None:
            assert time.monotonic() < again + LONG_S
        assert time.monotonic() - again >= 1.5


ASK = """
import json, socket, sys, time
start = time.monotonic()
try:
    told = socket.getaddrinfo(sys.argv[1], 4191, 0, socket.SOCK_DGRAM)
    found = sorted({one[4][0] for one in told})
except socket.gaierror as error:
    found = error.errno
print(json.dumps([found, time.monotonic() - start]))
"""


def ask(network: Network, name: str = CORRESPONDENT_NAME) -> tuple[object, float]:
    """What a program at the board is told of a name, and the seconds that took."""
    process = network.spawn(
        "board", [sys.executable, "-c", ASK, name], stdout=subprocess.PIPE, text=True
    )
    found, seconds = json.loads(process.communicate(timeout=60)[0])
    return found, seconds


@pytest.mark.parametrize("network", [Conditions("ipv4"), Conditions()], indirect=True)
def test_a_resolver_answers_fails_or_is_silent(network: Network) -> None:
    join(network)
    everything = [CORRESPONDENT_ADDRESS, CORRESPONDENT_IPV4]
    assert ask(network)[0] == everything
    asked = network.questions()
    assert asked >= 2, "one for each protocol"
    assert ask(network, "nobody.test")[0] == socket.EAI_NONAME
    network.set_resolver("cafe", "fails")
    assert ask(network)[0] == socket.EAI_AGAIN
    network.set_resolver("cafe", "silent")
    asked = network.questions()
    found, seconds = ask(network)
    assert found == socket.EAI_AGAIN and seconds >= 1
    assert network.questions() > asked
    join(network, "visited1")  # what one network's does is no other's business
    assert ask(network)[0] == everything


@of("ipv4", resolver="fails")
def test_micropython_asks_the_resolver_of_the_network_it_is_in(network: Network) -> None:
    program = (
        "import socket\ntry:\n print(socket.inet_ntop(2, "
        f"socket.getaddrinfo('{CORRESPONDENT_NAME}', 4191, 2, 2)[0][-1][4:8]))\n"
        "except OSError as e:\n print('no', e.args)"
    )

    def told() -> str:
        process = network.spawn(
            "board", [micropython(), "-c", program], stdout=subprocess.PIPE, text=True
        )
        return str(process.communicate(timeout=60)[0]).strip()

    join(network)
    assert told().startswith("no")
    join(network, "visited1")
    assert told() == CORRESPONDENT_IPV4


@of("ipv4")
def test_moves_between_kinds_leave_nothing_behind(network: Network) -> None:
    join(network)
    board = network.namespace("board")
    for lan in ("visited1", "cafe", "home", "cafe", "visited2"):
        address = join(network, lan)
        found = [
            *board.usable_addresses("wlan0"), *board.usable_addresses("wlan0", socket.AF_INET)
        ]  # fmt: skip
        assert found == [address]
        with Ends(network, address) as ends:
            came = ends.up()
            assert came is not None and ends.down(came)
    network.detach("board", "wlan0")
    assert board.usable_addresses("wlan0", socket.AF_INET) == []


def test_several_boards_behind_one_nat_have_ports_of_their_own() -> None:
    with Network(networks={"cafe": Conditions("ipv4"), "bar": Conditions("ipv4")}) as network:
        seen = set()
        correspondent = network.namespace("correspondent").socket(socket.AF_INET, DGRAM)
        correspondent.bind((CORRESPONDENT_IPV4, PORT))
        correspondent.settimeout(LONG_S)
        for number, lan in enumerate(("cafe", "cafe", "bar")):
            address = join(network, lan, f"board{number}")
            with network.namespace(f"board{number}").socket(socket.AF_INET, DGRAM) as board:
                board.bind((address, 5000))
                board.sendto(b"x", (CORRESPONDENT_IPV4, PORT))
                seen.add(correspondent.recvfrom(9)[1])
        correspondent.close()
        assert len(seen) == 3 and {address for address, _ in seen} == {ROUTER_OUTSIDE_IPV4}


@pytest.mark.parametrize(
    "networks, what",
    [
        ({"wan": Conditions()}, "'wan'"),
        ({"Café": Conditions()}, "a-z"),
        ({"home": Conditions("ipv4")}, "home is native"),
        ({f"n{number}": Conditions() for number in range(8)}, "7 networks at most"),
    ],
)
def test_mistakes_are_named(networks: dict[str, Conditions], what: str) -> None:
    with pytest.raises(BadInputError, match=what) as caught:
        lay_out(networks)
    assert "\n" not in str(caught.value)


def test_conditions_that_are_none_are_named() -> None:
    assert [Conditions(kind).ipv4 for kind in KINDS] == [False, True, True, False, False, False]
    for wrong, what in (
        ({"kind": "moon"}, "native, ipv4, dual"), ({"captive_s": -1}, "captive_s"),
        ({"resolver": "lies"}, "answers, fails, silent"), ({"route_late_s": 9}, "route_late_s"),
    ):  # fmt: skip
        with pytest.raises(BadInputError, match=what):
            Conditions(**wrong)


@of("ipv4")
def test_a_dhcp_client_is_given_address_router_and_resolver(network: Network) -> None:
    """As scapy makes and reads the messages; what a client does with them is up to it."""
    from scapy.layers.dhcp import BOOTP, DHCP

    network.attach("board", "wlan0", "cafe", dad=False)
    board = network.namespace("board")
    board.remove_ipv4("wlan0")

    def exchange(client: socket.socket, kind: str, mac: bytes, **more: str) -> tuple[str, dict]:
        options = [("message-type", kind), *more.items(), "end"]
        message = BOOTP(chaddr=mac, xid=0x1234, flags=0x8000) / DHCP(options=options)
        client.sendto(bytes(message), ("255.255.255.255", 67))
        answer = BOOTP(client.recv(2000))
        assert (answer.op, answer.xid, answer.chaddr[:6]) == (2, 0x1234, mac)
        return answer.yiaddr, dict(one for one in answer[DHCP].options if isinstance(one, tuple))

    with board.socket(socket.AF_INET, DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"wlan0\0")
        client.bind(("", 68))
        client.settimeout(LONG_S)
        first, second = (bytes((2, 0, 0, 0, 9, last)) for last in (1, 2))
        offered, told = exchange(client, "discover", first)
        assert told["message-type"] == 2 and offered == "192.168.3.100"
        assert (told["router"], told["subnet_mask"]) == ("192.168.3.1", "255.255.255.0")
        assert told["name_server"] == RESOLVERS[0] and told["lease_time"] > 60
        given, told = exchange(
            client, "request", first, requested_addr=offered, server_id="192.168.3.1"
        )
        assert (given, told["message-type"]) == (offered, 5)
        other, _ = exchange(client, "discover", second)
        assert other == "192.168.3.101"
        given, told = exchange(client, "request", first, requested_addr=other)
        assert (given, told["message-type"]) == ("0.0.0.0", 6), "of somebody else"
        assert exchange(client, "discover", first)[0] == offered
        for wrong in (b"", b"\x01" * 300, bytes(236) + b"\x63\x82\x53\x63\x35\x01"):
            client.sendto(wrong, ("255.255.255.255", 67))
        assert exchange(client, "discover", second)[0] == other, "nonsense ends nobody"
