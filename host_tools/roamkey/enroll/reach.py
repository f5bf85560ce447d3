"""Where boards reach their correspondents inside UDP: said with their keys, or anew by itself.

A place is a name or an address (text) and a port. Nothing here is a secret, and nothing of it is
in the registry but the site's own: each board knows where it was told to send.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mip6 import addresses
from mip6.console.params import place_from, reach_of
from mip6.keychange.check import is_host
from mip6.limits import PORT_MAX, REACH_MAX
from mip6.status import place_text
from roamkey.board.identity import Identity
from roamkey.board.serial_client import SerialClient
from roamkey.errors import BadInputError, BoardError, RefusedError
from roamkey.registry import CORRESPONDENT

Place = tuple[str, int]

#: By correspondent (16 octets). Of those that aren't in it: nothing is said.
Reach = Mapping[bytes, tuple[Place, ...]]

_FEATURE = "reach"  # of `identify`: agents that can be told


def place_of(text: str, what: str) -> Place:
    """The place in "host", "host:port" or "[address]:port"; the address as RFC 5952 writes it.

    Raises BadInputError, of a line that begins with `what`.
    """
    try:
        host, port = place_from(text)
    except ValueError as error:
        raise BadInputError(f"{what}: {error}") from None
    if not is_host(host):
        raise BadInputError(f"{what}: {host!r} is neither a name nor an address to send to")
    if not 1 <= port <= PORT_MAX:
        raise BadInputError(f"{what}: a port is 1 to {PORT_MAX}")
    if ":" in host or host.replace(".", "").isdigit():
        host = addresses.text(addresses.parse(host))
    return host.lower(), port


def places_of(texts: Iterable[str], what: str) -> tuple[Place, ...]:
    """The places of one correspondent; raises BadInputError."""
    places = tuple(place_of(text, what) for text in texts)
    if len(places) > REACH_MAX:
        raise BadInputError(f"{what}: a correspondent is reached at {REACH_MAX} places at most")
    if len(set(places)) != len(places):
        raise BadInputError(f"{what}: a place is given twice")
    return places


def by_correspondent(texts: Iterable[str], correspondents: tuple[bytes, ...], what: str) -> Reach:
    """Of several correspondents each text says whose place it is: "ADDRESS=HOST[:PORT]".

    Raises BadInputError.
    """
    found: dict[bytes, list[str]] = {}
    for text in texts:
        whose, given, place = text.rpartition("=")
        try:
            owner = addresses.parse(whose) if given else None
        except ValueError as error:
            raise BadInputError(f"{what}: {error}") from None
        if owner is None and len(correspondents) != 1:
            raise BadInputError(f"{what}: with several correspondents it is ADDRESS=HOST[:PORT]")
        owner = owner or correspondents[0]
        if owner not in correspondents:
            raise BadInputError(
                f"{what}: {addresses.text(owner)} is not one of the correspondents"
            )
        found.setdefault(owner, []).append(place)
    return {owner: places_of(places, what) for owner, places in found.items()}


def texts_of(places: Iterable[Place]) -> tuple[str, ...]:
    """The places as texts, each with its port."""
    return tuple(place_text(host, port) for host, port in places)


def check_agent(identity: Identity, reach: Reach, native: bool | None) -> None:
    """Raise RefusedError where a board's agent is too old to be told."""
    if _FEATURE not in identity.features and (any(reach.values()) or native is False):
        raise RefusedError(
            f"the agent of board {identity.board} ({identity.agent}) can't be told where to reach "
            "a correspondent: update it (roamkey install), or say --no-reach"
        )


def tell(client: SerialClient, identity: Identity, reach: Reach, native: bool | None) -> None:
    """Say to a board with keys where its correspondents are reached now; `native`: None to leave
    it. Keys and counters stay. Raises BoardError, RefusedError."""
    check_agent(identity, reach, native)
    if _FEATURE in identity.features:
        params = reach_of({owner: list(places) for owner, places in reach.items()}, native)
        client.ask("reach", params, again=True)


@dataclass(frozen=True)
class Told:
    """What a board says afterwards. `correspondents`: address in text, places, and what it is to
    the board, its home agent among them."""

    board: str
    set_id: str
    native: bool
    correspondents: tuple[tuple[str, tuple[str, ...], str], ...]

    def plain(self) -> dict[str, Any]:
        """The same in plain values, for JSON."""
        return {
            "board": self.board,
            "set_id": self.set_id,
            "native": self.native,
            "correspondents": [
                {"address": address, "reach": list(reach), "role": role}
                for address, reach, role in self.correspondents
            ],
        }


def change(port: str, choose: Callable[[tuple[bytes, ...]], Reach], native: bool | None) -> Told:
    """Say to the board at `port` where its correspondents are reached now, and what it says then.

    `choose`: gives the places, for the correspondents that the board has. Raises BadInputError,
    BoardError, RefusedError.
    """
    with SerialClient(port) as client:
        identity = client.identify()
        if identity.set_id is None:
            raise RefusedError(f"board {identity.board} holds no usable keys: provision it")
        if identity.sealed is not None:
            raise RefusedError(f"board {identity.board} is sealed: roamkey unseal opens it")
        if _FEATURE not in identity.features:
            raise RefusedError(
                f"the agent of board {identity.board} ({identity.agent}) can't be told where to "
                "reach a correspondent: update it (roamkey install)"
            )
        try:
            peers = _keystore(client)["peers"]
            correspondents = tuple(addresses.parse(peer["correspondent"]) for peer in peers)
            tell(client, identity, choose(correspondents), native)
            keystore = _keystore(client)
            found = tuple(
                (peer["correspondent"], tuple(peer["reach"]), peer.get("role", CORRESPONDENT))
                for peer in keystore["peers"]
            )
            return Told(identity.board, identity.set_id, bool(keystore["native"]), found)
        except (KeyError, TypeError, ValueError):
            raise BoardError(f"{port}: the board's status makes no sense") from None


def _keystore(client: SerialClient) -> dict[str, Any]:
    """What the board says of its keys; raises KeyError."""
    found: dict[str, Any] = client.status()["keystore"]
    return found
