"""The parameters of the console's `provision`: read strictly, before anything is written.

    {"set_id": hex, "home_address": text, "correspondents": [{"address": text, "home_nonce": hex,
     "care_of_nonce": hex, "lifetime": seconds, "keys": [{"generation": n, "kcn": hex}],
     "reach": [text]}], "native": bool, "home_agent": text}

`reach`, `native` and `home_agent` (the address of one of them) may be left out: older agents
refuse them.

The same shape is what the host sends: `parameters_of` writes what `credentials_from` reads.
Lengths and ranges are keychange/check.py's. Every failure is a ValueError of one line that names
the field and never repeats a value.
"""

import binascii

from .. import addresses
from ..compat import const
from ..keychange.check import check_credentials
from ..keystore.keyset import Credentials, Peer
from ..packets import ENCAPSULATION_PORT
from ..status import place_text

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from typing import Any

    from ..protocols import Generations, Reach


def credentials_from(params: object) -> "Credentials":
    """The key set (keyset.Credentials) in `params`; raises ValueError."""
    names = ("set_id", "home_address", "correspondents")
    set_id, home_address, correspondents, native, home_agent = _fields(
        params, names, "the parameters", (("native", True), ("home_agent", None))
    )
    peers = [_peer(entry) for entry in _list(correspondents, "correspondents")]
    home_address = _address(home_address, "home_address")
    credentials = Credentials(
        _octets(set_id, "set_id"),
        home_address,
        peers,
        _truth(native),
        None if home_agent is None else _index(peers, _address(home_agent, "home_agent")),
    )
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


def reach_from(params: object) -> "tuple[dict[bytes, Reach], bool | None]":
    """{correspondent: [(host, port), …]} and `native` in the parameters of `reach`:

        {"correspondents": [{"address": text, "reach": [text]}], "native": bool}

    `native` may be left out: None. Raises ValueError.
    """
    correspondents, native = _fields(
        params, ("correspondents",), "the parameters", (("native", None),)
    )
    found = {}
    for entry in _list(correspondents, "correspondents"):
        address, reach = _fields(entry, ("address", "reach"), "a correspondent")
        found[_address(address, "address")] = _places(reach)
    if len(found) != len(correspondents):
        raise ValueError("a correspondent is given twice")
    return found, None if native is None else _truth(native)


def place_from(text: object) -> tuple[str, int]:
    """(host, port) of "host", "host:port" or "[IPv6 address]:port"; raises ValueError.

    Whether boards can send there, keychange/check.py says.
    """
    if not isinstance(text, str):
        raise ValueError("reach is a list of texts")
    host, port = text, None
    if text[:1] == "[":
        end = text.find("]")
        host = text[1:end]
        if end + 1 < len(text):
            port = text[end + 2 :]
        if end < 0 or ":" not in host or (port is not None and text[end + 1] != ":"):
            raise ValueError("reach: an IPv6 address with a port is [address]:port")
    elif text.count(":") == 1:
        host, port = text.split(":")
    if port is None:
        return host, ENCAPSULATION_PORT
    if not 1 <= len(port) <= 5 or any(digit not in "0123456789" for digit in port):
        raise ValueError("reach: a port is 1 to 65535")
    return host, int(port)


def reach_of(reach: "dict[bytes, Reach]", native: bool | None) -> "dict[str, Any]":
    """The parameters of `reach` that `reach_from` reads."""
    params: "dict[str, Any]" = {
        "correspondents": [
            {"address": addresses.text(address), "reach": [place_text(*one) for one in places]}
            for address, places in reach.items()
        ]
    }
    if native is not None:
        params["native"] = native
    return params


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
    """The parameters that say `credentials`: they hold secrets. Those that older agents refuse
    are there only where they say something."""
    whole: "dict[str, Any]" = {
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
    for index, peer in enumerate(credentials.peers):
        if peer.reach:
            whole["correspondents"][index]["reach"] = [
                place_text(host, port) for host, port in peer.reach
            ]
    if not credentials.native:
        whole["native"] = False
    if credentials.home_agent is not None:
        whole["home_agent"] = whole["correspondents"][credentials.home_agent]["address"]
    return whole


def _index(peers: "list[Peer]", address: bytes) -> int:
    for index, peer in enumerate(peers):
        if peer.correspondent == address:
            return index
    raise ValueError("home_agent is none of the correspondents")


def _peer(entry: object) -> "Peer":
    names = ("address", "home_nonce", "care_of_nonce", "lifetime", "keys")
    address, home_nonce, care_of_nonce, lifetime, keys, reach = _fields(
        entry, names, "a correspondent", (("reach", []),)
    )
    return Peer(
        _address(address, "address"),
        _octets(home_nonce, "home_nonce"),
        _octets(care_of_nonce, "care_of_nonce"),
        _whole(lifetime, "lifetime"),
        [_key(key) for key in _list(keys, "keys")],
        _places(reach),
    )


def _places(reach: object) -> "Reach":
    return [place_from(text) for text in _list(reach, "reach")]


def _key(entry: object) -> tuple[int, bytes]:
    generation, kcn = _fields(entry, ("generation", "kcn"), "a key")
    return _whole(generation, "generation"), _octets(kcn, "kcn")


def _fields(
    entry: object,
    names: tuple[str, ...],
    what: str,
    optional: "tuple[tuple[str, object], ...]" = (),
) -> "list[Any]":
    """The values of `entry` under `names`, which must be all that it has but for the `optional`
    ones, (name, default): theirs follow."""
    others = {name for name, _ in optional}
    if not isinstance(entry, dict) or set(entry) - others != set(names):
        raise ValueError("%s must have the fields %s, no others" % (what, ", ".join(names)))
    values = [entry[name] for name in names]
    for name, default in optional:
        values.append(entry.get(name, default))
    return values


def _list(value: object, name: str) -> "list[Any]":
    if not isinstance(value, list):
        raise ValueError("%s is a list" % name)
    return value


def _whole(value: object, name: str) -> int:
    if type(value) is not int:
        raise ValueError("%s is a whole number" % name)
    return value


def _truth(value: object) -> bool:
    if type(value) is not bool:
        raise ValueError("native is true or false")
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
