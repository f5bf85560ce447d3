"""An emulated ESP32-C3: real firmware for it, run in QEMU with a model of its Wi-Fi.

    board      starts and stops the emulator, cuts its power, gives the path of its console
    qmp        what QEMU is told meanwhile

The emulator isn't part of this project, nor of any distribution: docs/LIMITS.md says which one, of
which version, and with which repairs, and what its Wi-Fi doesn't show.
"""

from roamkey.lab.esp32.board import EmulatedEsp32

__all__ = ["EmulatedEsp32"]
