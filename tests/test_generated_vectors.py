"""The vectors in the repository are what their generator prints."""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "vectors"


def test_the_file_is_what_the_generator_prints() -> None:
    command = [sys.executable, "-I", str(FOLDER / "make_encapsulated.py")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert printed.stdout == (FOLDER / "encapsulated.json").read_text()
