"""The record of the Wi-Fi networks that the user entered: read, changed.

The record `networks` of the store is JSON: a list of objects with `ssid`, `password` (absent or
empty: an open network) and `priority` (lower is better, 0 if absent). Passwords are secrets.
"""

import json

from ..compat import const
from ..limits import (
    NETWORKS_MAX,
    PASSWORD_OCTETS_MAX,
    PASSWORD_OCTETS_MIN,
    PRIORITY_MAX,
    SSID_OCTETS_MAX,
)

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from ..protocols import Readable, Writable

RECORD = "networks"


class WifiNetwork:
    """One network; neither its text nor an error shows the password."""

    def __init__(self, ssid: str, password: str | None, priority: int) -> None:
        self.ssid = ssid
        self.password = password
        self.priority = priority

    def __repr__(self) -> str:
        return "WifiNetwork(%r, (hidden), %d)" % (self.ssid, self.priority)


def read(store: "Readable") -> "list[WifiNetwork]":
    """The networks, best first; an empty list if none is entered. Raises ValueError, OSError."""
    octets = store.read(RECORD)
    if not octets:
        return []
    found = []
    try:
        for entry in json.loads(octets):
            ssid, password = entry["ssid"], entry.get("password") or None
            if not 1 <= len(ssid.encode()) <= SSID_OCTETS_MAX or not (
                password is None or password.encode()
            ):
                raise ValueError
            found.append(WifiNetwork(ssid, password, int(entry.get("priority", 0))))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError("the record of Wi-Fi networks is damaged") from None
    found.sort(key=lambda network: network.priority)
    return found


def change(store: "Writable", entry: object, ssid: object) -> None:
    """Enter a network (an object as in the record), in place of one of its name; forget the one
    named `ssid`. None: neither. Both in one write, or nothing.

    Raises ValueError (one line that repeats nothing), OSError. A damaged record is replaced.
    """
    known = _known(store)
    if entry is not None:
        network = _network(entry)
        known = [one for one in known if one.ssid != network.ssid] + [network]
    if ssid is not None:
        left = [one for one in known if one.ssid != ssid]
        if len(left) == len(known):
            raise ValueError("no network of this name is entered")
        known = left
    _write(store, known)


def _network(entry: object) -> "WifiNetwork":
    if not isinstance(entry, dict) or not set(entry) <= {"ssid", "password", "priority"}:
        raise ValueError("a network has the fields ssid, password, priority")
    ssid, password, priority = entry.get("ssid"), entry.get("password"), entry.get("priority", 0)
    if not isinstance(ssid, str) or not 1 <= len(ssid.encode()) <= SSID_OCTETS_MAX:
        raise ValueError("the name of a network has 1 to 32 octets")
    if password is not None and (
        not isinstance(password, str)
        or not PASSWORD_OCTETS_MIN <= len(password.encode()) <= PASSWORD_OCTETS_MAX
    ):
        raise ValueError("the password of a network has 8 to 64 octets; an open one has none")
    if type(priority) is not int or not 0 <= priority <= PRIORITY_MAX:
        raise ValueError("a priority is 0 to 255, the best 0")
    return WifiNetwork(ssid, password, priority)


def _known(store: "Readable") -> "list[WifiNetwork]":
    try:
        return read(store)
    except ValueError:
        return []


def _write(store: "Writable", networks: "list[WifiNetwork]") -> None:
    if len(networks) > NETWORKS_MAX:
        raise ValueError("a board knows at most %d networks" % NETWORKS_MAX)
    entries = [
        {"ssid": one.ssid, "password": one.password, "priority": one.priority} for one in networks
    ]
    store.write(RECORD, json.dumps(entries).encode())
