"""The chip's watchdog, over a fake of `machine`: where it runs, who feeds it, how it stops."""

import asyncio
import sys

from stores import MemoryStore

from mip6.maintenance import watchdog
from mip6.maintenance.absent import NoNode

if "micropython" not in sys.modules and sys.implementation.name != "micropython":
    sys.modules["micropython"] = type(sys)("micropython")

PICO_W = ("rp2", "Raspberry Pi Pico W with RP2040", 0x40058000)
PICO_2_W = ("rp2", "Raspberry Pi Pico 2 W with RP2350", 0x400D8000)
NEXT_PICO = ("rp2", "Raspberry Pi Pico 3 W with RP2450", None)
ESP32 = ("esp32", "Generic ESP32 module with ESP32", None)
TIMER, FORCE = 1, 2
OURS, OTHER = 3, 5  # causes of a reset


class Words(dict):
    """machine.mem32 with the registers of one base; what is written elsewhere is an error."""

    def __init__(self, base, reason):
        super().__init__()
        self.base = base
        self.reason = reason
        self.enabled = False

    def __getitem__(self, address):
        assert address == self.base + 8, hex(address)
        return self.reason

    def __setitem__(self, address, value):
        assert (address, value) == (self.base + 0x3000, 1 << 30), (hex(address), hex(value))
        self.enabled = False


class Machine:
    """As much of the module as concerns the watchdog; `timeouts`: of those started."""

    WDT_RESET = OURS

    def __init__(self, base, bitten):
        self.timeouts = []
        self.fed = 0
        self.mem32 = Words(base, TIMER if bitten else FORCE)
        self._bitten = bitten

    def reset_cause(self):
        return OURS if self._bitten else OTHER

    def WDT(self, timeout):
        assert 0 < timeout <= 8388 or self.mem32.base is None
        self.mem32.enabled = True
        self.timeouts.append(timeout)
        return self

    def feed(self):
        self.fed += 1


class Unix:
    """The unix port's machine."""


class Platform:
    """`sys` as the module sees it."""

    def __init__(self, platform, machine):
        self.platform = platform
        self.implementation = self
        self._machine = machine


class on:
    """Meanwhile the module finds itself on that board."""

    def __init__(self, board, bitten=False, machine=None):
        self._sys = Platform(*board[:2])
        self._machine = machine or Machine(board[2], bitten)

    def __enter__(self):
        self._before = sys.modules.get("machine")
        sys.modules["machine"] = self._machine
        watchdog.sys = self._sys
        return self._machine

    def __exit__(self, *_):
        watchdog.sys = sys
        del sys.modules["machine"]
        if self._before is not None:
            sys.modules["machine"] = self._before


def test_where_it_can_be_stopped_it_runs_on_open_boards_too():
    for board in (PICO_W, PICO_2_W):
        for sealed in (False, True):
            with on(board) as machine:
                watchdog.watch(sealed)()
                assert (machine.timeouts, machine.fed) == ([8388], 1)
                assert machine.mem32.enabled
                watchdog.stop(False)  # the main program's end, which knows of no start
                assert not machine.mem32.enabled


def test_an_open_board_has_none_after_a_reset_of_its_own():
    for board in (PICO_W, PICO_2_W):
        with on(board, bitten=True) as machine:
            assert watchdog.bitten()
            assert watchdog.watch(False) is None
            assert machine.timeouts == []
            assert watchdog.watch(True) is not None
        with on(board):  # machine.reset() on those chips is the watchdog's work, too
            assert not watchdog.bitten()


def test_where_it_cant_be_stopped_only_a_sealed_board_has_one():
    for board in (ESP32, NEXT_PICO):
        with on(board) as machine:
            assert watchdog.watch(False) is None
            watchdog.stop(False)
            assert machine.timeouts == []
            assert watchdog.watch(True) is not None
            watchdog.stop(True)
            assert machine.timeouts == [8388, 86400000]
            assert machine.fed == 1
    with on(ESP32, bitten=True):
        assert watchdog.bitten()
    with on(ESP32):
        assert not watchdog.bitten()


def test_where_there_is_none_nothing_happens():
    with on(("linux", "linux", None), machine=Unix()):
        assert not watchdog.bitten()
        assert watchdog.watch(True) is None
        watchdog.stop(False)


class Port:
    """A port that has nothing to do."""

    def __init__(self):
        self.faults = {}

    def start(self, sink):
        pass

    def stop(self):
        pass


def made(store, node=None):
    """(an agent on a board, its node)."""
    from mip6 import agent
    from mip6.keystore.keystore import Keystore
    from mip6.node import Node

    keys = Keystore(store)
    keys.load()
    node = node or Node(keys, Port())
    return agent.Agent(node, None, store, lambda on: None), node


async def beside(work, *others):
    """Do the work while the others run."""
    running = [asyncio.create_task(one) for one in others]
    try:
        await work
    finally:
        for task in running:
            task.cancel()
        await asyncio.sleep(0)


async def fed_in(machine, seconds):
    """How often it was fed in so many seconds."""
    before = machine.fed
    await asyncio.sleep(seconds)
    return machine.fed - before


def test_it_is_fed_while_the_loop_and_the_node_go_on():
    with on(PICO_W) as machine:
        found, node = made(MemoryStore())
        found.seal_changed()
        assert machine.timeouts == [8388]

        async def main():
            assert await fed_in(machine, 2.2) >= 2

        asyncio.run(beside(main(), node.run(), found._guard()))


def test_a_node_that_hangs_is_not_covered_up_and_one_that_waits_is():

    with on(PICO_W) as machine:
        found, node = made(MemoryStore())
        found.seal_changed()

        async def main():
            assert await fed_in(machine, 1.2) == 0
            node.part.failed = True
            assert await fed_in(machine, 2.2) >= 1

        asyncio.run(beside(main(), found._guard()))

        found, _ = made(MemoryStore(), NoNode("no port"))
        found.seal_changed()

        async def without():
            assert await fed_in(machine, 2.2) >= 1

        asyncio.run(beside(without(), found._guard()))


def test_one_that_starts_late_is_fed_by_a_node_that_had_nothing_to_do():
    store = MemoryStore()
    with on(ESP32) as machine:
        found, node = made(store)
        found.seal_changed()

        async def main():
            await asyncio.sleep(0.1)
            assert machine.timeouts == []  # nothing is due for a minute
            store.records["seal"] = b"closed"
            found.seal_changed()
            assert machine.timeouts == [8388]
            assert await fed_in(machine, 2.2) >= 2

        asyncio.run(beside(main(), node.run(), found._guard()))


def test_a_seal_that_is_closed_and_opened_starts_and_stops_it():
    store = MemoryStore()
    with on(ESP32) as machine:
        found, node = made(store)
        found.seal_changed()
        assert node.watchdog is None and machine.timeouts == []
        store.records["seal"] = b"closed"
        found.seal_changed()
        assert machine.timeouts == [8388]
        before = machine.fed
        node.watchdog()
        assert machine.fed == before + 1
        del store.records["seal"]
        found.seal_changed()
        assert node.watchdog is None and machine.timeouts == [8388, 86400000]


def test_a_watchdog_that_fails_costs_a_line():
    class Broken(Machine):
        def WDT(self, timeout):
            raise OSError(5)

    with on(PICO_W, machine=Broken(PICO_W[2], False)):
        found, node = made(MemoryStore())
        found.seal_changed()
        assert (found.feed, node.watchdog, node.part.faults) == (None, None, 1)


def test_after_a_bite_a_program_has_to_prove_itself_for_ten_minutes():
    for board in (PICO_W, ESP32):
        for bitten, seconds in ((False, 5), (True, 600)):
            with on(board, bitten=bitten):
                found, _ = made(MemoryStore())
                found.seal_changed()
                assert found.application.rounds == seconds
