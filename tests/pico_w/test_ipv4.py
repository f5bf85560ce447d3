"""Stock firmware in an IPv4 network: a lease, a name, a datagram through a NAT and back."""

import os
import socket
from pathlib import Path

import pytest

from roamkey.lab.background import Collector
from roamkey.lab.conditions import Conditions
from roamkey.lab.lans import CORRESPONDENT_IPV4, CORRESPONDENT_NAME, ROUTER_OUTSIDE_IPV4
from roamkey.lab.network import Network
from roamkey.lab.pico_w import EmulatedPicoW

from .station import run

_PORT = 4191
_PROGRAM = f"""
import network, socket, time
wlan = network.WLAN(network.STA_IF)
wlan.active(True)
wlan.connect("cafe")
while not wlan.isconnected():
    time.sleep(0.1)
where = socket.getaddrinfo("{CORRESPONDENT_NAME}", {_PORT})[0][-1]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b"up", where)
print(wlan.ifconfig(), where, s.recv(99))
"""


class Echo(Collector[tuple[str, int]]):
    """Answers each datagram, and collects where they came from."""

    def __init__(self, at: socket.socket) -> None:
        super().__init__(self._answer, every_s=0)
        at.settimeout(0.1)
        self._socket = at

    def _answer(self) -> list[tuple[str, int]]:
        try:
            _, source = self._socket.recvfrom(99)
        except TimeoutError:
            return []
        self._socket.sendto(b"down", source)
        return [source]


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_lease_a_name_and_a_datagram_through_the_nat() -> None:
    with Network(networks={"cafe": Conditions("ipv4")}) as network:
        switch = network.namespace("switch")
        uf2 = Path(os.environ["PICO_W_UF2"])
        with (
            network.namespace("correspondent").socket(socket.AF_INET, socket.SOCK_DGRAM) as peer,
            EmulatedPicoW(uf2, networks={"cafe": "tap1"}, spawn=switch.popen) as board,
        ):
            switch.set_ipv6("tap1", disable_ipv6=1)
            switch.set_bridge("tap1", "br-cafe")
            switch.set_up("tap1")
            peer.bind((CORRESPONDENT_IPV4, _PORT))
            with Echo(peer) as echo:
                done = run("mpremote", "connect", board.repl, "resume", "exec", _PROGRAM)
            assert done.returncode == 0, done.stdout + done.stderr
            assert "192.168.3.100" in done.stdout and "192.168.3.1'" in done.stdout
            assert CORRESPONDENT_IPV4 in done.stdout and "b'down'" in done.stdout
            assert echo.seen and {address for address, _ in echo.seen} == {ROUTER_OUTSIDE_IPV4}
