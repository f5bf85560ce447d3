"""A board's /app.py for test_home_agent_story: it speaks to everybody, and answers anybody.

It sends numbers, four a second, to port 7000 of its correspondents, with a key and without, and
of a host that knows nothing of mobility; what comes to its own port 7000 it sends back.
"""

import asyncio

from mip6 import datagrams

_PORT = 7000
_EVERY_S = 0.25
_EVERYBODY = ("2001:db8:c::2", "2001:db8:d::2", "2001:db8:e::2")


class App:
    def __init__(self, node):
        self._socket = datagrams.bind(node, _PORT, waiting=8)

    def say(self, data, to):
        """It may wait for a binding; where there is no room, it is lost."""
        try:
            self._socket.sendto(data, to)
        except OSError:
            return

    async def echo(self):
        while True:
            data, source = await self._socket.recv()
            self.say(data, source)

    async def speak(self):
        number = 0
        while True:
            said = b"number %d, and that is all there is to say" % number
            for one in _EVERYBODY:
                self.say(said, (one, _PORT))
            number += 1
            await asyncio.sleep(_EVERY_S)


async def main(node):
    app = App(node)
    await asyncio.gather(app.echo(), app.speak())
