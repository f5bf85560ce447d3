"""The ROM of an ESP32 that waits for firmware: esptool's own mock of it."""

import subprocess
import sys
import time
from pathlib import Path


class Mock:
    """esp32-mock-bootloader on a pty."""

    def __init__(self, chip: str, folder: Path) -> None:
        port_file = folder / f"{chip}.port"
        words = ["run", "--pty", "--chip", chip, "--port-file", str(port_file)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "esp32_mock_bootloader.cli", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not (port_file.exists() and port_file.read_text()):
            assert self._process.poll() is None
            time.sleep(0.02)
        self.port = port_file.read_text().strip()

    def __enter__(self) -> "Mock":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
