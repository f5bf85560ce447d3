"""The user's program: it runs if it is there, and its faults are told and harm nothing."""

import asyncio
import sys

from mip6 import application


class Node:
    """As much of a node as a program's end has to do with."""

    def __init__(self):
        self.sockets = {4449: "the log's"}


class Socket:
    """A socket that its program left open."""

    def __init__(self, node):
        self.node = node
        node.sockets[5005] = self

    def close(self):
        del self.node.sockets[5005]


class Program:
    """Stands in for the module /app.py; `faults`: what its starts raise, one after the other."""

    def __init__(self, *faults, beside=None):
        self.faults = list(faults)
        self.beside = beside
        self.node = None
        self.starts = 0
        self.task = None

    async def main(self, node):
        self.node = node
        self.starts += 1
        Socket(node)
        if self.beside:
            self.task = asyncio.create_task(self.own())
            await asyncio.sleep(10)
        if self.faults:
            raise self.faults.pop(0)
        await asyncio.sleep(0.01)

    async def own(self):
        raise self.beside


def run(program, wait=0.05):
    """(status while it runs, status afterwards, the application)."""
    node = Node()
    found = application.Application()

    async def main():
        running = asyncio.create_task(found.run(node))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        early = found.status
        await asyncio.sleep(wait)
        running.cancel()
        try:
            await running
        except asyncio.CancelledError:
            pass
        return early, found.status, found

    exists = application._exists
    application._exists = lambda name: program is not None
    sys.modules["app"] = program
    loop = asyncio.new_event_loop()
    task = loop.create_task(main())
    try:
        while True:
            try:
                return loop.run_until_complete(task)
            except BaseException as error:
                if program is None or error is not program.beside:
                    raise
                found.escaped(error)  # as the agent does
    finally:
        if hasattr(loop, "close"):
            loop.close()
        application._exists = exists
        del sys.modules["app"]
        assert list(node.sockets) == [4449]  # its own are closed


def test_runs_to_its_end():
    program = Program()
    assert run(program)[:2] == ("running", "ended")
    assert isinstance(program.node, Node)


def test_is_cancelled_with_the_agent():
    assert run(Program(), wait=0)[:2] == ("running", "ended")


def test_its_fault_is_told_and_it_is_started_again():
    program = Program(ValueError("of the user"))
    early, late, found = run(program)
    assert (early, late) == ("ValueError: of the user", "ValueError: of the user")
    assert (program.starts, found.part.failed) == (1, True)
    program = Program(ValueError("of the user"))
    early, late, found = run(program, wait=1.5)
    assert (late, program.starts) == ("ended", 2)
    assert (found.part.faults, found.part.fault) == (1, "ValueError: of the user")
    assert "of the user" in found.part.traceback


def test_an_end_that_it_asks_for_is_its_own():
    for ending in (SystemExit(), SystemExit(1), KeyboardInterrupt()):
        program = Program(ending)
        assert run(program, wait=1.2)[:2] == ("ended", "ended")
        assert program.starts == 1


def test_so_is_one_that_a_task_of_its_own_asks_for():
    program = Program(beside=SystemExit())
    assert run(program, wait=0.05)[1] == "ended"
    program = Program(beside=KeyboardInterrupt())
    assert run(program, wait=0.05)[1] == "KeyboardInterrupt in a task of its own"


def test_none():
    assert run(None)[:2] == ("none", "none")
    assert not application._exists("/there/is/no/such.py")
