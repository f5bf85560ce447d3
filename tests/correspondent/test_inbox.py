"""What the data plane passes on is judged too, and keeps no socket unread."""

from collections import Counter
from ipaddress import IPv6Address
from types import SimpleNamespace

import pytest
from support.nodes import Scene

from mip6 import packets
from roamkey.correspondent import inbox
from roamkey.correspondent.core.entries import Inbound
from roamkey.correspondent.encapsulation import Encapsulation

CARE_OF = IPv6Address("2001:db8:1::1").packed


@pytest.fixture
def scene(tmp_path):
    made = Scene(tmp_path / "registry.sqlite")
    yield made
    made.registry.close()


@pytest.mark.parametrize("homes", [1, 50], ids=["one home address", "everybody's"])
def test_data_without_a_binding_do_not_keep_the_sockets_unread(scene, homes):
    nodes = [scene.node(number) for number in range(1, homes + 1)]
    scene.start()
    waiting, told = [], Counter()
    sockets = SimpleNamespace(receive=lambda most: [waiting.pop(0) for _ in waiting[:most]])
    made = inbox.Inbox(
        sockets, Encapsulation(None), scene.responder, SimpleNamespace(drops=told.update)
    )
    offenders = [
        Inbound(
            packets.DESTINATION_OPTIONS,
            packets.home_address_option(nodes[at % homes].home, packets.UDP),
            IPv6Address(at).packed,
        )
        for at in range(1 << 32, (1 << 32) + 8192)
    ]
    for number in range(20):
        for _ in range(3):  # between two bursts, more than can be judged
            made.put(offenders)
        assert made.waits
        update = nodes[0].update(number, CARE_OF)
        waiting.append(update)
        burst = made.take()
        assert update in burst, number
        assert len(burst) < 1024
    assert told.total() > 20 * 7000
    assert not made.waits
    assert made.take() == []
