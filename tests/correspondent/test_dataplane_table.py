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
