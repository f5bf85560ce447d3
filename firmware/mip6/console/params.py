"""The parameters of the console's `provision`: read strictly, before anything is written.

    {"set_id": hex, "home_address": text, "correspondents": [{"address": text, "home_nonce": hex,
     "care_of_nonce": hex, "lifetime": seconds, "keys": [{"generation": n, "kcn": hex}]}]}

The same shape is what the host sends: `parameters_of` writes what `credentials_from` reads.
Lengths and ranges are keychange/check.py's. Every failure is a ValueError of one line that names
the field and never repeats a value.
"""

import binascii

from .. import addresses
from ..compat import const
from ..keychange.check import check_credentials
from ..keystore.keyset import Credentials, Peer

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from typing import Any

    from ..protocols import Generations


def credentials_from(params: object) -> "Credentials":
    """The key set (keyset.Credentials) in `params`; raises ValueError."""
    set_id, home_address, correspondents = _fields(
        params, ("set_id", "home_address", "correspondents"), "the parameters"
    )
    peers = [_peer(entry) for entry in _list(correspondents, "correspondents")]
    home_address = _address(home_address, "home_address")
    credentials = Credentials(_octets(set_id, "set_id"), home_address, peers)
    check_credentials(credentials)
    return credentials


def new_keys_from(params: object) -> "tuple[bytes, dict[bytes, Generations]]":
    """The set id, and {correspondent: [(generation, Kcn), …]}, in the parameters of `rekey`:

        {"set_id": hex, "correspondents": [{"address": text, "keys": [{"generation", "kcn"}]}]}

    Raises ValueError.
    """
    set_id, correspondents = _fields(params, ("set_id", "correspondents"), "the parameters")
    found = {}
    for entry in _list(correspondents, "correspondents"):
        address, keys = _fields(entry, ("address", "keys"), "a correspondent")
        found[_address(address, "address")] = [_key(key) for key in _list(keys, "keys")]
    if len(found) != len(correspondents):
        raise ValueError("a correspondent is given twice")
    return _octets(set_id, "set_id"), found


def new_keys_of(credentials: "Credentials") -> "dict[str, Any]":
    """The parameters of `rekey` that say the keys of `credentials`: they hold secrets."""
    whole = parameters_of(credentials)
    return {
        "set_id": whole["set_id"],
        "correspondents": [
            {"address": entry["address"], "keys": entry["keys"]}
            for entry in whole["correspondents"]
        ],
    }


def parameters_of(credentials: "Credentials") -> "dict[str, Any]":
    """The parameters that say `credentials`: they hold secrets."""
    return {
        "set_id": credentials.set_id.hex(),
        "home_address": addresses.text(credentials.home_address),
        "correspondents": [
            {
                "address": addresses.text(peer.correspondent),
                "home_nonce": peer.home_nonce.hex(),
                "care_of_nonce": peer.care_of_nonce.hex(),
                "lifetime": peer.lifetime,
                "keys": [
                    {"generation": number, "kcn": kcn.hex()} for number, kcn in peer.generations
                ],
            }
            for peer in credentials.peers
        ],
    }


def _peer(entry: object) -> "Peer":
    address, home_nonce, care_of_nonce, lifetime, keys = _fields(
        entry,
        ("address", "home_nonce", "care_of_nonce", "lifetime", "keys"),
        "a correspondent",
    )
    return Peer(
        _address(address, "address"),
        _octets(home_nonce, "home_nonce"),
        _octets(care_of_nonce, "care_of_nonce"),
        _whole(lifetime, "lifetime"),
        [_key(key) for key in _list(keys, "keys")],
    )


def _key(entry: object) -> tuple[int, bytes]:
    generation, kcn = _fields(entry, ("generation", "kcn"), "a key")
    return _whole(generation, "generation"), _octets(kcn, "kcn")


def _fields(entry: object, names: tuple[str, ...], what: str) -> "list[Any]":
    """The values of `entry` under `names`, which must be all that it has."""
    if not isinstance(entry, dict) or set(entry) != set(names):
        raise ValueError("%s must have the fields %s, no others" % (what, ", ".join(names)))
    return [entry[name] for name in names]


def _list(value: object, name: str) -> "list[Any]":
    if not isinstance(value, list):
        raise ValueError("%s is a list" % name)
    return value


def _whole(value: object, name: str) -> int:
    if type(value) is not int:
        raise ValueError("%s is a whole number" % name)
    return value


def _octets(value: object, name: str) -> bytes:
    octets = None
    if isinstance(value, str):
        try:
            octets = binascii.unhexlify(value)
        except ValueError:
            pass
    if octets is None:
        raise ValueError("%s is not hexadecimal" % name)
    return octets


def _address(value: object, name: str) -> bytes:
    try:
        return addresses.parse(value)
    except ValueError:
        raise ValueError("%s is not an IPv6 address" % name) from None
