"""The binding cache against 42 packets of a third-party implementation, whole and damaged."""

import pytest
from support.mutations import VECTORS, address, cache_of, inbound_of

from mip6 import messages, packets
from roamkey.correspondent.core import replies
from roamkey.correspondent.core.entries import Inbound

UPDATES = [v for v in VECTORS if v["kind"] == "bu"]
ACKNOWLEDGEMENTS = [v for v in VECTORS if v["kind"] == "ba"]
STATIC = [v for v in UPDATES if "-static-" in v["name"] or v["name"] == "dereg-from-home"]
NOW = 1_700_000_000_000

by_name = {"ids": lambda v: v["name"]}


def is_settled(verdict):
    return verdict.outcome in ("accepted", "removed")


def flips(octets):
    for bit in range(8 * len(octets)):
        flipped = bytearray(octets)
        flipped[bit // 8] ^= 1 << bit % 8
        yield bytes(flipped)


def test_the_vectors_are_all_there():
    assert (len(UPDATES), len(ACKNOWLEDGEMENTS), len(STATIC)) == (36, 6, 6)


@pytest.mark.parametrize("v", UPDATES, **by_name)
def test_every_update_verifies(v):
    cache, inbound = cache_of(v), inbound_of(v)
    message = messages.decode(bytes.fromhex(v["mh_checksum_zero"]))
    verdict = cache.judge(inbound, NOW)
    if message.flags & messages.FLAG_HOME_REGISTRATION:
        assert verdict.status == messages.HOME_REGISTRATION_NOT_SUPPORTED
        return
    assert verdict.outcome == ("accepted" if message.lifetime else "removed")
    assert (verdict.reply is not None) == bool(message.flags & messages.FLAG_ACKNOWLEDGE)
    assert verdict.care_of_address == address(v["mac_first_address"])
    again = cache.judge(inbound, NOW)
    assert (again.outcome, again.status) == ("refused", 135)


@pytest.mark.parametrize("v", ACKNOWLEDGEMENTS, **by_name)
def test_acknowledgements_are_laid_out_alike(v):
    packet = packets.parse(bytes.fromhex(v["packet"]))
    message = messages.decode(packet.payload)
    if messages.PADN not in dict(message.options):
        pytest.skip("another layout than ours")
    update = Inbound(packets.DESTINATION_OPTIONS, b"", address(v["coa"]))
    reply = replies.acknowledgement(
        address(v["cn"]), update, address(v["hoa"]), address(v["coa"]),
        bytes.fromhex(v["kbm_used"]), message.status, message.sequence, 4 * message.lifetime,
    )  # fmt: skip
    assert reply.payload == bytes.fromhex(v["packet"])[40:]
    assert (reply.next_header, reply.destination) == (packets.ROUTING, address(v["coa"]))


@pytest.mark.parametrize("v", ACKNOWLEDGEMENTS, **by_name)
def test_acknowledgements_are_not_for_us(v):
    packet = bytes.fromhex(v["packet"])
    cache = cache_of(v, correspondent=address(v["hoa"]))
    assert cache.judge(Inbound(packet[6], packet[40:], packet[8:24]), NOW).outcome == "dropped"


@pytest.mark.parametrize("v", VECTORS, **by_name)
def test_every_truncation_is_dropped(v):
    cache, inbound = cache_of(v), inbound_of(v)
    for length in range(len(inbound.payload)):
        verdict = cache.judge(inbound._replace(payload=inbound.payload[:length]), NOW)
        assert verdict.outcome == "dropped" and verdict.change is None, length


@pytest.mark.parametrize("v", STATIC, **by_name)
def test_every_flipped_bit_is_dropped(v):
    """Addresses, the option's address, the message: wherever a key for the result is there."""
    inbound = inbound_of(v)
    away = inbound.next_header == packets.DESTINATION_OPTIONS
    home_flips = list(flips(address(v["hoa"])))
    cache = cache_of(v, homes=home_flips)
    start = packets.EXTENSION_OCTETS if away else 0
    header = inbound.payload[start:]
    damaged = [inbound._replace(source=source) for source in flips(inbound.source)]
    damaged += [
        inbound._replace(payload=inbound.payload[:start] + flipped) for flipped in flips(header)
    ]
    if away:
        damaged += [
            inbound._replace(payload=inbound.payload[:8] + home + header) for home in home_flips
        ]
        for home in home_flips:  # even with the checksum made right
            fixed = messages.with_checksum(header, home, cache.correspondent)
            damaged.append(inbound._replace(payload=inbound.payload[:8] + home + fixed))
    for packet in damaged:
        verdict = cache.judge(packet, NOW)
        assert verdict.outcome == "dropped" and verdict.change is None
        assert verdict.reply is None or verdict.reason == "message type"
    for correspondent in flips(address(v["cn"])):
        elsewhere = cache_of(v, correspondent=correspondent)
        assert elsewhere.judge(inbound, NOW).outcome == "dropped"
        fixed = messages.with_checksum(header, address(v["hoa"]), correspondent)
        fixed = inbound._replace(payload=inbound.payload[:start] + fixed)
        assert elsewhere.judge(fixed, NOW).outcome == "dropped"
    assert is_settled(cache.judge(inbound, NOW)), "the packet itself is still good"
