"""The ESP32's port over a made-up ESP32: `network`, `ip6sta` and `socket` are fakes here.

No ESP32 can run in this repository's tests, so these show that the port's logic fits what the
sources of MicroPython and ESP-IDF say, not that an ESP32 does it (docs/LIMITS.md). They run under
CPython and under MicroPython; CPython is lent the clock functions of MicroPython meanwhile.
"""

# ruff: noqa: RUF005, RUF012 (MicroPython has neither stars in displays nor typing)

import asyncio
import json
import sys
import time

from mip6 import addresses, packets
from mip6.native import esp
from mip6.ports import esp32, outside, wifi

LINK_LOCAL = addresses.parse("fe80::1")
FIRST = addresses.parse("2001:db8:1::5")
SECOND = addresses.parse("2001:db8:2::5")
PEER = addresses.parse("2001:db8:c::2")
TENTATIVE, PREFERRED, DEPRECATED, DUPLICATED = 0x08, 0x30, 0x10, 0x40
LIFE = (1800, 3600)
BSSID = b"\x02\0\0\0\0"


class Radio:
    """The Wi-Fi of a fake ESP32; modules `network` and `ip6sta` are made of it."""

    STA_IF = 0

    def __init__(self):
        self.calls = []
        self.up = False
        self.losses = 0
        self.table = []  # as ip6sta.addresses() gives it
        self.in_reach = ["cellar", "attic"]
        self.joins = True  # whether an association succeeds
        self.ipv4 = "0.0.0.0"
        self.asks_dhcp = True

    # network

    def WLAN(self, interface):
        assert interface == self.STA_IF
        return self

    def active(self, on):
        self.calls.append(("active", on))
        if not on:
            self.leave()

    def config(self, reconnects):
        self.calls.append(("reconnects", reconnects))

    def scan(self):
        self.calls.append(("scan",))
        return [
            (name.encode(), BSSID + bytes([at]), 1 + at, -50, 3, False)
            for at, name in enumerate(self.in_reach)
        ]

    def connect(self, ssid, password, bssid=None):
        self.calls.append(("connect", ssid, password))
        if ssid in self.in_reach and self.joins:
            self.up = True
            self.table = [(LINK_LOCAL, TENTATIVE) + LIFE]
        else:
            self.losses += 1

    def status(self, what=None):
        if what is None:  # network.STAT_CONNECTING, STAT_IDLE
            return 1001 if self.up else 1000
        if what != "rssi":
            raise ValueError
        return -60

    def isconnected(self):
        return self.ipv4 != "0.0.0.0"

    def ipconfig(self, key):
        assert key == "addr4"
        return self.ipv4, "255.255.255.0"

    def disconnect(self):
        self.calls.append(("disconnect",))
        self.leave()

    def leave(self):
        """An association ends: ESP-IDF drops the addresses."""
        self.up = False
        self.table = []

    # ip6sta

    def join(self, ssid, password, bssid, channel):
        self.calls.append(("join", bssid[-1], channel))
        self.connect(ssid, password or None)

    def access_point(self):
        return (BSSID + b"\x09", 9) if self.up else None

    def dhcp(self, on):
        self.asks_dhcp = on

    def start(self):
        self.calls.append(("start",))

    def link(self):
        return self.up, self.losses, 201

    def addresses(self):
        return list(self.table)

    def take(self, octets):
        self.calls.append(("take", octets))
        self.table = [
            (entry[0], PREFERRED) + entry[2:] if entry[0] == octets else entry
            for entry in self.table
        ]

    def remove(self, octets):
        self.table = [entry for entry in self.table if entry[0] != octets]

    def age(self, seconds):
        self.table = [entry[:3] + (entry[3] - seconds,) for entry in self.table]

    def solicit(self):
        self.calls.append(("solicit",))


class Socket:
    """A fake raw socket of lwIP; `made`: those that were opened, in order."""

    made = []
    refuse = None  # an error for bind()

    def __init__(self, family, kind, protocol):
        assert (family, kind) == (Sockets.AF_INET6, 3)
        self.protocol = protocol
        self.bound = self.connected = None
        self.sent = []
        self.queue = []
        self.closed = False
        self.made.append(self)

    def setblocking(self, on):
        assert not on

    def bind(self, place):
        if self.refuse:
            raise self.refuse
        self.bound = place

    def connect(self, place):
        self.connected = place

    def send(self, payload):
        assert not self.closed
        self.sent.append(bytes(payload))

    def recv(self, octets, flags=0):
        if not self.queue:
            raise OSError(11)
        return (self.queue[0] if flags & 1 else self.queue.pop(0))[:octets]

    def close(self):
        self.closed = True


class Sockets:
    AF_INET6 = 10
    socket = Socket


class Watch:
    """Stands in for waiting.Watch, which wants a socket that can be polled."""

    def __init__(self, stream, function, failed):
        self.stream = stream
        self.function = function

    def stop(self):
        pass


class Borrowed:
    """What the port imports and looks at the clock with, until the end of a `with`."""

    def __init__(self, radio):
        self._places = [
            (sys.modules, "network", radio),
            (sys.modules, "ip6sta", radio),
            (sys.modules, "socket", Sockets),
        ]
        self._lent = []
        if not hasattr(time, "ticks_ms"):  # CPython
            self._lend(time, "ticks_ms", lambda: time.monotonic_ns() // 1000000)
            self._lend(time, "ticks_diff", lambda a, b: a - b)
            self._lend(time, "ticks_add", lambda a, b: a + b)
            self._lend(time, "sleep_ms", lambda ms: time.sleep(ms / 1000))
            self._lend(asyncio, "sleep_ms", lambda ms: asyncio.sleep(ms / 1000))

    def _lend(self, module, name, value):
        setattr(module, name, value)
        self._lent.append((module, name))

    def __enter__(self):
        Socket.made.clear()
        self._before = [(place, name, place.get(name)) for place, name, _ in self._places]
        for place, name, value in self._places:
            place[name] = value
        self._watch, wifi.Watch = wifi.Watch, Watch

    def __exit__(self, *_):
        wifi.Watch = self._watch
        for place, name, value in self._before:
            if value is None:
                del place[name]
            else:
                place[name] = value
        for module, name in self._lent:
            delattr(module, name)


class Store:
    def __init__(self, *networks):
        self._record = json.dumps(list(networks)).encode()

    def read(self, name):
        return self._record if name == "networks" else None


class Sink:
    watchdog = None

    def __init__(self):
        self.told = []

    def address_usable(self, uplink, priority, address, preferred, valid_s):
        assert preferred and valid_s == LIFE[1]
        self.told.append(("usable", uplink, priority, address))

    def address_gone(self, uplink, address):
        self.told.append(("gone", uplink, address))

    def received(self, *packet):
        self.told.append(packet[:3] + (bytes(packet[3]),))

    def faulted(self, error):
        raise error


def packet(source, destination, next_header, payload):
    """A whole IPv6 packet, as lwIP hands it to a raw socket."""
    head = b"\x60\0\0\0" + bytes((len(payload) >> 8, len(payload) & 255, next_header, 64))
    return head + source + destination + payload


# Receiving and sending


def test_receiver_gives_what_follows_the_ipv6_header():
    with Borrowed(Radio()):
        receiver = esp.Receiver(packets.ROUTING)
        receiver.socket.queue = [packet(PEER, FIRST, packets.ROUTING, b"payload!") + b"padding"]
        source, destination, next_header, payload = receiver.receive()
        assert (source, destination, next_header) == (PEER, FIRST, packets.ROUTING)
        assert bytes(payload) == b"payload!"
        assert receiver.receive() is None


def test_receiver_passes_over_what_is_not_for_us():
    with Borrowed(Radio()):
        receiver = esp.Receiver(packets.MOBILITY)
        good = packet(PEER, FIRST, packets.MOBILITY, b"12345678")
        receiver.socket.queue = [
            b"",
            good[:40],
            good[:-1],  # shorter than its header says
            b"\x45" + good[1:],  # IPv4
            packet(PEER, FIRST, packets.ROUTING, b"12345678"),
            good,
        ]
        assert bytes(receiver.receive()[3]) == b"12345678"
        assert receiver.receive() is None


def test_receiver_of_icmpv6_gives_parameter_problems_alone():
    with Borrowed(Radio()):
        receiver = esp.Receiver(packets.ICMPV6)
        receiver.socket.queue = [
            packet(PEER, FIRST, packets.ICMPV6, bytes((kind,)) + bytes(7))
            for kind in (134, 128, 4)
        ]
        assert receiver.receive()[3][0] == 4
        assert receiver.receive() is None


def test_receiver_raises_what_is_no_empty_queue():
    class Broken(Socket):
        def recv(self, octets, flags=0):
            raise OSError(12)

    with Borrowed(Radio()):
        receiver = esp.Receiver(packets.ROUTING)
        receiver.socket = Broken(10, 3, packets.ROUTING)
        try:
            receiver.receive()
        except OSError as error:
            assert error.args[0] == 12
        else:
            raise AssertionError("an error was swallowed")


def test_sender_binds_connects_and_keeps_the_socket():
    with Borrowed(Radio()):
        sender = esp.Sender()
        sender.send(FIRST, PEER, 60, b"one")
        sender.send(FIRST, PEER, 60, memoryview(b"two"))
        (stream,) = Socket.made
        assert stream.protocol == 60
        assert stream.bound == ("2001:db8:1::5", 0)
        assert stream.connected == ("2001:db8:c::2", 0)
        assert stream.sent == [b"one", b"two"]


def test_sender_takes_another_socket_from_another_source():
    with Borrowed(Radio()):
        sender = esp.Sender()
        sender.send(FIRST, PEER, 60, b"one")
        sender.send(SECOND, PEER, 60, b"two")
        old, new = Socket.made
        assert old.closed and new.bound == ("2001:db8:2::5", 0)


def test_sender_keeps_three_sockets_the_last_used():
    with Borrowed(Radio()):
        sender = esp.Sender()
        for protocol in (60, 135, 58, 60, 17):
            sender.send(FIRST, PEER, protocol, b"x")
        assert [stream.protocol for stream in Socket.made if not stream.closed] == [60, 58, 17]
        sender.close()
        assert all(stream.closed for stream in Socket.made)


def test_sender_closes_a_socket_that_could_not_be_bound():
    with Borrowed(Radio()):
        sender = esp.Sender()
        Socket.refuse = OSError(22)
        try:
            sender.send(FIRST, PEER, 60, b"one")
        except OSError as error:
            assert error.args[0] == 22
        else:
            raise AssertionError("an error was swallowed")
        finally:
            Socket.refuse = None
        assert Socket.made[0].closed
        sender.send(FIRST, PEER, 60, b"one")
        assert Socket.made[1].sent == [b"one"]


# The interface


def test_interface_tells_joining_joined_and_failed():
    radio = Radio()
    with Borrowed(radio):
        nic = esp32.Interface(radio, radio)
        nic.active(True)
        assert radio.calls == [("active", True), ("reconnects", 0), ("start",)]
        assert nic.status() == -1
        nic.connect("cellar", "secret")
        assert nic.status() == 3
        radio.leave()
        assert nic.status() == 1  # as before the event of an association
        radio.losses += 1
        assert nic.status() == -1
        nic.disconnect()
        assert nic.status() == -1


def test_interface_leaves_before_it_tries_anew():
    radio = Radio()
    with Borrowed(radio):
        nic = esp32.Interface(radio, radio)
        nic.connect("cellar", None)
        nic.connect("attic", None)
        assert [call[0] for call in radio.calls] == ["connect", "disconnect", "connect"]


def test_interface_lists_global_addresses_and_drops_old_ones():
    radio = Radio()
    with Borrowed(radio):
        nic = esp32.Interface(radio, radio)
        radio.table = [
            (LINK_LOCAL, PREFERRED) + LIFE,
            (FIRST, DEPRECATED) + LIFE,
            (SECOND, PREFERRED) + LIFE,
        ]
        assert nic.ipconfig("addr6") == [
            ("2001:db8:1::5", DEPRECATED) + LIFE,
            ("2001:db8:2::5", PREFERRED) + LIFE,
        ]
        nic.ipconfig(addr6=None)
        nic.ipconfig(addr6="2001:db8:1::5")
        nic.ipconfig(addr6=None)
        assert [entry[0] for entry in radio.table] == [LINK_LOCAL, SECOND]


def test_an_address_that_comes_while_another_is_taken_is_taken_too():
    """A router may answer in that moment: detection would go on for a second."""
    radio = Radio()
    take = radio.take

    def and_another_comes(octets):
        take(octets)
        if len(radio.table) == 1:
            radio.table.append((FIRST, TENTATIVE) + LIFE)

    radio.take = and_another_comes
    with Borrowed(radio):
        nic = esp32.Interface(radio, radio)
        radio.table = [(LINK_LOCAL, TENTATIVE) + LIFE]
        assert nic.hurry() and not nic.hurry()
        assert [entry[1] for entry in radio.table] == [PREFERRED, PREFERRED]


def test_dhcp_rests_where_nobody_answers_and_where_ipv4_is_of_no_use():
    radio, clock = Radio(), [0]

    def asked(nic):
        """In how many of the next 7200 seconds."""
        count = 0
        for _ in range(7200):
            clock[0] += 1000
            nic.hurry()
            count += radio.asks_dhcp
        return count

    with Borrowed(radio):
        before, esp32.now = esp32.now, lambda: clock[0]
        try:
            nic = esp32.Interface(radio, radio)
            nic.connect("cellar", None)
            assert 300 < asked(nic) < 600
            nic.connect("attic", None)
            assert radio.asks_dhcp
            radio.ipv4 = "10.0.0.7"
            assert asked(nic) == 7200
            nic.use_ipv4(False)
            assert asked(nic) == 0
            nic.connect("cellar", None)
            assert not radio.asks_dhcp
            nic.use_ipv4(True)
            assert radio.asks_dhcp
        finally:
            esp32.now = before


# What outlives a reset


class Clock:
    """machine.RTC() of an ESP32: its memory, and nothing else."""

    octets = b""

    def memory(self, *octets):
        if octets:
            Clock.octets = bytes(octets[0])
        return Clock.octets


class Machine:
    RTC = Clock


def test_the_counter_is_noted_in_rtc_memory_on_an_esp32_alone():
    ours, machine = sys.modules.get("micropython"), sys.modules.get("machine")
    sys.modules["machine"] = Machine
    if ours is None:
        sys.modules["micropython"] = Machine  # CPython has none; board.py only imports it
    try:
        from mip6.ports import board

        board.retained("esp32").write(b"exact")
        assert Clock.octets.endswith(b"exact")
        assert board.retained("esp32").read() == b"exact"
        assert board.retained("rp2") is None and board.retained("linux") is None
    finally:
        if ours is None:
            del sys.modules["micropython"]
        del sys.modules["machine"]
        if machine is not None:
            sys.modules["machine"] = machine


# The whole port


class Datagrams(Socket):
    """A fake UDP socket of lwIP."""

    def __init__(self, family, kind):
        assert (family, kind) == (2, 2)
        Socket.__init__(self, Sockets.AF_INET6, 3, packets.UDP)

    def sendto(self, payload, place):
        self.sent.append((bytes(payload), place))

    def recvfrom(self, octets):
        return self.recv(octets), ("192.0.2.1", 4191)


class DatagramSockets:
    AF_INET, AF_INET6, SOCK_DGRAM = 2, 10, 2
    socket = Datagrams


async def over_ipv4(radio, port, sink):
    port.start(sink)
    await eventually(lambda: radio.up)
    await asyncio.sleep(0.2)
    assert sink.told == []  # not before DHCP gave an address
    radio.ipv4 = "10.0.0.7"
    await eventually(lambda: sink.told)
    here, there = addresses.parse("10.0.0.7"), addresses.parse("192.0.2.1")
    assert sink.told == [("usable", "attic", 0, here)]
    assert not port.send(here, PEER, 60, b"native")
    inside = packets.ipv6_header(FIRST, PEER, packets.MOBILITY, 8) + bytes(8)
    assert port.send(here, there, packets.ENCAPSULATED + 4191, inside)
    (stream,) = Socket.made
    assert stream.bound == ("0.0.0.0", port._outside_port)
    assert stream.sent == [(inside, ("192.0.2.1", 4191))]
    stream.queue.append(inside + b"longer")
    port._drain(port._outside[True])
    assert sink.told[1:] == [(there, b"", packets.ENCAPSULATED + 4191, inside + b"l")]
    port.stop()
    assert stream.closed


def test_stock_firmware_has_packets_inside_udp_over_ipv4():
    radio, sink = Radio(), Sink()
    sink.address_usable = lambda *told: sink.told.append(("usable",) + told[:3])
    with Borrowed(radio):
        del sys.modules["ip6sta"]
        before, outside.socket = outside.socket, DatagramSockets
        try:
            port = esp32.Port(Store({"ssid": "attic", "priority": 0}))
            port.use(True, True, None)
            assert not port.native and "no IPv6" in port.why
            asyncio.run(over_ipv4(radio, port, sink))
            assert port.faults == {}
        finally:
            outside.socket = before
            sys.modules["ip6sta"] = radio


async def eventually(condition):
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


async def roam(radio, port, sink):
    port.start(sink)
    await eventually(lambda: ("solicit",) in radio.calls)
    assert ("connect", "attic", "secret") in radio.calls  # priority 0
    radio.table.append((FIRST, TENTATIVE) + LIFE)
    await eventually(lambda: sink.told)  # while duplicate address detection runs
    assert sink.told == [("usable", "attic", 0, FIRST)]
    assert ("take", LINK_LOCAL) in radio.calls and ("take", FIRST) in radio.calls

    assert port.send(FIRST, PEER, 60, b"update")
    assert not port.send(SECOND, PEER, 60, b"update")
    assert Socket.made[3].sent == [b"update"]

    watch = port._watches[0]
    watch.stream.queue.append(packet(PEER, FIRST, packets.ROUTING, b"an answer"))
    watch.function()
    assert sink.told[1:] == [(PEER, FIRST, packets.ROUTING, b"an answer")]

    radio.table[1] = (FIRST, DUPLICATED) + LIFE
    await eventually(lambda: ("gone", "attic", FIRST) in sink.told)
    assert not port.send(FIRST, PEER, 60, b"update")
    assert list(port.faults.values()) == [1]
    port.faults.clear()
    radio.table[1] = (FIRST, PREFERRED) + LIFE
    await eventually(lambda: sink.told[-1] == ("usable", "attic", 0, FIRST))
    sink.told.clear()

    assert ("join", 1, 2) in radio.calls  # by what the scan found: then there was one
    assert radio.calls.count(("scan",)) == 1
    radio.in_reach.remove("attic")
    radio.losses += 1
    radio.leave()
    await eventually(lambda: ("gone", "attic", FIRST) in sink.told)
    await eventually(lambda: ("connect", "cellar", None) in radio.calls)
    # The next one at once, by what that scan found; before it the best one, by what it was joined
    assert [call for call in radio.calls if call[0] in ("join", "scan")] == [
        ("scan",), ("join", 1, 2), ("join", 9, 9), ("join", 0, 1),
    ]  # fmt: skip
    radio.table.append((SECOND, PREFERRED) + LIFE)
    await eventually(lambda: ("usable", "cellar", 1, SECOND) in sink.told)
    port.stop()
    assert all(stream.closed for stream in Socket.made)


def test_port_joins_by_priority_and_follows():
    radio, sink = Radio(), Sink()
    with Borrowed(radio):
        port = esp32.Port(
            Store(
                {"ssid": "cellar", "priority": 1},
                {"ssid": "attic", "password": "secret", "priority": 0},
            )
        )
        assert Socket.made == []
        port.use(True, True, None)
        assert [stream.protocol for stream in Socket.made] == [43, 135, 58] and port.native
        asyncio.run(roam(radio, port, sink))
        assert port.faults == {}
