"""Pico W firmware that holds the agent: it boots without a file in flash; copies come and go."""

import os
from pathlib import Path

import pytest
from support import copies

from roamkey.lab.pico_w import EmulatedPicoW

from .station import Bench


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_agent_in_the_firmware_and_copies_of_it(tmp_path: Path) -> None:
    uf2 = Path(os.environ["PICO_W_FROZEN_UF2"])
    with EmulatedPicoW(uf2, image=tmp_path / "fs.bin") as board:
        copies.come_and_go(Bench(board))
