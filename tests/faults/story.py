"""A board's life with one fault in it: `micropython story.py KIND FIRST COUNT STEP`.

The whole agent runs: node, Wi-Fi port, console, log, an application, on records in memory. Beyond
it stand an interface, raw sockets, a serial line and a correspondent, none of them real; time
passes as fast as the agent does nothing. KIND says what each call to one of them raises in its
turn ("os", "memory", "unforeseen"), or "heap": a function of the agent finds no memory at all.
FIRST, COUNT, STEP: which calls fail, each in a life of its own; COUNT 0 tells how many there are.

Each life: two networks in reach, keys, data, the console's `status`, the log over the air, a move.
Well after the fault the node must be bound, answer its console and carry data, all by itself.
"""

import asyncio
import gc
import json
import select
import socket
import sys
import time

import micropython
from micropython import const

#: Now, and when this life began. The task queue, in C, keeps real time: ours is ahead of it.
virtual = [time.ticks_ms() + 3600000, 0]
asyncio.core.ticks = lambda: virtual[0] & 0x3FFFFFFF


def _wait(queue, milliseconds):
    """As IOQueue.wait_io_event; where nothing can be read, time passes at once."""
    found = False
    for stream, _ in queue.poller.ipoll(0):
        found = True
        entry = queue.map[id(stream)]
        for at in (0, 1):
            if entry[at] is not None:
                asyncio.core._task_queue.push(entry[at])
                entry[at] = None
        del queue.map[id(stream)]
        queue.poller.unregister(stream)
    if not found and milliseconds > 0:
        virtual[0] += milliseconds


asyncio.core.IOQueue.wait_io_event = _wait

from mip6 import clock  # noqa: E402 (time first)

clock.now = lambda: virtual[0]

import peer  # noqa: E402

from mip6 import addresses, agent, application, datagrams, packets, terminal  # noqa: E402
from mip6.maintenance import absent  # noqa: E402
from mip6.node import Node  # noqa: E402
from mip6.ports import waiting, wifi  # noqa: E402

ROUTERS = {"attic": "2001:DB8:1::100", "cellar": "2001:DB8:2::100"}
NETWORKS = b'[{"ssid": "attic"}, {"ssid": "cellar", "priority": 1}]'
LINE = b'{"jsonrpc":"2.0","id":%d,"method":"status"}\n'
MOVED, CALM = const(14000), const(22000)  # ms after the start; then no call fails any more
REST = const(90)  # seconds to come back in


REACHED = addresses.parse("192.0.2.1")


class Unforeseen(Exception):
    """What nobody foresaw."""


FAULTS = {
    "os": lambda: OSError(5),
    "memory": lambda: MemoryError("memory allocation failed, allocating 1501 bytes"),
    "unforeseen": lambda: Unforeseen("at this call"),
}


class World:
    """Counts the calls that leave the agent, and has one of them raise."""

    def __init__(self, kind, due):
        self.kind = kind
        self.due = due
        self.calls = 0
        self.struck = None
        self.names = {}

    def call(self, name):
        if virtual[0] - virtual[1] < CALM:
            self.calls += 1
        if self.calls == self.due and self.struck is None:
            self.struck = name
            raise FAULTS[self.kind]()


class Pipe:
    """Octets with a stream that can be polled; unix sockets have no other way to be made here."""

    def __init__(self):
        place = socket.getaddrinfo("127.0.0.1", 0)[0][-1]
        self.stream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.stream.setblocking(False)
        for port in range(20000 + virtual[0] % 7, 60000):
            place = socket.getaddrinfo("127.0.0.1", port)[0][-1]
            try:
                self.stream.bind(place)
                break
            except OSError:
                pass
        self._out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._out.connect(place)

    def put(self, octets):
        self._out.write(octets)

    def get(self):
        try:
            return self.stream.recv(2048)
        except OSError:
            return None

    def close(self):
        self.stream.close()
        self._out.close()


class Receiver:
    """A raw socket that receives."""

    def __init__(self, world, protocol):
        world.call("socket.open")
        self._world = world
        self._pipe = Pipe()
        self._protocol = protocol
        self.socket = self._pipe.stream

    def arrive(self, packet):
        self._pipe.put(packet[0] + packet[1] + bytes((packet[2],)) + bytes(packet[3]))

    def receive(self):
        self._world.call("socket.receive")
        octets = self._pipe.get()
        if octets is None:
            return None
        return octets[:16], octets[16:32], octets[32], memoryview(octets)[33:]

    def close(self):
        self._world.call("socket.close")
        self._pipe.close()


class Outside(Receiver):
    """A UDP socket for packets inside datagrams."""

    watch = None

    def __init__(self, world):
        Receiver.__init__(self, world, packets.UDP)

    def arrive(self, packet):
        port = packet[2] - packets.ENCAPSULATED
        self._pipe.put(packet[0] + port.to_bytes(2, "big") + bytes(packet[3]))

    def receive(self):
        self._world.call("socket.receive")
        octets = self._pipe.get()
        if octets is None:
            return None
        port = int.from_bytes(octets[16:18], "big")
        return octets[:16], b"", packets.ENCAPSULATED + port, memoryview(octets)[18:]

    def close(self):
        if self.watch is not None:
            self.watch.stop()
        Receiver.close(self)


class Radio:
    """The interface: two networks, the first until MOVED. As ports/cyw43.py of the Pico W.

    The second has IPv4, too, and passes no native packets.
    """

    def __init__(self, world):
        self._world = world
        self.joined = None
        self.duplicated = False

    def active(self, on):
        self._world.call("nic.active")
        if not on:
            self.joined = None

    def renew(self, quick):
        self._world.call("nic.renew")
        self.joined = None

    def access_point(self):
        self._world.call("nic.access_point")

    def eager(self, on):
        self._world.call("nic.eager")

    def hurry(self):
        self._world.call("nic.hurry")
        return False

    def prove(self):
        self._world.call("nic.prove")

    def solicit(self):
        self._world.call("socket.send")

    def heard(self):
        return self.joined in self.reach()

    def doubt(self):
        return False

    def scan(self):
        self._world.call("nic.scan")
        return [(name.encode(), b"", 1, -50, 0, 0) for name in self.reach()]

    def reach(self):
        return ["attic"] if virtual[0] - virtual[1] < MOVED else ["cellar"]

    def connect(self, ssid, password, at=None):
        self._world.call("nic.connect")
        self.joined = ssid

    def disconnect(self):
        self._world.call("nic.disconnect")
        self.joined = None

    def status(self, what=None):
        self._world.call("nic.status")
        if what is not None:
            return -50
        return 3 if self.joined in self.reach() else -2

    def ipconfig(self, key=None, addr6=None, autoconf6=None):
        self._world.call("nic.ipconfig")
        if key is None:
            return None
        if key == "addr4":
            return "10.0.0.7" if self.joined in self.reach()[:1] == ["cellar"] else "0.0.0.0", ""
        found = [("FE80::1", 0x30, 0, 0)]
        if self.joined in self.reach():
            found.append((ROUTERS[self.joined], 0x30, 1000, 2000))
        return found


class Port(wifi.WifiPort):
    """The Wi-Fi port over all that; what it sends to the correspondent is answered."""

    protocols = (packets.ROUTING, packets.MOBILITY)

    def __init__(self, world, store):
        self.world = world
        self.radio = Radio(world)
        self.correspondent = peer.Correspondent(generations=4)
        self.data = 0
        self.log = 0
        wifi.WifiPort.__init__(self, store)

    def _open_sender(self):
        self.world.call("socket.open")
        return self

    def _open_receiver(self, protocol):
        return Receiver(self.world, protocol)

    def _interface(self):
        return self.radio

    def close(self):
        self.world.call("socket.close")

    def send(self, source, destination, next_header, payload):
        if source not in self._told:
            return False
        try:
            self.world.call("socket.send")
        except OSError as error:
            self._fault(error)
            return False
        if self.radio.joined not in self.radio.reach() or not self._receivers:
            return True
        if next_header >= packets.ENCAPSULATED:
            return self._send_inside(source, destination, next_header, bytes(payload))
        if self.radio.joined == "cellar":
            return True
        packet = packets.parse_payload(next_header, bytes(payload), source, destination)
        if packet.protocol != packets.MOBILITY:
            if packet.payload[0:2] == (4449).to_bytes(2, "big"):
                self.log += 1
            else:
                self.data += 1
            return True
        update = self.correspondent.read((source, destination, next_header, bytes(payload)))
        self.arrive(self.correspondent.answer(update))
        return True

    def _send_inside(self, source, destination, next_header, whole):
        try:
            self._open_outside(addresses.is_ipv4(source))
        except OSError as error:
            self._fault(error)
            return False
        if whole[6] == packets.MOBILITY:
            update = self.correspondent.read((source, destination, next_header, whole))
            self.arrive(self.correspondent.answer(update))
        elif whole[6] == packets.UDP:
            log = whole[40:42] == (4449).to_bytes(2, "big")
            self.log += log
            self.data += not log
        return True

    def arrive(self, packet):
        if packet[2] >= packets.ENCAPSULATED:
            for outside in self._outside.values():
                outside.arrive(packet)
        elif self._receivers:
            self._receivers[0].arrive(packet)

    def ask_log(self):
        """Somebody at the correspondent asks for the newest block."""
        datagram = packets.udp(peer.CN, peer.HOME, 5000, 4449, b"")
        inside = packets.ipv6_header(peer.CN, peer.HOME, packets.UDP, len(datagram)) + datagram
        self.arrive((REACHED, b"", packets.ENCAPSULATED + 4191, inside))
        route = packets.routing_header(peer.HOME, packets.UDP)
        for address in self._told:
            self.arrive((peer.CN, address, packets.ROUTING, route + datagram))

    def try_log(self):
        """As ask_log, where what the agent has for that may be without memory."""
        try:  # noqa: SIM105 (MicroPython has no contextlib)
            self.ask_log()
        except MemoryError:
            pass


class Store(peer.MemoryStore):
    """Records, or blocks of the log, in memory."""

    def __init__(self, world):
        peer.MemoryStore.__init__(self)
        self.world = None
        self._world = world

    def begin(self):
        self.world = self._world

    def _call(self, name):
        if self.world is not None:
            self.world.call("store." + name)

    def read(self, name):
        self._call("read")
        return peer.MemoryStore.read(self, name)

    def write(self, name, data):
        self._call("write")
        peer.MemoryStore.write(self, name, bytes(data))

    def remove(self, name):
        self._call("remove")
        peer.MemoryStore.remove(self, name)

    def names(self):
        self._call("names")
        return peer.MemoryStore.names(self)


class Line:
    """The serial line, both ends of it."""

    def __init__(self, world):
        self._world = world
        self._pipe = Pipe()
        self._octets = b""
        self.said = []

    def type(self, octets):
        for at in range(len(octets)):
            self._pipe.put(octets[at : at + 1])

    # What terminal.py asks of `select`

    POLLIN = select.POLLIN

    def poll(self):
        return self

    def register(self, stream, events):
        self._polled = select.poll()
        self._polled.register(self._pipe.stream, events)
        self.poll = lambda *milliseconds: self._polled.poll(0) if milliseconds else self

    # What it asks of a stream

    def read(self, octets):
        self._world.call("console.read")
        return self._pipe.get()

    def write(self, octets):
        self._world.call("console.write")
        self.said.append(bytes(octets))


class Program:
    """The application: a reading a second."""

    async def main(self, node):
        stream = datagrams.bind(node, 5005, waiting=0)
        number = 0
        while True:
            number += 1
            try:
                stream.sendto(b"%d" % number, (peer.CN, 5005))
            except OSError as error:
                if error.args[0] != 11:
                    raise
            await asyncio.sleep(1)


class Heap:
    """Has the `due`-th call of a function of the agent run without memory; of each function the
    first `most` calls count."""

    def __init__(self):
        self.most = 2
        self.begin(-1)
        self.due = -2

    def begin(self, due):
        self.due = due
        self.calls = 0
        self.struck = None
        self._seen = {}

    def wrap(self):
        """Wrap every function of every module and class of the agent."""
        kinds = (type(live), type(_nothing))
        for module in [one for name, one in sys.modules.items() if name.startswith("mip6.")]:
            for name in dir(module):
                found = getattr(module, name)
                if type(found) in kinds:
                    setattr(module, name, self._wrapped(found, module.__name__ + "." + name))
                elif type(found) is type and not hasattr(found, "_wrapped_here"):
                    self._wrap_class(found, kinds)

    def _wrap_class(self, found, kinds):
        try:
            found._wrapped_here = True
        except AttributeError:  # a class of the interpreter's own
            return
        for name, function in list(found.__dict__.items()):
            if type(function) in kinds:
                setattr(found, name, self._wrapped(function, found.__name__ + "." + name))

    def _wrapped(self, function, name):
        def call(*arguments, **named):
            if self.due == -2:
                return function(*arguments, **named)
            seen = self._seen.get(name, 0)
            if seen < self.most:
                self._seen[name] = seen + 1
                self.calls += 1
                if self.calls == self.due:
                    self.struck = name
                    micropython.heap_lock()
                    try:
                        return function(*arguments, **named)
                    finally:
                        micropython.heap_unlock()
            return function(*arguments, **named)

        return call


heap = Heap()


def _keep():
    """In place of terminal.forget: what is wrapped stays."""


async def _nothing():
    pass


def live(kind, due):
    """One life; what became of it."""
    gc.collect()
    virtual[1] = virtual[0]
    world = World(kind, due if kind in FAULTS else -1)
    stores = Store(world), Store(world)
    keystore = peer.keystore(generations=4, store=stores[0], reach=[("192.0.2.1", 4191)])
    wifi.Outside = lambda ipv4, port: Outside(world)
    stores[0].write("networks", NETWORKS)
    agent.board.interrupts = lambda on: None
    application._exists = lambda name: True
    sys.modules["app"] = Program()
    line = Line(world)
    if kind == "heap":
        terminal.forget = _keep
    found = {}

    def make(_):
        try:
            found["port"] = Port(world, stores[0])
        except Exception as error:
            return absent.NoNode(str(error), True), None
        return Node(keystore, found["port"]), found["port"]

    def serve(desk):
        return terminal.serve(desk, line, line)

    def files(root):
        return stores[1] if root.endswith("log") else stores[0]

    agent.FileStore = files
    terminal.select = line
    terminal.Readable = lambda line: waiting.Readable(line._pipe.stream)
    for store in stores:
        store.begin()
    if kind == "heap":
        heap.begin(due)
    good = [False]

    async def watch():
        await asyncio.sleep(3)
        for at in range(2):
            line.type(LINE % at)
            await asyncio.sleep(2)
            if "port" in found:
                found["port"].try_log()
        await asyncio.sleep(CALM // 1000 - 7)
        heap.due = -2  # from here on nothing fails any more
        await asyncio.sleep(REST)
        while "port" not in found:
            await asyncio.sleep(1)
        data, asked, said = found["port"].data, found["port"].log, len(line.said)
        line.type(b"\n" + LINE % 9)
        found["port"].ask_log()
        await asyncio.sleep(20)
        told = [json.loads(one) for one in line.said[said:] if b'"id": 9' in one]
        node = told[-1]["result"]["node"] if told else {}
        found["status"] = node
        good[0] = (
            node.get("state") == "away"
            and node["bindings"][0]["state"] == "bound"
            and node["bindings"][0]["way"] == "udp4"
            and found["port"].data - data > 10
            and found["port"].log > asked
        )
        while True:
            line.type(b"\n\x03")
            await asyncio.sleep(5)

    starts = 0
    outcome = agent.STUCK
    watching = None
    operate_loop = agent._loop

    def loop(running, work, service):
        nonlocal watching
        result = [None]
        fresh = asyncio.new_event_loop

        def new():
            made = fresh()
            if watching is None:
                made.create_task(watch())
            return made

        agent.asyncio.new_event_loop = new
        try:
            result[0] = operate_loop(running, work, service)
        finally:
            agent.asyncio.new_event_loop = fresh
        return result[0]

    agent._loop = loop
    raised = None
    try:
        while outcome == agent.STUCK and starts < 4 and not good[0]:
            starts += 1
            try:
                outcome = agent.operate("/roamkey", make, serve)
            except Exception as error:  # main.py starts it anew
                raised = error
                virtual[0] += 60000
                outcome = agent.STUCK
    finally:
        agent._loop = operate_loop
    if raised is not None and not good[0]:
        sys.print_exception(raised)
    at = heap if kind == "heap" else world
    heap.due = -2
    return good[0], at.struck, at.calls, starts, found.get("status")


def main(kind, first, count, step):
    """Lead `count` lives from call `first` on, or count the calls."""
    if kind == "heap":
        live("os", -1)  # so that all there is is loaded
        heap.wrap()
    if not count:
        good, _, calls, starts, status = live(kind, -1)
        assert good and starts == 1, status
        print(json.dumps({"calls": calls}))
        return
    lost, struck = [], {}
    for due in range(first, first + count, step):
        good, name, _, starts, status = live(kind, due)
        if name is not None:
            struck[name] = struck.get(name, 0) + 1
        if not good:
            lost.append([due, name, starts, status])
    print(json.dumps({"injected": sum(struck.values()), "lost": lost, "struck": struck}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
