"""Hostile input: nothing escapes, nothing is believed, memory stays. `make fuzz` does far more."""

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.hostile import (
    against_daemon,
    against_home_agent,
    against_responder,
    against_routability,
    against_vectors,
)
from support.nodes import Scene

from mip6 import messages, packets
from roamkey.correspondent.core import reasons
from roamkey.correspondent.core.entries import Inbound, encapsulated

FULL = os.environ.get("CAMPAIGN") == "full"
GROWTH_MAX = 8 << 20

octets = st.binary(max_size=80)
sources = st.binary(min_size=16, max_size=16)
options = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=20)), max_size=5)


def laid_out(kinds):
    """Options as they lie in a header."""
    return b"".join(bytes((kind, len(data))) + data if kind else b"\0" for kind, data in kinds)


@st.composite
def chains(draw):
    """Extension headers, then a Mobility Header that is nearly one."""
    kinds = draw(st.lists(st.sampled_from((0, 43, 44, 60)), max_size=4))
    header = bytearray(draw(octets))
    if draw(st.booleans()):
        kind = draw(st.integers(0, 9))
        body = draw(octets) + laid_out(draw(options))
        header = bytearray(bytes((59, 0, kind, 0, 0, 0)) + body)
        header += bytes(-len(header) % 8)
        header[1] = len(header) // 8 - 1
        source = draw(sources)
        header = messages.with_checksum(header, source, Scene.correspondent)
    payload, follows = bytes(header), packets.MOBILITY
    for kind in kinds:
        body = laid_out(draw(options))
        body += bytes(-(len(body) + 2) % 8)
        payload = bytes((follows, len(body) // 8)) + body + payload
        follows = kind
    return Inbound(follows, payload, draw(sources))


@st.composite
def inside(draw):
    """A whole IPv6 packet to us, or nearly one."""
    payload = draw(octets)
    header = packets.ipv6_header(
        draw(sources), Scene.correspondent, draw(st.integers(0, 255)), len(payload)
    )
    return header + payload


def checked(tally, growth_max=GROWTH_MAX):
    assert (tally["crashes"], tally.get("first_crash"), tally["believed"]) == (0, None, 0), tally
    first, last = tally["resident_octets"]
    assert last - first < growth_max
    return tally


@pytest.mark.timeout(900 if FULL else 120)
@settings(
    max_examples=10_000 if FULL else 300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    burst=st.lists(
        chains()
        | st.builds(Inbound, st.integers(0, 255), octets, sources, endpoint=st.just(b""))
        | st.builds(encapsulated, st.binary(min_size=34, max_size=34), octets | inside()),
        max_size=8,
    )
)
def test_no_octets_whatever_escape(scene, burst):
    for packet, verdict in zip(burst, scene.responder.process(burst, scene.now), strict=True):
        assert verdict.outcome in ("dropped", "data") and verdict.change is None
        if packet.endpoint and verdict.reply is not None:
            assert len(verdict.reply.payload) <= len(packet.payload)


def test_mutated_vectors_are_dropped():
    checked(against_vectors(20_000))


def test_mutated_packets_inside_udp_are_dropped_by_all_that_is_behind_the_socket(tmp_path):
    tally = checked(against_responder(20_000, tmp_path / "registry.sqlite", through_udp=True))
    assert set(tally["reasons"]) <= {*reasons.DROPPED, ""}
    assert {
        "authenticator", "checksum", "option", "no key", "truncated", "length", "version",
        "destination", "encapsulated", "protocol", "no binding",
    } <= set(tally["reasons"])  # fmt: skip


def test_mutated_packets_are_dropped_by_all_that_is_behind_the_sockets(tmp_path):
    tally = checked(against_responder(20_000, tmp_path / "registry.sqlite"))
    assert set(tally["reasons"]) <= {*reasons.DROPPED, ""}
    assert {"authenticator", "checksum", "option", "no key"} <= set(tally["reasons"])


def test_forged_home_registrations_are_dropped(tmp_path):
    tally = checked(against_home_agent(20_000, tmp_path / "registry.sqlite"))
    assert set(tally["reasons"]) <= {*reasons.DROPPED, ""}
    assert {"authenticator", "authorization data", "checksum", "option", "no key"} <= set(
        tally["reasons"]
    )


def test_forged_return_routability_is_dropped():
    tally = checked(against_routability(20_000))
    assert set(tally["reasons"]) <= {*reasons.DROPPED, "", "home", "care-of"}
    assert {
        "authenticator", "checksum", "option", "no key", "nonces not recognized",
        "headers before a test", "message not for a correspondent", "too many tests",
    } <= set(tally["reasons"])  # fmt: skip


@pytest.mark.lab
def test_the_daemon_bears_a_flood_of_mutated_packets(lab_network, tmp_path):
    tally = checked(against_daemon(lab_network, tmp_path / "registry.sqlite", 3))
    assert tally["good_one_accepted"] and tally["judged"] > 1000
    assert set(tally["reasons"]) <= {*reasons.DROPPED}
