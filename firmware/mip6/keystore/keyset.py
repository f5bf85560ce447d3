"""A key set in memory: whose home address, which correspondents, which keys. Never shown.

Plain data: what it must fulfil is in keychange/check.py, which looks at every set that is read,
provisioned or stored.
"""

from ..compat import const

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..protocols import Octets


class Peer:
    """One correspondent, or the home agent: address (16 octets), nonces, lifetime (s),
    [(generation, Kcn), …].

    Without a key return routability authorizes the updates to a correspondent, where there is a
    home agent. `reach`: where UDP goes, [(name or address in text, port), …]; empty: to its
    address, port 4191.
    """

    def __init__(
        self,
        correspondent: "Octets",
        home_nonce: "Octets",
        care_of_nonce: "Octets",
        lifetime: int,
        generations: "Iterable[tuple[int, Octets]]",
        reach: "Iterable[tuple[str, int]]" = (),
    ) -> None:
        self.correspondent = bytes(correspondent)
        self.home_nonce = bytes(home_nonce)
        self.care_of_nonce = bytes(care_of_nonce)
        self.lifetime = lifetime
        self.generations = [(number, bytes(kcn)) for number, kcn in generations]
        self.reach = list(reach)

    def __repr__(self) -> str:
        return "Peer(generations=%r, (hidden))" % [number for number, _ in self.generations]

    def kcn(self, generation: int) -> bytes | None:
        """The Kcn of `generation`, or None."""
        for number, kcn in self.generations:
            if number == generation:
                return kcn
        return None

    def after(self, generation: int) -> int | None:
        """The generation that follows `generation`, or None."""
        for number, _ in self.generations:
            if number > generation:
                return number
        return None


class Credentials:
    """A whole key set: `set_id` (8 octets, public, random), home address (16 octets), peers.

    `native`: whether the node speaks native IPv6 too; False: inside UDP alone. `home_agent`: which
    of the peers is that, or None: its keys are those of RFC 4285, and without any it is to take
    registrations that nothing authenticates.
    """

    def __init__(
        self,
        set_id: "Octets",
        home_address: "Octets",
        peers: "Iterable[Peer]",
        native: bool = True,
        home_agent: "int | None" = None,
    ) -> None:
        self.set_id = bytes(set_id)
        self.home_address = bytes(home_address)
        self.peers = list(peers)
        self.native = native
        self.home_agent = home_agent

    def __repr__(self) -> str:
        return "Credentials(%d peers, (hidden))" % len(self.peers)
