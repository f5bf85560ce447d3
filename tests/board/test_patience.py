"""ROAMKEY_PATIENCE: waits for boards that lag."""

import os
import subprocess
import sys

import pytest

from roamkey.board.patience import patient
from roamkey.errors import BadInputError


@pytest.mark.parametrize(("text", "waits"), [("", 3.0), ("1", 3.0), ("2.5", 7.5), ("100", 300.0)])
def test_a_wait_is_so_many_times_as_long(
    monkeypatch: pytest.MonkeyPatch, text: str, waits: float
) -> None:
    monkeypatch.setenv("ROAMKEY_PATIENCE", text)
    assert patient(3.0) == waits


@pytest.mark.parametrize("text", ["0.5", "101", "nan", "much", "-1"])
def test_no_other_factor_is_taken(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("ROAMKEY_PATIENCE", text)
    with pytest.raises(BadInputError, match="1 to 100"):
        patient(3.0)


def test_the_command_says_so_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "roamkey", "status", "--port", "/dev/null"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "ROAMKEY_PATIENCE": "much"},
    )
    assert done.returncode == 1
    assert done.stderr == "roamkey: ROAMKEY_PATIENCE: not a number from 1 to 100\n"
