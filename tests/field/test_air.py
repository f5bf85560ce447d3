"""The board's log over the air, from the correspondent that it is bound to."""

import socket
import subprocess
import sys
import time

import pytest

from roamkey.correspondent.dataplane import tun
from roamkey.field import boardlog, folder
from roamkey.lab.network import CORRESPONDENT_ADDRESS, Network
from roamkey.lab.scene import HOME_ADDRESS, Scene

pytestmark = [pytest.mark.lab, pytest.mark.slow]


def wait_until_the_board_knows(scene, timeout=20):
    """The correspondent is bound before its acknowledgement is back, which may be lost."""
    deadline = time.monotonic() + timeout
    while scene.status()["node"]["bindings"][0]["state"] != "bound":
        assert time.monotonic() < deadline, scene.status()
        time.sleep(0.1)


def ask_air(network, path, wanted=0):
    process = network.spawn(
        "correspondent",
        [
            sys.executable,
            "-m",
            "roamkey",
            "log",
            "pull",
            "--air",
            HOME_ADDRESS,
            "--out",
            str(path),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    told, _ = process.communicate(timeout=60)
    assert process.returncode == wanted, told
    return told


def test_the_log_comes_over_the_air_as_over_the_line(tmp_path):
    if tun.refusal():
        pytest.skip(f"no data plane here: {tun.refusal()}")
    with Network(delay_ms=5, loss_percent=5, seed=2) as network, Scene(tmp_path, network) as scene:
        for name in ("visited1", "visited2"):
            usable = scene.move(name)
            scene.wait_until_bound_to(usable.address, 20)
            wait_until_the_board_knows(scene)
        told = ask_air(network, tmp_path / "air.jsonl")
        assert "events of board" in told
        line = tmp_path / "line.jsonl"
        command = ["log", "pull", "--port", scene.board.port, "--out", str(line)]
        subprocess.run([sys.executable, "-m", "roamkey", *command], check=True, timeout=60)
        # A stranger who isn't the correspondent gets nothing, nor does nonsense.
        namespace = network.namespace("router")
        with namespace.socket(socket.AF_INET6, socket.SOCK_DGRAM) as stranger:
            stranger.settimeout(1.0)
            stranger.sendto(b"", (usable.address, 4449))
            with pytest.raises(OSError):
                stranger.recv(2048)
        network.detach("board", "wlan0")
        assert "no answer" in ask_air(network, tmp_path / "none.jsonl", 3)
    (air,) = boardlog.merge(list(folder._objects(tmp_path / "air.jsonl")), "air")
    (serial,) = boardlog.merge(list(folder._objects(line)), "line")
    assert air.events == serial.events[: len(air.events)]
    assert [event.kind for event in air.events].count("acknowledged") == 2
    assert serial.home_address == air.home_address == HOME_ADDRESS
    assert CORRESPONDENT_ADDRESS in air.events[-1].detail
