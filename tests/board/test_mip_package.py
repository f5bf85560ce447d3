"""The agent by another way than `roamkey install`: mip. What is frozen: tests/boards."""

import subprocess
import sys
from pathlib import Path

from roamkey import mip_package
from roamkey.board.serial_client import SerialClient
from roamkey.lab.board import VirtualBoard

FIRMWARE = Path(__file__).parents[2] / "firmware"


def test_package_json_is_up_to_date() -> None:
    """If not: make docs."""
    assert (FIRMWARE / "package.json").read_text() == mip_package.text()


def test_mip_installs_what_boots(tmp_path: Path) -> None:
    with VirtualBoard(tmp_path / "board.img") as board:
        board.start()
        words = ["connect", board.port, "mip", "install", str(FIRMWARE / "package.json")]
        done = subprocess.run(
            [sys.executable, "-m", "mpremote", *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        board.reset()
        with SerialClient(board.port, answer_s=30) as client:
            assert client.identify().keystore == "empty"
