"""The laboratory network: addresses by autoconfiguration, moves, reachability, processes."""

import asyncio
import ipaddress
import socket
import subprocess
import sys

import pytest

from roamkey.lab.network import CORRESPONDENT_ADDRESS, PREFIXES, Network

pytestmark = pytest.mark.lab


def join(network: Network, node: str, lan: str, interface: str = "wlan0") -> str:
    network.attach(node, interface, lan, dad=False)
    return network.wait_for_address(node, interface, lan)


def echo(network: Network, node: str, address: str, payload: bytes = b"hello") -> bytes:
    """Send a datagram from a node to the correspondent and back."""
    correspondent, board = network.namespace("correspondent"), network.namespace(node)
    with (
        correspondent.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server,
        board.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client,
    ):
        server.bind(("::", 7))
        client.bind((address, 0))
        server.settimeout(30)
        client.settimeout(30)
        client.sendto(payload, (CORRESPONDENT_ADDRESS, 7))
        received, source = server.recvfrom(2000)
        assert source[0] == address
        server.sendto(received, source)
        return client.recv(2000)


def test_a_board_gets_its_address_by_autoconfiguration(lab_network):
    for lan, prefix in PREFIXES.items():
        address = join(lab_network, "board", lan)
        assert ipaddress.IPv6Address(address) in ipaddress.IPv6Network(prefix)
        # ... and no address of the network it left.
        assert lab_network.namespace("board").usable_addresses("wlan0") == [address]
        assert echo(lab_network, "board", address) == b"hello"


def test_duplicate_address_detection_runs_unless_told_otherwise(lab_network):
    lab_network.attach("board", "wlan0", "visited1")
    assert lab_network.namespace("board").usable_addresses("wlan0") == []
    assert lab_network.wait_for_address("board", "wlan0", "visited1")


def test_detaching_takes_the_addresses_away(lab_network):
    join(lab_network, "board", "visited1")
    lab_network.detach("board", "wlan0")
    assert lab_network.namespace("board").usable_addresses("wlan0") == []
    assert echo(lab_network, "board", join(lab_network, "board", "visited1")) == b"hello"


def test_many_boards_and_several_interfaces(lab_network):
    addresses = {join(lab_network, f"board{number}", "visited1") for number in range(4)}
    assert len(addresses) == 4
    wireless = join(lab_network, "board0", "visited1")
    wired = join(lab_network, "board0", "visited2", "eth0")
    for address in (wireless, wired):
        assert echo(lab_network, "board0", address) == b"hello"


def test_a_home_agent_can_stand_in_the_home_network(lab_network):
    join(lab_network, "home-agent", "home", "eth0")
    agent = lab_network.namespace("home-agent")
    agent.add_address("eth0", "2001:db8:a::100/64")
    assert echo(lab_network, "home-agent", "2001:db8:a::100") == b"hello"


def test_a_process_runs_in_its_namespace_and_ends_with_the_network():
    with Network() as network:
        join(network, "board", "visited1")
        listing = network.spawn(
            "board", ["cat", "/proc/net/if_inet6"], stdout=subprocess.PIPE, text=True
        )
        assert "20010db80001" in listing.communicate(timeout=30)[0]
        sleeper = network.spawn("board", [sys.executable, "-c", "import time; time.sleep(99)"])
        assert sleeper.poll() is None
    assert sleeper.poll() is not None


def test_moves_work_while_an_event_loop_runs(lab_network):
    async def move() -> str:
        return join(lab_network, "board", "visited2")

    assert asyncio.run(move()).startswith("2001:db8:2:")


def test_mistakes_are_named(lab_network):
    with pytest.raises(ValueError, match="no network visited3"):
        lab_network.attach("board", "wlan0", "visited3")
    with pytest.raises(ValueError, match="already a node router"):
        lab_network.add_node("router")
    with pytest.raises(OSError, match="No such file"):
        lab_network.start_capture("/nowhere/at/all.pcap")
    with pytest.raises(RuntimeError, match="KeyError"):
        lab_network.set_delay(1, link="nowhere")
