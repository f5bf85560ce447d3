"""Mobility Header messages and their options, encode and decode (RFC 6275 sections 6.1 and 6.2;
RFC 5555 section 3; RFC 4285 section 5).

A message is a `Message`: its kind, its fields by name, and its options in order as pairs (type,
data). Padding is an option like the others, so a message decodes and encodes (`align=False`) to
the same octets, options that nobody knows included; only the checksum and the reserved octet,
which a receiver ignores, come out zero. Checksums need addresses: see `packets`. MACs need keys:
see `keys`.

The tables below say all there is to say about the layouts; the code only walks them.
"""

from . import packets
from .compat import const
from .errors import Violation

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from .protocols import Octets

# Messages, RFC 6275 section 6.1
BINDING_REFRESH_REQUEST = const(0)
HOME_TEST_INIT = const(1)
CARE_OF_TEST_INIT = const(2)
HOME_TEST = const(3)
CARE_OF_TEST = const(4)
BINDING_UPDATE = const(5)
BINDING_ACKNOWLEDGEMENT = const(6)
BINDING_ERROR = const(7)

# Flags of a Binding Update (16 bits), section 6.1.7, and of an Acknowledgement (8 bits), 6.1.8
FLAG_ACKNOWLEDGE = const(0x8000)
FLAG_HOME_REGISTRATION = const(0x4000)
FLAG_LINK_LOCAL = const(0x2000)
FLAG_KEY_MANAGEMENT = const(0x1000)
FLAG_UDP_ENCAPSULATION = const(0x0100)  # F, RFC 5555 section 3.2.1
FLAG_BA_KEY_MANAGEMENT = const(0x80)

# Status of a Binding Acknowledgement, section 6.1.8 (below 128: accepted)
ACCEPTED = const(0)
ACCEPTED_PREFIX_DISCOVERY = const(1)
REASON_UNSPECIFIED = const(128)
ADMINISTRATIVELY_PROHIBITED = const(129)
INSUFFICIENT_RESOURCES = const(130)
HOME_REGISTRATION_NOT_SUPPORTED = const(131)
NOT_HOME_SUBNET = const(132)
NOT_HOME_AGENT = const(133)
DUPLICATE_ADDRESS = const(134)
SEQUENCE_OUT_OF_WINDOW = const(135)
EXPIRED_HOME_NONCE = const(136)
EXPIRED_CARE_OF_NONCE = const(137)
EXPIRED_NONCES = const(138)
TYPE_CHANGE_DISALLOWED = const(139)
INVALID_CARE_OF_ADDRESS = const(174)

# Status of a Binding Error, section 6.1.9
UNKNOWN_BINDING = const(1)
UNRECOGNIZED_MESSAGE = const(2)

# Options, section 6.2
PAD1 = const(0)
PADN = const(1)
BINDING_REFRESH_ADVICE = const(2)
ALTERNATE_CARE_OF_ADDRESS = const(3)
NONCE_INDICES = const(4)
BINDING_AUTHORIZATION_DATA = const(5)
AUTHENTICATION = const(9)  # "Mobility Message Authentication", RFC 4285 section 5
NAT_DETECTION = const(31)  # RFC 5555 section 3.2.2
IPV4_CARE_OF_ADDRESS = const(32)  # RFC 5555 section 3.1.2

CHECKSUM_AT = const(4)

_FIXED = const(6)  # payload protocol, header length, type, reserved, checksum
_OCTETS_MAX = const(2048)  # Header Len has eight bits

#: kind -> (name, octets of the fixed part with its header, fields as (name, offset, octets));
#: fields of one or two octets are numbers, longer ones octet strings.
LAYOUTS = {
    BINDING_REFRESH_REQUEST: ("Binding Refresh Request", 8, (("reserved", 6, 2),)),
    HOME_TEST_INIT: ("Home Test Init", 16, (("reserved", 6, 2), ("home_init_cookie", 8, 8))),
    CARE_OF_TEST_INIT: (
        "Care-of Test Init", 16, (("reserved", 6, 2), ("care_of_init_cookie", 8, 8)),
    ),
    HOME_TEST: (
        "Home Test", 24,
        (("home_nonce_index", 6, 2), ("home_init_cookie", 8, 8), ("home_keygen_token", 16, 8)),
    ),
    CARE_OF_TEST: (
        "Care-of Test", 24,
        (
            ("care_of_nonce_index", 6, 2),
            ("care_of_init_cookie", 8, 8),
            ("care_of_keygen_token", 16, 8),
        ),
    ),
    BINDING_UPDATE: (
        "Binding Update", 12, (("sequence", 6, 2), ("flags", 8, 2), ("lifetime", 10, 2)),
    ),
    BINDING_ACKNOWLEDGEMENT: (
        "Binding Acknowledgement", 12,
        (("status", 6, 1), ("flags", 7, 1), ("sequence", 8, 2), ("lifetime", 10, 2)),
    ),
    BINDING_ERROR: (
        "Binding Error", 24, (("status", 6, 1), ("reserved", 7, 1), ("home_address", 8, 16)),
    ),
}  # fmt: skip

#: type -> (name, octets of data or None for any, alignment as (multiple, offset))
OPTIONS = {
    BINDING_REFRESH_ADVICE: ("Binding Refresh Advice", 2, (2, 0)),
    ALTERNATE_CARE_OF_ADDRESS: ("Alternate Care-of Address", 16, (8, 6)),
    NONCE_INDICES: ("Nonce Indices", 4, (2, 0)),
    BINDING_AUTHORIZATION_DATA: ("Binding Authorization Data", None, (8, 2)),
    # At 4n+1 by RFC 4285 section 5; of those places the one from which it ends the message.
    AUTHENTICATION: ("Mobility Message Authentication", None, (8, 5)),
    NAT_DETECTION: ("NAT Detection", 6, (4, 0)),
    IPV4_CARE_OF_ADDRESS: ("IPv4 Care-of Address", 6, (4, 0)),
}


class Message:
    """A Mobility Header message: `kind`, the fields of `LAYOUTS` as attributes, and `options`."""

    sequence: int
    status: int
    flags: int
    lifetime: int
    reserved: int
    home_address: bytes
    home_init_cookie: bytes
    care_of_init_cookie: bytes
    home_nonce_index: int
    care_of_nonce_index: int
    home_keygen_token: bytes
    care_of_keygen_token: bytes

    def __init__(
        self,
        kind: int,
        options: list[tuple[int, bytes]] | tuple[tuple[int, bytes], ...] = (),
        **fields: int | bytes,
    ) -> None:
        """A message of `kind`; fields not named are zero. Raises ValueError for unknown ones."""
        if kind not in LAYOUTS:
            raise ValueError("no Mobility Header message of type %r" % kind)
        self.kind = kind
        self.options = list(options)
        for name, _, octets in LAYOUTS[kind][2]:
            setattr(self, name, fields.pop(name, 0 if octets <= 2 else bytes(octets)))
        if fields:
            raise ValueError("no field %s in a %s" % (", ".join(fields), LAYOUTS[kind][0]))

    def option(self, kind: int) -> bytes | None:
        """The data of the first option of type `kind`, or None."""
        for found, data in self.options:
            if found == kind:
                return data
        return None

    def encode(self, align: bool = True) -> bytes:
        """The message in octets, checksum zero, padded to a multiple of eight (section 6.1.1).

        With `align`, padding is put before known options where their place needs it (section
        6.2). Raises ValueError where a field or an option doesn't fit.
        """
        out = _Writer(self)
        for kind, data in self.options:
            out.option(kind, data, align)
        return out.finish()


class _Writer:
    def __init__(self, message: "Message") -> None:
        _, octets, fields = LAYOUTS[message.kind]
        self.octets = bytearray(octets)
        self.octets[0] = packets.NO_NEXT_HEADER
        self.octets[2] = message.kind
        for name, at, size in fields:
            value = getattr(message, name)
            if size <= 2:
                if not 0 <= value < 1 << 8 * size:
                    raise ValueError("%s out of range" % name)
                value = value.to_bytes(size, "big")
            elif len(value) != size:
                raise ValueError("%s has %d octets" % (name, size))
            self.octets[at : at + size] = value

    def option(self, kind: int, data: bytes, align: bool) -> None:
        if kind == PAD1:
            self.octets.append(PAD1)
            return
        known = OPTIONS.get(kind)
        if known and align:
            multiple, offset = known[2]
            self.pad((offset - len(self.octets)) % multiple)
        if len(data) > 255:
            raise ValueError("an option holds 255 octets at most")
        self.octets.append(kind)
        self.octets.append(len(data))
        self.octets.extend(data)

    def pad(self, octets: int) -> None:
        if octets == 1:
            self.octets.append(PAD1)
        elif octets:
            self.octets.append(PADN)
            self.octets.append(octets - 2)
            self.octets.extend(bytes(octets - 2))

    def finish(self) -> bytes:
        self.pad(-len(self.octets) % 8)
        if len(self.octets) > _OCTETS_MAX:
            raise ValueError("a Mobility Header holds 2048 octets at most")
        self.octets[1] = len(self.octets) // 8 - 1
        return bytes(self.octets)


def decode(header: "Octets") -> "Message":
    """Read one whole Mobility Header: no octet missing, none behind it.

    Returns a `Message`; raises `Violation` with reason "truncated", "length", "payload protocol",
    "message type" or "option". The checksum is not looked at: it needs addresses.
    """
    header = memoryview(header)
    if len(header) < 8:
        raise Violation("truncated", "shorter than a Mobility Header")
    octets = 8 + 8 * header[1]
    if octets != len(header):
        reason = "truncated" if octets > len(header) else "length"
        raise Violation(reason, "Mobility Header of %d octets, %d given" % (octets, len(header)))
    if header[0] != packets.NO_NEXT_HEADER:
        raise Violation("payload protocol", "Mobility Header with payload protocol %d" % header[0])
    kind = header[2]
    if kind not in LAYOUTS:
        raise Violation("message type", "unknown Mobility Header type %d" % kind)
    name, fixed, fields = LAYOUTS[kind]
    if octets < fixed:
        raise Violation("length", "%s of only %d octets" % (name, octets))
    message = Message(kind)
    for field, at, size in fields:
        value = bytes(header[at : at + size])
        setattr(message, field, int.from_bytes(value, "big") if size <= 2 else value)
    message.options = _decode_options(header, fixed)
    return message


def _decode_options(header: memoryview, at: int) -> list[tuple[int, bytes]]:
    options = []
    end = len(header)
    while at < end:
        kind = header[at]
        if kind == PAD1:
            options.append((PAD1, b""))
            at += 1
            continue
        if at + 2 > end or at + 2 + header[at + 1] > end:
            raise Violation("option", "mobility option runs past the message")
        octets = header[at + 1]
        known = OPTIONS.get(kind)
        if known and known[1] is not None and known[1] != octets:
            raise Violation("option", "%s option of %d octets" % (known[0], octets))
        options.append((kind, bytes(header[at + 2 : at + 2 + octets])))
        at += 2 + octets
    return options


def with_checksum(header: "Octets", source: bytes, destination: bytes) -> bytes:
    """`header` (octets of a whole message) with its checksum for these addresses filled in.

    The addresses are the logical ones: the home address in place of the care-of address where a
    Home Address option or a type 2 routing header goes along (section 6.1.1).
    """
    header = bytearray(header)
    header[CHECKSUM_AT] = header[CHECKSUM_AT + 1] = 0
    value = packets.checksum(source, destination, packets.MOBILITY, header)
    header[CHECKSUM_AT] = value >> 8
    header[CHECKSUM_AT + 1] = value & 0xFF
    return bytes(header)
