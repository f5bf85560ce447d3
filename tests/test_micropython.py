"""The core's tests again, under the real MicroPython binary: one case a file of tests/core."""

import os
import subprocess
from pathlib import Path

import pytest

from roamkey.lab.interpreter import micropython

CORE = Path(__file__).parent / "core"
FIRMWARE = Path(__file__).parent.parent / "firmware"
SUPPORT = CORE.parent / "support"


@pytest.mark.parametrize("name", sorted(path.stem for path in CORE.glob("test_*.py")))
def test_core_under_micropython(name: str) -> None:
    environment = {**os.environ, "MICROPYPATH": f"{CORE}:{SUPPORT}:{FIRMWARE}:.frozen"}
    done = subprocess.run(
        [micropython(), "-X", "heapsize=4M", str(CORE / "run.py"), name],
        env=environment,
        cwd=CORE,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    closing = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
    assert done.returncode == 0, done.stdout + done.stderr
    assert closing.endswith(" passed, 0 failed"), done.stdout
    assert not closing.startswith("0 "), f"{name} holds no test"
