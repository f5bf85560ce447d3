"""Key files: the only ways, besides stdin, by which a Kcn enters a command.

Two formats, both refused where the group or the world may touch the file (mode 0600 is right):

- a bare Kcn: hexadecimal text, 20 to 255 octets, white space only around it (`read_kcn`);
- the keys of pairs, as JSON (`read_pairs`): an object, or a list of objects,

      {"home_address": "2001:db8:a::1", "correspondent": "2001:db8:c::2",
       "home_nonce": "0011223344556677", "care_of_nonce": "8899aabbccddeeff",
       "keys": [{"generation": 0, "kcn": "<hex>"}]}

Every failure is a `BadInputError` of one line that names the file and never what is in it.
"""

import getpass
import json
import re
import sys
from collections.abc import Iterator
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from mip6.keys import canonical
from mip6.limits import (
    GENERATION_MAX,
    KCN_OCTETS_MAX,
    KCN_OCTETS_MIN,
    NONCE_OCTETS_MAX,
    NONCE_OCTETS_MIN,
)
from roamkey import privatefiles
from roamkey.errors import BadInputError
from roamkey.registry.records import GenerationKey, PairKeys

STDIN = "-"
_KCN_FILE_OCTETS_MAX = 2050
_PAIRS_OCTETS_MAX = 1 << 20
_WIFI_OCTETS_MIN, _WIFI_OCTETS_MAX = 8, 64
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+", re.ASCII)


def read_kcn(path: str | Path) -> bytes:
    """The Kcn (20 to 255 octets) in the file at `path`, or on stdin for "-".

    Raises BadInputError (one line, without the secret).
    """
    name, content = _read(path, _KCN_FILE_OCTETS_MAX)
    return _kcn(content.strip(), name)


def read_pairs(path: str | Path) -> tuple[PairKeys, ...]:
    """The pairs of the key file at `path`, or on stdin for "-"; none of them twice.

    Raises BadInputError (one line, without the secrets).
    """
    name, content = _read(path, _PAIRS_OCTETS_MAX)
    try:
        document = json.loads(content)
    except RecursionError:
        raise BadInputError(f"{name}: not a key file: nested too deeply") from None
    except ValueError as error:
        detail = f": line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise BadInputError(f"{name}: not a key file (JSON){detail}") from None
    entries = document if isinstance(document, list) else [document]
    if not entries:
        raise BadInputError(f"{name}: holds no pair")
    pairs = tuple(_pair(entry, f"{name}: pair {i}") for i, entry in enumerate(entries, 1))
    _refuse_duplicates(pairs, name)
    return pairs


def read_wifi_password(path: str | Path) -> str:
    """The password of a Wi-Fi network in the file at `path`, or on stdin for "-".

    Raises BadInputError (one line, without the secret).
    """
    return _wifi_password(*_read(path, _WIFI_OCTETS_MAX + 2, "password"))


def ask_wifi_password(network: str) -> str:
    """The password of a network, from the terminal. Raises BadInputError."""
    name = "".join(c if c.isprintable() else "?" for c in network)
    return _wifi_password("the password", _text("the password", _typed(f"password of {name}")))


def wifi_password(text: str) -> str:
    """A password that stands in a file among other things. Raises BadInputError (one line,
    without the secret)."""
    return _wifi_password("the password", _text("the password", text.encode()))


def _wifi_password(name: str, content: str) -> str:
    password = content.rstrip("\r\n")
    if not _WIFI_OCTETS_MIN <= len(password) <= _WIFI_OCTETS_MAX or not password.isprintable():
        raise BadInputError(
            f"{name}: a Wi-Fi password has {_WIFI_OCTETS_MIN} to {_WIFI_OCTETS_MAX} characters"
        )
    return password


def _read(path: str | Path, limit: int, what: str = "key") -> tuple[str, str]:
    """The name to show for `path` and its content, at most `limit` octets of ASCII."""
    if str(path) == STDIN:
        name = "stdin"
        content = _typed(what) if sys.stdin.isatty() else sys.stdin.buffer.read(limit + 1)
    else:
        name = str(path)
        try:
            content = privatefiles.read(path, limit)
        except OSError as error:
            raise BadInputError(f"{name}: {error.strerror or 'not readable'}") from None
        except ValueError:  # a NUL in the path
            raise BadInputError("the key file's name is no path") from None
    if len(content) > limit:
        raise BadInputError(f"{name}: too long for a {what} file")
    return name, _text(name, content, what)


def _text(name: str, content: bytes, what: str = "password") -> str:
    if not content.strip():
        raise BadInputError(f"{name}: empty")
    try:
        return content.decode("ascii")
    except UnicodeDecodeError:
        raise BadInputError(f"{name}: not a {what} file: octets outside ASCII") from None


def _typed(what: str) -> bytes:
    try:
        return getpass.getpass(f"{what} (not shown): ").encode(errors="replace")
    except EOFError:
        return b""


def _octets(value: Any, least: int, most: int, what: str) -> bytes:
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise BadInputError(f"{what} is not hexadecimal (pairs of digits, nothing else)")
    octets = bytes.fromhex(value)
    if len(octets) < least:
        raise BadInputError(f"{what} has {len(octets)} octets, at least {least} are needed")
    if len(octets) > most:
        raise BadInputError(f"{what} has {len(octets)} octets, at most {most} are allowed")
    return octets


def _kcn(value: Any, where: str) -> bytes:
    return _octets(value, KCN_OCTETS_MIN, KCN_OCTETS_MAX, f"{where}: the Kcn")


def _address(value: Any, what: str) -> bytes:
    try:
        return IPv6Address(value if isinstance(value, str) else "").packed
    except ValueError:
        raise BadInputError(f"{what} is not an IPv6 address") from None


def _fields(entry: Any, names: set[str], where: str) -> Iterator[Any]:
    """The values of the fields in the order of their names; exactly these must be there."""
    # The names found aren't repeated: in a damaged file one of them may be a key.
    if not isinstance(entry, dict) or set(entry) != names:
        raise BadInputError(f"{where} must have the fields {', '.join(sorted(names))}, no others")
    return (entry[name] for name in sorted(names))


def _pair(entry: Any, where: str) -> PairKeys:
    names = {"home_address", "correspondent", "home_nonce", "care_of_nonce", "keys"}
    care_of_nonce, correspondent, home_address, home_nonce, found = _fields(entry, names, where)
    if not isinstance(found, list) or not found:
        raise BadInputError(f"{where}: keys must be a list of at least one key")
    generations = tuple(_generation(key, f"{where}, key {i}") for i, key in enumerate(found, 1))
    if len({key.generation for key in generations}) != len(generations):
        raise BadInputError(f"{where}: a generation stands there twice")
    limits = NONCE_OCTETS_MIN, NONCE_OCTETS_MAX
    return PairKeys(
        _address(home_address, f"{where}: home_address"),
        _address(correspondent, f"{where}: correspondent"),
        _octets(home_nonce, *limits, f"{where}: home_nonce"),
        _octets(care_of_nonce, *limits, f"{where}: care_of_nonce"),
        tuple(sorted(generations, key=lambda key: key.generation)),
    )


def _generation(entry: Any, where: str) -> GenerationKey:
    generation, kcn = _fields(entry, {"generation", "kcn"}, where)
    if type(generation) is not int or generation < 0:
        raise BadInputError(f"{where}: generation must be a whole number from 0 on")
    if generation > GENERATION_MAX:
        raise BadInputError(f"{where}: generation is at most {GENERATION_MAX}")
    return GenerationKey(generation, _kcn(kcn, where))


def _refuse_duplicates(pairs: tuple[PairKeys, ...], name: str) -> None:
    """The draft's section 4: no two pairs, and no two generations, share a Kcn."""
    if len({(pair.home_address, pair.correspondent) for pair in pairs}) != len(pairs):
        raise BadInputError(f"{name}: a pair stands there twice")
    kcns = [canonical(key.kcn) for pair in pairs for key in pair.keys]
    if len(set(kcns)) != len(kcns):
        raise BadInputError(f"{name}: a Kcn stands there twice; every key must be of its own")
