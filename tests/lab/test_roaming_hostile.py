"""Forged and replayed acknowledgements on the way to a real board, and an uplink that flaps.

`make fuzz` sets CAMPAIGN=full in the environment and has the uplink flap for ten seconds.
"""

import os
import socket
import time

import pytest

from mip6 import packets
from roamkey.lab.network import CORRESPONDENT_ADDRESS, Network
from roamkey.lab.scene import BOARD, HOME_ADDRESS, UPLINK, Scene

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(900)]

FULL = os.environ.get("CAMPAIGN") == "full"
FLAPPING_S = 10.0 if FULL else 2.0
SETTLED_WITHIN_S = 40.0

NETWORKS = ("visited1", "visited2")
STRANGER = socket.inet_pton(socket.AF_INET6, "2001:db8:c::bad")
ROUTER_TO_CORRESPONDENT = "wan-r"  # the switch's end of the router's cable towards the bridge
ETHERNET = 14
BODY = ETHERNET + packets.IPV6_HEADER_OCTETS + packets.EXTENSION_OCTETS  # of a BA's MH
STATUS, SEQUENCE = 6, slice(8, 10)  # in that Mobility Header

# An application that has the node's status tell the RAM in use too.
WEIGHED = b"""
import gc

async def main(node):
    status_of_node = node.status

    def status():
        answer = status_of_node()
        gc.collect()
        answer["ram"] = gc.mem_alloc()
        return answer

    node.status = status
"""
# What the log of the last events holds differs a little in length; a leak grows with every turn.
RAM_OCTETS = 4096


def with_checksum(frame):
    """A frame with a Binding Acknowledgement, whatever was done to it, its checksum right."""
    packet = packets.parse(frame[ETHERNET:])
    header = bytes(packet.payload)
    zeroed = header[:4] + b"\0\0" + header[6:]
    value = packets.checksum(
        packet.logical_source, packet.logical_destination, packets.MOBILITY, zeroed
    )
    return frame[:BODY] + header[:4] + value.to_bytes(2, "big") + header[6:]


def changed(frame, at, octets):
    """A copy with other octets at a place in its Mobility Header."""
    at += BODY
    return frame[:at] + octets + frame[at + len(octets) :]


def from_stranger(frame):
    """As if another correspondent had sent it."""
    return with_checksum(frame[: ETHERNET + 8] + STRANGER + frame[ETHERNET + 24 :])


@pytest.fixture
def inject():
    """Puts a frame on the router's cable as if it came from the correspondent, without delay."""
    opened = []

    def send(scene, frame):
        if not opened:
            switch = scene.network.namespace("switch")
            opened.append(switch.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
            opened[0].bind((ROUTER_TO_CORRESPONDENT, 0))
        opened[0].send(frame)

    yield send
    for one in opened:
        one.close()


def move_and_bind(scene, network):
    left = time.time()
    usable = scene.move(network)
    return scene.wire.wait_for(
        lambda signal: signal.is_acceptance and signal.care_of_address == usable.address, left
    )


def node_of(scene):
    return scene.status()["node"]


def wait_for_state(scene, state, timeout=30.0):
    deadline = time.monotonic() + timeout
    while (node := node_of(scene))["bindings"][0]["state"] != state:
        assert time.monotonic() < deadline, node
        time.sleep(0.05)
    return node


def count_drops(scene, before, expected, timeout=2.0):
    """The node's status once so many more were dropped (or time is up), and how many were."""
    deadline = time.monotonic() + timeout
    while True:
        now = node_of(scene)
        counted = {
            reason: now["drops"].get(reason, 0) - before["drops"].get(reason, 0)
            for reason in expected
        }
        if counted == expected or time.monotonic() > deadline:
            return now, counted
        time.sleep(0.05)


def wait_for_empty_way(network, timeout=30.0):
    """Wait until nothing is on its way to the board any more."""
    deadline = time.monotonic() + timeout
    while network.statistics()["down"]["waiting"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.2)  # from the bridge through the kernel into the node


def test_forged_and_replayed_acknowledgements_are_ignored_and_counted(tmp_path, inject):
    with Network(delay_ms=5) as network, Scene(tmp_path, network) as scene:
        old = move_and_bind(scene, "visited1")
        wait_for_state(scene, "bound")  # else the router may deliver it when we come back
        move_and_bind(scene, "visited2")
        last = wait_for_state(scene, "bound")["bindings"][0]["sequence"]
        network.set_delay(3000, direction="down")
        genuine = move_and_bind(scene, "visited1")  # it will take three seconds to arrive
        assert genuine.care_of_address == old.care_of_address and genuine.sequence > last
        before = node_of(scene)
        frame = genuine.frame
        flipped = [changed(frame, at, bytes([frame[BODY + at] ^ 1])) for at in range(2, 32)]
        mac = range(20, 32)
        forged = {
            "checksum": flipped[4:],  # behind the checksum field itself
            "authenticator": [with_checksum(flipped[at - 2]) for at in mac]
            + [
                with_checksum(
                    changed(changed(frame, STATUS, bytes([135])), SEQUENCE.start, b"\xff\xf0")
                ),
                with_checksum(changed(frame, STATUS, bytes([128]))),
            ],
            "unknown correspondent": [from_stranger(frame)],
            "old sequence": [old.frame],
        }
        for frames in forged.values():
            for one in frames:
                inject(scene, one)
        expected = {reason: len(frames) for reason, frames in forged.items()}
        after, counted = count_drops(scene, before, expected)
        assert counted == expected
        assert after["bindings"][0]["state"] == "registering"

        network.set_delay(5, direction="down")
        wait_for_state(scene, "bound")
        wait_for_empty_way(network)
        bound = node_of(scene)
        inject(scene, frame)
        inject(scene, old.frame)
        # The acknowledgement of the newest update counts: an earlier one's is older than that.
        number = int.from_bytes(frame[SEQUENCE.start + BODY : SEQUENCE.stop + BODY], "big")
        newest = number == bound["bindings"][0]["sequence"]
        expected = {"replayed": int(newest), "old sequence": 2 - newest}
        after, counted = count_drops(scene, bound, expected)
        assert counted == expected
        assert after["bindings"][0]["state"] == "bound"
        assert scene.bound_to() == genuine.care_of_address


def test_an_uplink_that_flaps_leaves_the_binding_right_and_memory_flat(tmp_path):
    files = {"/app.py": WEIGHED}
    with Network(delay_ms=5) as network, Scene(tmp_path, network, files) as scene:

        def flap(seconds):
            """Ten times a second there and gone; how often an address was usable."""
            seen = len(scene.watch.seen)
            start = time.monotonic()
            turns = 0
            while (now := time.monotonic() - start) < seconds:
                if turns % 2:
                    network.detach(BOARD, UPLINK)
                else:
                    network.attach(BOARD, UPLINK, NETWORKS[turns // 2 % 2], dad=False)
                turns += 1
                time.sleep(max(0.0, turns / 20 - now))
            return len(scene.watch.seen) - seen

        def settle(network_name):
            usable = scene.move(network_name)
            scene.wait_until_bound_to(usable.address, SETTLED_WITHIN_S)
            return wait_for_state(scene, "bound", SETTLED_WITHIN_S)

        flap(3.0)  # what is allocated once is, and the log of the last events is full
        before = settle("visited1")
        usable = flap(FLAPPING_S)
        after = settle("visited2")
    sent = after["bindings"][0]["updates_sent"] - before["bindings"][0]["updates_sent"]
    grown = after["ram"] - before["ram"]
    print(f"{usable} times usable in {FLAPPING_S:g} s, {sent} updates, RAM {grown:+d} octets")
    assert usable >= FLAPPING_S * 5
    assert sent <= 3 * (FLAPPING_S + SETTLED_WITHIN_S)
    assert grown < RAM_OCTETS, (before["ram"], after["ram"])
    assert len(after["uplinks"]) == 1 and not after.get("fault"), after
    assert after["home_address"] == HOME_ADDRESS
    assert after["bindings"][0]["correspondent"] == CORRESPONDENT_ADDRESS
