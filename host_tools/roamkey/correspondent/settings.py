"""How a correspondent's daemon is to serve: what its command line says."""

from dataclasses import dataclass
from pathlib import Path

from roamkey.correspondent.core.refresh import USED
from roamkey.correspondent.events.recorder import KEEP_DAYS

METRICS = "[::1]:9464"  # where metrics are served where the address is free


@dataclass(frozen=True)
class Settings:
    """How to serve. `metrics`: an address and port, or None; with `metrics_needed` the daemon
    doesn't start where it can't have that address. `data_plane`: data go to and from nodes too.
    `events`: the file to record them in, for so many days, or None; `marks`: the folder of the
    high-water marks, or None."""

    bindings_max: int = 1_000_000
    refresh: str = USED
    metrics: str | None = None
    metrics_needed: bool = True
    data_plane: bool = False
    events: Path | None = None
    events_days: float = KEEP_DAYS
    marks: Path | None = None
