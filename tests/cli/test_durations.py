"""Times on the command line."""

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from roamkey.cli import durations


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("90", 90), ("90s", 90), ("30m", 1800), ("1h", 3600), ("2d", 172800), ("0.5", 0.5),
        ("1h30m", 5400), ("1.5h", 5400), ("500ms", 0.5), (" 1H ", 3600), ("0", 0),
    ],
)  # fmt: skip
def test_what_a_person_types(text: str, amount: float) -> None:
    assert durations.read(text) == amount


@pytest.mark.parametrize(
    "text",
    ["", "x", "1x", "h", "-1", "1h-", "30m1h", "1h1h", "1 h", "1e3", "nan", "inf", "5M5", "9" * 99,
     "١h"],
)  # fmt: skip
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="is no time: say it as 90, 90s, 30m, 1h or 2d"):
        durations.read(text)


@given(st.integers(0, 10**9))
def test_what_is_said_is_read(milliseconds: int) -> None:
    said = durations.text(milliseconds / 1000)
    assert round(durations.read(said) * 1000) == milliseconds


def test_limits_are_said_in_words() -> None:
    lifetime = durations.seconds(4, 262140)
    assert lifetime("1h") == 3600
    assert isinstance(lifetime("1h"), int)
    with pytest.raises(typer.BadParameter, match="3s is not from 4s to 3d49m"):
        lifetime("3s")
    with pytest.raises(typer.BadParameter, match=r"4\.5 is not a whole number of seconds"):
        lifetime("4.5")
    with pytest.raises(typer.BadParameter, match="is no time"):
        durations.span()("soon")
