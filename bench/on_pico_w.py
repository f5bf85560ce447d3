"""Runs on a Pico W (bench/footprint.py sends it): the agent's RAM, and times of its own clock.

Prints one line of JSON. Wi-Fi isn't brought up: what is measured is the agent.
"""

import gc
import json
import time


def free():
    gc.collect()
    return gc.mem_free()


def times(function, count=21, prepare=lambda: None):
    """Sorted microseconds of `count` calls, none of which the garbage collector interrupts."""
    found = []
    for _ in range(count):
        prepare()
        gc.collect()
        start = time.ticks_us()
        function()
        found.append(time.ticks_diff(time.ticks_us(), start))
    return sorted(found)


def median_ms(found):
    return found[len(found) // 2] / 1000


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


provision(1)
provision(8)
port = mip6.ports.rp2.Port()
one = Registered(1, port)
agent_ram = before - free()
bindings = one.node.bindings
now = clock.now()
number = 2


def build():
    """Draw the update that is due: a number taken, the message finished and authenticated."""
    assert bindings.next_packet(now) is not None


def pass_time():
    global now
    now += 60000


def move():
    """To an address never seen: the state machine's part of a move, no key is computed yet."""
    global number
    pass_time()
    number += 1
    bindings.attach(care_of(number), now)


def move_and_build():
    move()
    build()


for _ in range(8):  # so that none of the numbers taken below waits for flash
    pass_time()
    build()
    bindings.keystore.top_up()
ready_us = times(build, prepare=pass_time)
bindings.keystore.top_up()
new_us = times(build, prepare=move)
bindings.keystore.top_up()
whole_us = times(move_and_build)
bindings.keystore.top_up()
pass_time()
gc.collect()
gc.disable()
start = gc.mem_alloc()
build()
allocated = gc.mem_alloc() - start
gc.enable()
one = bindings = None
eight = Registered(8, port)
eight_ram = before - free()
print(
    json.dumps(
        {
            "bu_ready_ms": median_ms(ready_us),
            "bu_new_address_ms": median_ms(new_us),
            "move_and_bu_ms": median_ms(whole_us),
            "allocated_per_bu_octets": allocated,
            "free_before_octets": before,
            "imported_ram_octets": imported,
            "agent_ram_octets": agent_ram,
            "agent_ram_8_correspondents_octets": eight_ram,
        }
    )
)
