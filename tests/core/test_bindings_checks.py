"""Forged, replayed, misplaced and malformed messages change nothing and are counted."""

from counter import counter_of
from peer import (
    CN,
    CN2,
    COA1,
    COA2,
    COA3,
    HOME,
    Correspondent,
    drain,
    keystore,
    receive,
)
from test_bindings import bound, state

from mip6 import messages, packets
from mip6.bindings.update_list import BindingUpdateList
from mip6.status import of_bindings


def registering(correspondents=(CN,)):
    """(bindings, correspondent, update, packet sent) before the answer."""
    bindings = BindingUpdateList(keystore(correspondents), 0)
    bindings.attach(COA1, 0)
    sent = drain(bindings, 0)[0]
    cn = Correspondent()
    return bindings, cn, cn.read(sent), sent


def test_a_replayed_acknowledgement():
    bindings, cn, update, _ = registering()
    recorded = cn.answer(update)
    receive(bindings, recorded, 40)
    receive(bindings, recorded, 50)
    assert bindings.drops == {"replayed": 1}
    binding = bindings.find(CN)
    drain(bindings, binding.refresh_at)
    receive(bindings, recorded, binding.transmit_at - 1)
    assert state(bindings) == "refreshing"
    bindings.attach(COA2, 500000)
    drain(bindings, 500000)
    receive(bindings, recorded, 500010)
    assert bindings.drops == {"replayed": 3}
    assert state(bindings) == "registering"


def test_an_old_sequence():
    bindings, cn, first, _ = registering()
    bindings.attach(COA2, 100)
    drain(bindings, 100)
    receive(bindings, cn.answer(first), 140)
    receive(bindings, cn.answer(first, sequence=40000), 140)
    assert bindings.drops == {"old sequence": 2}
    assert state(bindings) == "registering"


def test_another_correspondent():
    bindings, cn, update, _ = registering((CN, CN2))
    other = Correspondent(CN2)
    receive(bindings, cn.answer(update, key_of=other), 40)
    assert bindings.drops == {"authenticator": 1}
    stranger = Correspondent(COA2)
    receive(bindings, stranger.answer(update, key_of=cn), 40)
    assert bindings.drops == {"authenticator": 1, "unknown correspondent": 1}
    assert state(bindings, 0) == state(bindings, 1) == "registering"


def test_every_single_bit():
    """Flipped anywhere in Mobility Header or routing header's address: dropped, by a reason."""
    bindings, cn, update, _ = registering()
    source, destination, next_header, payload = cn.answer(update)
    dropped = 0
    for at in range(8, len(payload)):
        for bit in range(8):
            flipped = bytearray(payload)
            flipped[at] ^= 1 << bit
            receive(bindings, (source, destination, next_header, bytes(flipped)), 40)
            assert state(bindings) == "registering", (at, bit)
            dropped += 1
            assert sum(bindings.drops.values()) == dropped
    receive(bindings, (source, destination, next_header, payload), 40)
    assert state(bindings) == "bound"


def test_every_single_bit_with_the_checksum_right():
    """An attacker repairs the checksum; the authenticator still refuses."""
    bindings, cn, update, _ = registering()
    source, destination, next_header, payload = cn.answer(update)
    header = payload[24:]
    for at in range(6, len(header)):
        for bit in range(8):
            flipped = bytearray(header)
            flipped[at] ^= 1 << bit
            receive(bindings, cn.packet(bytes(flipped), COA1), 40)
            assert state(bindings) == "registering", (at, bit)
    receive(bindings, (source, destination, next_header, payload), 40)
    assert state(bindings) == "bound"


def test_every_truncation():
    bindings, cn, update, _ = registering()
    source, destination, next_header, payload = cn.answer(update)
    for octets in range(len(payload)):
        receive(bindings, (source, destination, next_header, payload[:octets]), 40)
        assert state(bindings) == "registering"
    assert sum(bindings.drops.values()) == len(payload)


def test_an_acknowledgement_must_come_through_the_home_address():
    bindings, cn, update, _ = registering()
    _, _, _, payload = cn.answer(update)
    header = payload[24:]
    receive(bindings, cn.packet(header, COA1, route=False), 40)
    assert bindings.drops == {"not for the home address": 1}
    assert state(bindings) == "registering"


def test_messages_that_a_node_does_not_take():
    bindings, cn, _ = bound()
    for kind in (1, 2, 3, 4, 5):
        receive(bindings, cn.packet(messages.Message(kind).encode(), COA1), 100)
    assert bindings.drops == {"unexpected": 5}
    assert state(bindings) == "bound"


def test_refresh_requests_cost_a_number_now_and_then():
    bindings, cn, update = bound()
    now = 20000
    receive(bindings, cn.refresh_request(COA1), now)
    assert state(bindings) == "refreshing"
    update = cn.read(drain(bindings, now)[0])
    receive(bindings, cn.answer(update), now + 40)
    for again in range(now + 100, now + 9900, 100):
        receive(bindings, cn.refresh_request(COA1), again)
        assert drain(bindings, again) == []
    assert bindings.drops == {"too soon": 98}
    receive(bindings, cn.refresh_request(COA1), now + 10000)
    assert len(drain(bindings, now + 10000)) == 1


def test_a_refresh_request_past_the_home_address():
    bindings, cn, _ = bound()
    message = messages.Message(messages.BINDING_REFRESH_REQUEST).encode()
    receive(bindings, cn.packet(message, COA1, route=False), 100)
    assert bindings.drops == {"not for the home address": 1}


def test_binding_errors():
    bindings, cn, _ = bound()
    receive(bindings, cn.binding_error(COA1, 1, home=COA2), 100)
    assert bindings.drops == {"not for the home address": 1}
    receive(bindings, cn.binding_error(COA1, 2), 100)  # it accepted the binding: not believed
    receive(bindings, cn.binding_error(COA1, 3), 100)
    assert bindings.drops == {"not for the home address": 1, "unexpected": 2}
    receive(bindings, cn.binding_error(COA1, 1), 100)
    assert state(bindings) == "refreshing"  # asked anew, and data flow on
    assert cn.read(drain(bindings, 100)[0]).care_of == COA1
    for now in range(200, 60000, 100):  # forged, both kinds: they silence nobody
        receive(bindings, cn.binding_error(COA1, 1 + now % 200 // 100), now)
        drain(bindings, now)
        assert bindings.find(CN).usable
    assert counter_of(bindings.keystore, 0).peek < 20


def test_binding_error_2_stops_and_is_tried_again():
    bindings, cn, _, _ = registering()
    receive(bindings, cn.binding_error(COA1, 2), 40)
    assert state(bindings) == "unsupported"
    assert "Binding Error 2" in of_bindings(bindings, 40)[0]["reason"]
    assert bindings.wakes_at() == 600040
    assert len(drain(bindings, 600040)) == 1


def test_parameter_problems():
    bindings, cn, _, sent = registering()
    for code in (0, 2):
        receive(bindings, cn.parameter_problem(sent, code), 40)
    assert bindings.drops == {"expected parameter problem": 2}
    receive(bindings, cn.parameter_problem(sent, pointer=41), 40)
    source, destination, kind, payload = sent
    other = payload[:-1] + bytes([payload[-1] ^ 1])
    receive(bindings, cn.parameter_problem((source, destination, kind, other)), 40)
    receive(bindings, cn.parameter_problem((COA2, destination, kind, payload)), 40)
    receive(bindings, cn.parameter_problem((source, CN2, kind, payload)), 40)
    assert bindings.drops["unexpected"] == 4
    whole = cn.parameter_problem(sent)
    receive(bindings, (whole[0], whole[1], whole[2], whole[3][:40]), 40)
    assert bindings.drops["truncated"] == 1
    assert state(bindings) == "registering"
    receive(bindings, whole, 40)
    assert state(bindings) == "unsupported"
    assert "ICMPv6" in of_bindings(bindings, 40)[0]["reason"]


def test_parameter_problem_at_home():
    bindings = BindingUpdateList(keystore(), 0)
    bindings.attach(HOME, 0)
    sent = drain(bindings, 0)[0]
    receive(bindings, Correspondent().parameter_problem(sent), 40)
    assert state(bindings) == "home"  # who doesn't know mobility holds no binding


def test_data_for_the_home_address_is_handed_out():
    bindings, cn, _ = bound()
    datagram = packets.udp(CN, HOME, 7, 9, b"data")
    route = packets.routing_header(HOME, packets.UDP)
    packet = receive(bindings, (CN, COA1, packets.ROUTING, route + datagram), 100)
    assert packet.protocol == packets.UDP
    assert bytes(packet.payload) == datagram
    assert packet.checksum_ok()
    route = packets.routing_header(COA2, packets.UDP)
    assert receive(bindings, (CN, COA1, packets.ROUTING, route + datagram), 100) is None
    assert bindings.drops == {"not for the home address": 1}


def test_nobody_speaks_as_a_correspondent_by_a_home_address_option():
    """RFC 6275 section 9.3.1: without a binding of the sender's it is dropped."""
    bindings, _, _ = bound()
    datagram = packets.udp(CN, HOME, 7, 9, b"forged")
    option = packets.home_address_option(CN, packets.ROUTING)
    route = packets.routing_header(HOME, packets.UDP)
    packet = (COA2, COA1, packets.DESTINATION_OPTIONS, option + route + datagram)
    assert receive(bindings, packet, 100) is None
    assert bindings.drops == {"no binding": 1}


def test_an_unknown_message_is_answered_by_binding_error_2():
    bindings, cn, _ = bound()
    header = bytearray(messages.Message(messages.BINDING_REFRESH_REQUEST).encode())
    header[2] = 40  # no such type
    for at, stranger in ((1000, CN2), (1500, COA3), (2500, COA3)):
        whole = messages.with_checksum(bytes(header), stranger, COA1)
        receive(bindings, (stranger, COA1, packets.MOBILITY, whole), at)
        found = drain(bindings, at)
        if at == 1500:
            assert found == []  # one a second, whoever asks
            continue
        source, destination, protocol, payload = found[0]
        assert (source, destination, protocol) == (COA1, stranger, packets.MOBILITY)
        packet = packets.parse_payload(protocol, payload, source, destination)
        error = messages.decode(packet.payload)
        assert packet.checksum_ok() and error.kind == messages.BINDING_ERROR
        assert error.status == messages.UNRECOGNIZED_MESSAGE
    header[4] ^= 1
    receive(bindings, (CN2, COA1, packets.MOBILITY, bytes(header)), 9000)
    assert drain(bindings, 9000) == []  # damaged: silence
    assert state(bindings) == "bound"


def test_a_wrong_payload_protocol_is_a_parameter_problem():
    bindings, cn, _ = bound()
    header = bytearray(messages.Message(messages.BINDING_REFRESH_REQUEST).encode())
    header[0] = packets.UDP
    route = packets.routing_header(HOME, packets.MOBILITY)
    whole = route + messages.with_checksum(bytes(header), CN, HOME)
    receive(bindings, (CN, COA1, packets.ROUTING, whole), 1000)
    source, destination, protocol, payload = drain(bindings, 1000)[0]
    assert (source, destination, protocol) == (COA1, CN, packets.ICMPV6)
    assert packets.parse_payload(protocol, payload, source, destination).checksum_ok()
    assert bytes(payload[:2]) == b"\x04\x00"
    assert int.from_bytes(payload[4:8], "big") == 40 + 24
    assert payload[8:48] == packets.ipv6_header(CN, COA1, packets.ROUTING, len(whole))
    assert payload[48:] == whole


def test_at_home_an_unsigned_answer_ends_the_waiting():
    bindings, cn, _ = bound()
    bindings.attach(HOME, 1000)
    update = cn.read(drain(bindings, 1000)[0])
    fields = {"status": 0, "sequence": update.sequence, "lifetime": 0}
    unsigned = messages.Message(messages.BINDING_ACKNOWLEDGEMENT, **fields).encode()
    receive(bindings, cn.packet(unsigned, HOME), 1040)
    assert state(bindings) == "returning" and bindings.drops == {"authenticator": 1}
    now = 1040
    while state(bindings) == "returning":
        now = bindings.wakes_at()
        drain(bindings, now)
    assert state(bindings) == "home" and now <= 6040
