"""Handovers as a user feels them, a few of what bench/handover.py measures: bounds with room."""

import statistics
from pathlib import Path

import pytest
from support.handovers import Travel, overlapping
from support.roaming import need_tun

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(180)]

DETECTION_MS = 1000.0  # that duplicate address detection takes at least


@pytest.mark.parametrize("loss_percent", [0.0, 10.0])
def test_the_first_datagram_comes_before_any_detection_is_over(
    tmp_path: Path, loss_percent: float
) -> None:
    need_tun()
    with Travel(tmp_path, loss_percent=loss_percent) as travel:
        joins = travel.joins(7)
        node = travel.scene.status()["node"]
    for join in joins:
        assert join.link_up < join.usable <= join.bound < join.accepted
    felt = [join.datagram_ms for join in joins]
    print([round(one) for one in felt])
    assert statistics.median(felt) < DETECTION_MS / 2
    (binding,) = node["bindings"]
    # An update a join; of lost ones three, and one more where an answer is lost, too.
    assert binding["updates_sent"] <= len(joins) + 1 + (20 if loss_percent else 0)


def test_two_uplinks_that_overlap_lose_nothing_either_way(tmp_path: Path) -> None:
    need_tun()
    losses = overlapping(tmp_path, 6)
    print(losses)
    assert (losses.up, losses.down) == (0, 0)
    assert losses.said > 500
