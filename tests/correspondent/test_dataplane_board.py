"""From a program on the correspondent's host to a virtual board that moves: ping and UDP."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.roaming import PROGRAMS, need_tun, result

from roamkey.lab.network import Network
from roamkey.lab.scene import HOME_ADDRESS, Scene

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(120)]

ECHO = b"""
from mip6 import datagrams

async def main(node):
    socket = datagrams.bind(node, 7)
    while True:
        data, source = await socket.recv()
        await socket.send(data, source)
"""


def test_ping_and_datagrams_follow_a_board_through_five_moves(tmp_path: Path) -> None:
    need_tun()
    with Network() as network, Scene(tmp_path, network, {"/app.py": ECHO}) as scene:

        def start(*arguments):
            return network.spawn(
                "correspondent", list(map(str, arguments)), stdout=subprocess.PIPE, text=True
            )

        def move(network):
            usable = scene.move(network)
            scene.wait_until_bound_to(usable.address, 20)

        move("visited1")
        programs = (sys.executable, PROGRAMS)
        for number in range(6):
            if number:
                move(("visited1", "visited2")[number % 2])
            # Each time anew, so that nothing under way is lost: then all must come back.
            echoing = start(*programs, "udp", HOME_ADDRESS, 7, 10, 0.05)
            pinging = start(*programs, "ping", HOME_ADDRESS, 10, 0.05)
            echoed = result(echoing)
            assert echoed["sources"] == [HOME_ADDRESS]
            assert echoed["received"] >= 8, number
            assert result(pinging)["received"] >= 8, number
        if shutil.which("ping"):
            out, _ = start("ping", "-6", "-c", "3", "-i", "0.1", HOME_ADDRESS).communicate()
            assert " 0% packet loss" in out
