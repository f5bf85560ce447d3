"""The short form of `make fuzz`'s faults: each 37th call that leaves the agent raises, once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_fault_at_a_call_leaves_no_node_unbound(tmp_path: Path) -> None:
    out = tmp_path / "faults.json"
    done = subprocess.run(
        [sys.executable, str(PROJECT / "bench" / "faults.py"), "--quick", "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(out.read_text())
    assert told["injected"] > 40
    assert told["not_recovered"] == 0
