"""Two daemons with data planes behind one address, over one PostgreSQL: one follows the other.

A node's Binding Updates all go to the first daemon; a program beside the second sends it a
datagram each five milliseconds. Measured is the time from the first daemon's acknowledgement of a
move to the first datagram that the second sends to the new care-of address.

`make fuzz` runs 100 moves. Prints a line; exits with 1 where one took a second or more.
"""

import argparse
import statistics
import sys
import time
from contextlib import ExitStack
from ipaddress import IPv6Address

from daemons import CARE_OF, Site
from fleet import enroll
from results import update

from mip6 import packets
from roamkey.lab import postgresql, sandbox
from roamkey.registry import Registry

_EVERY_S = 0.005
_LOST_S = 10.0
_GOAL_MS = 1000


def moves(first: Site, second: Site, registry: str, count: int) -> list[float]:
    """Seconds for each move."""
    with Registry.open(registry) as opened:
        (node,) = enroll(opened, 1)
    for site in (first, second):
        site.start(registry, data_plane=True)
    program = second.program()
    home = str(IPv6Address(node.home_address))
    took = []
    for sequence in range(count + 1):
        care_of = CARE_OF[sequence & 1]
        first.send(node.update(sequence, care_of))
        end = time.monotonic() + _LOST_S
        while not any(node.read(*answer) == (0, sequence) for answer in first.received(0.01)):
            if time.monotonic() > end:
                sys.exit("a move was never acknowledged")
        moved = time.monotonic()
        while not _arrives(second, care_of):
            program.sendto(b"data", (home, 7))
            if time.monotonic() > moved + _LOST_S:
                sys.exit("data never followed")
        took.append(time.monotonic() - moved)
    return took[1:]  # the first one made the binding


def _arrives(site: Site, care_of: bytes) -> bool:
    return any(
        to == care_of and payload[0] == packets.UDP for payload, to in site.received(_EVERY_S)
    )


def main() -> int:
    """Run it."""
    arguments = argparse.ArgumentParser(description="one daemon follows another's bindings")
    arguments.add_argument("--moves", type=int, default=100)
    arguments.add_argument("--no-save", action="store_true", help="leave bench/out alone")
    given = arguments.parse_args()
    with ExitStack() as stack:
        # Outside of the sandbox, where there is an ordinary user to run it.
        url = stack.enter_context(postgresql.Server()).url()
        sandbox.ensure()
        sites = [stack.enter_context(Site()) for _ in range(2)]
        took = [1000 * one for one in moves(*sites, url, given.moves)]
    found = {
        "moves": len(took),
        "median_ms": round(statistics.median(took), 1),
        "most_ms": round(max(took), 1),
        "within_a_second": sum(one < _GOAL_MS for one in took),
    }
    print("one follows another", *(f"{value} {name}" for name, value in found.items()), sep=", ")
    if not given.no_save:
        update("following.json", **found)
    return int(found["within_a_second"] != len(took))


if __name__ == "__main__":
    sys.exit(main())
