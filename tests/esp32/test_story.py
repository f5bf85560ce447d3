"""The main job on real ESP32-C3 firmware that has the agent, and what a technician looks at."""

from pathlib import Path

import pytest
from support import story

from roamkey.lab.network import Network

from .station import Station


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_esp32_registers_moves_and_resumes(lab_network: Network, tmp_path: Path) -> None:
    station = Station(lab_network, "ESP32_FIRMWARE", tmp_path / "flash.bin")
    status = story.tell(lab_network, station, tmp_path, station.find_agent)
    assert status["node"]["faults"] == {}
