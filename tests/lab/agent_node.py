"""A node on its own, under MicroPython or CPython: `agent_node.py JSON`.

JSON: {"uplinks": [name, …] or null, "home": address, "sensor": whether to run that example}.
Keys as in tests/core/peer.py, in memory.
Standard output: a line of JSON for each event of the Binding Update List, {"event": [kind,
subject, detail], "at": ms}; at the end, and on "status" in standard input, {"status": …}.
"stop" in standard input is a planned end.
"""

import asyncio
import json
import select
import sys

import peer

from mip6 import addresses, clock
from mip6.node import Node
from mip6.ports.posix import Port


def tell(**what):
    """A line on standard output, at once."""
    sys.stdout.write(json.dumps(what) + "\n")
    if hasattr(sys.stdout, "flush"):
        sys.stdout.flush()


def report(kind, subject, detail):
    """Print an event of the bindings."""
    subject = None if subject is None else addresses.text(subject)
    tell(event=[kind, subject, detail], at=clock.now())


async def obey(node):
    """Do what standard input says; return at "stop" or its end."""
    waiting = select.poll()
    waiting.register(sys.stdin, select.POLLIN)
    while True:
        if not waiting.poll(0):
            await asyncio.sleep(0.02)
            continue
        line = sys.stdin.readline().strip()
        if line == "status":
            tell(status=node.status())
        else:
            return


async def main(configuration):
    """Run a node until it is told to stop."""
    home = addresses.parse(configuration["home"])
    port = Port(configuration["uplinks"])
    node = Node(peer.keystore((peer.CN,), home=home), port)
    node.emit = report
    node.reload()
    running = asyncio.create_task(node.run())
    if configuration.get("sensor"):
        import sensor

        sensor.SETTINGS["every"] = 0.2
        measuring = asyncio.create_task(sensor.main(node))
        await obey(node)
        measuring.cancel()
    else:
        await obey(node)
    running.cancel()
    try:  # noqa: SIM105 (MicroPython has no contextlib)
        await running
    except asyncio.CancelledError:
        pass
    tell(status=node.status())


asyncio.run(main(json.loads(sys.argv[1])))
