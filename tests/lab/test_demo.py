"""The demo's story end to end, and that its verdict can say no."""

import dataclasses
import io
import os
import struct
from pathlib import Path

import pytest
from rich.console import Console

from mip6 import messages, packets
from roamkey.correspondent.dataplane import tun
from roamkey.lab.conditions import Conditions
from roamkey.lab.demo.chart import draw
from roamkey.lab.demo.company import HOME_AGENT_TEXT, KEYLESS_TEXT, Joined
from roamkey.lab.demo.facts import CAFE, Facts, Handover, Replay, check
from roamkey.lab.demo.readings import Reading
from roamkey.lab.wire import Signal, Wire, read_signal

HOME = "2001:db8:a::1"


def signal(kind, sequence, status=None, frame=b"", at=0.0, care_of="2001:db8:1::1", way="native"):
    near = care_of if way == "native" else "203.0.113.1"
    return Signal(at, kind, HOME, care_of, sequence, 400, status, frame, way, near)


def update(sequence, frame=None, **more):
    return signal(5, sequence, frame=frame or b"BU %d" % sequence, **more)


def answer(sequence, status=0, **more):
    return signal(6, sequence, status, **more)


@pytest.fixture(params=[False, True], ids=["native", "ipv4"])
def told(request):
    """Facts and signals of a story in which all went well."""
    facts = Facts(
        100.0, ended=134.0, before_cut=5, after_cut=8, home_binding=None, ipv4=request.param
    )
    sequences = [0, 1, 2, 4, 5, 8, 9]
    networks = ["visited1", "visited2", "visited1", "visited2", "cafe", "cafe", "home"]
    reasons = ["joined", "moved", "moved", "moved", "moved", "power", "home"]
    if not facts.ipv4:
        del sequences[4], networks[4], reasons[4]
        networks[4] = "visited2"
    signals = []
    handovers = zip(sequences, networks, reasons, strict=True)
    for i, (sequence, network, reason) in enumerate(handovers):
        at = 101.0 + 4 * i
        how = {"care_of": "192.168.3.11", "way": "udp4"} if network == "cafe" else {}
        pair = (
            update(sequence, at=at + 1.002, **how), answer(sequence, at=at + 1.024, **how)
        )  # fmt: skip
        first = pair[0]
        if i == 3:  # its first update found no answer
            first = update(sequence - 1, at=at + 1.001)
            signals.append(first)
        signals += pair
        facts.handovers.append(Handover(network, reason, at, at + 1, first, *pair, one_way=0.02))
    replay = update(1, at=121.0)
    facts.replays = [Replay(replay, answer(4, 135), "2001:db8:2::1")] * 2
    signals += [replay, answer(4, 135), replay, answer(4, 135)]
    facts.readings = [
        Reading(101.0 + i, i, HOME, handover.update.near)
        for i, handover in enumerate(facts.handovers)
    ]
    facts.marks = [(118.0, "power cut"), (121.0, "correspondent killed")]
    return facts, signals


def test_a_story_that_went_well_has_no_faults(told):
    assert check(*told) == []


def test_each_step_that_did_not_happen_is_a_fault(told):
    facts, signals = told
    breakages = [
        dataclasses.replace(facts, handovers=facts.handovers[:-1]),
        dataclasses.replace(facts, replays=facts.replays[:1]),
        dataclasses.replace(facts, before_cut=8),
        dataclasses.replace(facts, before_cut=-1),
        dataclasses.replace(facts, home_binding="2001:db8:1::1"),
        dataclasses.replace(
            facts, replays=[Replay(update(1), answer(1, 0), "2001:db8:2::1"), facts.replays[0]]
        ),
        dataclasses.replace(
            facts, replays=[Replay(update(1), answer(4, 135), "2001:db8:1::1"), facts.replays[0]]
        ),
    ]
    breakages += [
        dataclasses.replace(facts, readings=[]),
        dataclasses.replace(
            facts, readings=[*facts.readings, Reading(1, 9, "::1", "2001:db8:1::1")]
        ),
        dataclasses.replace(facts, readings=[*facts.readings, Reading(1, 9, HOME, "2001:db8::7")]),
        dataclasses.replace(facts, accompanied=True),
    ]
    for broken in breakages:
        assert len(check(broken, signals)) == 1
    assert check(facts, [*signals, update(2, b"another message with an old number")])
    assert check(facts, [*signals, update(2)])  # not one of the replays that we sent
    assert check(facts, [*signals, answer(9)])  # accepted a second time


def test_home_agent_and_return_routability_follow_each_move(told):
    facts, signals = told
    facts.accompanied = True
    for one in facts.handovers:
        for peer in (HOME_AGENT_TEXT, KEYLESS_TEXT):
            through = peer == KEYLESS_TEXT and one.network == CAFE
            removed = one.network == "home" or through
            where = None if removed else one.update.care_of_address
            facts.joined.append(Joined(one.network, peer, where, 1.5))
    assert check(facts, signals) == []
    facts.joined[0] = dataclasses.replace(facts.joined[0], care_of_address=None)
    assert len(check(facts, signals)) == 1


def test_ipv4_alone_means_a_nat_and_udp(told):
    facts, signals = told
    assert check(dataclasses.replace(facts, ipv4=not facts.ipv4), signals)
    if not facts.ipv4:
        return
    for change in ({"way": "udp6"}, {"near": "192.168.3.11"}):
        handovers = [
            dataclasses.replace(one, update=dataclasses.replace(one.update, **change))
            if one.network == "cafe"
            else one
            for one in facts.handovers
        ]
        faults = check(dataclasses.replace(facts, handovers=handovers), signals)
        assert "through its NAT" in faults[0]


def test_the_chart_is_drawn(told, tmp_path):
    draw(told[0], tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_the_wire_is_followed_while_it_grows(tmp_path):
    capture = tmp_path / "capture.pcap"
    address = bytes.fromhex("20010db8000000000000000000000001")
    header = messages.Message(messages.BINDING_UPDATE, sequence=7, lifetime=10).encode()
    frame = (
        b"\0" * 12
        + b"\x86\xdd"
        + packets.ipv6_header(address, address, packets.DESTINATION_OPTIONS, 24 + len(header))
        + packets.home_address_option(address, packets.MOBILITY)
        + header
    )
    record = struct.pack("<IIII", 5, 250000, len(frame), len(frame)) + frame
    with capture.open("wb") as file, Wire(capture) as wire:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + record[:30])
        file.flush()
        with pytest.raises(TimeoutError):
            wire.wait_for(lambda s: True, timeout=0.05)
        file.write(record[30:])
        file.flush()
        found = wire.wait_for(lambda s: s.is_update)
    assert (found.time, found.sequence, found.lifetime) == (5.25, 7, 40)
    assert read_signal(0, frame[:-1]) is None


@pytest.mark.lab
@pytest.mark.slow
def test_the_whole_story(tmp_path: Path):
    from roamkey.lab.demo.story import Story
    from roamkey.lab.demo.timeline import Timeline
    from roamkey.lab.namespaces import nft_program
    from roamkey.lab.network import Network

    lines = io.StringIO()
    nat = nft_program() is not None or bool(os.environ.get("CI"))
    home_agent = tun.refusal() is None
    cafe = {CAFE: Conditions("ipv4")} if nat else None
    with Network(networks=cafe, home_agent=home_agent) as network:
        story = Story(tmp_path, network, Timeline(Console(file=lines, soft_wrap=True)))
        signals = story.run()
    assert check(story.facts, signals) == []
    assert "still bound to" in lines.getvalue()
    assert ("return routability: bound to 2001:db8:2:" in lines.getvalue()) == home_agent
    assert ("192.168.3.11 is 203.0.113.1 outside" in lines.getvalue()) == nat
