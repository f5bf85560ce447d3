"""Firmware that holds the agent: it boots without a file in flash, and a copy goes before it."""

from mip6 import __version__
from support.technician import Technician

_STATVFS = "import os; print(os.statvfs('/')[3])"
_RUNNING = "import sys, mip6.agent as a; print(sys.path[0], getattr(a, '__file__', '?'))"
_BLOCKS = 16  # that a copy takes at least


def come_and_go(station: Technician) -> None:
    """Install over the firmware's agent, go back, remove: on a board that has power, and nothing
    in flash."""
    assert station.roamkey("status")["identity"]["agent"] == __version__

    first = station.roamkey("install")
    assert (first["form"], first["slot"], first["frozen"]) == ("frozen", "", __version__)
    assert first["sent"] == 0 and first["previous"] is None
    empty = int(station.printed(_STATVFS))

    copied = station.roamkey("install", "--copy")
    assert (copied["form"], copied["slot"], copied["previous"]) == ("mpy", "a", __version__)
    station.board.power_cut()
    station.board.power_on()
    assert station.roamkey("status")["identity"]["agent"] == __version__
    path, file = station.printed(_RUNNING).split()
    assert path == "/agent/a" and file.startswith("/agent/a/mip6/agent")

    back = station.roamkey("install", "--rollback")
    assert (back["form"], back["slot"], back["previous"]) == ("frozen", "", __version__)
    assert station.printed(_RUNNING).split()[-1] == "mip6/agent.py"
    assert int(station.printed(_STATVFS)) <= empty - _BLOCKS  # what was copied stays

    before = int(station.printed(_STATVFS))
    removed = station.roamkey("install", "--remove")
    assert (removed["slot"], removed["previous"]) == ("", None)
    assert int(station.printed(_STATVFS)) >= before + _BLOCKS
    assert station.roamkey("status")["identity"]["agent"] == __version__
