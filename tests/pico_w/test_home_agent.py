"""Real Pico W firmware with a home agent: away, bound everywhere; home; everybody reaches it."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mip6 import addresses
from roamkey.home_agent.tunnel import neighbours
from roamkey.lab.demo.correspondent import Correspondent, HomeAgent, Keyless
from roamkey.lab.lans import (
    CORRESPONDENT_ADDRESS,
    HOME,
    HOME_AGENT_ADDRESS,
    HOST_ADDRESS,
    KEYLESS_ADDRESS,
)
from roamkey.lab.network import Network
from roamkey.lab.outside import HOME_AGENT, HOST, INTERFACE
from roamkey.lab.tap import Frame, arriving
from roamkey.waiting import until

from .station import INTERFACE_ID, Station

MAC = bytes.fromhex("001018000002")
ALL_NODES_MAC = b"\x33\x33\0\0\0\x01"
HOME_ADDRESS = "2001:db8:a::1:7a"
VISITED_1 = f"2001:db8:1:0:{INTERFACE_ID}"
AT_HOME = "visited2"  # the Wi-Fi network that leads to the home network
_APP = Path(__file__).parents[1] / "lab" / "reaching_app.py"
_PORT = 7000  # as there
_WAIT_S = 600.0  # on the wall


class Host:
    """The host that knows nothing of mobility."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._socket = network.namespace(HOST.name).socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self._socket.bind((HOST_ADDRESS, _PORT))

    def __enter__(self) -> "Host":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def pings(self) -> bool:
        """Whether the home address answers, within half a minute on the wall."""
        command = ["ping", "-6", "-n", "-c1", "-W30", HOME_ADDRESS]
        ping = self._network.spawn(HOST.name, command, stdout=subprocess.DEVNULL)
        return ping.wait(60) == 0

    def is_answered(self) -> bool:
        """Whether a datagram to the home address comes back, from there."""
        question = b"host %d" % time.monotonic_ns()
        self._socket.settimeout(5)
        end = time.monotonic() + _WAIT_S
        while time.monotonic() < end:
            self._socket.sendto(question, (HOME_ADDRESS, _PORT))
            try:
                data, place = self._socket.recvfrom(2048)
                while data != question:
                    data, place = self._socket.recvfrom(2048)
            except TimeoutError:
                continue
            return bool(place[:2] == (HOME_ADDRESS, _PORT))
        return False

    def hears(self) -> bool:
        """Whether the board's own datagrams come, from its home address."""
        self._socket.settimeout(0)
        try:
            while self._socket.recv(2048):
                pass
        except BlockingIOError:
            pass
        self._socket.settimeout(_WAIT_S)
        while not (found := self._socket.recvfrom(2048))[0].startswith(b"number"):
            pass
        return bool(found[1][:2] == (HOME_ADDRESS, _PORT))


def _is_advertisement(frame: Frame) -> bool:
    """Whether it tells everybody who has the home address, and it is the board's."""
    _, octets = frame
    told = neighbours.read(octets[14:])
    return (
        octets[:12] == ALL_NODES_MAC + MAC
        and told is not None
        and told.kind == neighbours.ADVERTISEMENT
        and told.target == addresses.parse(HOME_ADDRESS)
    )


def _wait(said: Callable[[], Mapping[str, Any]], wanted: Mapping[str, Any], why: object) -> None:
    assert until(lambda: said() == wanted, _WAIT_S, 1.0), (said(), why)


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_pico_w_with_a_home_agent_is_reached_by_all_away_and_at_home(tmp_path: Path) -> None:
    registry_file = tmp_path / "registry.sqlite"
    with Network(home_agent=True) as network, Host(network) as host:
        station = Station(network, Path(os.environ["PICO_W_UF2"]), tmp_path / "fs.bin")
        board = station.board
        peers = {
            "home agent": HomeAgent(network, registry_file, tmp_path / "home-agent.log"),
            "correspondent": Correspondent(network, registry_file, tmp_path / "cn.log"),
            "keyless": Keyless(network, tmp_path / "keyless.sqlite", tmp_path / "keyless.log"),
        }

        def bound() -> dict[str, str | None]:
            return {name: peer.bound_to(HOME_ADDRESS) for name, peer in peers.items()}

        def reached() -> None:
            assert host.pings() or host.pings(), station.roamkey("status")["node"]
            assert host.is_answered(), station.roamkey("status")["node"]
            assert host.hears()

        with board:
            station.power_on()
            copied = station.mpremote("fs", "cp", str(_APP), ":/app.py")
            assert copied.returncode == 0, copied.stdout + copied.stderr
            with station.resetting():
                station.roamkey("install")
            with station.resetting():  # by itself: what a home agent takes comes before all else
                station.roamkey(
                    *("provision", "--home-address", HOME_ADDRESS),
                    *("--correspondent", CORRESPONDENT_ADDRESS),
                    *("--return-routability", KEYLESS_ADDRESS),
                    *("--home-agent", HOME_AGENT_ADDRESS, "--registry", str(registry_file)),
                )
            for peer in peers.values():
                peer.start()
            station.plug(AT_HOME, HOME)
            for name, priority in (("visited1", 0), (AT_HOME, 1)):
                station.roamkey("networks", "set", name, "--open", "--priority", str(priority))

            # Away: registered under the key, bound with it and by return routability.
            _wait(bound, dict.fromkeys(peers, VISITED_1), board)
            reached()
            node = station.roamkey("status")["node"]
            assert not node.get("parts"), node["parts"]
            assert {one["correspondent"]: one["authorized_by"] for one in node["bindings"]} == {
                HOME_AGENT_ADDRESS: "static key",
                CORRESPONDENT_ADDRESS: "static key",
                KEYLESS_ADDRESS: "return routability",
            }

            # Home: the address itself, though the home agent has defended it; plainly.
            with arriving(network.namespace(HOME_AGENT), INTERFACE) as home_link:
                board.lose_network("visited1")
                _wait(bound, dict.fromkeys(peers), board)
                _, told = home_link.wait_until(_is_advertisement, "no neighbour is told", _WAIT_S)
            reached()
            node = station.roamkey("status")["node"]
            assert node["care_of_address"] == HOME_ADDRESS
            address = addresses.parse(HOME_ADDRESS)
            assert told[:14] == ALL_NODES_MAC + MAC + b"\x86\xdd"
            assert told[14:] == neighbours.advertisement(address, address, MAC, None)
            sent = [
                neighbours.read(frame[14:]) for _, frame in home_link.seen if frame[6:12] == MAC
            ]
            assert not [one for one in sent if one and one.detects and one.target == address]

            # And away again.
            board.regain_network("visited1")
            board.lose_network(AT_HOME)
            _wait(bound, dict.fromkeys(peers, VISITED_1), board)
            reached()
            node = station.roamkey("status")["node"]
            assert not {"authenticator", "checksum", "cookie", "tunnel"} & set(node["drops"])
            assert not node.get("fault") and not node.get("parts"), node
