"""Runs on a board (bench/board_kinds.py sends it): the agent's RAM, and times of its own clock.

The real agent runs, `mip6.agent.main()`, on the keys in flash; this is its application, /app.py.
It says that addresses are usable, IPv6 and IPv4, has the sockets of all ways opened, and answers
the last update as the correspondent would, by the way that it went. Wi-Fi isn't joined: what is
sent is taken, and goes nowhere. Prints a line of JSON.

Agent RAM is all that is allocated between the moment before the first import and the moment when
the correspondent is bound, less what the collector frees: the agent's files and those of asyncio
(frozen in stock firmware) that it imports, its sockets and buffers, keys, log, tasks, the serial
line's reader. The console's own files are in memory only while somebody talks to it (terminal.py);
what they take is told apart.

On an ESP32 MicroPython's heap begins with 64 KB. Where that is full it takes another area from
ESP-IDF's heap, as large as all it has, or the largest free piece; an area with nothing in it goes
back at a collection. gc.mem_free() counts that piece as free already, and jumps as areas come and
go. So agent RAM is told by gc.mem_alloc(), the octets in use, on all boards. What else is taken of
ESP-IDF's heap, by drivers and sockets in C, is told apart (`idf_ram_octets`), with the tables of
areas, 2 % of each. Sockets to send raw IPv6 by aren't open: nothing was sent.
"""

import asyncio
import gc
import json
import sys
import time

try:
    import esp32
except ImportError:
    esp32 = None

_DEFAULT = 1 << 12  # ESP-IDF's MALLOC_CAP_DEFAULT: of what MicroPython's heap grows
_ENOUGH = 8192  # octets, for any call whose time is taken

found = {}


def used():
    """Octets of RAM in use, with all garbage collected."""
    gc.collect()
    return gc.mem_alloc()


def idf_heap():
    """Octets of ESP-IDF's heap that are free, those in one piece, and the least that were ever
    free; 0 where there is none."""
    heaps = esp32.idf_heap_info(_DEFAULT) if esp32 else [(0, 0, 0, 0)]
    pieces = [heap[2] for heap in heaps]
    return sum(heap[1] for heap in heaps), max(pieces), sum(heap[3] for heap in heaps)


def tell_free(when):
    """Note what is free, of MicroPython's heap and, on an ESP32, of ESP-IDF's. Returns what of
    both anything else than MicroPython's objects may have. All garbage is collected."""
    gc.collect()
    free, objects = gc.mem_free(), gc.mem_alloc()
    idf, largest, least = idf_heap()
    if esp32:
        found[f"gc_free_{when}_octets"] = free - largest
        found[f"idf_free_{when}_octets"] = idf
        found[f"idf_largest_{when}_octets"] = largest
        found["idf_least_octets"] = least
    free += idf - largest
    found[f"free_{when}_octets"] = free
    return free + objects


def times(function, count=21, prepare=lambda: None):
    """Median milliseconds of `count` calls, none of which the garbage collector interrupts."""
    taken = []
    gc.collect()
    gc.disable()
    for _ in range(count):
        prepare()
        if gc.mem_free() - idf_heap()[1] < _ENOUGH:  # the heap would grow, or there is no more
            gc.collect()
        start = time.ticks_us()
        function()
        taken.append(time.ticks_diff(time.ticks_us(), start))
    gc.enable()
    return sorted(taken)[count // 2] / 1000


def care_of(number):
    """An address in a visited network."""
    return b"\x20\x01\x0d\xb8\x00\x01" + bytes(8) + number.to_bytes(2, "big")


def care_of_ipv4(number):
    """The same, IPv4."""
    return bytes(10) + b"\xff\xff\x0a\0" + number.to_bytes(2, "big")


def acknowledge(node, binding):
    """Have the node receive the acknowledgement of the last update to a correspondent."""
    from mip6 import keys, packets

    home, correspondent = node.bindings.home_address, binding.correspondent
    header = bytearray(32)
    header[0], header[1], header[2] = 59, 3, 6
    header[8:10] = binding.sequence.to_bytes(2, "big")
    header[10:12] = b"\x03\x84"  # an hour
    _, care_of, outer, port = binding.pace.way_of(binding.sequence)
    if binding is node.bindings.home_agent:
        from mip6.homeagent import authenticator

        header[13:16], header[18] = authenticator.OPTION, 1  # and the SPI, 256
        key = binding.keys.registration(care_of)
        header[20:] = authenticator.authenticator(key, care_of, home, header)
    else:
        header[12:14], header[18:20] = b"\x01\x04", b"\x05\x0c"
        routed = hasattr(binding, "procedure")
        key = binding.update.key() if routed else binding.keys.registration(care_of)
        header[20:] = keys.authenticator(key, care_of, correspondent, header)
    header[4:6] = packets.checksum(correspondent, home, 135, header).to_bytes(2, "big")
    if outer is None:
        routing = bytes((135, 2, 2, 1, 0, 0, 0, 0)) + home
        node.received(correspondent, care_of, 43, routing + header)
    else:
        whole = packets.ipv6_header(correspondent, home, 135, len(header)) + header
        node.received(outer, b"", 0x10000 + port, whole)  # packets.ENCAPSULATED
    if not binding.usable:
        raise RuntimeError("not bound")


def answer_tests(node, binding):
    """Have the node receive a Home Test, through its home agent, and a Care-of Test."""
    from mip6 import packets

    home, correspondent = node.bindings.home_address, binding.correspondent
    care_of, agent = binding.procedure.care_of, node.bindings.home_agent
    for kind, destination in ((3, home), (4, care_of)):
        header = bytearray(24)
        header[0], header[1], header[2], header[7] = 59, 2, kind, 1
        header[8:16] = binding.procedure.tests[kind - 3].cookie
        value = packets.checksum(correspondent, destination, 135, header)
        header[4:6] = value.to_bytes(2, "big")
        if kind == 3:
            whole = packets.ipv6_header(correspondent, home, 135, 24) + header
            node.received(agent.correspondent, care_of, 41, whole)
        else:
            node.received(correspondent, care_of, 135, header)


class Moves:
    """A node whose time passes at will."""

    def __init__(self, node, address):
        self.bindings = node.bindings
        self.address = address
        self.now = node.now()
        self.number = 1

    def build(self):
        """Draw the update that is due: number taken, message finished and authenticated."""
        if self.bindings.next_packet(self.now) is None:  # compiled files have no assert
            raise RuntimeError("no update")

    def pass_time(self):
        """A minute; updates that nobody answers become rare, so what comes is a new series."""
        self.now += 60000
        for binding in self.bindings.bindings:
            binding.pace.begin(False, self.now)
            binding.tries = 0  # by the first of its ways

    def move(self):
        """To an address never seen: the state machine's part of a move, no key is computed yet."""
        self.number += 1
        self.bindings.attach(self.address(self.number), self.now)

    def move_later(self):
        """A minute, and a move."""
        self.pass_time()
        self.move()

    def whole(self):
        """All that a move takes until the update is ready."""
        self.move()
        self.build()

    def top_up(self):
        """Reserve numbers, as the agent does where nothing else is due."""
        self.bindings.keystore.top_up()


def measure_times(node, address):
    """Times of an update, and what one allocates. `address(number)`: of visited networks."""
    moves = Moves(node, address)
    moves.move_later()
    for _ in range(8):  # so that none of the numbers taken below waits for flash
        moves.pass_time()
        moves.build()
        moves.top_up()
    found["bu_ready_ms"] = times(moves.build, prepare=moves.pass_time)
    moves.top_up()
    found["bu_new_address_part_ms"] = times(moves.build, prepare=moves.move_later)
    moves.top_up()
    found["bu_new_address_ms"] = times(moves.whole, prepare=moves.pass_time)
    moves.top_up()
    moves.pass_time()
    gc.collect()
    gc.disable()
    start = gc.mem_alloc()
    moves.build()
    found["allocated_per_bu_octets"] = gc.mem_alloc() - start
    gc.enable()


class Application:
    """What the agent has as /app.py. `ipv6`: whether the node has such addresses, as it has of
    IPv4; `timed`: whether times and the console's RAM are measured, too."""

    def __init__(self, ipv6, timed):
        self.ipv6 = ipv6
        self.timed = timed
        self.used = self.held = 0
        self.done = False

    async def main(self, node):
        """What the agent calls; it is called once, whatever happens."""
        try:
            await self.measure(node)
            self.done = True
        except Exception as error:
            sys.print_exception(error)
        raise KeyboardInterrupt  # as typed: the REPL is next

    async def measure(self, node):
        """Have the node bound, and measure."""
        await asyncio.sleep(2)
        node.port.send = lambda source, destination, next_header, payload: True
        if self.ipv6:
            node.address_usable("network", 0, care_of(1))
        node.address_usable("network", 0, care_of_ipv4(1))
        node.port._open_outside(True)
        if not esp32:  # whose lwIP refuses a second one at that port
            node.port._open_outside(False)
        for binding in node.bindings.bindings:  # the home agent comes before those without a key
            if hasattr(binding, "procedure"):
                if not self.ipv6:  # no way leads there but through the home agent
                    continue
                answer_tests(node, binding)
            acknowledge(node, binding)
        await asyncio.sleep(6)  # what a start needs is over
        found["agent_ram_octets"] = used() - self.used
        held = tell_free("after")
        if esp32:
            found["idf_ram_octets"] = self.held - held
        found["native_loaded"] = any(name.startswith("mip6.native") for name in sys.modules)
        if self.timed:
            measure_times(node, care_of if self.ipv6 else care_of_ipv4)
            before = used()
            from mip6 import status  # noqa: F401
            from mip6.console import methods, upkeep  # noqa: F401
            from mip6.maintenance import facts  # noqa: F401

            found["console_ram_octets"] = used() - before

    def run(self):
        """Run the agent until its application, this, has measured; print what it found."""
        sys.modules["app"] = self
        self.held = tell_free("before")
        self.used = used()
        from mip6 import agent

        found["imported_ram_octets"] = used() - self.used
        agent.main()
        if self.done:
            print(json.dumps(found))


def run_wifi():
    """Print what the Wi-Fi driver takes of ESP-IDF's heap once it is switched on, by itself."""
    import network

    held = tell_free("before")
    network.WLAN(network.STA_IF).active(True)
    time.sleep(6)
    print(json.dumps({"wifi_idf_octets": held - tell_free("after")}))
