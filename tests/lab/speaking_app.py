"""A board's /app.py for handovers: numbered datagrams to its correspondent, often.

Each try has a number of its own, so what doesn't arrive was lost, wherever that was; what can't
leave yet waits, as far as there is room. Of the numbers that come from there the node's status
tells, under "app", which ones are missing.
"""

import asyncio
import errno

from mip6 import datagrams

_PORT = 7001
_EVERY_S = 0.01
_CORRESPONDENT = "2001:db8:c::2"


class App:
    def __init__(self, node):
        self._socket = datagrams.bind(node, _PORT, receiving=64)
        self._attempts = 0
        self._heard = -1
        self._missing = []  # [first, behind the last]

    async def send(self):
        while True:
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
            number = int(data)
            if number > self._heard + 1:
                self._missing.append([self._heard + 1, number])
            self._heard = max(number, self._heard)

    def status(self):
        return {"attempts": self._attempts, "heard": self._heard, "missing": self._missing}


async def main(node):
    app = App(node)
    status_of_node = node.status

    def status():
        answer = status_of_node()
        answer["app"] = app.status()
        return answer

    node.status = status
    await asyncio.gather(app.send(), app.hear())
