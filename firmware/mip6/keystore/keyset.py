"""A key set in memory: whose home address, which correspondents, which keys. Never shown.

Plain data: what it must fulfil is in keychange/check.py, which looks at every set that is read,
provisioned or stored.
"""


class Peer:
    """One correspondent: address (16 octets), nonces, lifetime (s), [(generation, Kcn), …].

    Without a key nothing authorizes its updates: the node refuses the peer and says why.
    """

    def __init__(self, correspondent, home_nonce, care_of_nonce, lifetime, generations):
        self.correspondent = bytes(correspondent)
        self.home_nonce = bytes(home_nonce)
        self.care_of_nonce = bytes(care_of_nonce)
        self.lifetime = lifetime
        self.generations = [(number, bytes(kcn)) for number, kcn in generations]

    def __repr__(self):
        return "Peer(generations=%r, (hidden))" % [number for number, _ in self.generations]

    def kcn(self, generation):
        """The Kcn of `generation`, or None."""
        for number, kcn in self.generations:
            if number == generation:
                return kcn
        return None

    def after(self, generation):
        """The generation that follows `generation`, or None."""
        for number, _ in self.generations:
            if number > generation:
                return number
        return None


class Credentials:
    """A whole key set: `set_id` (8 octets, public, random), home address (16 octets), peers."""

    def __init__(self, set_id, home_address, peers):
        self.set_id = bytes(set_id)
        self.home_address = bytes(home_address)
        self.peers = list(peers)

    def __repr__(self):
        return "Credentials(%d peers, (hidden))" % len(self.peers)
