"""Forged answers of a home agent, forged tests, forged tunnels, to a node that awaits them all:
nothing escapes, nothing is believed, memory stays.

The forger knows everything but keys and cookies: addresses, formats, numbers, and what was signed
for others.
"""

import gc
import os
import random

from harness import on_micropython
from homeagents import AGENT, ROUTED, STRANGER, HomeAgent, Routed, routed, tunnelled
from peer import CN, COA1, HOME, Correspondent, drain, kcn, receive
from test_home_agent import registered, state
from test_inside_hostile import memory, mutated

from mip6 import messages, packets
from mip6.errors import Violation

PACKETS = 20000
if not on_micropython() and os.environ.get("CAMPAIGN") == "full":
    PACKETS = 1000000
_RAM_OCTETS = 4096
_TESTS = (messages.HOME_TEST, messages.CARE_OF_TEST)


def awaiting():
    """A node whose home agent, keyed and keyless correspondents each owe it an answer; the
    answers as they would come, good ones."""
    bindings, agent, sent = registered(CN, ROUTED)
    keyed, cn = Correspondent(), Routed()
    tests = [one for one in sent if one[1] == ROUTED]
    tests += drain(bindings, 20)
    first = [one for one in sent if one[1] == CN]
    receive(bindings, keyed.answer(keyed.read(first[0])), 40)
    now = 5000
    request = messages.Message(messages.BINDING_REFRESH_REQUEST).encode()
    receive(bindings, routed(AGENT, request, COA1), now)
    later = drain(bindings, now)
    tests += [one for one in later if one[1] == ROUTED or one[2] == packets.IPV6]
    registration = next(one for one in later if one[1] == AGENT and one[2] != packets.IPV6)
    update = agent.read(registration)
    good = [agent.answer(update)]
    answered = {}
    for test in tests:  # those sent again bear the same cookie
        kind = messages.HOME_TEST if test[2] == packets.IPV6 else messages.CARE_OF_TEST
        answered[kind] = cn.take_test(test)
    assert len(answered) == 2
    return bindings, agent, update, good + [answered[kind] for kind in _TESTS], now


def forgeries(agent, update, good):
    """What looks as good as it can without a key, a cookie, or the home agent's address."""
    found = list(good)
    for status in (0, 128, 129, 135):
        found.append(agent.answer(update, status=status, key=kcn(CN)))
        found.append(HomeAgent(0).answer(update, status=status))
    found.append(agent.answer(update, status=135, sequence=60000, key=kcn(CN)))
    request = messages.Message(messages.BINDING_REFRESH_REQUEST).encode()
    found.append(routed(AGENT, request, COA1))
    datagram = packets.udp(STRANGER, HOME, 5, 7, b"data")
    found.append(tunnelled(STRANGER, packets.UDP, datagram, COA1, agent=STRANGER))
    found.append(tunnelled(STRANGER, packets.UDP, datagram, COA1))
    header = messages.with_checksum(request, ROUTED, HOME)
    found.append(tunnelled(ROUTED, packets.MOBILITY, header, COA1))
    return found


def fitted(sent):
    """As who can't sign, but can count, would send it: with the checksum right."""
    source, destination, next_header, payload = sent
    at = {packets.ROUTING: 24, packets.MOBILITY: 0, packets.IPV6: 40}.get(next_header)
    if at is None or len(payload) < at + 8:
        return sent
    to, by = destination, source
    if next_header == packets.ROUTING:
        to = payload[8:24]
    elif next_header == packets.IPV6:
        by, to = payload[8:24], payload[24:40]
        payload = payload[:4] + (len(payload) - 40).to_bytes(2, "big") + payload[6:]
        if payload[6] != packets.MOBILITY:
            return source, destination, next_header, payload
    header = messages.with_checksum(payload[at:], by, to)
    return source, destination, next_header, payload[:at] + header


def inside(sent):
    """The Mobility Header in a packet, or nothing."""
    source, destination, next_header, payload = sent
    try:
        if next_header == packets.IPV6:
            packet = packets.parse(payload)
        else:
            packet = packets.parse_payload(next_header, payload, source, destination)
    except Violation:
        return b""
    return bytes(packet.payload) if packet.protocol == packets.MOBILITY else b""


def needs_no_forging(sent, good):
    """Whether it says what was signed, bears a cookie, or may come from anybody (a request to
    register again, which costs an update now and then)."""
    header = inside(sent)
    if len(header) < 8:
        return False
    if header[2] in _TESTS:
        return any(header[8:16] == inside(one)[8:16] for one in good[1:])
    if header[2] in (messages.BINDING_REFRESH_REQUEST, messages.BINDING_ERROR):
        return sent[2] != packets.IPV6
    return header == inside(good[0])


def test_forged_answers_change_nothing():
    bindings, agent, update, good, now = awaiting()
    home, cn = bindings.home_agent, bindings.find(ROUTED)
    originals = forgeries(agent, update, good)
    accepted, states_before = home.accepted, [state(bindings, n) for n in range(3)]
    generator = random
    generator.seed(6275)

    def chance(below):
        return generator.getrandbits(16) % below

    data = before = 0
    for number in range(PACKETS):
        while True:
            source, destination, next_header, whole = originals[chance(len(originals))]
            whole = bytes(whole)
            kind = chance(8)
            if kind == 0:
                whole = whole[: chance(len(whole))]
            elif kind < 6:
                whole = mutated(chance, whole)
            elif kind == 6 and len(whole) >= 16:  # another cookie, in its place
                at = len(whole) - 16 if len(whole) >= 24 else 8
                whole = whole[:at] + generator.getrandbits(30).to_bytes(8, "big") + whole[at + 8 :]
            else:  # by another way, or from elsewhere
                source = (STRANGER, AGENT, ROUTED, CN)[chance(4)]
                destination = (COA1, HOME)[chance(2)]
                next_header = (packets.MOBILITY, packets.IPV6, packets.ROUTING)[chance(3)]
            forged = source, destination, next_header, whole
            if chance(4):
                forged = fitted(forged)
            if not needs_no_forging(forged, good):
                break
        packet = bindings.receive(forged[0], forged[1], forged[2], forged[3], now)
        if packet is not None:  # whose sender nobody proves, here or on any network
            data += 1
            assert packet.protocol != packets.MOBILITY
            assert forged[2] != packets.IPV6 or forged[0] == AGENT
        if number == PACKETS // 10:
            before = memory()
    assert home.accepted == accepted and home.sequence == update.sequence
    assert [state(bindings, n) for n in range(3)] == states_before
    assert not cn.procedure.can_delete(now) and not cn.procedure.ready(now)
    assert sum(bindings.drops.values()) + data == PACKETS
    for reason in ("authenticator", "checksum", "cookie", "tunnel", "truncated", "unexpected"):
        assert bindings.drops.get(reason, 0) > PACKETS // 400, bindings.drops
    assert len(bindings.drops) < 40
    gc.collect()
    assert memory() - before < _RAM_OCTETS
    for one in good:
        receive(bindings, one, now)
    assert home.accepted == update.sequence and cn.procedure.ready(now)
