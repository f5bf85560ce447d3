"""The node on a scripted port: asyncio, timers, priorities, the end; under both interpreters."""

import asyncio

from homeagents import ROUTED
from homeagents import keystore as with_home_agent
from peer import (
    CN,
    COA1,
    COA2,
    COA3,
    HOME,
    Correspondent,
    MemoryStore,
    keystore,
)

from mip6.keystore.keystore import Keystore
from mip6.node import Node


class Port:
    """Takes what the node sends; answers each update after `delay` seconds if told to."""

    def __init__(self, answering=True, delay=0.0):
        self.faults = {}
        self.answering = answering
        self.delay = delay
        self.sent = []
        self.sink = None
        self.broken = False
        self.stopped = False
        self.task = None  # the last answer under way
        self.cn = Correspondent(generations=2)

    def start(self, sink):
        self.sink = sink

    def stop(self):
        self.stopped = True

    def send(self, source, destination, next_header, payload):
        if self.broken:
            return False
        update = self.cn.read((source, destination, next_header, bytes(payload)))
        self.sent.append(update)
        if self.answering:
            self.task = asyncio.create_task(self._answer(update))
        return True

    async def _answer(self, update):
        await asyncio.sleep(self.delay)
        packet = self.cn.answer(update)
        self.sink.received(packet[0], packet[1], packet[2], packet[3])


async def finish(running):
    """Cancel the node and wait for its end."""
    running.cancel()
    try:
        await running
    except asyncio.CancelledError:
        return
    raise AssertionError("not cancelled")


def play(scene, port=None, **how):
    """Run `scene(node, port)` beside a node."""
    port = port or Port()

    async def main():
        node = Node(how.pop("keystore", None) or keystore(), port, **how)
        running = asyncio.create_task(node.run())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await scene(node, port)
        if not running.done():
            await finish(running)
        assert port.stopped
        return node

    return asyncio.run(main())


def states_of(node):
    """The states of all bindings, by name."""
    return [binding["state"] for binding in node.status()["bindings"]]


def test_updates_leave_before_the_ports_call_returns():
    async def scene(node, port):
        node.address_usable("eth0", 0, COA1)
        assert [update.care_of for update in port.sent] == [COA1]
        await asyncio.sleep(0.01)
        assert states_of(node) == ["bound"]
        node.address_usable("wlan0", 1, COA2)
        assert len(port.sent) == 1  # no better: prepared, not used
        node.address_gone("eth0", COA1)
        assert port.sent[-1].care_of == COA2
        await asyncio.sleep(0.01)
        assert states_of(node) == ["bound"]
        node.address_usable("eth0", 0, COA3)
        assert port.sent[-1].care_of == COA3

    play(scene)


def test_a_home_agent_is_no_correspondent():
    node = Node(with_home_agent(CN, ROUTED), Port())
    assert node.correspondents == [CN, ROUTED]


def test_retransmits_by_its_timer():
    async def scene(node, port):
        node.address_usable("eth0", 0, COA1)
        await asyncio.sleep(1.7)
        assert [update.sequence for update in port.sent] == [0, 1]

    play(scene, Port(answering=False))


def test_says_goodbye():
    async def scene(node, port):
        node.address_usable("eth0", 0, COA1)
        await asyncio.sleep(0.01)

    port = Port()
    node = play(scene, port)
    assert port.sent[-1].lifetime == 0
    assert states_of(node) == ["closed"]


def test_a_farewell_is_one_update_and_waits_for_nobody():
    async def scene(node, port):
        node.address_usable("eth0", 0, COA1)
        await asyncio.sleep(0.01)
        before = len(port.sent)
        node.farewell()
        assert [update.lifetime for update in port.sent[before:]] == [0]
        node.farewell()
        assert len(port.sent) == before + 1
        node.keystore.erase()
        node.reload()
        node.farewell()
        assert node.bindings is None and len(port.sent) == before + 1

    play(scene, Port(answering=True))


def test_a_goodbye_that_nobody_hears_ends():
    async def scene(node, port):
        node.address_usable("eth0", 0, COA1)

    port = Port(answering=False)
    node = play(scene, port)
    assert port.sent[-1].lifetime == 0
    assert states_of(node) == ["closing"]


def test_returns_home():
    async def scene(node, port):
        node.address_usable("eth0", 0, COA1)
        await asyncio.sleep(0.01)
        node.address_usable("eth0", 0, HOME)
        await asyncio.sleep(0.01)
        assert states_of(node) == ["home"]
        assert node.status()["state"] == "home"
        node.address_usable("eth0", 0, COA2)  # beside the home address: still at home
        assert states_of(node) == ["home"]
        node.address_gone("eth0", HOME)
        await asyncio.sleep(0.01)
        assert states_of(node) == ["bound"]

    play(scene)


def test_without_keys_it_waits_for_some():
    async def scene(node, port):
        node.address_usable("eth0", 0, COA1)
        assert port.sent == []
        status = node.status()
        assert (status["state"], status["text"]) == ("keyless", "no keys: provision the board")
        store.provision(keystore().credentials)
        node.reload()
        assert len(port.sent) == 1
        await asyncio.sleep(0.01)
        assert states_of(node) == ["bound"]

    store = Keystore(MemoryStore())
    store.load()
    play(scene, keystore=store)


def test_what_the_port_does_not_take_is_counted():
    async def scene(node, port):
        port.broken = True
        node.address_usable("eth0", 0, COA1)
        assert node.status()["unsent"] == 1
        port.broken = False

    play(scene)


def test_a_port_that_fails_each_time_costs_fewer_and_fewer_numbers():
    async def scene(node, port):
        clock, failed = [node.now()], []

        def fail(*packet):
            failed.append(clock[0])
            raise ValueError

        def ring():
            clock[0] = node._timer_at
            node._timer.cancel()
            node._timer = None
            node.attend()

        node.now = lambda: clock[0]
        send, port.send = port.send, fail
        node.address_usable("eth0", 0, COA1)
        until = clock[0] + 600000
        while clock[0] < until:
            ring()
        assert 10 < len(failed) < 30  # of 600 seconds
        port.send = send
        while not port.sent:
            ring()
        assert clock[0] - until < 130000
        assert states_of(node) == ["registering"]

    play(scene)


def test_flash_is_written_ahead_while_idle():
    """In a session of some length a move after a pause never waits for flash."""

    async def scene(node, port):
        def move():
            now[0] += 1000
            there = now[0] % 2000 != 0
            node.address_usable("eth0", 0, COA2 if there else COA1)
            node.address_gone("eth0", COA1 if there else COA2)

        for _ in range(12):
            move()
            await asyncio.sleep(0.001)
        for _ in range(5):
            await idle(node)
            written = len(store.writes)
            move()
            assert len(store.writes) == written
            await asyncio.sleep(0.001)
        sources = [update.care_of for update in port.sent]  # a timer that rang late repeats one
        moves = [at for at, one in enumerate(sources) if not at or one != sources[at - 1]]
        assert len(moves) == 17

    now = [0]
    store = CountingStore()
    play(scene, keystore=keystore(store=store), now=lambda: now[0])


async def idle(node):
    """Until the node's idle work is done: its timer sleeps by the platform's clock, which goes on
    beside the scene's own, so that nobody can say when it rings."""
    for _ in range(400):
        await asyncio.sleep(0.025)
        if not node._top_up_due:
            return
    raise AssertionError("no turn for idle work in ten seconds")


class CountingStore(MemoryStore):
    """A store that notes the names of what is written."""

    def __init__(self):
        super().__init__()
        self.writes = []

    def write(self, name, data):
        self.writes.append(name)
        super().write(name, data)


def test_the_watchdog_is_fed_while_all_is_well():
    async def scene(node, port):
        await asyncio.sleep(1.2)
        assert len(fed) >= 2
        assert node.bindings is not None

    fed = []
    play(scene, watchdog=lambda: fed.append(1))


def test_a_failure_ends_it_with_its_cause():
    async def scene(node, port):
        node.failed(ValueError("what nobody foresaw"))
        await asyncio.sleep(0.01)

    port = Port()
    try:
        play_failing(scene, port)
    except ValueError as error:
        assert str(error) == "what nobody foresaw"
    else:
        raise AssertionError("the failure was swallowed")
    assert port.stopped


def play_failing(scene, port):
    """As `play`, for a node that ends by itself."""

    async def main():
        node = Node(keystore(), port)
        running = asyncio.create_task(node.run())
        await asyncio.sleep(0)
        await scene(node, port)
        await running

    asyncio.run(main())


def test_a_thousand_flaps():
    """Ten a second for 100 s of the node's clock: few updates, nothing grows, bound at the end."""

    async def scene(node, port):
        node.address_usable("wlan0", 1, COA2)
        for _ in range(1000):
            now[0] += 50
            node.address_usable("eth0", 0, COA1)
            await asyncio.sleep(0)
            now[0] += 50
            node.address_gone("eth0", COA1)
            await asyncio.sleep(0)
        assert len(port.sent) < 100
        assert node.status()["care_of_address"] == "2001:db8:2::100"
        now[0] += 40000
        node.address_usable("eth0", 0, COA1)
        await asyncio.sleep(0.01)
        assert node.status()["care_of_address"] == "2001:db8:2::100"  # let it prove itself
        now[0] += 40000
        node.address_gone("eth0", COA3)  # anything that has the node look
        await asyncio.sleep(0.01)
        assert node.status()["care_of_address"] == "2001:db8:1::100"
        assert states_of(node) == ["bound"]

    now = [0]
    play(scene, now=lambda: now[0])


def test_a_status_holds_no_secret_and_is_json():
    import json

    async def scene(node, port):
        node.address_usable("eth0", 0, COA1)
        await asyncio.sleep(0.01)
        text = json.dumps(node.status())
        assert "bound" in text
        for secret in (bytes([CN[15], 0]) * 10, b"homenonc"):
            assert secret.hex() not in text

    play(scene)
