"""Runs on a Pico W (bench/footprint.py sends it): the agent's RAM, and times of its own clock.

Prints one line of JSON. Wi-Fi isn't brought up: what is measured is the agent.
"""

import gc
import json
import time


def free():
    gc.collect()
    return gc.mem_free()


def times(function, count):
    """Microseconds of each call, without those in which the garbage collector ran."""
    found = []
    for _ in range(count):
        gc.collect()
        start = time.ticks_us()
        function()
        found.append(time.ticks_diff(time.ticks_us(), start))
    return sorted(found)


before = free()
import mip6.agent  # noqa: E402
import mip6.node  # noqa: E402
import mip6.ports.rp2  # noqa: E402

imported = before - free()

from mip6 import clock  # noqa: E402
from mip6.credentials import Keystore  # noqa: E402
from mip6.keyset import Credentials, Peer  # noqa: E402
from mip6.ports.files import FileStore  # noqa: E402

HOME = b"\x20\x01\x0d\xb8\x00\x0a" + bytes(9) + b"\x77"
CARE_OF = b"\x20\x01\x0d\xb8\x00\x01" + bytes(8)


def provision(peers):
    keystore = Keystore(FileStore("/bench" + str(peers)))
    keystore.load()
    keystore.provision(
        Credentials(
            bytes([peers] * 8),
            HOME,
            [
                Peer(
                    b"\x20\x01\x0d\xb8\x00\x0c" + bytes(9) + bytes([2 + peer]),
                    bytes([peer] * 8),
                    bytes([peer] * 8),
                    3600,
                    [(0, bytes([peers, peer] * 16))],
                )
                for peer in range(peers)
            ],
        )
    )


def care_of(number):
    return CARE_OF + number.to_bytes(2, "big")


class Registered:
    """A node with its port, whose updates are on their way to every correspondent."""

    def __init__(self, peers, port):
        self.keystore = Keystore(FileStore("/bench" + str(peers)))
        self.keystore.load()
        self.node = mip6.node.Node(self.keystore, port)
        self.node.address_usable("network", 0, care_of(1))

    def drawn(self, now):
        return self.node.bindings.next_packet(now)


for count in (1, 8):
    provision(count)
    port = mip6.ports.rp2.Port()
    Registered(count, port)
    port.stop()
port = mip6.ports.rp2.Port()
empty = free()
one = Registered(1, port)
agent_ram = before - free()
bindings = one.node.bindings
bindings.keystore.top_up()
now = clock.now()


def ready():
    """The next update of a registration that goes on: Kbm and its pads are there."""
    global now
    now += 60000
    assert bindings.next_packet(now) is not None


number = 2


def new_address():
    """From an address never seen to the finished update: two tokens' HMAC, Kbm, pads, MAC."""
    global now, number
    now += 60000
    number += 1
    bindings.attach(care_of(number), now)
    assert bindings.next_packet(now) is not None


ready_us = times(ready, 21)
new_us = times(new_address, 21)
gc.collect()
gc.disable()
start = gc.mem_alloc()
ready()
allocated = gc.mem_alloc() - start
gc.enable()
one = bindings = None
eight_before = free()
eight = Registered(8, port)
eight_ram = before - free()
print(
    json.dumps(
        {
            "bu_ready_ms": ready_us[len(ready_us) // 2] / 1000,
            "bu_ready_worst_ms": ready_us[-1] / 1000,
            "bu_new_address_ms": new_us[len(new_us) // 2] / 1000,
            "bu_new_address_worst_ms": new_us[-1] / 1000,
            "free_before_octets": before,
            "imported_ram_octets": imported,
            "agent_ram_octets": agent_ram,
            "agent_ram_8_correspondents_octets": eight_ram,
            "allocated_per_bu_octets": allocated,
        }
    )
)
