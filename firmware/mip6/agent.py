"""The board's main program: the node and the console side by side, on what the platform has.

A board that lacks something (keys, a port for its platform) still answers its console, and the
status says what is missing. With node.py and main.py this is the only importer of `ports`.
"""

import asyncio
import gc
import sys

from . import console
from .application import Application
from .credentials import Keystore
from .errors import StorageError
from .ports import board
from .ports.files import FileStore

ROOT = "/roamkey"


class NoNode:
    """Stands in for the node where it can't run; `text` says why, in one line."""

    def __init__(self, text):
        self.text = text

    def status(self):
        """As Node.status(): the state and a line for a person."""
        return {"state": "absent", "text": self.text}

    def reload(self):
        """New keys change nothing here."""

    async def run(self):
        """End at once: there is nothing to run."""


class Guarded:
    """Runs a node and keeps the console alive when it fails; `status()` then names the fault."""

    def __init__(self, node):
        self._node = node
        self._fault = None
        self._application = Application()

    def status(self):
        """The node's status, under `fault` what stopped it, and how the application fares."""
        status = dict(self._node.status())
        if self._fault:
            status["fault"] = self._fault
        status["application"] = self._application.status
        return status

    def reload(self):
        """Have the node read the keys again."""
        self._node.reload()

    async def run(self):
        """Run the node to its end; a failure is kept and shown, and never ends the console."""
        beside = asyncio.create_task(self._application.run(self._node))
        try:
            await self._node.run()
        except Exception as error:  # whatever it is, the console must stay to report it
            self._fault = "%s: %s" % (type(error).__name__, error)
        finally:
            beside.cancel()


def make_node(keystore):
    """The node of this platform, or a NoNode that says what is missing."""
    try:
        from .node import Node

        return Node(keystore, board.open_port())
    except ImportError:
        return NoNode("no port for the platform %s yet" % sys.platform)
    except Exception as error:  # whatever it is, the console must stay to report it
        return NoNode("the node can't start: %s: %s" % (type(error).__name__, error))


async def run(keystore, node, identity):
    """Serve the console beside the node; True if a reboot was asked for, False for the REPL."""
    running = asyncio.create_task(node.run())
    try:
        answering = console.Console(keystore, node, identity)
        reboot = await console.serve(answering, sys.stdin.buffer, sys.stdout.buffer)
        if reboot is None:
            await running  # no terminal: the node works on alone
        return reboot
    finally:
        running.cancel()
        try:
            await running  # it may have a de-registration to send
        except asyncio.CancelledError:
            pass


def main():
    """Run until 0x03 (return: the REPL follows) or until a reboot is asked for."""
    store = FileStore(ROOT)
    keystore = Keystore(store)
    keystore.load()
    node = Guarded(make_node(keystore))
    gc.collect()
    board.interrupts(False)  # 0x03 is an octet like others: nothing is torn in mid-write
    reboot = False
    try:
        reboot = asyncio.run(run(keystore, node, board.identity(store)))
    finally:
        asyncio.new_event_loop()
        try:
            keystore.release()  # the numbers reserved and not used aren't lost
        except StorageError as error:
            print("counter not released:", error)
        board.interrupts(True)
    if reboot:
        board.reboot()
