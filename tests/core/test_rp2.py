"""The Pico W's port without a Pico W: its self-check, networks, and view of lwIP's addresses."""

import asyncio
import json
import sys

from harness import raises

from mip6 import addresses
from mip6.maintenance import networklist
from mip6.ports import lwip, station, wifi

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
    order = [network.ssid for network in station._in_order(known, scanned)]
    assert order == ["strong", "weak", "last", "far"]


class _Wlan:
    """network.WLAN with what the tests set; keeps what was asked of it."""

    def __init__(self):
        self.in_reach = []
        self.addr6 = []
        self.asked = []
        self._status = 0

    def active(self, on):
        self.asked.append(("active", on))

    def scan(self):
        return [(name.encode(), b"", 1, -50, 0, 1) for name in self.in_reach]

    def connect(self, ssid, password):
        self.asked.append(("connect", ssid, password))
        self._status = 2 if ssid in self.in_reach else -2

    def disconnect(self):
        self._status = 0

    def lose(self, name):
        self.in_reach.remove(name)
        self._status = 0

    def status(self):
        return self._status

    def ipconfig(self, *keys, **values):
        if keys:
            return list(self.addr6)
        self.asked.append(("ipconfig", values))


class _Scene:
    """A station over a scripted interface, and what it told."""

    def __init__(self, known):
        self.wlan = _Wlan()
        self.solicited = 0
        self.told = []
        self.faults = []
        self.station = station.Station(self.wlan, self._solicit, self._changed, self.faults.append)
        self.station.use(_read(known))

    def _solicit(self):
        self.solicited += 1

    def _changed(self):
        self.told.append((self.station.network and self.station.network.ssid, self.address()))

    def address(self):
        return self.station.address and addresses.text(self.station.address)

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
        await _until(lambda: scene.told)
        assert scene.told == [("a", "2001:db8:1::5")]
        assert scene.solicited == 1
        renewed = len(scene.asked("active"))
        wlan.addr6 = [_LOCAL, _TWO]
        wlan.lose("a")
        await _until(lambda: len(scene.told) == 3)
        assert scene.told[1:] == [(None, None), ("b", "2001:db8:2::5")]
        assert scene.asked("connect")[-1] == ("connect", "b", "pw")
        assert scene.asked("active")[renewed:][-2:] == [("active", False), ("active", True)]

    _run(main(), scene)
    assert not scene.faults


def test_tentative_and_deprecated_addresses_are_not_used_and_the_newest_wins():
    scene = _Scene(_KNOWN[:1])
    wlan = scene.wlan

    async def main():
        wlan.in_reach = ["a"]
        wlan.addr6 = [_LOCAL]
        await _until(lambda: scene.solicited)
        wlan.addr6 = [_LOCAL, _ONE]
        await _until(lambda: scene.address() == "2001:db8:1::5")
        wlan.addr6 = [_LOCAL, _TWO, _ONE]  # a lower slot, yet newer
        await _until(lambda: scene.address() == "2001:db8:2::5")
        wlan.addr6 = [_LOCAL, (_TWO[0], 0x10, 0, 1000), _ONE]
        await _until(lambda: scene.address() == "2001:db8:1::5")
        wlan.addr6 = [_LOCAL]
        await _until(lambda: scene.address() is None)

    _run(main(), scene)


def test_an_address_that_nobody_renews_makes_room():
    scene = _Scene(_KNOWN[:1])
    scene.station._listed = None
    now = 1000000
    for listed, later in (
        ([_LOCAL, _ONE], 0),
        ([_LOCAL, _ONE, _TWO], 60000),
        ([_LOCAL, (_ONE[0], 0x30, 99, 999), _TWO], 66000),
    ):
        scene.wlan.addr6 = listed
        scene.station._look(now + later)
    asked = [values for _, values in scene.asked("ipconfig")]
    assert asked == [{"addr6": _TWO[0]}, {"autoconf6": False}, {"autoconf6": True}]


def test_two_prefixes_of_one_advertisement_stay():
    scene = _Scene(_KNOWN[:1])
    for listed, later in (
        ([_LOCAL, _ONE], 0),
        ([_LOCAL, (_ONE[0], 0x30, 500, 1500)], 59000),  # renewed by what brings the second
        ([_LOCAL, (_ONE[0], 0x30, 499, 1499), _TWO], 60000),
        ([_LOCAL, (_ONE[0], 0x30, 498, 1498), _TWO], 70000),
    ):
        scene.wlan.addr6 = listed
        scene.station._look(1000000 + later)
    assert not scene.asked("ipconfig")


class _Deaf(wifi.WifiPort):
    """A port that sends into the void."""

    def __init__(self):
        wifi.WifiPort.__init__(self, _Store(None))
        self.renewals = 0
        self._told = ("a", bytes(16))
        self._station.renew = self.renew

    def renew(self):
        self.renewals += 1

    def _open_sender(self):
        return self

    def _interface(self):
        return _Wlan()


class _Void:
    def send(self, *packet):
        pass


def test_updates_without_an_answer_for_long_have_us_join_anew_once():
    port = _Deaf()
    port._sender = _Void()
    clock = wifi.now
    try:
        for at in (0, 1500, 4500):
            wifi.now = lambda at=at: at
            assert port.send(bytes(16), bytes(16), 60, b"\x87")
        assert port.renewals == 0
        for _ in range(20):  # a burst to many correspondents, and data, prove nothing
            port.send(bytes(16), bytes(16), 60, b"\x87")
            port.send(bytes(16), bytes(16), 60, b"\x11")
        assert port.renewals == 0
        for at in (10500, 20000, 40000):
            wifi.now = lambda at=at: at
            port.send(bytes(16), bytes(16), 60, b"\x87")
        assert port.renewals == 1
    finally:
        wifi.now = clock


def test_data_alone_need_no_answer():
    port = _Deaf()
    port._sender = _Void()
    clock = wifi.now
    try:
        for at in range(0, 100000, 5000):
            wifi.now = lambda at=at: at
            port.send(bytes(16), bytes(16), 60, b"\x11")
        assert port.renewals == 0
    finally:
        wifi.now = clock
