"""The user's program: it runs if it is there, and its faults are told and harm nothing."""

import asyncio
import sys

from mip6 import application


class Program:
    """Stands in for the module /app.py."""

    def __init__(self, fault=None):
        self.fault = fault
        self.node = None

    async def main(self, node):
        self.node = node
        if self.fault:
            raise self.fault
        await asyncio.sleep(0.01)


def run(program, wait=0.05):
    """(status while it runs, status afterwards)."""

    async def main():
        found = application.Application()
        running = asyncio.create_task(found.run("the node"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        early = found.status
        await asyncio.sleep(wait)
        running.cancel()
        try:
            await running
        except asyncio.CancelledError:
            pass
        return early, found.status

    exists = application._exists
    application._exists = lambda name: program is not None
    sys.modules["app"] = program
    try:
        return asyncio.run(main())
    finally:
        application._exists = exists
        del sys.modules["app"]


def test_runs_to_its_end():
    program = Program()
    assert run(program) == ("running", "ended")
    assert program.node == "the node"


def test_is_cancelled_with_the_agent():
    assert run(Program(), wait=0) == ("running", "ended")


def test_its_fault_is_told():
    assert run(Program(ValueError("of the user"))) == (
        "ValueError: of the user",
        "ValueError: of the user",
    )


def test_none():
    assert run(None) == ("none", "none")
    assert not application._exists("/there/is/no/such.py")
