"""The short form of `make fuzz`'s kills of `roamkey batch`: four boards, eight kills."""

import subprocess
import sys
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "bench" / "batch_kills.py"


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_and_repeated_nothing_is_lost_or_done_twice() -> None:
    options = ("--boards", "4", "--kills", "8", "--longest", "0.5", "--no-save")
    done = subprocess.run(
        [sys.executable, str(FILE), *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = dict(word.split(" ", 1)[::-1] for word in done.stdout.strip().split(", "))
    assert (counts["lost"], counts["twice"]) == ("0", "0") and int(counts["kills"]) >= 8
