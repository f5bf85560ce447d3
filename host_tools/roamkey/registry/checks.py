"""What the rows of a key may hold: asked of what comes in, and of what was found in the tables."""

import re

from mip6 import addresses
from mip6.limits import (
    ADDRESS_OCTETS,
    GENERATION_MAX,
    KCN_OCTETS_MAX,
    KCN_OCTETS_MIN,
    LIFETIME_S_MAX,
    LIFETIME_UNIT_S,
    NONCE_OCTETS_MAX,
    NONCE_OCTETS_MIN,
    SEQUENCE_NUMBERS,
)
from roamkey.errors import BadInputError
from roamkey.registry.records import CONFIRMED, ROLES, SENT

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)


def address(found: object) -> None:
    """See that an address may be a home address or a correspondent's; raises BadInputError."""
    if (
        not isinstance(found, bytes)
        or len(found) != ADDRESS_OCTETS
        or not addresses.is_unicast_global(found)
    ):
        raise BadInputError("home and correspondent addresses are unicast and global")


def key(generation: object, kcn: object, *nonces: object) -> None:
    """See that a key has what a board takes; raises BadInputError, in which no secret is."""
    for nonce in nonces:
        if not isinstance(nonce, bytes) or not NONCE_OCTETS_MIN <= len(nonce) <= NONCE_OCTETS_MAX:
            raise BadInputError(f"a nonce has {NONCE_OCTETS_MIN} to {NONCE_OCTETS_MAX} octets")
    if not isinstance(kcn, bytes) or not KCN_OCTETS_MIN <= len(kcn) <= KCN_OCTETS_MAX:
        raise BadInputError(f"a Kcn has {KCN_OCTETS_MIN} to {KCN_OCTETS_MAX} octets")
    if not isinstance(generation, int) or not 0 <= generation <= GENERATION_MAX:
        raise BadInputError(f"a generation is 0 to {GENERATION_MAX}")


def use(lifetime: object, state: object, last_sequence: object) -> None:
    """See that what is kept beside a live key can be; raises BadInputError."""
    if not isinstance(lifetime, int) or not LIFETIME_UNIT_S <= lifetime <= LIFETIME_S_MAX:
        raise BadInputError(f"a lifetime is {LIFETIME_UNIT_S} to {LIFETIME_S_MAX} s")
    if state not in (SENT, CONFIRMED):
        raise BadInputError(f"a live key is {SENT} or {CONFIRMED}")
    last = -1 if last_sequence is None else last_sequence
    if not isinstance(last, int) or not -1 <= last < SEQUENCE_NUMBERS:
        raise BadInputError(f"a sequence number is 0 to {SEQUENCE_NUMBERS - 1}")


def role(found: object) -> None:
    """See that a peer is something that there is; raises BadInputError."""
    if found not in ROLES:
        raise BadInputError(f"a peer is a {' or a '.join(ROLES)}")


def is_name(found: object) -> bool:
    """Whether it can be a node's name; no IPv6 address can."""
    return isinstance(found, str) and _NAME.fullmatch(found) is not None


def name(found: object) -> None:
    """See that it can be a node's name; raises BadInputError."""
    if not is_name(found):
        raise BadInputError(
            "a name has 1 to 63 letters (A to Z, a to z), digits, '-', '_' and '.', and begins "
            "with a letter or a digit"
        )
