"""Binding Updates made ahead: what can be computed before a number is known, is.

Between "the new address is usable" and "the update is on its way" stand one HMAC and a division.
Everything else is ready: the pads of HMAC under Kbm, the message but for its number, the sum of
the octets that don't change. RFC 6275 sections 6.1.7 and 6.2.7; layout in docs/SPEC.md.
"""

from .. import keys, messages, packets
from ..compat import const

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from ..protocols import HmacKey, Octets

_MH = const(24)  # the Mobility Header begins behind the Home Address option's header
_MH_OCTETS = const(32)
_SEQUENCE = const(6)  # offsets in the Mobility Header
_LIFETIME = const(10)
_PADDING = const(12)
_AUTHORIZATION = const(18)
_MAC = const(20)

ADDRESSES_MAX = const(4)  # care-of addresses for which Kbm is kept ready


class PreparedKeys:
    """The keys of one correspondent under one Kcn: Kbm for some addresses, and for deletion.

    Kcn itself isn't kept, only its prepared form; `repr` shows nothing of either.
    """

    def __init__(
        self, kcn: bytes, home_address: bytes, home_nonce: bytes, care_of_nonce: bytes
    ) -> None:
        self._kcn = keys.hmac_key(kcn)
        self._nonce = care_of_nonce
        self._home_token = keys.home_keygen_token(self._kcn, home_address, home_nonce)
        self._delete: "HmacKey | None" = None
        self._ready: dict[bytes, HmacKey] = {}

    def deletion(self) -> "HmacKey":
        """The prepared Kbm of updates that delete the binding (RFC 6275 section 5.2.6)."""
        if self._delete is None:
            self._delete = keys.hmac_key(keys.binding_management_key(self._home_token))
        return self._delete

    def registration(self, care_of_address: bytes) -> "HmacKey":
        """The prepared Kbm for a care-of address of 16 octets, computed once."""
        key = self._ready.get(care_of_address)
        if key is None:
            token = keys.care_of_keygen_token(self._kcn, care_of_address, self._nonce)
            key = keys.hmac_key(keys.binding_management_key(self._home_token, token))
            if len(self._ready) >= ADDRESSES_MAX:
                self._ready.clear()
            self._ready[care_of_address] = key
        return key

    def forget(self, care_of_address: bytes) -> None:
        """The address is gone: its Kbm isn't wanted any more."""
        self._ready.pop(care_of_address, None)


class Update:
    """The Binding Update to one correspondent, laid out once and filled in for each use."""

    def __init__(self, home_address: bytes, correspondent: bytes) -> None:
        self.home_address = home_address
        self.correspondent = correspondent
        self._octets = bytearray(_MH + _MH_OCTETS)
        view = memoryview(self._octets)
        view[:_MH] = packets.home_address_option(home_address, packets.MOBILITY)
        self._header = view[_MH:]
        self._authentic = view[_MH : _MH + _MAC]  # what the MAC covers
        header = self._header
        header[0] = packets.NO_NEXT_HEADER
        header[1] = _MH_OCTETS // 8 - 1
        header[2] = messages.BINDING_UPDATE
        header[8] = messages.FLAG_ACKNOWLEDGE >> 8
        header[_PADDING] = messages.PADN
        header[_PADDING + 1] = _AUTHORIZATION - _PADDING - 2
        header[_AUTHORIZATION] = messages.BINDING_AUTHORIZATION_DATA
        header[_AUTHORIZATION + 1] = keys.AUTHENTICATOR_OCTETS
        # Of the words that never change: lifetime, number and MAC are still zero.
        self._constant = 0xFFFF - packets.checksum(
            home_address, correspondent, packets.MOBILITY, header
        )
        self._addresses = b""
        self._key: "HmacKey" = b""
        self._sum = 0
        self.source = b""
        self.next_header = packets.DESTINATION_OPTIONS
        self.payload = view

    def aim(self, care_of_address: bytes, key: "HmacKey", lifetime: int) -> None:
        """Fill in all but number and MAC. `key`: prepared Kbm; `lifetime`: units of four seconds.

        Where the care-of address is the home address, the message goes without a Home Address
        option. Afterwards `source`, `next_header` and `payload` say what to send.
        """
        at_home = care_of_address == self.home_address
        self.source = care_of_address
        self.next_header = packets.MOBILITY if at_home else packets.DESTINATION_OPTIONS
        self.payload = self._header if at_home else memoryview(self._octets)
        self._addresses = care_of_address + self.correspondent
        self._key = key
        header = self._header
        header[_LIFETIME] = lifetime >> 8
        header[_LIFETIME + 1] = lifetime & 255
        self._sum = self._constant + lifetime

    def number(self, sequence: int) -> None:
        """Finish the message in `payload` under a sequence number; valid until the next call."""
        header = self._header
        header[4] = header[5] = 0
        header[_SEQUENCE] = sequence >> 8
        header[_SEQUENCE + 1] = sequence & 255
        mac = keys.hmac_sha1(self._key, self._addresses, self._authentic)
        mac = mac[: keys.AUTHENTICATOR_OCTETS]
        header[_MAC:] = mac
        # One's complement addition: the sum of what stays, the number, the MAC's 16-bit words.
        total = 0xFFFF - ((self._sum + sequence + int.from_bytes(mac, "big")) % 0xFFFF or 0xFFFF)
        header[4] = total >> 8
        header[5] = total & 255

    def authentic(self, mobility_header: "Octets") -> bool:
        """Whether an acknowledgement was made under the key that the update was aimed with."""
        return keys.verify(self._key, self.source, self.correspondent, mobility_header)
