"""Binding Updates made ahead: what can be computed before a number is known, is.

Between "the new address is usable" and "the update is on its way" stand one HMAC and a division.
Everything else is ready: the pads of HMAC under Kbm, the message but for its number, the sum of
the octets that don't change. RFC 6275 sections 6.1.7 and 6.2.7; layout in docs/SPEC.md.
"""

from .. import keys, messages, packets
from ..compat import const
from .ways import UDP4

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from ..protocols import HmacKey, Outgoing, Way

_SEQUENCE = const(6)  # offsets in the Mobility Header
_LIFETIME = const(10)
_OPTIONS = const(12)

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


class _Layout:
    """The octets of an update, but for what differs from one to the next. `before`: what stands
    before the Mobility Header; `options`: those before the last one, which is padded to the
    message's end; `last`: that option up to its MAC of 12 octets; `flags` besides A.
    """

    def __init__(
        self,
        home_address: bytes,
        correspondent: bytes,
        before: bytes,
        options: bytes,
        last: bytes,
        flags: int,
    ) -> None:
        octets = (_OPTIONS + len(options) + len(last) + keys.AUTHENTICATOR_OCTETS + 7) & ~7
        mac = octets - keys.AUTHENTICATOR_OCTETS
        at = _OPTIONS + len(options)
        padding = mac - len(last) - at
        whole = memoryview(bytearray(len(before) + octets))
        whole[: len(before)] = before
        header = whole[len(before) :]
        header[0] = packets.NO_NEXT_HEADER
        header[1] = octets // 8 - 1
        header[2] = messages.BINDING_UPDATE
        header[8] = (messages.FLAG_ACKNOWLEDGE | flags) >> 8
        header[_OPTIONS:at] = options
        if padding > 1:
            header[at] = messages.PADN
            header[at + 1] = padding - 2
        header[mac - len(last) : mac] = last
        self.whole = whole
        self.header = header
        self.authentic = header[:mac]  # what the MAC covers
        self.mac = header[mac:]
        # Of the words that never change: lifetime, number and MAC are still zero.
        self.constant = 0xFFFF - packets.checksum(
            home_address, correspondent, packets.MOBILITY, header
        )


class Update:
    """The Binding Update to one correspondent, laid out once and filled in for each use.

    Other kinds say other things: `flags` besides A, `options` before all others, the octets before
    the MAC in the `last` one.
    """

    flags = 0
    options = b""
    last = b"\x05\x0c"  # type and length of Binding Authorization Data

    def __init__(self, home_address: bytes, correspondent: bytes) -> None:
        self.home_address = home_address
        self.correspondent = correspondent
        self._native = _Layout(
            home_address,
            correspondent,
            packets.home_address_option(home_address, packets.MOBILITY),
            self.options,
            self.last,
            self.flags,
        )
        self._addresses = b""
        self._key: "HmacKey" = b""
        self._sum = 0
        self.source = self.destination = b""
        self.next_header = packets.DESTINATION_OPTIONS
        self.payload = self._native.whole
        self._layout = self._native  # of the way

    def aim(self, way: "Way", key: "HmacKey", lifetime: int) -> None:
        """Fill in all but number and MAC. `key`: prepared Kbm; `lifetime`: units of four seconds.

        Where the care-of address is the home address, the message goes without a Home Address
        option. Afterwards `source`, `destination`, `next_header` and `payload` say what to send.
        """
        self.source = way[1]
        self._addresses = way[1] + self.correspondent
        self._key = key
        self._layout = layout = self._native if way[2] is None else self._inside(way)
        self._sum = layout.constant + lifetime
        layout.header[_LIFETIME] = lifetime >> 8
        layout.header[_LIFETIME + 1] = lifetime & 255
        if way[2] is None:
            self._aim_native(layout)

    def _aim_native(self, layout: "_Layout") -> None:
        at_home = self.source == self.home_address
        self.destination = self.correspondent
        self.next_header = packets.MOBILITY if at_home else packets.DESTINATION_OPTIONS
        self.payload = layout.header if at_home else layout.whole

    def _inside(self, way: "Way") -> "_Layout":
        """The layout inside UDP, docs/SPEC.md: it is made at each move, and needed seldom."""
        kind, care_of_address, outer, port = way
        assert outer is not None
        if kind == UDP4:
            option = bytes((messages.IPV4_CARE_OF_ADDRESS, 6, 0, 0)) + care_of_address[12:]
        else:
            option = b"\x01\0" + bytes((messages.ALTERNATE_CARE_OF_ADDRESS, 16)) + care_of_address
        before = packets.ipv6_header(self.home_address, self.correspondent, packets.MOBILITY, 0)
        layout = _Layout(
            self.home_address,
            self.correspondent,
            before,
            option,
            self.last,
            self.flags | messages.FLAG_UDP_ENCAPSULATION,
        )
        layout.whole[4:6] = len(layout.header).to_bytes(2, "big")  # of the payload
        self.destination = outer
        self.next_header = packets.ENCAPSULATED + port
        self.payload = layout.whole
        return layout

    def packet(self) -> "Outgoing":
        """What to send; its payload is valid until the next number."""
        return self.source, self.destination, self.next_header, self.payload

    def number(self, sequence: int) -> None:
        """Finish the message in `payload` under a sequence number; valid until the next call."""
        header = self._layout.header  # and no name for the layout: the frame would be allocated
        header[4] = header[5] = 0
        header[_SEQUENCE] = sequence >> 8
        header[_SEQUENCE + 1] = sequence & 255
        mac = keys.hmac_sha1(self._key, self._addresses, self._layout.authentic)
        mac = mac[: keys.AUTHENTICATOR_OCTETS]
        self._layout.mac[:] = mac
        # One's complement addition: the sum of what stays, the number, the MAC's 16-bit words.
        total = self._sum + sequence + int.from_bytes(mac, "big")
        total = 0xFFFF - (total % 0xFFFF or 0xFFFF)
        header[4] = total >> 8
        header[5] = total & 255
