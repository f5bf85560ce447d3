"""A key set on its way to a board: what is certain when, and what an interruption leaves.

The registry has the set as `sent` before the board gets it. `send` has the board take it; where it
fails after the last octets have left, only the board knows, and `settle` asks it. `settle_earlier`
does the same for what a former run left. See `provisioning` for the whole order.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from mip6 import addresses
from mip6.keystore.keyset import Credentials
from mip6.keystore.records import STORAGE_ERROR
from roamkey.board.serial_client import Identity, SerialClient
from roamkey.errors import BoardError, RoamkeyError
from roamkey.keyfile import GenerationKey, PairKeys
from roamkey.registry import SENT, Registry
from roamkey.registry.schema import keys, nodes, pairs

ASK_AGAIN_S = 6.0  # how long a board that fell silent may take to come back
_PAUSE_S = 0.2

Connect = Callable[[str], SerialClient]


@dataclass(frozen=True)
class Held:
    """The set that a board holds and the registry has confirmed; no secret in it.

    `correspondents`: address in text and its generations. `finished`: whether an earlier run had
    sent it and this one only confirmed it.
    """

    board: str
    set_id: str
    home_address: str
    correspondents: tuple[tuple[str, tuple[int, ...]], ...]
    lifetime: int
    finished: bool

    def plain(self) -> dict[str, Any]:
        """The same in plain values, for JSON."""
        return {
            "board": self.board,
            "set_id": self.set_id,
            "home_address": self.home_address,
            "correspondents": [
                {"address": name, "generations": list(numbers)}
                for name, numbers in self.correspondents
            ],
            "lifetime": self.lifetime,
            "finished_earlier_run": self.finished,
        }


def settle_earlier(registry: Registry, identity: Identity) -> bytes | None:
    """Confirm or withdraw what earlier runs left `sent`; the set confirmed by this, or None."""
    if identity.keystore == STORAGE_ERROR:
        raise BoardError(
            f"board {identity.board} can't read its flash just now, so nobody knows what it holds"
        )
    confirmed = None
    for earlier in registry.sets_of_board(identity.board):
        if earlier.state != SENT:
            continue
        if earlier.set_id.hex() == identity.set_id:
            registry.confirm(earlier.set_id)
            confirmed = earlier.set_id
        else:
            registry.withdraw(earlier.set_id)
    return confirmed


def send(
    registry: Registry, client: SerialClient, set_id: bytes, give: Callable[[SerialClient], str]
) -> RoamkeyError | None:
    """Have `give` put the set on the board. None: it holds it. A failure: only the board knows.
    Raises where the board can't hold it, the set being withdrawn."""
    try:
        if give(client) == set_id.hex():
            return None
        return BoardError("the board confirms another set than it was sent")
    except RoamkeyError as error:
        if client.delivered:
            return error
        registry.withdraw(set_id)
        raise
    except BaseException:  # Ctrl-C, or a fault of ours
        if not client.delivered:
            registry.withdraw(set_id)
        raise


def settle(
    registry: Registry,
    board: str,
    set_id: bytes,
    failure: RoamkeyError,
    port: str,
    connect: Connect,
    ask_again_s: float,
) -> None:
    """Return if the board holds `set_id`; else withdraw it and raise `failure`."""
    identity = _ask_again(port, board, connect, ask_again_s)
    if identity is None:
        raise BoardError(
            f"{failure}; whether board {board} took the keys is unknown, the registry keeps them "
            "as sent: run the same command again"
        )
    if identity.set_id != set_id.hex():
        registry.withdraw(set_id)
        raise failure


def _ask_again(port: str, board: str, connect: Connect, ask_again_s: float) -> Identity | None:
    """The identity of `board` from a port opened anew; None if it doesn't come back in time."""
    end = time.monotonic() + ask_again_s
    while True:
        try:
            with connect(port) as client:
                identity = client.identify()
            known = identity.board == board and identity.keystore != STORAGE_ERROR
            return identity if known else None
        except BoardError:
            if time.monotonic() >= end:
                return None
            time.sleep(_PAUSE_S)


def pairs_of(credentials: Credentials) -> list[PairKeys]:
    """A set as the registry takes it."""
    return [
        PairKeys(
            credentials.home_address,
            peer.correspondent,
            peer.home_nonce,
            peer.care_of_nonce,
            tuple(GenerationKey(number, kcn) for number, kcn in peer.generations),
        )
        for peer in credentials.peers
    ]


#: The keys of sets: home address, correspondent, generation, lifetime.
contents = (
    select(nodes.c.home_address, pairs.c.correspondent, keys.c.generation, keys.c.lifetime)
    .select_from(keys.join(pairs).join(nodes))
    .order_by(keys.c.id)
)


def as_held(registry: Registry, board: str, set_id: bytes, *, finished: bool) -> Held:
    """What the registry has of a set that `board` holds."""
    with registry.reading() as c:
        rows = c.execute(contents.where(keys.c.set_id == set_id)).all()
    generations: dict[str, tuple[int, ...]] = {}
    for row in rows:
        name = addresses.text(row.correspondent)
        generations[name] = (*generations.get(name, ()), row.generation)
    home_address, lifetime = rows[0].home_address, rows[0].lifetime
    return Held(
        board,
        set_id.hex(),
        addresses.text(home_address),
        tuple(generations.items()),
        lifetime,
        finished,
    )
