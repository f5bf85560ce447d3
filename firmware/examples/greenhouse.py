"""A greenhouse: readings that arrive all, a window that opens when it is told to, wherever it is.

    roamkey app put firmware/examples/greenhouse.py
    python3 firmware/examples/greenhouse_host.py --window open  # on the correspondent's host

Each datagram is a line of JSON. A reading, {"n": number, "t": seconds since start, "v": degrees},
is sent again until {"ack": number} comes: after a second at first and a minute at most, and at
once when a way leads there again. {"id": any, "window": true} opens the window (or closes it) and
is answered each time by {"done": id, "window": true}, so whoever lost the answer asks again.

Whatever comes from a correspondent's address is believed, and addresses can be forged by whoever
is on the way: what may do harm needs an authenticator of its own.
"""

import asyncio
import json
import random

from mip6 import addresses, clock, datagrams

PORT = 5006
EVERY_S = 10.0  # between readings
KEPT = 32  # readings that nobody has acknowledged; more, and the oldest go
AT_ONCE = 4
FIRST_S, LAST_S = 1.0, 60.0  # before a reading is sent again
LOOK_S = 0.2  # between looks at where the board is


def thermometer():
    """A function that reads degrees Celsius: the chip's sensor, or seconds where there is none."""
    try:
        from machine import ADC

        channel = ADC(4)  # RP2040 datasheet section 4.9.5
        return lambda: round(27 - (channel.read_u16() * 3.3 / 65535 - 0.706) / 0.001721, 1)
    except (ImportError, ValueError):
        return lambda: clock.now() // 1000


def motor():
    """A function that opens the window (true) or closes it: a pin, or print() without any."""
    try:
        from machine import Pin

        return Pin(15, Pin.OUT).value
    except (ImportError, ValueError, TypeError):
        return lambda wide: print("window", "open" if wide else "closed")


class Greenhouse:
    """`waiting`: readings that nobody has acknowledged, the oldest first."""

    def __init__(self, node, read, move):
        self.node = node
        self.read = read
        self.move = move
        self.socket = datagrams.bind(node, PORT)
        self.waiting = []
        self.hurry = asyncio.Event()

    async def measure(self):
        """Take a reading now and then; no more are kept than there is room for."""
        number = 0
        while True:
            reading = {"n": number, "t": clock.now() // 1000, "v": self.read()}
            if len(self.waiting) == KEPT:
                self.waiting.pop(0)
            self.waiting.append(reading)
            number += 1
            if len(self.waiting) == 1:
                self.hurry.set()
            await asyncio.sleep(EVERY_S)

    async def deliver(self):
        """Send the oldest readings, ever more seldom where none is acknowledged."""
        pause = FIRST_S
        while True:
            oldest = self.waiting[0]["n"] if self.waiting else None
            for reading in self.waiting[:AT_ONCE]:
                self.say(reading)
            self.hurry.clear()
            try:  # by chance more or less: many boards lost the same network
                await asyncio.wait_for(self.hurry.wait(), pause * (0.5 + random.random()))
                pause = FIRST_S
            except asyncio.TimeoutError:
                same = self.waiting and self.waiting[0]["n"] == oldest
                pause = min(2 * pause, LAST_S) if same else FIRST_S

    async def watch(self):
        """Look where the board is: where a way leads to a correspondent again, nothing waits."""
        before = None
        while True:
            reached = [one for one in self.node.correspondents if self.node.reaches(one)]
            now = (self.node.care_of_address, len(reached))
            if now != before:
                place = "nowhere" if now[0] is None else addresses.text(now[0])
                print("at", place, "reaching", len(reached))
                if reached:
                    self.hurry.set()
            before = now
            await asyncio.sleep(LOOK_S)

    async def listen(self):
        """Do as correspondents say."""
        while True:
            data, source = await self.socket.recv()
            if addresses.parse(source[0]) not in self.node.correspondents:
                continue
            try:
                told = json.loads(data)
            except ValueError:
                continue
            if not isinstance(told, dict):
                continue
            if "ack" in told:
                self.waiting = [one for one in self.waiting if one["n"] != told["ack"]]
                self.hurry.set()
            if told.get("window") in (True, False):
                self.move(told["window"])
                self.say({"done": told.get("id"), "window": told["window"]})

    def say(self, what):
        """Send to all; what can't leave now is said again, or asked for again."""
        for correspondent in self.node.correspondents:
            try:
                self.socket.sendto(json.dumps(what).encode(), (correspondent, PORT))
            except OSError:
                pass


async def main(node):
    """Run until one of the four ends, which is an error: the agent begins anew after a pause."""
    house = Greenhouse(node, thermometer(), motor())
    works = (house.measure(), house.deliver(), house.watch(), house.listen())
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        house.socket.close()
