"""The file that carries the keys of a correspondent, or home agent, to another machine, encrypted
under a passphrase.

    roamkey export 1 LF | salt | cost | nonce | ChaCha20Poly1305(JSON)      (registry.encryption)

The JSON is an object: `correspondent` and `pairs`, each with `home_address`, `board`, `role` (a
correspondent's where older files have none), `name` (none in older files), `latest` and its live
`keys`; octets are hexadecimal.
Whoever has the passphrase has the keys.
"""

import json
import os
from pathlib import Path
from typing import Any

from mip6 import addresses
from mip6.limits import GENERATION_MAX, SET_ID_OCTETS
from roamkey import privatefiles
from roamkey.errors import BadInputError, RefusedError, SystemRefusedError
from roamkey.registry import Registry, checks
from roamkey.registry.encryption import lock, unlock
from roamkey.registry.records import CORRESPONDENT, Key, MovedPair
from roamkey.registry.transfer import Taken

_MAGIC = b"roamkey export 1\n"
_OCTETS_MAX = 1 << 28


def export_to(
    registry: Registry,
    peer: bytes,
    path: Path,
    passphrase: bytes,
    *,
    force: bool = False,
    role: str | None = None,
) -> list[MovedPair]:
    """Write the pairs of `peer` (16 octets) to a new file of mode 0600; with `role` those alone to
    whose nodes it is that.

    The file is there whole or not at all. Raises RefusedError (none there; a file is in the way,
    unless `force`), SystemRefusedError.
    """
    if os.path.lexists(path) and not force:
        raise RefusedError(f"{path} is there already: --force replaces it")
    pairs = [pair for pair in registry.give_pairs(peer) if role in (None, pair.role)]
    if not pairs:
        raise RefusedError(f"no pair with the {role or CORRESPONDENT} {addresses.text(peer)}")
    document = {
        "correspondent": addresses.text(peer),
        "pairs": [_pair_out(pair) for pair in pairs],
    }
    content = _MAGIC + lock(json.dumps(document).encode(), passphrase, _MAGIC)
    try:
        privatefiles.write(path, content)
    except OSError as error:
        raise SystemRefusedError(f"{path}: {error.strerror}") from None
    return pairs


def import_from(
    registry: Registry, path: Path, passphrase: bytes, *, new_only: bool = False
) -> tuple[bytes, Taken]:
    """Take over the file's pairs, all or none: the correspondent (16 octets) and what was done.

    Raises BadInputError, RefusedError (a wrong passphrase, a conflict, an older state).
    """
    try:
        with path.open("rb") as file:
            content = file.read(_OCTETS_MAX)
    except OSError as error:
        raise BadInputError(f"{path}: {error.strerror or 'not readable'}") from None
    if not content.startswith(_MAGIC):
        raise BadInputError(f"{path} is no file of `roamkey export`")
    text = unlock(content[len(_MAGIC) :], passphrase, _MAGIC)
    if text is None:
        raise RefusedError(f"{path}: wrong passphrase, or damaged")
    correspondent, pairs = None, []
    try:
        document = json.loads(text)
        correspondent = addresses.parse(document["correspondent"])
        pairs = [_pair_in(entry) for entry in document["pairs"]]
        for pair in pairs:
            checks.address(pair.home_address)
        checks.address(correspondent)
    except (ValueError, KeyError, TypeError, BadInputError):
        correspondent = None
    if correspondent is None:  # raised out here: a traceback would carry the keys along
        raise BadInputError(f"{path}: not as `roamkey export` writes it")
    return correspondent, registry.take_pairs(correspondent, pairs, new_only)


def _pair_out(pair: MovedPair) -> dict[str, Any]:
    return {
        "home_address": addresses.text(pair.home_address),
        "board": pair.board_id,
        "role": pair.role,
        "name": pair.name,
        "latest": pair.latest,
        "keys": [
            {
                "set_id": key.set_id.hex(),
                "generation": key.generation,
                "kcn": key.kcn.hex(),
                "home_nonce": key.home_nonce.hex(),
                "care_of_nonce": key.care_of_nonce.hex(),
                "lifetime": key.lifetime,
                "state": key.state,
                "last_sequence": key.last_sequence,
            }
            for key in pair.keys
        ],
    }


def _pair_in(entry: dict[str, Any]) -> MovedPair:
    found = tuple(_key_in(key) for key in entry["keys"])
    board, latest = entry["board"], int(entry["latest"])
    if found and not (isinstance(board, str) and board.isprintable() and len(board) <= 64):
        raise ValueError
    if not 0 <= latest <= GENERATION_MAX:
        raise ValueError
    if any(key.generation > latest for key in found):
        raise ValueError
    role = entry.get("role", CORRESPONDENT)
    checks.role(role)
    name = entry.get("name")
    if name is not None:
        checks.name(name)
    return MovedPair(addresses.parse(entry["home_address"]), board, latest, found, role, name)


def _key_in(entry: dict[str, Any]) -> Key:
    set_id, kcn, home_nonce, care_of_nonce = (
        bytes.fromhex(entry[name]) for name in ("set_id", "kcn", "home_nonce", "care_of_nonce")
    )
    last = entry["last_sequence"]
    numbers = entry["generation"], entry["lifetime"]
    checks.key(numbers[0], kcn, home_nonce, care_of_nonce)
    checks.use(numbers[1], entry["state"], last)
    if len(set_id) != SET_ID_OCTETS:
        raise ValueError
    return Key(
        0, set_id, numbers[0], kcn, home_nonce, care_of_nonce, numbers[1], entry["state"], last
    )
