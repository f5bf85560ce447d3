"""The daemon in the laboratory network, and a node's sockets: what its tests share."""

import json
import signal
import socket
import subprocess
import sys
from ipaddress import IPv6Address
from pathlib import Path

from mip6 import packets

CLI = [sys.executable, "-c", "from roamkey.cli import main; main()", "correspondent"]
ADDRESS = "2001:db8:c::2"


def plane_options(data_plane):
    """`data_plane`: which one, True: what the daemon takes by itself, False: none."""
    if data_plane is True:
        return []
    return ["--data-plane", data_plane or "none"]


class Daemon:
    """`roamkey correspondent run` in the correspondent's namespace; its log as objects."""

    def __init__(self, network, path, address=ADDRESS, log="json", more=(), data_plane=False):
        command = [*CLI, "run", "--address", address, "--registry", str(path), "--log", log, *more]
        command += plane_options(data_plane)
        self.process = network.spawn(
            "correspondent", command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def event(self, name):
        """The next event of this name; skips others."""
        for line in self.process.stdout:
            event = json.loads(line)
            if event["event"] == name:
                return event
        raise AssertionError(f"no {name}: {self.process.stderr.read()}")

    def ready(self):
        return self.event("ready")

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(30)
        return code, self.process.stdout.read(), self.process.stderr.read()


def plane_of(daemon):
    """The process id of a daemon's data plane."""
    pid = daemon.process.pid
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


class Visitor:
    """A node's raw sockets on one of the laboratory's networks. `stays`: it is there already."""

    def __init__(self, network, lan, address=None, stays=False):
        if not stays:
            network.attach("board", "wlan0", lan, dad=False)
        care_of = network.wait_for_address("board", "wlan0", lan)
        namespace = network.namespace("board")
        if address:
            namespace.add_address("wlan0", f"{address}/64")
            care_of = address
        self.text = care_of
        self.address = IPv6Address(care_of).packed
        self.sockets = {
            protocol: namespace.socket(socket.AF_INET6, socket.SOCK_RAW, protocol)
            for protocol in (packets.DESTINATION_OPTIONS, packets.ROUTING, packets.MOBILITY)
        }
        for one in self.sockets.values():
            one.bind((care_of, 0))
            one.settimeout(30)

    def send(self, inbound, target=ADDRESS):
        self.sockets[inbound.next_header].sendto(inbound.payload, (target, 0))

    def receive(self, protocol, timeout=30):
        """(source, octets) of what arrives at this header; raises TimeoutError."""
        self.sockets[protocol].settimeout(timeout)
        payload, source = self.sockets[protocol].recvfrom(2048)
        return source[0], payload

    def exchange(self, node, inbound, removes=False):
        """Send an update, and read its acknowledgement: as by its kernel's own addresses."""
        self.send(inbound)
        at_home = inbound.next_header == packets.MOBILITY
        protocol = packets.MOBILITY if at_home else packets.ROUTING
        source, payload = self.receive(protocol)
        assert source == ADDRESS
        reply = Reply(self.address, protocol, payload)
        return node.read(reply, self.address, removes=removes)


class Reply:
    endpoint = b""

    def __init__(self, destination, next_header, payload):
        self.destination, self.next_header, self.payload = destination, next_header, payload


def run_cli(network, *arguments):
    process = network.spawn(
        "correspondent",
        [*CLI, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=False,
    )
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err
