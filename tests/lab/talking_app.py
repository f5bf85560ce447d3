"""A board's /app.py for test_any_network: it speaks, and says again what it hears.

It sends numbers to port 7000 of its correspondent, four a second, until it hears "quiet"; what
comes to its own port 7000 it sends back.
"""

import asyncio

from mip6 import datagrams

_PORT = 7000
_EVERY_S = 0.25
_CORRESPONDENT = "2001:db8:c::2"


class App:
    def __init__(self, node):
        self._socket = datagrams.bind(node, _PORT, waiting=4)
        self._quiet = False

    def say(self, data, to):
        """Whether there was room: it may wait for a binding."""
        try:
            self._socket.sendto(data, to)
        except OSError:
            return False
        return True

    async def echo(self):
        while True:
            data, source = await self._socket.recv()
            self._quiet = self._quiet or data == b"quiet"
            self.say(data, source)

    async def speak(self):
        number = 0
        while not self._quiet:
            said = b"number %d, and that is all there is to say" % number
            self.say(said, (_CORRESPONDENT, _PORT))
            number += 1
            await asyncio.sleep(_EVERY_S)


async def main(node):
    app = App(node)
    await asyncio.gather(app.echo(), app.speak())
