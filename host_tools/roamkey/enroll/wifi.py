"""Wi-Fi networks onto a board: they go to the board alone, no registry and no file keeps them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from mip6.limits import NETWORKS_MAX, PRIORITY_MAX, SSID_OCTETS_MAX
from roamkey.board.serial_client import SerialClient
from roamkey.errors import BadInputError


@dataclass(frozen=True)
class Network:
    """A network by its name (SSID); neither its text nor an error shows the password.

    `password`: None for an open one; `priority`: 0 to 255, the best 0.
    """

    ssid: str
    password: str | None = field(default=None, repr=False)
    priority: int = 0


def check(networks: Sequence[Network]) -> None:
    """Raise BadInputError for what no board would take."""
    for one in networks:
        if not 1 <= len(one.ssid.encode(errors="replace")) <= SSID_OCTETS_MAX:
            raise BadInputError(f"the name of a network has 1 to {SSID_OCTETS_MAX} octets")
        if not 0 <= one.priority <= PRIORITY_MAX:
            raise BadInputError(f"a priority is 0 to {PRIORITY_MAX}, the best 0")
    names = [one.ssid for one in networks]
    if len(set(names)) != len(names):
        raise BadInputError("a network is named twice")
    if len(names) > NETWORKS_MAX:
        raise BadInputError(f"a board knows at most {NETWORKS_MAX} networks")


def enter(client: SerialClient, networks: Sequence[Network]) -> None:
    """Enter networks on a board, each in place of one of its name; others stay.

    Again does no harm. Raises BoardError, RefusedError.
    """
    for one in networks:
        entry: dict[str, Any] = {"ssid": one.ssid, "priority": one.priority}
        if one.password is not None:
            entry["password"] = one.password
        client.ask("networks", {"set": entry})
