"""The main job on real Pico W firmware: install, provision, register, move, lose power, seal."""

import os
from pathlib import Path

import pytest
from support import story

from roamkey.lab.network import Network

from .station import Station


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_pico_w_registers_moves_and_resumes(lab_network: Network, tmp_path: Path) -> None:
    station = Station(lab_network, Path(os.environ["PICO_W_UF2"]), tmp_path / "fs.bin")

    story.tell(lab_network, station, tmp_path, station.install)
