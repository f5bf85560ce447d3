"""A board's /app.py for test_roaming: it counts what it does.

It sends numbered datagrams to port 7000 of its correspondent and hears numbered ones there, until
it hears "stop". The node's status then tells both under "app".
"""

import asyncio
import errno

from mip6 import datagrams

_PORT = 7000
_EVERY_S = 0.02
_WAITING = 4
_CORRESPONDENT = "2001:db8:c::2"


class App:
    def __init__(self, node):
        self._socket = datagrams.bind(node, _PORT, waiting=_WAITING)
        self._attempts = 0
        self._heard = bytearray(1024)  # a bit a number
        self._twice = 0
        self._stopped = False

    async def send(self):
        while not self._stopped:
            try:
                self._socket.sendto(b"%d" % self._attempts, (_CORRESPONDENT, _PORT))
            except OSError as error:
                if error.args[0] != errno.EAGAIN:
                    raise
            self._attempts += 1
            await asyncio.sleep(_EVERY_S)

    async def hear(self):
        while True:
            data, _ = await self._socket.recv()
            if data == b"stop":
                self._stopped = True
                continue
            number = int(data)
            bit = 1 << (number & 7)
            self._twice += bool(self._heard[number >> 3] & bit)
            self._heard[number >> 3] |= bit

    def status(self):
        return {
            "attempts": self._attempts,
            "counts": dict(self._socket.counts),
            "stopped": self._stopped,
            "heard": self._heard.hex(),
            "twice": self._twice,
        }


async def main(node):
    app = App(node)
    status_of_node = node.status

    def status():
        answer = status_of_node()
        answer["app"] = app.status()
        return answer

    node.status = status
    await asyncio.gather(app.send(), app.hear())
