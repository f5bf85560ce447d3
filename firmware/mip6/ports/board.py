"""What each platform calls its own: its port, its reboot, memory that outlives one."""

import sys

from ..compat import MICROPYTHON, const
from ..errors import Unsupported

if MICROPYTHON:
    import micropython

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from ..protocols import Port, Retained
    from . import esp32, posix, rp2

    _every: tuple[type[Port], ...] = (esp32.Port, posix.Port, rp2.Port)


def open_port() -> "Port":
    """The port of this platform (see posix.py). A load point: no other platform's files are there.

    Raises Unsupported where none is built.
    """
    if sys.platform in ("linux", "darwin"):
        from .posix import Port
    elif sys.platform == "rp2":
        from .rp2 import Port
    elif sys.platform == "esp32":
        from .esp32 import Port
    else:
        raise Unsupported("no port for the platform %s yet" % sys.platform)
    return Port()


def retained(platform: str = sys.platform) -> "Retained | None":
    """Memory that outlives deep sleep and watchdog resets (ports/retained.py), None without."""
    if platform != "esp32":
        return None  # the RTC of other chips has no memory
    from machine import RTC  # no other chip's firmware has it

    from .retained import RtcMemory

    return RtcMemory(RTC())


def started_by(*causes: str) -> bool:
    """Whether one of these resets, named as machine's constants are, was the last one."""
    import machine

    for cause in causes:
        if hasattr(machine, cause) and machine.reset_cause() == getattr(machine, cause):
            return True
    return False


def interrupts(on: bool) -> None:
    """Whether 0x03 on the serial line raises KeyboardInterrupt."""
    micropython.kbd_intr(3 if on else -1)


def reboot(failed: bool = False) -> None:
    """Start afresh: a hardware reset; on unix the process ends (procd's turn, or whoever's), with
    the code 1 where it `failed`."""
    import machine

    if hasattr(machine, "reset"):
        machine.reset()
    sys.exit(1 if failed else 0)
