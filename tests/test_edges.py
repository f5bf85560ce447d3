"""Damaged captures, logs and firmware files: refused in one line or read, never a traceback.

A short form of bench/edges.py.
"""

from pathlib import Path

import pytest
from support import edges

COUNT = 3_000


def test_mutated_captures() -> None:
    tally = edges.campaign(edges.Captures(), COUNT, seed=11)
    assert tally["crashes"] == 0, tally
    assert min(tally["outcomes"].values()) > 0


def test_mutated_logs(tmp_path: Path) -> None:
    tally = edges.campaign(edges.Logs(tmp_path / "walk", drawn=0.002), COUNT // 2, seed=12)
    assert tally["crashes"] == 0, tally
    assert set(tally["outcomes"]) == {"reported", "refused"}


def test_mutated_firmware_files(tmp_path: Path) -> None:
    tally = edges.campaign(edges.Images(tmp_path / "images"), COUNT, seed=13)
    assert tally["crashes"] == 0, tally
    assert tally["outcomes"]["refused"] > COUNT / 2


@pytest.mark.slow
def test_a_long_walk_is_reported_in_bounds(tmp_path: Path) -> None:
    """Ten times as many events: not much more than ten times the work, and the page's size is
    bounded."""
    small, large = (
        edges.report_of(tmp_path / str(moves), moves, page_too=True) for moves in (600, 6_000)
    )
    assert large["cpu_s"] < 60 * max(small["cpu_s"], 0.05)
    assert large["page_octets"] < 3 << 20
    assert "of 6,000" in large["page"] and "all are in handovers.csv" in large["page"]
