"""The Pico W's port without a Pico W: its self-check, networks, and view of lwIP's addresses."""

# ruff: noqa: RUF005 (MicroPython has no stars in displays)

import asyncio
import errno
import json
import sys

from harness import raises

from mip6 import addresses
from mip6.maintenance import networklist
from mip6.native import lwip
from mip6.ports import station, wifi

_OBJECT = 0x20010000
_PCB = 0x20020000
_PROTOCOL = 43


def _memory():
    """Octets as MicroPython 1.28 and lwIP lay them out for a raw socket of protocol 43."""
    octets = {_OBJECT + 54: 10, _OBJECT + 55: 3, _OBJECT + 56: 0, _PCB + 20: 0, _PCB + 44: 0}
    octets.update({_PCB + 51: 255, _PCB + 56: _PROTOCOL, _PCB + 57: 0})
    return octets, {_OBJECT + 4: _PCB, _PCB + 64: _OBJECT}


def _make(octets, words):
    return lwip.make_ipv6(None, _PROTOCOL, octets, words, lambda _: _OBJECT)


def test_a_socket_as_expected_becomes_ipv6():
    octets, words = _memory()
    assert _make(octets, words) == _PCB
    assert (octets[_PCB + 20], octets[_PCB + 44], octets[_OBJECT + 56]) == (6, 6, 4)


def test_any_field_amiss_is_an_error_and_nothing_is_written():
    for at in _memory()[0]:
        octets, words = _memory()
        octets[at] ^= 1
        before = dict(octets)
        error = raises(OSError, _make, octets, words)
        assert sys.version in str(error)
        assert octets == before
    for at in _memory()[1]:
        octets, words = _memory()
        before = dict(octets)
        words[at] += 4
        raises((OSError, KeyError), _make, octets, words)
        assert octets == before


def test_a_pointer_that_leads_nowhere_is_not_followed():
    for pointer in (0, _PCB + 1, 0x10000000, 0x20081FFC, 0xFFFFFFFC):
        octets, words = _memory()
        words[_OBJECT + 4] = pointer
        raises(OSError, _make, octets, words)


class _Store:
    def __init__(self, octets):
        self._octets = octets

    def read(self, name):
        assert name == networklist.RECORD
        return self._octets


def _read(entries):
    return networklist.read(_Store(json.dumps(entries).encode()))


def test_networks_are_read_best_first():
    found = _read(
        [{"ssid": "b", "password": "secret", "priority": 2}, {"ssid": "a", "password": ""}]
    )
    assert [(n.ssid, n.password, n.priority) for n in found] == [
        ("a", None, 0),
        ("b", "secret", 2),
    ]
    assert "secret" not in repr(found)
    assert networklist.read(_Store(None)) == []


def test_damaged_networks_are_refused_without_repeating_them():
    for octets in (b"{", b"3", b'[{"password": "secret"}]', b'[{"ssid": 3}]', b'[{"ssid": ""}]'):
        error = raises(ValueError, networklist.read, _Store(octets))
        assert "secret" not in str(error)


def test_networks_in_reach_come_first_then_by_priority_and_signal():
    known = _read(
        [
            {"ssid": "far", "priority": 0},
            {"ssid": "weak", "priority": 1},
            {"ssid": "strong", "priority": 1},
            {"ssid": "last", "priority": 2},
        ]
    )
    scanned = [
        (b"weak", b"", 1, -80, 0, 1),
        (b"strong", b"", 1, -40, 0, 1),
        (b"last", b"", 1, -20, 0, 1),
        (b"stranger", b"", 1, -10, 0, 1),
    ]
    order = [network.ssid for network in station._in_order(known, scanned, {})]
    assert order == ["strong", "weak", "last", "far"]
    late = {"strong": 2000, "weak": 1000}
    order = [network.ssid for network in station._in_order(known, scanned, late)]
    assert order == ["last", "far", "weak", "strong"]


class _Wlan:
    """What Station calls `nic`, with what the tests set; keeps what was asked of it.

    It tells no more of IPv6 than ipconfig() does, as on firmware where lwIP's netif isn't found.
    """

    duplicated = False

    def __init__(self):
        self.in_reach = []
        self.addr6 = []
        self.addr4 = "0.0.0.0"
        self.asked = []
        self.error = None  # what every call raises
        self._status = 0

    def active(self, on):
        self._check()
        self.asked.append(("active", on))

    def scan(self):
        self._check()
        return [(name.encode(), b"", 1, -50, 0, 1) for name in self.in_reach]

    def renew(self, quick):
        self.active(False)
        self.active(True)

    def eager(self, on):
        self.asked.append(("eager", on))

    def solicit(self):
        self.asked.append(("solicit",))

    def hurry(self):
        return False

    heard = doubt = hurry

    def prove(self):
        pass

    def access_point(self):
        return None

    def connect(self, ssid, password, at):
        self._check()
        self.asked.append(("connect", ssid, password))
        self._status = 2 if ssid in self.in_reach else -2

    def disconnect(self):
        self._check()
        self._status = 0

    def lose(self, name):
        self.in_reach.remove(name)
        self._status = 0

    def status(self):
        self._check()
        return self._status

    def ipconfig(self, *keys, **values):
        self._check()
        if keys == ("addr4",):
            return self.addr4, "255.255.255.0"
        if keys:
            return list(self.addr6)
        self.asked.append(("ipconfig", values))

    def _check(self):
        if self.error is not None:
            raise self.error


class _Scene:
    """A station over a scripted interface, and what it told."""

    def __init__(self, known):
        self.wlan = _Wlan()
        self.told = []
        self.faults = []
        self.station = station.Station(
            self.wlan, self._changed, self.faults.append, lambda: self.wlan.scan()
        )
        self.station.use(_read(known))

    @property
    def solicited(self):
        return len(self.asked("solicit"))

    def _changed(self):
        now = (self.station.network and self.station.network.ssid, self.usable())
        if self.told[-1:] != [now]:
            self.told.append(now)

    def usable(self):
        """The usable addresses; a deprecated one ends in "-"."""
        return [
            addresses.text(entry.octets) + "-" * (not entry.preferred)
            for entry in self.station.usable()
        ]

    def asked(self, what):
        return [entry for entry in self.wlan.asked if entry[0] == what]


_LOCAL = ("FE80::1", 0x30, 0, 0)
_ONE = ("2001:DB8:1::5", 0x30, 100, 1000)
_TWO = ("2001:DB8:2::5", 0x30, 100, 1000)
_KNOWN = [{"ssid": "a", "priority": 0}, {"ssid": "b", "password": "pw", "priority": 1}]


async def _until(condition):
    for _ in range(100):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("it does not come")


def _run(main, scene):
    async def both():
        task = asyncio.create_task(scene.station.run())
        try:
            await main
        finally:
            task.cancel()

    asyncio.run(both())


def test_the_best_network_is_joined_and_another_starts_afresh():
    scene = _Scene(_KNOWN)
    wlan = scene.wlan

    async def main():
        wlan.in_reach = ["b", "a"]
        wlan.addr6 = [_LOCAL, _ONE]
        await _until(lambda: ("a", ["2001:db8:1::5"]) in scene.told)
        assert scene.solicited == 1
        renewed = len(scene.asked("active"))
        wlan.addr6 = [_LOCAL, _TWO]
        wlan.lose("a")
        await _until(lambda: scene.told[-1] == ("b", ["2001:db8:2::5"]))
        assert (None, []) in scene.told
        assert scene.asked("connect")[-1] == ("connect", "b", "pw")
        assert scene.asked("active")[renewed:][-2:] == [("active", False), ("active", True)]

    _run(main(), scene)
    assert not scene.faults


def test_every_valid_address_is_told_and_whether_it_is_deprecated():
    scene = _Scene(_KNOWN[:1])
    wlan = scene.wlan

    async def main():
        wlan.in_reach = ["a"]
        for listed, expected in (
            ([], []),
            ([_ONE], ["2001:db8:1::5"]),
            ([_TWO, _ONE], ["2001:db8:1::5", "2001:db8:2::5"]),
            ([(_TWO[0], 0x10, 0, 1000), _ONE], ["2001:db8:1::5", "2001:db8:2::5-"]),
            ([(_TWO[0], 0x10, 0, 1000), (_ONE[0], 0x08, 9, 9)], ["2001:db8:2::5-"]),
            ([(_TWO[0], 0x40, 0, 1000)], []),
        ):
            wlan.addr6 = [_LOCAL] + listed
            await _until(lambda expected=expected: scene.told[-1:] == [("a", expected)])

    _run(main(), scene)


def test_lifetimes_as_micropython_tells_them():
    entry = station._Address("2001:DB8::1", 0)
    for valid, expected in ((0, None), (-1, None), (0xFFFFFFFF, None), (86400, 86400)):
        entry.valid = valid
        assert entry.valid_s == expected


class _Link:
    """Routers that advertise to a station, second by second."""

    def __init__(self):
        self.scene = _Scene(_KNOWN[:1])
        self.station = self.scene.station
        self.station.network = self.station._known[0]
        self.now = 1000000
        self.advertising = {}  # text of an address -> seconds between advertisements
        self.dropped = 0
        self._asked = 0

    def run(self, seconds):
        wlan = self.scene.wlan
        for _ in range(seconds):
            self.now += 1000
            wlan.addr6 = [
                (text, state, life - 1, valid - 1) for text, state, life, valid in wlan.addr6
            ]
            asked, self._asked = self.scene.solicited > self._asked, self.scene.solicited
            for text, every in self.advertising.items():
                rest = [entry for entry in wlan.addr6 if entry[0] != text]
                if len(rest) < 2 and (asked or self.now // 1000 % every == 0):
                    wlan.addr6 = rest + [(text, 0x30, 1800, 3600)]
            self.station._look(self.now)
            marked = [values["addr6"] for _, values in self.scene.asked("ipconfig")]
            if marked:
                assert marked == [marked[0], None]
                wlan.addr6 = [entry for entry in wlan.addr6 if entry[0] != marked[0]]
                wlan.asked.clear()
                self.dropped += 1


def test_an_address_that_nobody_renews_makes_room():
    link = _Link()
    for number in range(4):  # another network at each turn, under one name
        text = "2001:DB8:%d::5" % (number + 1)
        link.advertising = {text: 10}
        link.run(300)
        assert [entry[0] for entry in link.scene.wlan.addr6] == [text]
    assert link.dropped == 3


def test_two_routers_that_go_on_advertising_keep_their_addresses():
    link = _Link()
    link.advertising = {"2001:DB8:1::5": 7, "2001:DB8:2::5": 11}
    link.run(7200)
    assert not link.dropped
    assert link.scene.solicited < 30  # two at a time, and less and less often


def test_a_neighbour_that_shows_up_now_and_then_takes_nothing_away():
    link = _Link()
    link.advertising = {"2001:DB8:1::5": 200}
    link.run(200)
    for turn in range(200):
        link.advertising = {"2001:DB8:1::5": 200, "2001:DB8:%x::5" % (turn + 2): 1}
        link.run(20)
        assert "2001:DB8:1::5" in [entry[0] for entry in link.scene.wlan.addr6]
    assert link.dropped < 12


class _Clock:
    """The station's clock, which its sleep moves."""

    def __enter__(self):
        self.at = 0
        self._before = station.now, station.asyncio
        station.now = lambda: self.at
        station.asyncio = self
        return self

    def __exit__(self, *_):
        station.now, station.asyncio = self._before

    async def sleep(self, seconds):
        self.at += int(1000 * seconds)
        await asyncio.sleep(0)


class _Radio(_Wlan):
    """Networks with and without IPv6."""

    def __init__(self, clock):
        _Wlan.__init__(self)
        self.clock = clock
        self.with_ipv6 = []
        self.joined = []  # (when in seconds, name)

    def connect(self, ssid, password, at):
        _Wlan.connect(self, ssid, password, at)
        if ssid in self.in_reach:
            self.joined.append((self.clock.at // 1000, ssid))
            self.addr6 = [_LOCAL, _ONE] if ssid in self.with_ipv6 else [_LOCAL]


def _live(known, until, in_reach, with_ipv6=(), each=None):
    """A station's life of `until` seconds; `each(scene)` is called all the time."""
    with _Clock() as clock:
        scene = _Scene(known)
        scene.wlan = scene.station.nic = _Radio(clock)
        scene.wlan.in_reach = list(in_reach)
        scene.wlan.with_ipv6 = with_ipv6

        async def main():
            task = asyncio.create_task(scene.station.run())
            while clock.at < 1000 * until:
                await asyncio.sleep(0)
                if each is not None:
                    each(scene)
            task.cancel()

        asyncio.run(main())
    return scene


def _after(scene, seconds):
    """How often a network was joined after that time."""
    return len([at for at, _ in scene.wlan.joined if at > seconds])


def test_a_network_without_ipv6_gives_way_to_the_next():
    scene = _live(_KNOWN, 3600, ["a", "b"], ["b"])
    assert [name for _, name in scene.wlan.joined] == ["a", "b"]
    assert 15 <= scene.wlan.joined[1][0] <= 20


def test_where_no_network_has_ipv6_each_is_tried_less_and_less_often():
    scene = _live(_KNOWN, 4 * 3600, ["a", "b"])
    assert {name for _, name in scene.wlan.joined} == {"a", "b"}
    assert 8 < len(scene.wlan.joined) < 40 and _after(scene, 3 * 3600) <= 3


def test_the_only_network_is_stayed_with_and_its_routers_are_asked():
    for known in (_KNOWN[:1], _KNOWN):
        scene = _live(known, 1200, ["a"])
        assert [name for _, name in scene.wlan.joined] == ["a"]
        assert 15 < scene.solicited < 25


def test_a_network_that_gets_ipv6_late_is_left_no_more():
    def each(scene):
        if scene.wlan.clock.at > 600000:
            scene.wlan.addr6 = [_LOCAL, _ONE]

    scene = _live(_KNOWN, 1200, ["a"], each=each)
    assert len(scene.wlan.joined) == 1 and scene.usable() == ["2001:db8:1::5"]


def test_updates_without_an_answer_have_us_join_anew_once_then_the_next():
    def each(scene):
        scene.station.asked()
        if scene.station.network is not None and scene.station.network.ssid == "b":
            scene.station.answered()

    scene = _live(_KNOWN, 1200, ["a", "b"], ["a", "b"], each=each)
    assert [name for _, name in scene.wlan.joined] == ["a", "a", "b"]
    assert scene.wlan.joined[2][0] < 60
    # where it is the only one, it is joined anew less and less often
    alone = _live(_KNOWN, 4 * 3600, ["a"], ["a"], each=each)
    assert 5 < len(alone.wlan.joined) < 20 and _after(alone, 3 * 3600) <= 2


def test_without_updates_nothing_is_missed():
    scene = _live(_KNOWN, 1200, ["a", "b"], ["a", "b"])
    assert [name for _, name in scene.wlan.joined] == ["a"]


def test_an_interface_that_fails_is_gone_on_with():
    """A short failure costs nothing; a long one has the interface made anew."""

    def each(scene):
        at = scene.wlan.clock.at
        failing = 100000 < at < 100500 or 200000 < at < 260000
        scene.wlan.error = OSError(5) if failing else None

    scene = _live(_KNOWN, 400, ["a", "b"], ["a"], each=each)
    assert [name for _, name in scene.wlan.joined] == ["a", "a"]
    assert scene.wlan.joined[1][0] >= 260
    assert scene.usable() == ["2001:db8:1::5"]
    assert 10 < len(scene.faults) < 200


class _Void:
    def send(self, *packet):
        pass


class _Port(wifi.WifiPort):
    """A port that sends into the void, and its sink."""

    def __init__(self):
        wifi.WifiPort.__init__(self, _Store(None))
        self.told = []
        self.lines = []
        self._sink = self
        self.use(True, True, None)
        self._station._known = _read(_KNOWN)

    def _open_sender(self):
        return _Void()

    def _interface(self):
        return _Wlan()

    def note(self, kind, text):
        self.lines.append((kind, text))

    def address_usable(self, uplink, priority, address, preferred, valid_s):
        self.told.append((uplink, priority, address[5], preferred, valid_s))

    def address_gone(self, uplink, address):
        self.told.append((uplink, address[5]))

    def see(self, network, *listed):
        """What is told when the interface looks like this."""
        self.told = []
        self._station.network = None if network is None else self._station._known[network]
        self._station._take([_LOCAL] + list(listed), wifi.now())
        self._tell()
        return self.told


def test_a_port_tells_what_changed():
    port = _Port()
    assert port.see(0, _ONE) == [("a", 0, 1, True, 1000)]
    assert port.see(0, (_ONE[0], 0x30, 99, 999)) == []
    assert port.see(0, _ONE, _TWO) == [("a", 0, 2, True, 1000)]
    assert port.see(0, (_ONE[0], 0x10, 0, 900), _TWO) == [("a", 0, 1, False, 900)]
    assert port.see(0, (_ONE[0], 0x10, 0, 2000), _TWO) == [("a", 0, 1, False, 2000)]
    assert port.send(addresses.parse(_ONE[0]), bytes(16), 60, b"\x87")
    assert port._station._asked_at is not None
    assert port.see(0, _TWO) == [("a", 1)]
    assert not port.send(addresses.parse(_ONE[0]), bytes(16), 60, b"\x87")
    assert port.see(None) == [("a", 2)]
    assert [line for line in port.lines if line[0] == "link"] == [
        ("link", "a up"),
        ("link", "down"),
    ]


def test_a_network_that_comes_and_goes_fills_no_log():
    port = _Port()
    for _ in range(1000):
        port.see(0, _ONE)
        port.see(None)
    assert 64 <= len(port.lines) < 150


def test_a_packet_that_finds_no_router_has_one_asked_for():
    port = _Port()
    port.see(0, _ONE)

    def refuse(*packet):
        raise OSError(113)

    port._sender.send = refuse
    clock = wifi.now
    assert not port.send(addresses.parse(_ONE[0]), bytes(16), 60, b"\x11")
    assert not port.faults  # the link has gone: that is about to be told
    port._station.nic._status = 2
    try:
        for at in range(10000, 19000, 100):
            wifi.now = lambda at=at: at
            assert not port.send(addresses.parse(_ONE[0]), bytes(16), 60, b"\x11")
    finally:
        wifi.now = clock
    assert len([1 for asked in port._station.nic.asked if asked == ("solicit",)]) == 3
    assert port.faults


class _Queue:
    """A raw socket as lwIP's of MicroPython 1.28: what is read leaves, whole, but for a peek.

    Whoever asks for more than `memory` octets gets none; `asked`: how many each time.
    """

    def __init__(self, *waiting):
        self.waiting = list(waiting)
        self.memory = 1500
        self.asked = []

    def recv(self, octets, flags=0):
        self.asked.append(octets)
        if octets > self.memory:
            raise MemoryError
        if not self.waiting:
            raise OSError(11)
        return (self.waiting[0] if flags & 1 else self.waiting.pop(0))[:octets]

    def readinto(self, buffer):
        if not self.waiting:
            return None
        octets = self.waiting.pop(0)[: len(buffer)]
        buffer[: len(octets)] = octets
        return len(octets)


def _packet(octets):
    head = b"\x60\0\0\0" + bytes((octets >> 8, octets & 255, 43, 64))
    return head + b"s" * 16 + b"d" * 16 + bytes(octets)


class _Receiver(lwip.Receiver):
    def __init__(self, *waiting):
        self.socket = _Queue(*waiting)


def test_a_packet_is_received_in_memory_of_its_own_length():
    receiver = _Receiver(_packet(80), _packet(1460), _packet(0))
    for octets in (80, 1460, 0):
        source, destination, following, payload = receiver.receive()
        assert (source, destination, following) == (b"s" * 16, b"d" * 16, 43)
        assert bytes(payload) == bytes(octets)
    assert receiver.receive() is None
    assert receiver.socket.asked == [40, 120, 40, 1500, 40, 40, 40]
    receiver = _Receiver(_packet(2000), _packet(8))  # reassembled, longer than a link carries
    assert receiver.receive() is None
    assert len(receiver.receive()[3]) == 8


def test_without_memory_a_packet_is_lost_and_never_the_port():
    for memory in (0, 100):
        receiver = _Receiver(*(_packet(80) for _ in range(4)))
        receiver.socket.memory = memory
        raises(MemoryError, receiver.receive)
        assert len(receiver.socket.waiting) == 3
        port = _Port()
        heard = []
        port.received = lambda *packet: heard.append(packet)  # noqa: B023
        port._drain(receiver)
        assert (heard, receiver.socket.waiting) == ([], [])
        assert port.faults["no memory"] >= 3
        receiver.socket.memory = 1500
        receiver.socket.waiting.append(_packet(80))
        port._drain(receiver)
        assert len(heard) == 1


def test_whatever_stops_all_else_for_long_is_no_reason_for_the_watchdog():
    port = _Port()
    port.watchdog = None
    port._unfed = lambda feed, begins: port.told.append((feed, begins))
    port._scan()
    assert port.told == []
    port.watchdog = feed = object()
    port._scan()
    assert port.told == [(feed, True), (feed, False)]

    def refuse():
        raise OSError(5)

    port.told.clear()
    port._station.nic.scan = refuse
    try:
        port._scan()
    except OSError:
        pass
    assert port.told == [(feed, True), (feed, False)]


def test_an_ipv4_address_that_is_there_is_told_when_keys_come_that_want_it():
    port = _Port()
    port.use(True, False, None)
    port._station.nic.addr4 = "10.0.0.5"
    port.see(0)
    port._station._list(0)
    assert port.told == []
    port.use(True, True, None)
    port._station._list(0)
    assert [told[0] for told in port.told] == ["a"]


def test_an_ipv4_address_counts_where_it_leads_somewhere():
    port = _Port()
    station = port._station
    station.nic.addr4 = "10.0.0.5"
    port.see(0)
    station._list(0)
    assert [addresses.text(entry.octets) for entry in station.usable()] == ["10.0.0.5"]
    port.use(True, False, None)
    assert station.usable() == []
    port.use(True, True, None)
    for text in ("169.254.1.2", "0.0.0.0"):
        station.nic.addr4 = text
        station._list(0)
        assert station.usable() == []


class _Nimble(_Radio):
    """Networks whose routers answer at once, seen as on the Pico W: an interface that uses
    addresses as they are formed, and lwIP's habits as its sources say.

    `routers`: by network, the addresses' text that its routers advertise now.
    """

    def __init__(self, clock):
        _Radio.__init__(self, clock)
        self.routers = {}
        self.here = None
        self.router = None  # whether one was heard
        self.answering = True
        self.solicited = []
        self.duplicates = set()
        self.renewals = []

    def renew(self, quick):
        self.renewals.append(quick)
        self.addr6 = []

    def connect(self, ssid, password, at):
        _Wlan.connect(self, ssid, password, at)
        if ssid in self.in_reach:
            self.joined.append((self.clock.at, ssid))
            self.here, self.router = ssid, False

    def solicit(self):
        self.solicited.append(self.clock.at)
        if self.answering:
            self.advertise()

    def advertise(self):
        """A router's turn: lifetimes are renewed, addresses formed where there is room."""
        for text in self.routers.get(self.here, ()):
            self.router = True
            rest = [entry for entry in self.addr6 if entry[0] != text]
            if len(rest) < 2:
                state = 0x40 if text in self.duplicates else 0x30
                self.addr6 = rest + [(text, state, 1800, 3600)]

    def hurry(self):
        return True

    def heard(self):
        return self.router

    def doubt(self):
        self.addr6 = [(text, state, life, valid - 60) for text, state, life, valid in self.addr6]
        return True

    def ipconfig(self, *keys, **values):
        if keys == ("addr6",):
            self.duplicated = any(entry[1] == 0x40 for entry in self.addr6)
            return [entry for entry in self.addr6 if entry[1] & 0x10]
        return _Wlan.ipconfig(self, *keys, **values)


def _nimbly(known, until, routers, each=None):
    """As `_live`, with a `_Nimble`; `routers`: by network, the texts of their addresses."""
    with _Clock() as clock:
        scene = _Scene(known)
        scene.wlan = scene.station.nic = _Nimble(clock)
        scene.wlan.in_reach = list(routers)
        scene.wlan.routers = routers

        async def main():
            task = asyncio.create_task(scene.station.run())
            while clock.at < 1000 * until:
                await asyncio.sleep(0)
                if each is not None:
                    each(scene, clock.at)
            task.cancel()

        asyncio.run(main())
    return scene


def test_an_address_is_told_as_soon_as_a_router_was_heard():
    scene = _nimbly(_KNOWN[:1], 30, {"a": [_ONE[0]]})
    assert scene.told[-1] == ("a", ["2001:db8:1::5"]) and scene.station.heard
    assert scene.wlan.solicited == [0] and scene.wlan.renewals == [True]
    assert scene.asked("eager") == [("eager", True), ("eager", False)]


def test_routers_that_say_nothing_are_asked_again_and_not_for_ever():
    scene = _nimbly(_KNOWN[:1], 14, {"a": []})
    assert scene.wlan.solicited == [0, 500, 1500] and not scene.station.heard

    def each(scene, at):
        if at > 10000 and not scene.wlan.routers["a"]:
            scene.wlan.routers["a"] = [_ONE[0]]
            scene.wlan.advertise()

    scene = _nimbly(_KNOWN[:1], 14, {"a": []}, each)
    assert scene.usable() == ["2001:db8:1::5"] and len(scene.wlan.joined) == 1


def test_a_duplicate_is_given_up_and_counted():
    def each(scene, at):
        if scene.usable() and scene.station._asked_at is None:
            scene.station.asked()
        if at > 200 and not scene.wlan.duplicates:
            scene.wlan.duplicates.add(_ONE[0])
            scene.wlan.advertise()

    scene = _nimbly(_KNOWN[:1], 60, {"a": [_ONE[0]]}, each)
    assert len(scene.wlan.joined) == 1
    assert ("a", ["2001:db8:1::5"]) in scene.told and scene.told[-1] == ("a", [])
    assert scene.faults and all(error.args[0] == errno.EADDRINUSE for error in scene.faults)


def test_behind_the_same_name_another_router_is_soon_found():
    """The link may have gone between, or not; lwIP keeps the old router, so we join anew."""
    for lost in (False, True):

        def each(scene, at, lost=lost):
            wlan = scene.wlan
            if at > 20000 and wlan.routers["a"] != [_TWO[0]]:
                wlan.routers["a"] = [_TWO[0]]
                if lost:
                    wlan._status = 0
                else:
                    wlan.advertise()

        scene = _nimbly(_KNOWN[:1], 60, {"a": [_ONE[0]]}, each)
        assert scene.usable() == ["2001:db8:2::5"]
        assert 20000 < scene.wlan.joined[-1][0] < 23500
        assert len(scene.wlan.joined) == 2 + lost and len(scene.wlan.renewals) == 2
        both = ["2001:db8:1::5", "2001:db8:2::5"]
        assert ("a", both) not in scene.told  # no update is spent on the address that is of no use


def test_two_routers_on_one_link_are_no_reason_to_join_anew():
    def each(scene, at):
        if at > 20000 and len(scene.wlan.routers["a"]) < 2:
            scene.wlan.routers["a"] = [_ONE[0], _TWO[0]]
            scene.wlan.advertise()

    scene = _nimbly(_KNOWN[:1], 60, {"a": [_ONE[0]]}, each)
    assert scene.usable() == ["2001:db8:1::5", "2001:db8:2::5"]
    assert len(scene.wlan.joined) == 1


def test_a_neighbour_that_advertises_ever_new_prefixes_has_us_join_anew_seldom():
    """The router itself says nothing: nobody can be told from a neighbour."""

    def each(scene, at):
        wlan = scene.wlan
        if at // 2000 != wlan.turn:
            wlan.turn = at // 2000
            wlan.routers["a"] = ["2001:DB8:%x::5" % (wlan.turn + 1)]
            wlan.advertise()

    _Nimble.turn = 0
    scene = _nimbly(_KNOWN[:1], 3600, {"a": [_ONE[0]]}, each)
    assert 64 <= len(scene.wlan.joined) < 64 + 360 + 2  # of 1,800 prefixes
    assert scene.told[-1][0] == "a"


def test_updates_without_an_answer_have_us_join_anew_soon_and_once():
    def each(scene, at):
        if at > 30000:
            scene.station.asked()

    scene = _nimbly(_KNOWN[:1], 45, {"a": [_ONE[0]]}, each)
    assert [name for _, name in scene.wlan.joined] == ["a", "a"]
    assert 32000 < scene.wlan.joined[1][0] < 33500


def test_a_network_is_joined_by_the_access_point_that_a_scan_found():
    scanned = [
        (b"a", b"aaaaa1", 1, -70, 0, 1),
        (b"a", b"aaaaa2", 6, -40, 0, 1),
        (b"b", b"bbbbb1", 11, -60, 0, 1),
        (b"", b"hidden", 3, -20, 0, 1),
    ]
    with _Clock() as clock:
        scene = _Scene(_KNOWN)
        wlan = scene.wlan = scene.station.nic = _Radio(clock)
        wlan.in_reach = ["a"]
        wlan.scan = lambda: scanned
        tried = []
        join = wlan.connect

        def connect(ssid, password, at):
            tried.append(at and at[:2])
            join(ssid if at is None else "moved", password, at)

        wlan.connect = connect

        async def main():
            task = asyncio.create_task(scene.station.run())
            while clock.at < 1000:
                await asyncio.sleep(0)
            task.cancel()

        asyncio.run(main())
    assert tried[:2] == [(b"aaaaa2", 6), None]  # it isn't there any more: by name
    assert wlan.joined == [(0, "a")]
    reach = {name: at[:2] for name, at in scene.station._reach.items()}
    assert reach == {b"a": (b"aaaaa2", 6), b"b": (b"bbbbb1", 11)}


class _Seen(_Radio):
    """Scans tell the access points, and take three seconds, as joins by name alone do; what comes
    after them takes `takes_ms`."""

    takes_ms = due = 0

    def status(self):
        found = _Radio.status(self)
        return 1 if found == 2 and self.clock.at < self.due else found

    def connect(self, ssid, password, at):
        if at is None:
            self.clock.at += 3000
            self.passes()
        self.due = self.clock.at + self.takes_ms
        _Radio.connect(self, ssid, password, at)

    def scan(self):
        self.clock.at += 3000
        self.passes()
        self.asked.append(("scan",))
        return [(name.encode(), name.encode() * 6, 1, -50, 0, 1) for name in self.in_reach]


_THREE = _KNOWN + [{"ssid": "c", "priority": 2}]


def _seen(known, until, in_reach, each, takes_ms=0):
    """As `_live`, in networks with IPv6 whose access points a scan tells; `each(scene, at)`."""
    with _Clock() as clock:
        scene = _Scene(known)
        wlan = scene.wlan = scene.station.nic = _Seen(clock)
        wlan.in_reach, wlan.with_ipv6 = list(in_reach), ["a", "b", "c"]
        wlan.takes_ms = takes_ms
        wlan.passes = lambda: each(scene, clock.at)

        async def main():
            task = asyncio.create_task(scene.station.run())
            while clock.at < 1000 * until:
                await asyncio.sleep(0)
                each(scene, clock.at)
            task.cancel()

        asyncio.run(main())
    return [name for _, name in wlan.joined], [at for at, _ in wlan.joined], wlan


def test_where_a_link_is_lost_the_next_network_is_tried_at_once_and_a_scan_comes_later():
    def each(scene, at):
        if at > 10000 and "a" in scene.wlan.in_reach:
            scene.wlan.lose("a")

    names, times, wlan = _seen(_THREE, 60, "abc", each)
    assert names == ["a", "b"]
    assert times[1] == 10
    assert wlan.asked.count(("scan",)) == 2  # one for "a", which is better


def test_where_joining_takes_long_the_next_network_is_given_that_time():
    """Passwords, and access points under load: it was seen how long one took."""
    for takes_ms in (700, 1500, 3500):

        def each(scene, at):
            if at > 20000 and "a" in scene.wlan.in_reach:
                scene.wlan.lose("a")

        names, times, _ = _seen(_THREE, 40, "abc", each, takes_ms)
        assert (names, times[1]) == (["a", "b"], 20), takes_ms


def test_a_better_network_that_was_back_when_a_worse_one_was_joined_is_found():
    gone = []

    def each(scene, at):
        if at > 10000 and not gone:
            gone.append(at)
            scene.wlan.lose("a")
        if at > 12000 and "a" not in scene.wlan.in_reach:
            scene.wlan.in_reach.append("a")

    names, times, wlan = _seen(_THREE, 3600, "abc", each)
    assert names == ["a", "b", "a"] and times[2] < 20
    assert wlan.asked.count(("scan",)) == 2


def test_of_two_that_come_back_together_after_a_while_the_better_one_is_joined():
    worse = 0
    for back in range(30000, 130000, 700):
        gone = []

        def each(scene, at, back=back, gone=gone):
            if at > 10000 and not gone:
                gone.append(at)
                for name in "abc":
                    scene.wlan.lose(name)
            if at > back and not scene.wlan.in_reach:
                scene.wlan.in_reach = ["a", "b"]

        names = _seen(_THREE, 200, "abc", each)[0]
        assert names[-1] == "a" and len(names) < 4, (back, names)
        worse += "b" in names
    assert worse  # where it was tried first, by its name


def test_the_same_network_back_after_a_moment_is_joined_without_a_scan():
    def each(scene, at):
        if at > 10000 and len(scene.wlan.joined) == 1:
            scene.wlan._status = 0

    names, times, wlan = _seen(_THREE, 60, "abc", each)
    assert names == ["a", "a"] and times[1] == 10
    assert wlan.asked.count(("scan",)) == 1


def test_a_router_is_noted_once_for_each_time_that_the_link_comes_up():
    port = _Port()
    opened = []
    port.way_open = lambda: opened.append(1)
    for _ in range(2):
        port._station.heard = False
        port.see(0)
        port._station.heard = True
        port.see(0, _ONE)
        port.see(0, _ONE, _TWO)
        port.see(None)
    assert [line for line in port.lines if line[0] == "router"] == [("router", "a")] * 2
    assert not opened
    port._lost = True  # a packet found no router meanwhile
    port._station.heard = True
    port.see(0, _ONE)
    assert opened == [1]
