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
from collections.abc import Callable
from dataclasses import dataclass, field

from mip6 import addresses
from mip6.console.params import parameters_of
from mip6.errors import Misuse
from mip6.keychange.check import check_credentials
from mip6.keystore.keyset import Credentials, Peer
from roamkey.board.serial_client import Identity, SerialClient
from roamkey.delivery import (
    ASK_AGAIN_S,
    Connect,
    Held,
    as_held,
    contents,
    pairs_of,
    send,
    settle,
    settle_earlier,
)
from roamkey.errors import BadInputError, RefusedError
from roamkey.registry import CONFIRMED, Registry
from roamkey.registry.schema import keys

KCN_OCTETS = 32
NONCE_OCTETS = 8
SET_ID_OCTETS = 8
LIFETIME_S = 3600


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
            made = Credentials(
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
            check_credentials(made)
        except Misuse as error:
            raise BadInputError(str(error)) from None
        return made


def provision(
    registry: Registry,
    port: str,
    plan: Plan,
    *,
    replace: bool = False,
    connect: Connect = SerialClient,
    ask_again_s: float = ASK_AGAIN_S,
) -> Held:
    """Carry out `plan` on the board at `port`; see the top of this file.

    `replace`: also where the board holds keys already. Raises BadInputError (nothing was done),
    BoardError, RefusedError (the registry is as before, or the message says that it isn't).
    """
    plan.check()
    with connect(port) as client:
        identity = client.identify()
        finished = settle_earlier(registry, identity)
        if finished is not None and _is_as_planned(registry, finished, plan):
            return as_held(registry, identity.board, finished, finished=True)
        _refuse_conflicts(registry, identity, plan, replace)
        credentials = plan.make(
            {
                correspondent: registry.next_generation(plan.home_address, correspondent)
                for correspondent in plan.correspondents
            }
        )
        registry.add_sent(credentials.set_id, identity.board, pairs_of(credentials), plan.lifetime)
        failure = send(registry, client, credentials.set_id, _provisioning(credentials))
    if failure is not None:
        settle(registry, identity.board, credentials.set_id, failure, port, connect, ask_again_s)
    registry.confirm(credentials.set_id)
    return as_held(registry, identity.board, credentials.set_id, finished=False)


def holds(registry: Registry, identity: Identity, plan: Plan) -> bool:
    """Whether a board holds a confirmed set that is what `plan` would make."""
    return any(
        known.state == CONFIRMED
        and known.set_id.hex() == identity.set_id
        and _is_as_planned(registry, known.set_id, plan)
        for known in registry.sets_of_board(identity.board)
    )


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


def _is_as_planned(registry: Registry, set_id: bytes, plan: Plan) -> bool:
    """Whether a set in the registry is what `plan` would make."""
    with registry.reading() as c:
        rows = c.execute(contents.where(keys.c.set_id == set_id)).all()
    wanted = [
        (plan.home_address, correspondent, plan.lifetime)
        for correspondent in plan.correspondents
        for _ in range(plan.generations)
    ]
    given = registry.kcns_of_set(set_id) if plan.kcns else ()
    found = [(row.home_address, row.correspondent, row.lifetime) for row in rows]
    return found == wanted and given == plan.kcns
