"""The scripts of walks through networks that aren't as they should be, walked: what each shows."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.nft import NEEDS_NFT

from roamkey.field import folder, report
from roamkey.field.report import Report
from roamkey.lab.walk import script
from roamkey.lab.walk.run import Walk

pytestmark = [
    pytest.mark.lab,
    pytest.mark.long,
    pytest.mark.timeout(300),
    NEEDS_NFT,
]

Walked = Callable[[str], Report]


@pytest.fixture
def walked(tmp_path: Path) -> Walked:
    """Walks an example; its report."""

    def walk(name: str) -> Report:
        Walk(script.read(script.find(name)), tmp_path, lambda text: None).run()
        return report.make(folder.read(tmp_path))

    return walk


def ways(made: Report) -> list[tuple[str, str]]:
    return [(one.network, one.way) for one in made.nodes[0].handovers]


def test_a_way_is_found_where_extension_headers_are_dropped(walked: Walked) -> None:
    assert ways(walked("filters")) == [
        ("visited 1", "native"), ("nodst", "udp6"), ("noroute", "udp6"), ("neither", "udp6"),
        ("visited 2", "native"), ("home", "native"),
    ]  # fmt: skip


def test_a_captive_network_is_waited_for(walked: Walked) -> None:
    made = walked("captive")
    assert [network for network, _ in ways(made)] == ["visited 1", "hotel", "train", "home"]
    hotel, train = made.nodes[0].handovers[1:3]
    assert hotel.way == "udp4"
    for one in (hotel, train):
        assert one.signalling_ms is not None and one.signalling_ms > 3000


def test_data_go_on_when_a_nat_has_forgotten(walked: Walked, tmp_path: Path) -> None:
    """The correspondent tells the node, which registers anew from its new port."""
    walked("forgetful")
    log = [json.loads(line) for line in (tmp_path / "correspondent.log").read_text().splitlines()]
    accepted = [one for one in log if one["event"] == "accepted"]
    assert {one["way"] for one in accepted} == {"udp4"}
    steps = json.loads((tmp_path / "walk.json").read_text())["steps"]
    arrivals = [json.loads(line) for line in (tmp_path / "data.jsonl").read_text().splitlines()]
    forgotten = [one["at_ms"] for one in steps if one["kind"] == "forget"]
    assert len(forgotten) == 2
    following = [one["at_ms"] for one in steps]
    endpoints = set()
    for at in forgotten:
        end = min(ms for ms in following if ms > at)
        after = [one for one in accepted if at < stamp(one) < end]
        assert after, "registered anew"
        endpoints.add(after[-1]["endpoint"])
        assert any(at < one["at_ms"] < end for one in arrivals)
    assert len(endpoints) == 2


def test_a_name_that_was_resolved_once_is_kept(walked: Walked) -> None:
    made = walked("names")
    assert ways(made) == [
        ("cafe", "udp4"), ("broken", "udp4"), ("mute", "udp4"), ("cafe", "udp4"),
        ("home", "native"),
    ]  # fmt: skip
    assert all(one.updates == 1 for one in made.nodes[0].handovers if one.on_board)


def stamp(one: dict[str, str]) -> float:
    from datetime import datetime

    return datetime.fromisoformat(one["time"].replace("Z", "+00:00")).timestamp() * 1000
