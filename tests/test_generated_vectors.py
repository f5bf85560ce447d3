"""The vectors are what their generators print, and those know nothing of mip6."""

import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "vectors"


@pytest.mark.parametrize("name", ["encapsulated", "exchanges", "routability"])
def test_the_file_is_what_the_generator_prints(name: str) -> None:
    # -S: without what is installed; the generator's own folder is all that it can import from.
    command = [sys.executable, "-E", "-S", str(FOLDER / f"make_{name}.py")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert printed.stdout == (FOLDER / f"{name}.json").read_text()
