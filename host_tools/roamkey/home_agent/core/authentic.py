"""What the MN-HA authentication option says of a Binding Update, and the answer under its key
(RFC 4285 section 5).

The option's SPI names the key: 256 and the generation. So one key is tried, and nobody who guesses
costs more than one HMAC.
"""

from mip6 import keys, messages
from mip6.errors import Violation
from mip6.homeagent import authenticator as mn_ha
from mip6.limits import LIFETIME_UNIT_S
from roamkey.correspondent.core import replies
from roamkey.correspondent.core.authentic import AuthenticUpdate
from roamkey.correspondent.core.entries import Inbound, Peer, Reply
from roamkey.correspondent.core.updates import Update

_SUBTYPE_HOME_AGENT = b"\x01"
_SPI_OCTETS = 4
_SPI_AT = -keys.AUTHENTICATOR_OCTETS - _SPI_OCTETS


class HomeUpdate(AuthenticUpdate):
    """A Binding Update that an MN-HA key verified. `care_of_address`: the one that it registers
    (RFC 4285 doesn't say which one its MAC covers; RFC 6275 section 6.2.7 does, of its own)."""

    __slots__ = ()

    def acknowledgement(
        self, correspondent: bytes, status: int, sequence: int, lifetime: int, nat_refresh_s: int
    ) -> Reply | None:
        """Its answer, under the key that it came under. The K flag stays zero: there is no IKE
        whose endpoints could follow (RFC 6275 section 6.1.8)."""
        if not replies.is_unicast(self.inbound.source):
            return None
        spi = (mn_ha.SPI_OF_GENERATION_0 + self.key.generation).to_bytes(_SPI_OCTETS, "big")
        mac = bytes(keys.AUTHENTICATOR_OCTETS)
        options = [(messages.AUTHENTICATION, _SUBTYPE_HOME_AGENT + spi + mac)]
        if replies.is_behind_nat(self.inbound, self.care_of_address):
            options.insert(0, replies.nat_detection(nat_refresh_s))
        header = messages.Message(
            messages.BINDING_ACKNOWLEDGEMENT,
            options,
            status=status,
            sequence=sequence,
            lifetime=lifetime // LIFETIME_UNIT_S,
        ).encode()
        home = self.peer.home_address
        mac = mn_ha.authenticator(self.key.prepared, self.care_of_address, home, header)
        header = messages.with_checksum(header[: -len(mac)] + mac, correspondent, home)
        return replies.back(correspondent, self.inbound, home, header)


def is_authorized(update: Update) -> bool:
    """Whether an MN-HA authentication option ends it, and no other stands before that."""
    try:
        options = messages.decode(update.header).options
    except Violation:
        return False
    found = [data for kind, data in options if kind == messages.AUTHENTICATION]
    return options[-1:] == [(messages.AUTHENTICATION, *found[-1:])] and len(found) == 1


def authenticate(inbound: Inbound, update: Update, peer: Peer) -> HomeUpdate | None:
    """The update as the key that its SPI names verifies it."""
    generation = (
        int.from_bytes(bytes(update.header[_SPI_AT : _SPI_AT + _SPI_OCTETS]), "big")
        - mn_ha.SPI_OF_GENERATION_0
    )
    key = next((one for one in peer.keys if one.generation == generation), None)
    if key is None:
        return None
    home = peer.home_address
    care_of = update.alternate or inbound.source
    if not mn_ha.verify(key.prepared, care_of, home, update.header):
        return None
    removes = not update.lifetime or care_of == home
    # Every home registration is answered: RFC 6275 section 10.3.1 and 10.3.2.
    update = update._replace(flags=update.flags | messages.FLAG_ACKNOWLEDGE)
    return HomeUpdate(inbound, update, peer, key, b"", care_of, removes)
