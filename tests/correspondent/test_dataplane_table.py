"""Many nodes with data at a time: beyond the sockets that one may have, all are served alike."""

from ipaddress import IPv6Address

import pytest

from roamkey.correspondent.dataplane import table as module
from roamkey.correspondent.dataplane.table import Table

CN = IPv6Address("2001:db8:c::2")


class FakeSocket:
    made = 0

    def __init__(self, sent):
        FakeSocket.made += 1
        self.sent, self.to, self.closed = sent, None, False

    def connect(self, to):
        self.to = to

    def send(self, octets):
        self.sent.append((self.to, bytes(octets)))
        return len(octets)

    def sendto(self, octets, to):
        self.sent.append((to, bytes(octets)))
        return len(octets)

    def close(self):
        self.closed = True


@pytest.fixture
def crowded(monkeypatch):
    monkeypatch.setattr(module, "_raise_descriptor_limit", lambda: 10)
    monkeypatch.setattr(FakeSocket, "made", 0)
    sent = []
    table = Table(CN)
    monkeypatch.setattr(table, "open", lambda protocol: FakeSocket(sent))
    return table, sent


def address(number, network=1):
    return IPv6Address(f"2001:db8:{network}::{number:x}").packed


def send_all(table):
    for home, entry in table.by_home.items():
        (entry.send or table.connect(entry))(home)


def test_no_socket_is_made_for_each_packet(crowded):
    table, sent = crowded
    for number in range(100):
        table.bind(address(number, 0xA), address(number), 1)
    for _ in range(3):
        send_all(table)
    assert FakeSocket.made == 11  # ten of their own, one for the others
    wanted = [((str(IPv6Address(address(n))), 0), address(n, 0xA)) for n in range(100)]
    assert sent == wanted * 3


def test_who_moves_is_followed_and_who_goes_makes_room(crowded):
    table, sent = crowded
    for number in range(20):
        table.bind(address(number, 0xA), address(number), 1)
    send_all(table)
    table.bind(address(15, 0xA), address(15, 2), 1)  # shares
    table.bind(address(5, 0xA), address(5, 2), 1)  # has its own
    table.unbind(address(6, 0xA))
    sent.clear()
    send_all(table)
    assert ((str(IPv6Address(address(15, 2))), 0), address(15, 0xA)) in sent
    assert ((str(IPv6Address(address(5, 2))), 0), address(5, 0xA)) in sent
    assert len(sent) == 19 and table._connected == 10


def endpoint(number, port=5000):
    return address(number) + port.to_bytes(2, "big") + CN.packed


HOME = address(1, 0xA)
FIRST, SECOND, THIRD = "2001:db8:1::1", "2001:db8:2::1", "2001:db8:3::1"
UNTIL = 1_000_000


def at(table, text, key=1, now=1000, until=UNTIL):
    """Bind the node there; its entry."""
    table.bind(HOME, IPv6Address(text).packed, until, b"", key, now)
    return table.by_home[HOME]


def test_what_is_under_way_when_a_node_moves_is_taken_for_three_seconds():
    table = Table(CN)
    at(table, FIRST)
    entry = at(table, SECOND)
    assert entry.was_at(FIRST, 1000) and entry.was_at(FIRST, 3999)
    assert not entry.was_at(FIRST, 4000)
    assert not entry.was_at(THIRD, 1000), "nobody else's"
    at(table, SECOND, now=3500)  # a renewal changes nothing
    assert entry.was_at(FIRST, 3999) and not entry.was_at(FIRST, 4000)
    at(table, THIRD, now=3600)
    assert entry.was_at(SECOND, 3600) and not entry.was_at(FIRST, 3600), "one, the last"
    back = at(table, SECOND, now=3700)
    assert back.was_at(THIRD, 3700) and not back.was_at(SECOND, 3700)


def test_not_under_another_key_nor_when_it_was_over_nor_after_home():
    table = Table(CN)
    at(table, FIRST)
    entry = at(table, SECOND, key=2)
    assert not entry.was_at(FIRST, 1000), "the key of before may be a thief's"
    at(table, THIRD, key=2)
    assert entry.was_at(SECOND, 1000)
    at(table, THIRD, key=3)  # new keys in the same place
    assert not entry.was_at(SECOND, 1000)
    at(table, FIRST, key=3, until=1500)
    at(table, SECOND, key=3, now=1500)
    assert not entry.was_at(FIRST, 1500), "its lifetime was over"
    at(table, THIRD, key=3, now=1600, until=1700)
    assert entry.was_at(SECOND, 1699) and not entry.was_at(SECOND, 1700), "no longer than itself"
    table.unbind(HOME)
    assert not at(table, SECOND, key=3).was_at(THIRD, 1000)


def test_an_endpoint_that_was_left_is_no_care_of_address():
    table = Table(CN, FakeUdp([]))
    table.bind(HOME, bytes(16), UNTIL, endpoint(1), 1, 1000)
    entry = at(table, SECOND)
    place = (str(IPv6Address(address(1))), 5000)
    assert entry.was_at(place, 1000) and not entry.was_at(place[0], 1000)
    assert not entry.was_at((place[0], 5001), 1000)
    table.bind(HOME, bytes(16), UNTIL, endpoint(2), 1, 1100)
    assert entry.was_at(SECOND, 1100) and not entry.was_at((SECOND, 5000), 1100)


class FakeUdp(FakeSocket):
    def sendmsg(self, octets, ancillary, _, to):
        ((_, _, info),) = ancillary
        assert info[:16] == CN.packed, "it leaves from where the node's own came to"
        self.sent.append((to, b"".join(octets)))
        return 1


def test_endpoints_share_one_socket_and_are_forgotten(monkeypatch):
    monkeypatch.setattr(FakeSocket, "made", 0)
    sent = []
    table = Table(CN, FakeUdp(sent))
    for number in range(100):
        entry = table.bind(address(number, 0xA), bytes(16), 1, endpoint(number))
        assert entry.care_of_text == "" and entry.body == 0, "never taken for a native one"
    for _ in range(2):
        send_all(table)
    assert FakeSocket.made == 1
    wanted = [((str(IPv6Address(address(n))), 5000), address(n, 0xA)) for n in range(100)]
    assert sent == wanted * 2
    assert table.bind(address(1, 0xA), bytes(16), 2, endpoint(1)) is None, "it stays"
    moved = table.bind(address(1, 0xA), bytes(16), 2, endpoint(2, 5000))
    assert {one.home_address for one in table.by_endpoint[endpoint(2)]} == {
        address(1, 0xA), address(2, 0xA),
    }  # fmt: skip
    moved.narrow(1300, 0)
    assert moved.mtu == 1300 - 48
    monkeypatch.setattr(table, "open", lambda protocol: FakeSocket(sent))
    native = table.bind(address(1, 0xA), address(7, 2), 3)
    assert native is moved and native.outer is None and native.mtu > 1500
    sent.clear()
    (native.send or table.connect(native))(b"native")
    assert sent == [((str(IPv6Address(address(7, 2))), 0), b"native")]
    for number in range(100):
        table.unbind(address(number, 0xA))
    assert not table.by_endpoint and not table.by_home and not table.by_flow
