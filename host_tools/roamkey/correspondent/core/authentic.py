"""A Binding Update whose authenticator verified, and under which key (RFC 6275 section 9.5.1)."""

from mip6 import keys
from mip6.limits import LIFETIME_UNIT_S
from roamkey.correspondent.core import replies
from roamkey.correspondent.core.entries import Inbound, LiveKey, Peer, Reply, Verdict
from roamkey.correspondent.core.updates import Update


class AuthenticUpdate:
    """A verified Binding Update.

    `care_of_address`: the address that it registers; `removes`: it asks to remove the binding, by
    a lifetime of zero or by registering the home address (section 9.5.3).
    """

    __slots__ = (
        "care_of_address",
        "flags",
        "inbound",
        "kbm",
        "key",
        "peer",
        "removes",
        "requested",
        "sequence",
    )

    def __init__(
        self,
        inbound: Inbound,
        update: Update,
        peer: Peer,
        key: LiveKey,
        kbm: bytes,
        care_of_address: bytes,
        removes: bool,
    ) -> None:
        """`kbm`: the one that verified it."""
        self.inbound = inbound
        self.sequence = update.sequence
        self.flags = update.flags
        self.requested = update.lifetime
        self.peer = peer
        self.key = key
        self.kbm = kbm
        self.care_of_address = care_of_address
        self.removes = removes

    def make_current(self) -> bool:
        """Let this key be the pair's current one, the earlier ones gone. Whether that is news."""
        if self.peer.keys[0] is self.key and self.key.confirmed:
            return False
        del self.peer.keys[: self.peer.keys.index(self.key)]
        self.key.confirmed = True
        return True

    def lifetime(self) -> int:
        """What to grant: what it asks for, the configured maximum at most. Seconds."""
        most = self.key.lifetime // LIFETIME_UNIT_S
        seconds: int = min(self.requested, most) * LIFETIME_UNIT_S
        return seconds

    def verdict(self, outcome: str, status: int, lifetime: int) -> Verdict:
        """A verdict with all that is known of the update."""
        return Verdict(
            outcome,
            source=self.inbound.source,
            home_address=self.peer.home_address,
            care_of_address=self.care_of_address,
            sequence=self.sequence,
            generation=self.key.generation,
            status=status,
            lifetime=lifetime,
            endpoint=self.inbound.endpoint,
        )

    def acknowledgement(
        self, correspondent: bytes, status: int, sequence: int, lifetime: int, nat_refresh_s: int
    ) -> Reply | None:
        """Its answer, under the key that it came under."""
        return replies.acknowledgement(
            correspondent,
            self.inbound,
            self.peer.home_address,
            self.care_of_address,
            self.kbm,
            status,
            sequence,
            lifetime,
            nat_refresh_s,
        )


def authenticate(
    correspondent: bytes, inbound: Inbound, update: Update, peer: Peer, keys_of: list[LiveKey]
) -> AuthenticUpdate | None:
    """The update as one of these keys of the peer verifies it, tried in their order."""
    care_of = update.alternate or inbound.source
    removes = not update.lifetime or care_of == peer.home_address
    for key in keys_of:
        kbm = key.binding_management_key(None if removes else care_of)
        if keys.verify(kbm, care_of, correspondent, update.header):
            return AuthenticUpdate(inbound, update, peer, key, kbm, care_of, removes)
    return None
