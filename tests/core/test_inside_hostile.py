"""Datagrams that nobody signed, to a node that is bound inside UDP: nothing escapes, nothing is
believed, memory stays."""

import gc
import os
import random

from harness import on_micropython
from peer import CN, HOME
from test_bindings import state
from test_ways import IPV4_LATER, OUTSIDE, bound, kinds

from mip6 import messages, packets
from mip6.bindings import ways

PACKETS = 20000
if not on_micropython() and os.environ.get("CAMPAIGN") == "full":
    PACKETS = 1000000
PORT = packets.ENCAPSULATED + packets.ENCAPSULATION_PORT
_EDGES = (0, 1, 4, 7, 8, 16, 127, 128, 254, 255)
_HEADERS = (0, 17, 43, 44, 58, 59, 60, 135, 255)
_RAM_OCTETS = 4096  # that the counts by reason, and what a collection leaves, may differ by


def mutated(chance, octets):
    """One to four places changed, doubled or taken out."""
    octets = bytearray(octets)
    for _ in range(1 + chance(4)):
        at = chance(len(octets))
        kind = chance(4)
        if kind == 0:
            octets[at] ^= 1 << chance(8)
        elif kind == 1:
            octets[at] = _EDGES[chance(len(_EDGES))]
        elif kind == 2:
            octets = octets[:at] + octets[at : at + 8] + octets[at:]
        elif len(octets) > 8:
            octets = octets[:at] + octets[at + 1 + chance(8) :]
    return bytes(octets)


def fitted(whole):
    """As who can't sign, but can count, would send it: with its own length, and checksum."""
    octets = len(whole) - packets.IPV6_HEADER_OCTETS
    if octets < 0:
        return whole
    whole = whole[:4] + bytes((octets >> 8, octets & 255)) + whole[6:]
    if octets < 8 or whole[6] != packets.MOBILITY:
        return whole
    return whole[:40] + messages.with_checksum(whole[40:], whole[8:24], whole[24:40])


def originals(cn, update):
    """What a correspondent may send: answers to an update, requests, data."""
    found = [cn.answer(update, status=status, nat=25)[3] for status in (0, 128, 129, 135)]
    found.append(cn.answer(update, status=135, sequence=60000)[3])
    found.append(cn.answer(update, lifetime=1)[3])
    request = messages.Message(messages.BINDING_REFRESH_REQUEST).encode()
    error = messages.Message(messages.BINDING_ERROR, status=2, home_address=HOME).encode()
    found += [cn.inside(one, OUTSIDE)[3] for one in (request, error)]
    datagram = packets.udp(CN, HOME, 5006, 5005, b"data")
    found.append(packets.ipv6_header(CN, HOME, packets.UDP, len(datagram)) + datagram)
    return found


def believable(whole, good):
    """Whether a mutation left a message as it was signed, or made one that needs no key."""
    try:
        packet = packets.parse_encapsulated(whole)
        kind = (
            messages.decode(packet.payload).kind if packet.protocol == packets.MOBILITY else None
        )
    except Exception:
        return False
    if kind != messages.BINDING_ACKNOWLEDGEMENT:
        return kind in (messages.BINDING_REFRESH_REQUEST, messages.BINDING_ERROR)
    return any(bytes(packet.payload) == bytes(one[40:]) for one in good)


def test_mutated_datagrams_change_nothing():
    bindings, cn, now = bound(ways.UDP4)
    bindings.attach(IPV4_LATER, now + 1000, None, "other")
    ((_, update),) = kinds(bindings, now + 1000)  # its answer is awaited all the time
    now += 1001
    good = originals(cn, update)
    binding = bindings.find(CN)
    assert state(bindings) == "registering"
    generator = random
    generator.seed(4191)

    def chance(below):
        return generator.getrandbits(16) % below

    data = before = 0
    accepted = binding.accepted
    for number in range(PACKETS):
        while True:
            original = good[chance(len(good))]
            kind = chance(8)
            if kind == 0:
                whole = original[: chance(len(original))]
            elif kind == 1:
                whole = original[:6] + bytes((_HEADERS[chance(len(_HEADERS))],)) + original[7:]
            elif kind < 6:
                whole = original[:40] + mutated(chance, original[40:])
            else:
                whole = mutated(chance, original)
            if chance(4):
                whole = fitted(whole)
            if not believable(whole, good):
                break
        source, port = OUTSIDE, PORT
        if chance(16) == 0:  # the very octets that were signed, from elsewhere
            source, port, whole = OUTSIDE[:15] + b"\x63", PORT + chance(2), good[0]
        packet = bindings.receive(source, b"", port, whole, now)
        if packet is not None:  # for the checksum of whoever listens; no message is among them
            data += 1
            assert packet.protocol != packets.MOBILITY
            assert bytes(packet.destination) == HOME and bytes(packet.source) == CN
        if number == PACKETS // 10:
            before = memory()
    assert state(bindings) == "registering" and binding.accepted == accepted
    assert binding.way[1] == IPV4_LATER and binding.sequence == update.sequence
    assert bindings.next_packet(now) is None, "nobody is answered"
    assert sum(bindings.drops.values()) + data == PACKETS
    for reason in ("authenticator", "checksum", "endpoint", "old sequence", "option", "truncated"):
        assert bindings.drops[reason] > PACKETS // 200, bindings.drops
    assert data > PACKETS // 200
    assert len(bindings.drops) < 40
    assert memory() - before < _RAM_OCTETS
    bindings.receive(OUTSIDE, b"", PORT, good[0], now)
    assert state(bindings) == "bound" and binding.accepted == update.sequence


def memory():
    """Octets of the heap in use, where the interpreter tells; then none are garbage."""
    gc.collect()
    return gc.mem_alloc() if on_micropython() else 0
