"""TCP in long packets: cut and put together again it is what it was, and nothing else is taken."""

import os
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mip6 import packets
from roamkey.correspondent.dataplane import superpackets
from roamkey.correspondent.dataplane.delivery import Delivery
from roamkey.correspondent.dataplane.sending import can_be_one
from roamkey.correspondent.dataplane.superpackets import ACK, FIN, PSH, TCP, TCPV6, VNET, Place
from roamkey.correspondent.dataplane.tally import DELIVERED, FAILED, Tally

HOME, OURS = bytes(range(16)), bytes(range(100, 116))
SYN, URG, CWR = 0x02, 0x20, 0x80


def segment(data, sequence=0, flags=ACK, options=b"", source=HOME, front=b"", more=b""):
    """A whole packet of TCP; `front`: extension headers before it; `more`: first four octets."""
    header = bytearray(b"\x12\x34\x00\x50")
    header += (sequence & 0xFFFFFFFF).to_bytes(4, "big") + b"\x01\x02\x03\x04"
    header += bytes(((20 + len(options)) // 4 << 4, flags)) + b"\x20\x00\0\0\0\0" + options
    whole = bytes(header) + data
    value = packets.checksum(source, OURS, TCP, whole)
    whole = whole[:16] + value.to_bytes(2, "big") + whole[18:]
    kind = packets.DESTINATION_OPTIONS if front else TCP
    packet = packets.ipv6_header(source, OURS, kind, len(front) + len(whole)) + front + whole
    return more + packet[len(more) :]


def changed(packet, at, octet):
    return packet[:at] + bytes((octet,)) + packet[at + 1 :]


def pieces_of(packet, size, start=40):
    """What a packet is cut into."""
    view = memoryview(bytearray(packet))
    head = superpackets.head_octets(view, start)
    place = Place(start, head, size)
    return [bytes(one) for one in superpackets.cut(view, place).packets(view, place)]


class Device:
    """What is written into a device, taken apart as the kernel would."""

    def __init__(self, monkeypatch=None, error=None):
        self.told = Tally()
        self.delivery = Delivery(self.told)
        self.taken, self.writes, self.error = [], 0, error
        self.delivery.use(0, True)

    def writev(self, _, pieces):
        header, packet = bytes(pieces[0]), b"".join(pieces[1:])
        flags, kind, head, size, start, offset = VNET.unpack(header)
        if self.error is not None and kind:
            raise OSError(self.error, "refused")
        self.writes += 1
        if not kind:
            assert not flags
            self.taken.append(packet)
        else:
            assert (flags, kind, start, offset) == (superpackets.NEEDS_CHECKSUM, TCPV6, 40, 16)
            assert int.from_bytes(packet[4:6], "big") + 40 == len(packet) and size
            assert head == superpackets.head_octets(memoryview(packet), 40)
            view = memoryview(bytearray(packet))
            assert superpackets.complete(view, len(view), header) and superpackets.is_sound(view)
            self.taken += pieces_of(packet, size)
        return len(header) + len(packet)

    def put(self, given, at_a_time=64):
        """Have packets in; what came out."""
        for number, packet in enumerate(given):
            self.delivery.put(memoryview(bytearray(packet)))
            if number % at_a_time == at_a_time - 1:
                self.delivery.flush()
        self.delivery.flush()
        return self.taken


@pytest.fixture
def device(monkeypatch):
    one = Device()
    monkeypatch.setattr(os, "writev", one.writev)
    return one


sizes = st.integers(1, 1500)
options = st.sampled_from([b"", b"\x01\x01\x08\x0a" + bytes(range(8)), bytes(40)])
fronts = st.sampled_from([b"", bytes((TCP, 0, 1, 4, 0, 0, 0, 0))])


@given(st.binary(min_size=1, max_size=9000), sizes, options, fronts, st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_pieces_have_the_data_in_order_and_headers_of_their_own(data, size, more, front, first):
    flags = ACK | PSH | FIN
    whole = segment(data, first, flags, more, front=front)
    start = 40 + len(front)
    head = start + 20 + len(more)
    found = pieces_of(whole, size, start)
    wanted = [data[at : at + size] for at in range(0, len(data), size)]
    assert [one[head:] for one in found] == wanted
    for number, one in enumerate(found):
        is_last = number == len(found) - 1
        there = segment(
            wanted[number], first + number * size, flags if is_last else ACK, more, front=front
        )
        # 0 and 0xFFFF are one sum
        assert one[: start + 16] + one[start + 18 :] == there[: start + 16] + there[start + 18 :]
        assert packets.checksum(HOME, OURS, TCP, one[start:]) in (0, 0xFFFF)


@given(st.binary(max_size=200), st.integers(0, 300))
def test_what_has_no_place_for_a_header_is_not_cut(packet, start):
    head = superpackets.head_octets(memoryview(packet), start)
    assert head is None or 60 <= start + 20 <= head < len(packet)
    header = VNET.pack(1, 0, 0, 0, start, start % 50)
    before = bytearray(packet)
    if not superpackets.complete(memoryview(before), len(packet), header):
        assert before == packet


@pytest.mark.parametrize("octets", [0, 1, 100, 101, 1452])
def test_a_checksum_that_was_left_to_the_device_is_put_in(octets):
    whole = packets.udp(HOME, OURS, 7, 9, random.randbytes(octets))
    packet = bytearray(packets.ipv6_header(HOME, OURS, packets.UDP, len(whole)) + whole)
    wanted = bytes(packet)
    total = int.from_bytes(HOME + OURS, "big") + len(whole) + packets.UDP
    packet[46:48] = (total % 0xFFFF).to_bytes(2, "big")
    buffer = memoryview(packet + b"of the one before")
    assert superpackets.complete(buffer, len(packet), VNET.pack(1, 0, 0, 0, 40, 6))
    assert buffer[: len(packet)] == wanted and buffer[len(packet) :] == b"of the one before"


def test_what_follows_each_other_goes_in_as_one(device):
    data = random.randbytes(10_100)
    given = pieces_of(segment(data, 2**32 - 3000, ACK | PSH), 1000)
    assert device.put(given) == given
    assert device.writes == 1
    assert device.told.counters[DELIVERED] == len(given) == 11
    assert device.told.octets[0] == sum(map(len, given)) and device.told.heard == {HOME}


A, B = segment(bytes(100), 0), segment(bytes(100), 100)
URGENT = segment(bytes(100), 100, ACK | URG)
LATER = {
    "a gap": segment(bytes(100), 101),
    "again": A,
    "longer": segment(bytes(101), 100),
    "a wrong checksum": changed(B, 80, 7),
    "another acknowledgement": changed(B, 51, 9),
    "another window": changed(B, 54, 9),
    "urgent": URGENT,
    "the end": segment(bytes(100), 100, ACK | FIN),
    "congestion": segment(bytes(100), 100, ACK | CWR),
    "a traffic class": segment(bytes(100), 100, more=b"\x60\x10"),
    "a flow label": segment(bytes(100), 100, more=b"\x60\x00\x00\x01"),
    "options": segment(bytes(100), 100, options=b"\x01\x01\x08\x0a" + bytes(8)),
    "no data": segment(b"", 100),
    "an impossible header": changed(B, 52, 0x40),
    "a header longer than it": changed(B, 52, 0xF0)[:90],
    "cut off": B[:59],
    "another protocol": changed(B, 6, packets.UDP),
}


@pytest.mark.parametrize("what", LATER)
def test_what_differs_goes_in_as_it_came(device, what):
    given = [A, LATER[what], segment(bytes(100), 200)]
    assert sorted(device.put(given)) == sorted(given)
    assert device.writes == 3
    if "protocol" not in what and "cut off" not in what:  # of no connection
        assert device.taken[:2] == given[:2]


def test_a_first_one_with_a_wrong_checksum_stays_alone(device):
    given = [changed(A, 90, 1), B, segment(bytes(100), 200)]
    assert device.put(given) == given
    assert device.writes == 2


def test_a_push_and_a_short_one_end_it(device):
    given = [
        segment(bytes(100), 0), segment(bytes(100), 100, ACK | PSH),
        segment(bytes(100), 200), segment(bytes(99), 300), segment(bytes(1), 399),
    ]  # fmt: skip
    assert device.put(given) == given
    assert device.writes == 3


def test_it_ends_with_its_room(device):
    given = [segment(bytes(1400), number * 1400) for number in range(64)]
    assert device.put(given) == given and device.writes == 2
    given = [segment(bytes(10), number * 10) for number in range(130)]
    device.taken.clear()
    assert device.put(given, 200) == given and device.writes == 2 + 3


def test_connections_are_kept_apart(device):
    other = bytes(range(50, 66))
    given = [
        segment(bytes(100), number * 100, source=source)
        for number in range(10)
        for source in (HOME, other)
    ]
    assert sorted(device.put(given)) == sorted(given)
    assert device.writes == 2 and device.told.heard == {HOME, other}


@given(st.data())
@settings(deadline=None)
def test_any_stream_comes_out_as_it_went_in(data):
    """Of each connection in its order, whatever is done to packets on the way."""
    given, sequence = [], data.draw(st.integers(0, 2**32 - 1))
    for _ in range(data.draw(st.integers(1, 25))):
        size = data.draw(st.sampled_from([0, 1, 99, 100]))
        flags = data.draw(st.sampled_from([ACK] * 6 + [ACK | PSH, ACK | FIN, SYN, ACK | URG]))
        packet = segment(random.randbytes(size), sequence, flags)
        if data.draw(st.integers(0, 5)) == 0:
            at = data.draw(st.integers(40, len(packet) - 1))
            packet = changed(packet, at, data.draw(st.integers(0, 255)))
        sequence += size
        given.append(packet)
    device = Device()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "writev", device.writev)
        found = device.put(given, data.draw(st.integers(1, 64)))
    for ports in {one[40:44] for one in given}:
        there = [one for one in given if one[40:44] == ports]
        assert [same_sum(one) for one in found if one[40:44] == ports] == [*map(same_sum, there)]
    assert len(found) == len(given) == device.told.counters[DELIVERED]
    assert device.told.octets[0] == sum(map(len, given))


def same_sum(packet):
    """A packet with a zero checksum where it has all ones, which says the same."""
    return packet[:56] + bytes(2) + packet[58:] if packet[56:58] == b"\xff\xff" else packet


def test_a_kernel_that_takes_none_gets_none(monkeypatch):
    device = Device(error=22)
    monkeypatch.setattr(os, "writev", device.writev)
    assert device.put([A, B]) == [] and device.told.counters[FAILED] == 2
    assert device.put([A, B]) == [A, B]


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [([9, 9], True), ([9, 9, 5], True), ([9, 5, 9], False), ([5, 9], False), ([9, 5, 5], False)],
)
def test_only_packets_of_one_length_are_one_datagram(sizes, wanted):
    assert can_be_one(sizes) is wanted
