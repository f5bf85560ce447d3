"""`roamkey node run`: the agent of a Linux machine."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from mip6.programs import plane
from roamkey.correspondent.dataplane import control
from roamkey.errors import SystemRefusedError
from roamkey.node import service


class Plane(str, Enum):
    """What carries data."""

    kernel = control.KERNEL
    tun = control.TUN
    none = plane.NONE


def run(
    state: Annotated[
        Path,
        typer.Option(
            help="Folder of keys and counters; `console` in it is for --port.",
            readable=False,  # the service says what is wrong with it, with its exit code
        ),
    ] = Path("/var/lib/roamkey-node"),
    uplink: Annotated[
        list[str] | None,
        typer.Option(
            metavar="INTERFACE",
            help="Interface to reach the world by, best first (repeatable). Default: all.",
        ),
    ] = None,
    data_plane: Annotated[
        Plane | None,
        typer.Option(
            help="How all programs of this machine use the home address: by the kernel's own "
            "Mobile IPv6, or by way of a TUN device; none: the agent's own datagrams alone. "
            "Default: the kernel's where it has it, else the device.",
        ),
    ] = None,
) -> None:
    """Have all programs of this machine use its home address, until SIGTERM or Ctrl-C. Needs
    CAP_NET_RAW and CAP_NET_ADMIN.

    It is provisioned as a board is: roamkey provision --port STATE/console
    """
    wanted = plane.AUTO if data_plane is None else data_plane.value
    if service.run(state, uplink or [], wanted):
        raise SystemRefusedError("a part of the agent failed for good: start it again")
