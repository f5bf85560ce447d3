"""Putting keys on a board and into the registry: whole, or not at all.

The order is what makes it so. (1) Ask the board who it is and which set it holds; settle whatever
an earlier, interrupted run left `sent`. (2) Refuse conflicts. (3) The registry records the new set
as `sent`. (4) The board takes it in one atomic step. (5) The registry records it as `confirmed`.

Until the last line of (4) has left, a failure withdraws the set and the registry is as before.
After that, the board alone knows: it is asked which set it holds, and the set is confirmed or
withdrawn accordingly. If it can't be asked, `sent` stays, the user is told, and the next run
settles it at (1).
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import select

from mip6 import addresses
from mip6.credentials import STORAGE_ERROR
from mip6.errors import Misuse
from mip6.keyset import Credentials, Peer
from mip6.provisioning import new_keys_of, parameters_of
from roamkey.board.serial_client import Identity, SerialClient
from roamkey.errors import BadInputError, BoardError, RefusedError, RoamkeyError
from roamkey.keyfile import GenerationKey, PairKeys
from roamkey.registry import CONFIRMED, SENT, Registry
from roamkey.registry.schema import keys, nodes, pairs

KCN_OCTETS = 32
NONCE_OCTETS = 8
SET_ID_OCTETS = 8
LIFETIME_S = 3600

_ASK_AGAIN_S = 6.0  # how long a board that fell silent may take to come back
_PAUSE_S = 0.2

Connect = Callable[[str], SerialClient]


@dataclass(frozen=True)
class Plan:
    """What a board is to hold. Addresses are 16 octets, `lifetime` is in seconds.

    `generations`: keys for each correspondent. `kcns`: keys from files, in the order of the
    correspondents and their generations; empty to have them made at random.
    """

    home_address: bytes
    correspondents: tuple[bytes, ...]
    lifetime: int = LIFETIME_S
    generations: int = 1
    kcns: tuple[bytes, ...] = field(default=(), repr=False)

    def check(self) -> None:
        """Raise BadInputError (one line) for what no board would take."""
        wanted = len(self.correspondents) * self.generations
        if self.kcns and len(self.kcns) != wanted:
            raise BadInputError(
                f"{len(self.kcns)} key file(s) for {wanted} key(s): "
                "give one for each correspondent and generation"
            )
        if self.home_address in self.correspondents:
            raise BadInputError("the home address is given as a correspondent too")
        if len(set(self.correspondents)) != len(self.correspondents):
            raise BadInputError("a correspondent is given twice")
        self.make(dict.fromkeys(self.correspondents, 0))

    def make(self, first: dict[bytes, int]) -> Credentials:
        """A set with fresh nonces and keys. `first`: each correspondent's first generation."""
        kcns = iter(
            self.kcns or [os.urandom(KCN_OCTETS) for _ in self.correspondents * self.generations]
        )
        try:
            return Credentials(
                os.urandom(SET_ID_OCTETS),
                self.home_address,
                [
                    Peer(
                        correspondent,
                        os.urandom(NONCE_OCTETS),
                        os.urandom(NONCE_OCTETS),
                        self.lifetime,
                        [
                            (first[correspondent] + number, next(kcns))
                            for number in range(self.generations)
                        ],
                    )
                    for correspondent in self.correspondents
                ],
            )
        except Misuse as error:
            raise BadInputError(str(error)) from None


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


def provision(
    registry: Registry,
    port: str,
    plan: Plan,
    *,
    replace: bool = False,
    connect: Connect = SerialClient,
    ask_again_s: float = _ASK_AGAIN_S,
) -> Held:
    """Carry out `plan` on the board at `port`; see the top of this file.

    `replace`: also where the board holds keys already. Raises BadInputError (nothing was done),
    BoardError, RefusedError (the registry is as before, or the message says that it isn't).
    """
    plan.check()
    with connect(port) as client:
        identity = client.identify()
        finished = _settle_earlier(registry, identity)
        if finished is not None and _is_as_planned(registry, finished, plan):
            return _held(registry, identity.board, finished, finished=True)
        _refuse_conflicts(registry, identity, plan, replace)
        credentials = plan.make(
            {
                correspondent: registry.next_generation(plan.home_address, correspondent)
                for correspondent in plan.correspondents
            }
        )
        registry.add_sent(credentials.set_id, identity.board, _pairs(credentials), plan.lifetime)
        failure = _send(registry, client, credentials.set_id, _provisioning(credentials))
    if failure is not None:
        _settle(registry, identity.board, credentials.set_id, failure, port, connect, ask_again_s)
    registry.confirm(credentials.set_id)
    return _held(registry, identity.board, credentials.set_id, finished=False)


def rekey(
    registry: Registry,
    port: str,
    generations: int = 1,
    *,
    connect: Connect = SerialClient,
    ask_again_s: float = _ASK_AGAIN_S,
) -> Held:
    """Give the board at `port` the next `generations` of keys for each of its correspondents.

    Home address, correspondents, nonces and lifetime stay, and the keys before are retired. An
    earlier run that was interrupted is finished instead. Raises as `provision`.
    """
    with connect(port) as client:
        identity = client.identify()
        finished = _settle_earlier(registry, identity)
        if finished is not None:
            held = _held(registry, identity.board, finished, finished=True)
            if all(len(numbers) == generations for _, numbers in held.correspondents):
                return held
        credentials, lifetime = _next_keys(registry, identity, generations)
        registry.add_sent(credentials.set_id, identity.board, _pairs(credentials), lifetime)
        failure = _send(registry, client, credentials.set_id, _rekeying(credentials))
    if failure is not None:
        _settle(registry, identity.board, credentials.set_id, failure, port, connect, ask_again_s)
    registry.confirm(credentials.set_id)
    return _held(registry, identity.board, credentials.set_id, finished=False)


def _next_keys(
    registry: Registry, identity: Identity, generations: int
) -> tuple[Credentials, int]:
    """A set like the board's own, with new keys and further generations; and its lifetime."""
    if identity.set_id is None:
        raise RefusedError(f"board {identity.board} holds no usable keys: provision it")
    set_id = bytes.fromhex(identity.set_id)
    with registry.reading() as c:
        rows = c.execute(_contents.where(keys.c.set_id == set_id)).all()
    peers: dict[bytes, Peer] = {}
    for row in rows:
        if row.correspondent in peers:
            continue
        pairs_found = registry.pairs_for_correspondent(
            row.correspondent, home_addresses=[row.home_address]
        )
        key = next((k for pair in pairs_found for k in pair.keys if k.set_id == set_id), None)
        if key is None:
            raise RefusedError(f"the keys of board {identity.board} are retired: provision it")
        first = registry.next_generation(row.home_address, row.correspondent)
        new = [(first + number, os.urandom(KCN_OCTETS)) for number in range(generations)]
        peers[row.correspondent] = Peer(
            row.correspondent, key.home_nonce, key.care_of_nonce, row.lifetime, new
        )
    if not peers:
        raise RefusedError(
            f"board {identity.board} holds keys that this registry doesn't know: "
            "provision it with --replace"
        )
    made = Credentials(os.urandom(SET_ID_OCTETS), rows[0].home_address, list(peers.values()))
    return made, int(rows[0].lifetime)


def holds(registry: Registry, identity: Identity, plan: Plan) -> bool:
    """Whether a board holds a confirmed set that is what `plan` would make."""
    return any(
        known.state == CONFIRMED
        and known.set_id.hex() == identity.set_id
        and _is_as_planned(registry, known.set_id, plan)
        for known in registry.sets_of_board(identity.board)
    )


def _settle_earlier(registry: Registry, identity: Identity) -> bytes | None:
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


def _refuse_conflicts(registry: Registry, identity: Identity, plan: Plan, replace: bool) -> None:
    node = registry.node_by_home_address(plan.home_address)
    if node is not None and node.board_id not in (None, identity.board):
        raise RefusedError(
            f"home address {addresses.text(plan.home_address)} belongs to board {node.board_id}"
        )
    if identity.set_id is not None and not replace:
        raise RefusedError(
            f"board {identity.board} holds keys already: --replace gives it new ones"
        )


def _provisioning(credentials: Credentials) -> Callable[[SerialClient], str]:
    return lambda client: client.provision(parameters_of(credentials))


def _rekeying(credentials: Credentials) -> Callable[[SerialClient], str]:
    return lambda client: client.rekey(new_keys_of(credentials))


def _send(
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


def _settle(
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


def _pairs(credentials: Credentials) -> list[PairKeys]:
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


_contents = (
    select(nodes.c.home_address, pairs.c.correspondent, keys.c.generation, keys.c.lifetime)
    .select_from(keys.join(pairs).join(nodes))
    .order_by(keys.c.id)
)


def _is_as_planned(registry: Registry, set_id: bytes, plan: Plan) -> bool:
    """Whether a set in the registry is what `plan` would make."""
    with registry.reading() as c:
        rows = c.execute(_contents.where(keys.c.set_id == set_id)).all()
    wanted = [
        (plan.home_address, correspondent, plan.lifetime)
        for correspondent in plan.correspondents
        for _ in range(plan.generations)
    ]
    given = registry.kcns_of_set(set_id) if plan.kcns else ()
    found = [(row.home_address, row.correspondent, row.lifetime) for row in rows]
    return found == wanted and given == plan.kcns


def _held(registry: Registry, board: str, set_id: bytes, *, finished: bool) -> Held:
    with registry.reading() as c:
        rows = c.execute(_contents.where(keys.c.set_id == set_id)).all()
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
