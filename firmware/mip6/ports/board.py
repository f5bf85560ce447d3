"""What each platform calls its own: its port, its reboot, memory that outlives one."""

import sys

import micropython

_NAMES = {"linux": "posix", "darwin": "posix"}  # sys.platform of the unix port


def open_port():
    """The port of this platform (see posix.py); raises ImportError where none is built."""
    name = _NAMES.get(sys.platform, sys.platform)
    package = __import__("mip6.ports." + name)
    return getattr(package.ports, name).Port()


def retained(platform=sys.platform):
    """Memory that outlives deep sleep and watchdog resets (ports/retained.py), None without."""
    if platform != "esp32":
        return None  # the RTC of other chips has no memory
    from machine import RTC

    from .retained import RtcMemory

    return RtcMemory(RTC())


def interrupts(on):
    """Whether 0x03 on the serial line raises KeyboardInterrupt."""
    micropython.kbd_intr(3 if on else -1)


def reboot():
    """Start afresh: a hardware reset; on unix the process ends (it is its supervisor's turn)."""
    import machine

    if hasattr(machine, "reset"):
        machine.reset()
    sys.exit()
