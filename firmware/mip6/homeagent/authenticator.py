"""What proves a home registration: the MN-HA authentication option (RFC 4285 section 5)."""

from .. import keys, messages
from ..compat import const
from ..limits import ADDRESS_OCTETS

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from ..protocols import HmacKey, Octets

OPTION = b"\x09\x11\x01"  # type, length, subtype; then SPI and authenticator
SPI_OF_GENERATION_0 = const(256)  # RFC 4285 section 5.1 reserves 0 to 255; one a generation
_OPTION_OCTETS = const(19)
_OCTETS_MIN = const(28)  # of a message that ends with it


def authenticator(
    key: "HmacKey | Octets",
    care_of_address: bytes,
    home_address: bytes,
    mobility_header: "Octets",
) -> bytes:
    """The 12 octets of the MN-HA authentication option that ends `mobility_header`.

    First(96, HMAC-SHA1(key, care-of address | home address | MH data)), RFC 4285 section 5.1: MH
    data is the Mobility Header up to and including the option's SPI, its checksum zero. Header
    Len is that of the complete message, as it is sent. The RFC doesn't say which care-of address;
    here it is the one being registered, as in RFC 6275 section 6.2.7.
    `key`: octets of the MN-HA key, or their `keys.hmac_key`; addresses: 16 octets;
    `mobility_header`: the complete message, whose checksum and last 12 octets don't matter. Raises
    ValueError where the message doesn't end with that option.
    """
    if len(care_of_address) != ADDRESS_OCTETS or len(home_address) != ADDRESS_OCTETS:
        raise ValueError("an address has 16 octets")
    header = memoryview(mobility_header)
    if len(header) < _OCTETS_MIN or bytes(header[-_OPTION_OCTETS:-16]) != OPTION:
        raise ValueError("the message does not end with the MN-HA authentication option")
    if isinstance(key, (bytes, bytearray, memoryview)):
        key = keys.hmac_key(key)
    checksum = messages.CHECKSUM_AT
    return keys.hmac_sha1(
        key,
        care_of_address,
        home_address,
        header[:checksum],
        b"\x00\x00",
        header[checksum + 2 : -keys.AUTHENTICATOR_OCTETS],
    )[: keys.AUTHENTICATOR_OCTETS]


def verify(
    key: "HmacKey | Octets",
    care_of_address: bytes,
    home_address: bytes,
    mobility_header: "Octets",
) -> bool:
    """Whether the MN-HA authenticator that ends `mobility_header` is right, in constant time.

    Arguments as for `authenticator`; a message that doesn't end with the option isn't authentic.
    """
    try:
        expected = authenticator(key, care_of_address, home_address, mobility_header)
    except ValueError:
        return False
    return keys.equal(expected, bytes(memoryview(mobility_header)[-keys.AUTHENTICATOR_OCTETS :]))
