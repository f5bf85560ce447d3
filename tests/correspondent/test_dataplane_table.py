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
    monkeypatch.setattr(table, "_open", lambda: FakeSocket(sent))
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
    monkeypatch.setattr(table, "_open", lambda: FakeSocket(sent))
    native = table.bind(address(1, 0xA), address(7, 2), 3)
    assert native is moved and native.outer is None and native.mtu > 1500
    sent.clear()
    (native.send or table.connect(native))(b"native")
    assert sent == [((str(IPv6Address(address(7, 2))), 0), b"native")]
    for number in range(100):
        table.unbind(address(number, 0xA))
    assert not table.by_endpoint and not table.by_home and not table.by_flow
