"""The short form of `make bench`'s endurance: what a year of some hostile behaviours costs."""

import importlib.util
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "bench" / "endurance.py"


@pytest.fixture(scope="module")
def endurance():
    spec = importlib.util.spec_from_file_location("endurance", FILE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("behaviour", "most"),
    [
        ("status 129 for ever", 400),
        ("no answer at all", 10_000),
        ("the same, no answer", 50_000),  # a care-of address that changes ten times a second
    ],
)
def test_a_key_lasts_a_year(endurance, behaviour: str, most: int) -> None:
    assert 0 < endurance.year(behaviour) <= most
