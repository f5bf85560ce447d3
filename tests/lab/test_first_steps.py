"""README's "Use it", word for word: a fresh account, one host, IPv4 alone, no address typed."""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.daemons import CLI
from support.nft import NEEDS_NFT
from support.roaming import need_tun

from roamkey.lab.conditions import Conditions
from roamkey.lab.network import Network
from roamkey.waiting import until

pytestmark = [
    pytest.mark.lab,
    pytest.mark.timeout(180),
    NEEDS_NFT,
]

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PORT = 5005  # of firmware/examples/sensor.py


def use_it() -> dict[str, list[str]]:
    """The first commands of README's "Use it", without `sudo`, by their names: their words."""
    section = README.partition("## Use it\n")[2].partition("\n## ")[0]
    lines = re.match(r".*?((?:\n    [^\n]+)+)", section, re.DOTALL)
    assert lines is not None
    found = [line.replace("sudo ", "").split() for line in lines[1].strip("\n").splitlines()]
    assert all(words[0] == ".venv/bin/roamkey" for words in found), found
    return {words[1]: words[1:] for words in found}


class Host:
    """A machine on a network with IPv4 alone, and somebody who never used roamkey on it."""

    def __init__(self, network: Network, home: Path) -> None:
        self.network = network
        network.add_node("host")
        network.attach("host", "eth0", "office")
        self.address = network.wait_for_address("host", "eth0", "office")
        for scope in ("all", "default", "eth0", "lo"):
            network.namespace("host").set_ipv6(scope, disable_ipv6=1)
        kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
        self._environment = {**kept, "HOME": str(home)}
        self._environment.pop("ROAMKEY_REGISTRY", None)

    def plug(self, port: str) -> None:
        """A board at this port, which isn't one of USB."""
        self._environment["ROAMKEY_PORTS"] = port

    def start(self, *words: str) -> "subprocess.Popen[str]":
        return self.network.spawn(
            "host", [*CLI[:-1], *words], cwd=ROOT, env=self._environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *words: str) -> str:
        """Standard output of a command that succeeds."""
        process = self.start(*words)
        out, error = process.communicate(timeout=120)
        assert process.returncode == 0, (words, out, error)
        return out


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    home = tmp_path / "home"
    home.mkdir()
    with Network(networks={"office": Conditions("ipv4")}) as network:
        yield Host(network, home)


@pytest.mark.slow
def test_from_a_fresh_account_to_readings(host: Host, tmp_path: Path) -> None:
    need_tun()
    commands = use_it()
    assert list(commands) == ["init", "flash", "install", "provision", "correspondent"]
    board = host.start("lab", "board", str(tmp_path / "node.img"))  # in place of `flash`
    assert board.stdout is not None
    port = board.stdout.readline().strip()
    host.plug(port)

    def words(name: str) -> list[str]:
        return [port if word == "/dev/ttyACM0" else word for word in commands[name]]

    typed = " ".join(" ".join(words(name)) for name in commands if name != "flash")
    assert not re.search(r"\d+\.\d+\.\d+|[0-9a-f]*::", typed.replace(port, ""))
    out = host.run(*words("init"))
    assert f"{host.address}:4191" in out
    assert "agent" in host.run(*words("install"))
    home = re.search(r"home address +(\S+)", host.run(*words("provision")))
    assert home is not None and home[1].startswith("fd")
    daemon = host.start(*words("correspondent"), "--log", "json")
    assert daemon.stdout is not None
    line = daemon.stdout.readline()
    assert line, daemon.stderr and daemon.stderr.read()
    first = json.loads(line)
    assert first["event"] == "ready", first
    assert first["data_plane"]["own_address"] is True
    arrived = readings(host, first["address"], home[1], 3)
    numbers = [one["n"] for one in arrived]
    assert numbers == sorted(set(numbers))
    assert until(lambda: "udp4" in host.run("correspondent", "bindings"), 20)
    told = json.loads(host.run("doctor", "--port", port, "--path", "--json"))
    assert told["reached"] and told["paths"][0]["way"] == "udp4"
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(30) == 0
    board.send_signal(signal.SIGINT)
    assert board.wait(30) is not None


def readings(host: Host, correspondent: str, home: str, wanted: int) -> list[dict[str, Any]]:
    """What comes from the board to a program on this host (docs/APPLICATIONS.md, "The receiver").
    The program's answer has the sensor hurry."""
    with host.network.namespace("host").socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("::", PORT))
        receiver.settimeout(40)
        found = []
        while len(found) < wanted:
            data, source = receiver.recvfrom(2048)
            assert source[0] == home
            found.append(json.loads(data))
            receiver.sendto(b'{"every": 0.2}', source)
        return found
