"""When nodes were last heard of, by a daemon that runs: updates and data, over its end."""

import json
import os
import time

import pytest
from support.daemons import Daemon, Visitor, run_cli

from mip6 import packets
from roamkey.correspondent.core.entries import Inbound
from roamkey.registry import Registry
from roamkey.waiting import until


def datagram(node, source):
    """What a node's program sends."""
    option = packets.home_address_option(node.home, packets.UDP)
    payload = packets.udp(node.home, node.correspondent, 5, 7, b"data")
    return Inbound(packets.DESTINATION_OPTIONS, option + payload, source)


def heard(scene):
    with Registry.open(scene.path) as registry:
        return registry.nodes_in_use()


@pytest.mark.lab
@pytest.mark.parametrize("data_plane", [False, True])
def test_data_are_a_sign_of_life(lab_network, scene, data_plane):
    if data_plane and not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("no /dev/net/tun: no data plane")
    node, silent = scene.node(0x100), scene.node(0x101)
    began = time.time_ns() // 1_000_000
    daemon = Daemon(lab_network, scene.path, data_plane=data_plane)
    daemon.ready()
    visitor = Visitor(lab_network, "visited1")
    visitor.exchange(node, node.update(0, visitor.address))
    first, other = heard(scene)
    assert first.last_ms >= began and first.data_ms is None and other.last_ms is None
    time.sleep(1.1)
    sent = time.time_ns() // 1_000_000
    visitor.send(datagram(node, visitor.address))
    visitor.send(datagram(silent, visitor.address))  # it isn't bound there
    assert until(lambda: _data_counted(lab_network, data_plane), 20, 0.1)
    code, _, errors = daemon.end()
    assert (code, errors) == (0, "")
    first, other = heard(scene)
    assert first.data_ms >= sent and first.last_ms == first.data_ms
    assert began <= first.update_ms < sent
    assert (other.last_ms, other.data_ms) == (None, None)


def _data_counted(network, data_plane):
    code, out, errors = run_cli(network, "status", "--json")
    assert (code, errors) == (0, "")
    (facts,) = json.loads(out)
    if data_plane:
        return facts["data_plane"].get("packets", {}).get("delivered", 0) >= 1
    return facts["packets"]["data"] >= 1
