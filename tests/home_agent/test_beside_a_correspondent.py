"""A home agent and a correspondent on one host, for the same node: real kernels and sockets."""

import json
import socket
import subprocess
import sys
from ipaddress import IPv6Address

import pytest
from support.home_network import NUMBER, Agent, Away, node_of, ping
from support.nodes import MobileNode, Scene

from mip6 import packets

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

BESIDE = "2001:db8:a::fb"
RUN = [sys.executable, "-c", "from roamkey.cli import main; main()", "correspondent", "run"]


class Beside:
    """The correspondent's daemon, at another address of the home agent's host."""

    def __init__(self, agent, path, *more):
        agent.namespace.add_address(agent.link, f"{BESIDE}/64")
        command = [*RUN, "--address", BESIDE, "--registry", str(path), "--log", "json"]
        self.process = agent.network.spawn(
            agent.name, [*command, "--no-events", *more], stdout=subprocess.PIPE, text=True
        )
        self.hear("ready")

    def hear(self, name):
        for line in self.process.stdout:
            event = json.loads(line)
            if event["event"] == name:
                return event
        raise AssertionError(f"no {name}")

    def bind(self, away, node):
        """Have the node bound here, natively from where it is."""
        update = node.update(0, IPv6Address(away.care_of).packed)
        with away.network.namespace(away.name).socket(
            socket.AF_INET6, socket.SOCK_RAW, packets.DESTINATION_OPTIONS
        ) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, away.uplink.encode())
            one.bind((away.care_of, 0))
            one.sendto(update.payload, (BESIDE, 0))
            self.hear("accepted")
        away.peer.hear("came")  # its answer


@pytest.mark.slow
@pytest.mark.parametrize("agent_first", [True, False])
def test_everybody_reaches_the_node_whoever_came_first(lab_network, scene, agent_first, tmp_path):
    """The home agent's route counts: the correspondent's device would swallow what others send."""
    home = node_of(scene)
    node = MobileNode(NUMBER, correspondent=IPv6Address(BESIDE).packed)
    there = Scene(tmp_path / "correspondent.sqlite")
    there.provision(node)
    agent = Agent(lab_network, scene.path)
    agent.start("--no-events")
    beside = Beside(agent, there.path)
    away = Away(lab_network, home)
    away.open("native")
    if agent_first:
        assert away.register().status == 0
    beside.bind(away, node)
    if not agent_first:
        assert away.register().status == 0
    assert ping(lab_network, "correspondent", away.home) == 3
    assert ping(lab_network, agent.name, away.home) == 3
    beside.process.terminate()
    beside.process.wait(30)
    assert ping(lab_network, "correspondent", away.home) == 3
    assert agent.end()[0] == 0
    there.registry.close()
