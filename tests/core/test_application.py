"""The user's program: it runs if it is there, and its faults are told and harm nothing."""

import asyncio
import builtins
import sys

from stores import MemoryStore

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


def run(program, wait=0.05, then=None, **how):
    """(status while it runs, status afterwards, the application); `then(application)` is called
    in between."""
    node = Node()
    found = application.Application(**how)

    async def main():
        found.begin(node)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        early = found.status
        await asyncio.sleep(wait)
        if then:
            then(found)
            await asyncio.sleep(wait)
        found.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
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
                found.note(error)
    finally:
        if program and program.task and hasattr(program.task, "exception"):
            program.task.exception()  # it was looked at: CPython would log it, one day
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


def test_a_start_that_leaves_nobody_a_turn_is_on_record():
    """As it looks in flash at that moment; two of them, and it waits for an hour or a person."""
    seen = []

    class Blocking(Program):
        async def main(self, node):
            seen.append(dict(store.records))
            await Program.main(self, node)

    store = MemoryStore()
    for before, during in ((None, b"1"), (b"1", b"2")):
        store.records = {"app": before} if before else {}
        assert run(Blocking(), store=store)[1] == "ended"
        assert seen.pop() == {"app": during}
        assert store.records == {}  # it was one that others came after
    store.records = {"app": b"2"}
    program = Blocking()
    assert run(program, store=store)[1].startswith("held for an hour")
    assert (program.starts, store.records) == (0, {"app": b"2"})
    assert run(program, store=store, then=lambda found: found.start())[1] == "ended"
    assert (program.starts, store.records) == (1, {})
    store.records = {}
    run(Blocking(), store=store, slept=True)  # which costs no write at each wake
    assert seen == [{"app": b"1"}, {}]


class Rounds:
    """asyncio, but that a second takes no time; `seconds` that were waited."""

    def __init__(self):
        self.seconds = 0

    def __getattr__(self, name):
        return getattr(asyncio, name)

    async def sleep(self, seconds):
        self.seconds += seconds
        await asyncio.sleep(0)


def test_a_start_is_got_over_after_some_seconds():
    """After a reset by the watchdog ten minutes: see maintenance/watchdog.py."""

    class Working(Program):
        async def main(self, node):
            found[0].rounds = seconds
            while store.records:
                await asyncio.sleep(0)

    original = application.Application
    for seconds in (5, 600):
        store = MemoryStore()
        found = []
        application.Application = lambda **how: found.append(original(**how)) or found[0]  # noqa: B023
        rounds = application.asyncio = Rounds()
        try:
            assert run(Working(), wait=1, store=store)[1] == "ended"
        finally:
            application.asyncio = asyncio
            application.Application = original
        assert rounds.seconds == seconds
    assert original().rounds == 5


def test_it_is_kept_from_starting():
    store = MemoryStore()
    told = "kept from starting: roamkey app start"
    program = Program()
    assert run(program, 0, store=store, then=lambda found: found.stop())[:2] == ("running", told)
    assert store.records == {"app": b"stop"}
    program = Program()
    assert run(program, store=store)[:2] == (told, told)
    assert program.starts == 0


def test_an_interrupt_ends_the_agent_where_it_may():
    """Only while the program itself runs; where the board is sealed it is the program's own."""
    asked = []
    interrupted = []
    how = {"interrupts": asked.append, "interrupted": interrupted.append}
    program = Program(KeyboardInterrupt())
    assert run(program, **how)[1] == "interrupted"
    assert interrupted == [False]
    assert asked == [True, False] * (len(asked) // 2)
    assert run(Program(KeyboardInterrupt()), interrupted=how["interrupted"])[1] == "ended"
    assert interrupted == [False]


def kept(found):
    return found.printed.piece(0)[1]


def test_what_it_prints_and_raises_and_its_end_are_kept():
    class Printing(Program):
        async def main(self, node):
            print("a reading")
            await Program.main(self, node)

    before = builtins.print
    found = run(Printing())[2]
    assert kept(found) == b"a reading\nthe application ended\n"
    assert builtins.print is before
    found = run(Printing(ValueError("of the user")))[2]
    assert kept(found).startswith(b"a reading\n") and b"of the user\n" in kept(found)
    found = run(Program(beside=KeyboardInterrupt()))[2]
    assert b"KeyboardInterrupt" in kept(found)
    assert kept(run(Program(beside=SystemExit()))[2]) == b"the application ended\n"


def test_one_that_is_tried_leaves_no_record():
    """Nothing is renamed at the second start: the first one's file is what runs."""
    renamed = []
    store = MemoryStore()
    store.records = {"app": b"stop"}
    tried = Program(ValueError("tried"))

    class Os:
        def rename(self, *names):
            renamed.append(names)

    system, application.os = application.os, Os()
    sys.modules["app_try"] = tried
    try:
        found = run(Program(), wait=1.5, store=store)[2]
    finally:
        application.os = system
        del sys.modules["app_try"]
    assert renamed == [("/app.try", "/app_try.py")]
    assert (tried.starts, found.status) == (2, "ended")
    assert store.records == {"app": b"stop"}


def test_none():
    assert run(None)[:2] == ("none", "none")
    assert not application._exists("/there/is/no/such.py")
