"""A Wi-Fi network that the user entered, and which of those in reach to try first."""


class WifiNetwork:
    """One network; neither its text nor an error shows the password."""

    def __init__(self, ssid, password, priority):
        self.ssid = ssid
        self.password = password
        self.priority = priority

    def __repr__(self):
        return "WifiNetwork(%r, (hidden), %d)" % (self.ssid, self.priority)


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
