"""What the fields of a log's lines may hold; each raises ValueError for anything else."""

import ipaddress
from functools import lru_cache

from mip6.bindings import ways

WAYS = ways.NAMES
NATIVE: str = WAYS[ways.NATIVE]
LAST_MS = 253_402_300_799_000  # the end of the year 9999
_MOST = 1 << 53  # what a time or a number may be: JSON numbers are exact so far


def integer(value: object) -> int:
    """A whole number, not negative."""
    if type(value) is not int or not 0 <= value < _MOST:
        raise ValueError
    return value


def number(value: object) -> float:
    """A number, not negative."""
    if type(value) not in (int, float) or not 0 <= value < _MOST:  # type: ignore[operator]
        raise ValueError
    return float(value)  # type: ignore[arg-type]


def instant(value: object) -> float:
    """A time, in milliseconds since 1970, that a calendar has."""
    found = number(value)
    if found > LAST_MS:
        raise ValueError
    return found


def address(value: object) -> str:
    """An IPv6 address, or an IPv4 one in dots, as text in its usual form; of no interface."""
    if type(value) is not str:
        raise ValueError
    return _usual(value)


@lru_cache(maxsize=4096)
def _usual(text: str) -> str:
    if ":" not in text:
        return str(ipaddress.IPv4Address(text))
    found = ipaddress.IPv6Address(text)
    if found.scope_id is not None:
        raise ValueError
    return str(found.ipv4_mapped or found)


def way(value: object) -> str:
    """The name of a way (docs/SPEC.md, "Encapsulated in UDP")."""
    if value not in WAYS:
        raise ValueError
    return word(value)


def word(value: object) -> str:
    """Text, which may be empty: a name with two blanks in a row has such words."""
    if type(value) is not str:
        raise ValueError
    return value


def text(value: object) -> str:
    """Text, not empty."""
    if not value:
        raise ValueError
    return word(value)
