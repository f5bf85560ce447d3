"""The Wi-Fi networks that a board is to join, with their passwords, which nothing here shows."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mip6.limits import PASSWORD_OCTETS_MAX, PASSWORD_OCTETS_MIN, SSID_OCTETS_MAX
from roamkey.board.serial_client import SerialClient


@dataclass(frozen=True)
class Wifi:
    """One network. `password`: None for an open one. `priority`: the best 0."""

    ssid: str
    password: str | None = field(repr=False)
    priority: int = 0


def check_name(ssid: str) -> str:
    """A network's name; raises ValueError for what can't be one."""
    octets = len(ssid.encode())
    if octets > SSID_OCTETS_MAX or not ssid.isprintable():
        raise ValueError(f"a network's name has {SSID_OCTETS_MAX} octets at most, printable")
    return ssid


def check_password(password: str) -> str:
    """A password; raises ValueError, which doesn't tell it."""
    fits = PASSWORD_OCTETS_MIN <= len(password) <= PASSWORD_OCTETS_MAX
    if not fits or not password.isprintable() or not password.isascii():
        raise ValueError(
            f"a Wi-Fi password has {PASSWORD_OCTETS_MIN} to {PASSWORD_OCTETS_MAX} characters, "
            "all of ASCII"
        )
    return password


def tell(client: SerialClient, networks: Sequence[Wifi]) -> None:
    """Enter networks on a board, each in place of one of the same name; others stay. Raises
    BoardError, RefusedError."""
    for one in networks:
        entry: dict[str, object] = {"ssid": one.ssid, "priority": one.priority}
        if one.password is not None:
            entry["password"] = one.password
        client.ask("networks", {"set": entry}, again=True)
