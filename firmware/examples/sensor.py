"""A sensor: reads a value and sends it to the correspondent every few seconds, wherever it roams.

On a board, copy it to /app.py: the agent runs `main(node)` beside itself. Each reading is one line
of JSON, {"n": number, "t": seconds since start, "v": value}; numbers have no gaps, so the receiver
sees what was lost. A datagram that comes back sets the interval: {"every": seconds}.

/sensor.json, where it exists, overrides the settings below, e.g. {"every": 2, "port": 7000}.
"""

import asyncio
import json

from mip6 import clock, datagrams

SETTINGS = {"every": 10, "port": 5005, "waiting": 16}
_EVERY_LEAST_S = 0.1


def settings():
    """The settings above with those of /sensor.json over them."""
    found = dict(SETTINGS)
    try:
        with open("/sensor.json") as file:
            found.update(json.load(file))
    except (OSError, ValueError):
        pass
    return found


def thermometer():
    """A function that reads degrees Celsius: the chip's sensor, or seconds where there is none."""
    try:
        from machine import ADC

        channel = ADC(4)  # RP2040 datasheet section 4.9.5
        return lambda: round(27 - (channel.read_u16() * 3.3 / 65535 - 0.706) / 0.001721, 1)
    except (ImportError, ValueError):
        return lambda: clock.now() // 1000


async def obey(socket, chosen):
    """Take the interval from datagrams that come."""
    while True:
        data, _ = await socket.recv()
        try:
            chosen["every"] = max(_EVERY_LEAST_S, float(json.loads(data)["every"]))
        except (ValueError, KeyError, TypeError):
            pass


async def main(node):
    """Send readings until cancelled."""
    chosen = settings()
    read = thermometer()
    socket = datagrams.bind(node, chosen["port"], waiting=chosen["waiting"])
    obeying = asyncio.create_task(obey(socket, chosen))
    number = 0
    try:
        while True:
            if node.correspondents:
                reading = {"n": number, "t": clock.now() // 1000, "v": read()}
                for correspondent in node.correspondents:
                    try:
                        socket.sendto(
                            json.dumps(reading).encode(), (correspondent, chosen["port"])
                        )
                    except OSError:
                        pass  # nowhere for long, and the buffer is full: the number tells
                number += 1
            await asyncio.sleep(chosen["every"])
    finally:
        obeying.cancel()
        socket.close()
