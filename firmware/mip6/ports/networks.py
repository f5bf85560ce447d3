"""The Wi-Fi networks that the user entered, and which of those in reach to try first.

The record `networks` of the store is JSON: a list of objects with `ssid`, `password` (absent or
empty: an open network) and `priority` (lower is better, 0 if absent). Passwords are secrets.
"""

import json

RECORD = "networks"


class WifiNetwork:
    """One network; neither its text nor an error shows the password."""

    def __init__(self, ssid, password, priority):
        self.ssid = ssid
        self.password = password
        self.priority = priority

    def __repr__(self):
        return "WifiNetwork(%r, (hidden), %d)" % (self.ssid, self.priority)


def read(store):
    """The networks, best first; an empty list if none is entered. Raises ValueError, OSError."""
    octets = store.read(RECORD)
    if not octets:
        return []
    found = []
    try:
        for entry in json.loads(octets):
            ssid, password = entry["ssid"], entry.get("password") or None
            if not 1 <= len(ssid.encode()) <= 32 or not (password is None or password.encode()):
                raise ValueError
            found.append(WifiNetwork(ssid, password, int(entry.get("priority", 0))))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError("the record of Wi-Fi networks is damaged") from None
    found.sort(key=lambda network: network.priority)
    return found


def in_order(known, scanned):
    """The known networks to try: those in reach by priority, then signal; then the others,

    which may be hidden. `scanned`: what WLAN.scan() gives, tuples with the name first and the
    signal strength (dBm) at index 3.
    """
    strength = {}
    for entry in scanned:
        name = bytes(entry[0])
        if entry[3] > strength.get(name, -1000):
            strength[name] = entry[3]

    def rank(network):
        signal = strength.get(network.ssid.encode())
        return signal is None, network.priority, -(signal or 0)

    return sorted(known, key=rank)
