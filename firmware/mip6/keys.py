"""From Kcn to the authenticator: tokens, Kbm, and the MAC of a Mobility Header.

Sources: RFC 6275 sections 5.2.4 to 5.2.6 and 6.2.7; draft-ietf-mip6-precfgkbm section 2 (later
RFC 4449). A `|` in a docstring is concatenation. Addresses are 16 octets in network order.

HMAC-SHA1 costs four runs of SHA-1's block function, two of them over the key alone. Where a key is
used again, `hmac_key` prepares it once and the functions here take the prepared form as well.
"""

import hashlib

from .compat import MICROPYTHON, const
from .limits import ADDRESS_OCTETS, KCN_OCTETS_MIN, NONCE_OCTETS_MAX, NONCE_OCTETS_MIN

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from .protocols import HmacKey, Octets

TOKEN_OCTETS = const(8)  # keygen tokens: First(64, HMAC_SHA1(...)), RFC 6275 section 5.2.5
KBM_OCTETS = const(20)  # RFC 6275 section 5.2.6
AUTHENTICATOR_OCTETS = const(12)  # First(96, MAC), RFC 6275 section 6.2.7

_SHA1_BLOCK = const(64)
_AUTHORIZATION_OPTION = b"\x05\x0c"  # type and length of Binding Authorization Data
_CHECKSUM_AT = const(4)
_NO_CHECKSUM = b"\x00\x00"
_OCTETS = (bytes, bytearray, memoryview)


def canonical(key: "Octets") -> bytes:
    """What all keys share that HMAC-SHA1 takes for one: the octets, without zeros at the end.

    RFC 2104 section 2 hashes a key of more than 64 octets and fills a shorter one with zeros.
    """
    if len(key) > _SHA1_BLOCK:
        key = hashlib.sha1(key).digest()
    return bytes(key).rstrip(b"\x00")


if MICROPYTHON:  # `hmac` is absent there, or micropython-lib's, which has no digest()
    _sha1 = hashlib.sha1
    _INNER_PAD = b"\x36" * _SHA1_BLOCK
    _OUTER_PAD = b"\x5c" * _SHA1_BLOCK

    def _masks(octets: int) -> tuple[int, bytes, int, bytes]:
        """The pads' first octets as numbers, and what follows them."""
        return (
            int.from_bytes(_INNER_PAD[:octets], "big"),
            _INNER_PAD[octets:],
            int.from_bytes(_OUTER_PAD[:octets], "big"),
            _OUTER_PAD[octets:],
        )

    _BLOCK_MASKS = _masks(_SHA1_BLOCK)
    _KBM_MASKS = _masks(KBM_OCTETS)

    def equal(a: "Octets", b: "Octets") -> bool:
        """Whether two octet strings are equal, in a time that tells nothing but their lengths."""
        if len(a) != len(b):
            return False
        difference = 0
        for i in range(len(a)):
            difference |= a[i] ^ b[i]
        return difference == 0

    def hmac_key(key: "Octets") -> "HmacKey":
        """Prepare `key` (octets) for `hmac_sha1`: its two pads, 64 octets each (RFC 2104)."""
        if len(key) > _SHA1_BLOCK:
            key = _sha1(key).digest()
        masks = _KBM_MASKS  # behind a short key the pads are what they are without one
        if len(key) != KBM_OCTETS:
            key = bytes(key) + bytes(_SHA1_BLOCK - len(key))
            masks = _BLOCK_MASKS
        # One exclusive-or of big numbers takes a tenth of a loop over the octets.
        octets = len(key)
        number = int.from_bytes(key, "big")
        inner, inner_rest, outer, outer_rest = masks
        return (
            (number ^ inner).to_bytes(octets, "big") + inner_rest,
            (number ^ outer).to_bytes(octets, "big") + outer_rest,
        )

    def hmac_sha1(key: "HmacKey", *parts: "Octets") -> bytes:
        """HMAC-SHA1 (20 octets, RFC 2104) of the parts joined, under a key from `hmac_key`."""
        hashed = _sha1(key[0])  # type: ignore[arg-type]  # a pair, here
        for part in parts:
            hashed.update(part)
        part = hashed.digest()
        hashed = _sha1(key[1])  # type: ignore[arg-type]  # a name more, and the frame is allocated
        hashed.update(part)
        return hashed.digest()

else:
    from hmac import compare_digest as equal  # type: ignore[assignment]  # takes str, too
    from hmac import digest as _hmac_digest

    def hmac_key(key: "Octets") -> "HmacKey":
        """Prepare `key` (octets) for `hmac_sha1`. CPython's own HMAC needs no preparation."""
        return bytes(key)

    def hmac_sha1(key: "HmacKey", *parts: "Octets") -> bytes:
        """HMAC-SHA1 (20 octets, RFC 2104) of the parts joined, under a key from `hmac_key`."""
        return _hmac_digest(key, b"".join(parts), "sha1")  # type: ignore[arg-type]  # octets, here


def home_keygen_token(kcn: "HmacKey | Octets", home_address: bytes, nonce: bytes) -> bytes:
    """The home keygen token: First(64, HMAC-SHA1(Kcn, home address | nonce | 0)).

    `kcn`: 20 octets or more; `home_address`: 16; `nonce`: 8 to 32. Returns 8 octets.
    Raises ValueError for other sizes. RFC 6275 section 5.2.5.
    """
    return _keygen_token(kcn, home_address, nonce, b"\x00")


def care_of_keygen_token(kcn: "HmacKey | Octets", care_of_address: bytes, nonce: bytes) -> bytes:
    """The care-of keygen token: First(64, HMAC-SHA1(Kcn, care-of address | nonce | 1)).

    `kcn`: 20 octets or more; `care_of_address`: 16; `nonce`: 8 to 32. Returns 8 octets.
    Raises ValueError for other sizes. RFC 6275 section 5.2.5.
    """
    return _keygen_token(kcn, care_of_address, nonce, b"\x01")


def _keygen_token(kcn: "HmacKey | Octets", address: bytes, nonce: bytes, which: bytes) -> bytes:
    if isinstance(kcn, _OCTETS):
        if len(kcn) < KCN_OCTETS_MIN:
            raise ValueError("Kcn is shorter than 20 octets")
        kcn = hmac_key(kcn)
    if len(address) != ADDRESS_OCTETS:
        raise ValueError("an address has 16 octets")
    if not NONCE_OCTETS_MIN <= len(nonce) <= NONCE_OCTETS_MAX:
        raise ValueError("a nonce has 8 to 32 octets")
    return hmac_sha1(kcn, address, nonce, which)[:TOKEN_OCTETS]


def binding_management_key(home_token: bytes, care_of_token: bytes | None = None) -> bytes:
    """Kbm: SHA1(home token | care-of token), or SHA1(home token) to delete a binding.

    Tokens are 8 octets; returns 20. Raises ValueError for other sizes. RFC 6275 section 5.2.6.
    """
    if len(home_token) != TOKEN_OCTETS:
        raise ValueError("a keygen token has 8 octets")
    if care_of_token is None:
        return hashlib.sha1(home_token).digest()
    if len(care_of_token) != TOKEN_OCTETS:
        raise ValueError("a keygen token has 8 octets")
    return hashlib.sha1(home_token + care_of_token).digest()


def authenticator(
    kbm: "HmacKey | Octets",
    care_of_address: bytes,
    correspondent: bytes,
    mobility_header: "Octets",
) -> bytes:
    """The 12 octets of the Binding Authorization Data option that ends `mobility_header`.

    First(96, HMAC-SHA1(Kbm, care-of address | correspondent | MH data)), RFC 6275 section 6.2.7.
    `kbm`: 20 octets, or their `hmac_key`; addresses: 16 octets; `mobility_header`: the complete
    message, whose checksum and last 12 octets don't matter. Raises ValueError where the message
    doesn't end with that option.
    """
    if isinstance(kbm, _OCTETS):
        kbm = hmac_key(kbm)
    if len(care_of_address) != ADDRESS_OCTETS or len(correspondent) != ADDRESS_OCTETS:
        raise ValueError("an address has 16 octets")
    header = memoryview(mobility_header)
    if len(header) < 20 or bytes(header[-14:-12]) != _AUTHORIZATION_OPTION:
        raise ValueError("the message does not end with Binding Authorization Data")
    return hmac_sha1(
        kbm,
        care_of_address,
        correspondent,
        header[:_CHECKSUM_AT],
        _NO_CHECKSUM,
        header[_CHECKSUM_AT + 2 : -AUTHENTICATOR_OCTETS],
    )[:AUTHENTICATOR_OCTETS]


def verify(
    kbm: "HmacKey | Octets",
    care_of_address: bytes,
    correspondent: bytes,
    mobility_header: "Octets",
) -> bool:
    """Whether the authenticator that ends `mobility_header` is right, in constant time.

    Arguments as for `authenticator`; a message that doesn't end with the option isn't authentic.
    """
    try:
        expected = authenticator(kbm, care_of_address, correspondent, mobility_header)
    except ValueError:
        return False
    return equal(expected, bytes(memoryview(mobility_header)[-AUTHENTICATOR_OCTETS:]))
