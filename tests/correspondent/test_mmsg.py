"""Many packets in one call, between real sockets."""

import socket
import struct

import pytest

from roamkey.correspondent.dataplane import mmsg

LOCAL = socket.inet_pton(socket.AF_INET6, "::1")


@pytest.fixture
def ends():
    with (
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as other,
    ):
        for end in (one, other):
            end.bind(("::1", 0))
            end.setblocking(False)
        other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        yield one, other


def fill(outbox, packets):
    """Each in two pieces; what has to stay meanwhile."""
    kept = [bytearray(one) for one in packets]
    for one in kept:
        base, half = mmsg.address_of(one), len(one) // 2
        outbox.add(base, half, base + half, len(one) - half)
    return kept


def way_to(one, other):
    name = mmsg.name_of(LOCAL, other.getsockname()[1])
    return mmsg.Way(one.fileno(), name, mmsg.info_of(LOCAL))


def came(inbox, other):
    count = inbox.receive(other.fileno())
    found = []
    for number in range(count):
        at = number * inbox.stride + 16
        found.append(bytes(inbox.view[at : at + inbox.octets[number]]))
    return found


@pytest.mark.parametrize("connected", [False, True])
def test_what_leaves_comes(ends, connected):
    one, other = ends
    packets = [bytes([at]) * (1 + 37 * at) for at in range(40)]
    outbox, inbox = mmsg.Outbox(), mmsg.Inbox(16, 65536, 128)
    kept = fill(outbox, packets)
    assert outbox.sizes() == [len(each) for each in packets] and kept
    assert [outbox.packet(at) for at in range(40)] == packets
    way = way_to(one, other)
    if connected:
        one.connect(other.getsockname())
        way = mmsg.Way(one.fileno())
    assert outbox.send(way) == 40
    assert came(inbox, other) == packets
    for number in range(40):
        name = inbox.names[number * mmsg.NAME_OCTETS :][: mmsg.NAME_OCTETS]
        assert name == mmsg.name_of(LOCAL, one.getsockname()[1])
        assert mmsg.place_of(name) == one.getsockname()[:2]
        assert inbox.lengths[number] == mmsg.INFO_OCTETS
        assert inbox.ancillary[number * 128 + 16 :][:16] == LOCAL
    with pytest.raises(BlockingIOError):
        inbox.receive(other.fileno())
    assert outbox.send(way, 38) == 2
    outbox.clear()
    assert len(came(inbox, other)) == 2 and not outbox.sizes()


def test_what_stops_one_is_told_to_whoever_sends_it_alone(ends):
    one, other = ends
    outbox = mmsg.Outbox()
    kept = fill(outbox, [b"good", b"good", bytes(70_000), b"good"])
    assert outbox.send(way_to(one, other)) == 2 and kept
    assert outbox.send(way_to(one, other), 2) == 0
    with pytest.raises(OSError):
        one.sendto(outbox.packet(2), other.getsockname())


def test_a_datagram_is_cut(ends):
    one, other = ends
    if not mmsg.can_segment(one):
        pytest.skip("this kernel cuts no datagrams")
    outbox, inbox = mmsg.Outbox(), mmsg.Inbox(16, 65536, 128)
    packets = [bytes([at]) * 1000 for at in range(9)] + [bytes(3)]
    kept = fill(outbox, packets)
    outbox.send_segmented(way_to(one, other), 1000, 0, 6)
    outbox.send_segmented(way_to(one, other), 1000, 6, 4)
    assert came(inbox, other) == packets and kept
    with pytest.raises(OSError):  # more pieces than the kernel makes of one
        outbox.send_segmented(way_to(one, other), 7, 0, 10)
    assert outbox.send(way_to(one, other)) == 10, "as ever"


def test_a_name_with_a_zone_is_no_other():
    name = bytearray(mmsg.name_of(LOCAL, 5))
    assert mmsg.place_of(name) == ("::1", 5)
    name[24:28] = struct.pack("=I", 3)
    assert mmsg.place_of(name) == ("::1%3", 5)
