"""A Linux node with its home address on a TUN device, a correspondent, and programs on both."""

import hashlib
import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from roamkey.correspondent.dataplane import tun
from roamkey.lab.tun_node import TunNode
from roamkey.waiting import until
from support.daemons import ADDRESS, Daemon

HOME = "2001:db8:a::77"
PROGRAMS = str(Path(__file__).parent / "programs.py")
NETWORKS = ("visited1", "visited2")


def need_tun():
    """Skip, and say why, where the system gives no TUN device."""
    reason = tun.refusal()
    if reason is not None:
        pytest.skip(f"the data plane needs {tun.PATH}: {reason}")


class Roaming:
    """Daemon and node. `node` may be told to `move`; `run` starts programs."""

    def __init__(self, network, scene, tmp_path, plane=True, of_node="tun"):
        self.network = network
        self.moves = 0
        self.daemon = Daemon(network, scene.path, data_plane=plane)
        self.ready = self.daemon.ready()
        self.folder = tmp_path
        self.node = TunNode(network, scene.registry, tmp_path, HOME, plane=of_node)

    def __enter__(self):
        self.node.__enter__()
        self.move()
        self.wait_for_route()
        return self

    def __exit__(self, *what):
        self.node.__exit__(*what)

    def move(self):
        """Take the node to the other network; returns once the correspondent is bound."""
        network = NETWORKS[self.moves % 2]
        self.network.attach(self.node.name, self.node.uplink, network, dad=False)
        care_of = self.network.wait_for_address(self.node.name, self.node.uplink, network)
        self.moves += 1
        while self.daemon.event("accepted")["care_of_address"] != care_of:
            pass
        return care_of

    def wait_for_route(self, timeout=30):
        """The route follows the binding, and the node's acknowledgement is on its way."""
        correspondent = self.network.namespace("correspondent")

        def routed():
            routes = correspondent._ask("get_routes", family=socket.AF_INET6)
            return any(route.get_attr("RTA_DST") == HOME for route in routes)

        assert until(routed, timeout)
        time.sleep(0.2)

    def start(self, where, *arguments):
        """A program of programs.py at "correspondent" or "node"."""
        name = self.node.name if where == "node" else where
        return self.network.spawn(
            name,
            [sys.executable, PROGRAMS, *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
        )

    def serve(self, *arguments):
        """A server on the node, ready to be used."""
        process = self.start("node", *arguments)
        assert json.loads(process.stdout.readline())["ready"]
        return process

    def serve_file(self, octets):
        """An HTTP server on the node with one file; its URL and the file's SHA-256."""
        folder = self.folder / "www"
        folder.mkdir()
        content = hashlib.sha256(b"roam").digest() * (octets // 32)
        (folder / "file").write_bytes(content)
        self.network.spawn(
            self.node.name,
            [sys.executable, "-m", "http.server", "--bind", HOME, "8000", "-d", str(folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(1)  # it doesn't say when it is ready
        return f"http://[{HOME}]:8000/file", hashlib.sha256(content).hexdigest()


def result(process, timeout=60):
    """What a program of programs.py told at its end."""
    out, _ = process.communicate(timeout=timeout)
    assert process.returncode == 0
    return json.loads(out.splitlines()[-1])


__all__ = ["ADDRESS", "HOME", "Roaming", "need_tun", "result"]
