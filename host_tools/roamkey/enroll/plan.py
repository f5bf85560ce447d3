"""What a board is to hold: a plan, and the sets of keys that are made for it or follow its own."""

import os
from dataclasses import dataclass, field, replace

from mip6.errors import Misuse
from mip6.keychange.check import check_credentials
from mip6.keystore.keyset import Credentials, Peer
from mip6.limits import SET_ID_OCTETS
from roamkey.board.serial_client import Identity
from roamkey.enroll.reach import Reach
from roamkey.errors import BadInputError, RefusedError
from roamkey.registry import Registry

KCN_OCTETS = 32
NONCE_OCTETS = 8
LIFETIME_S = 3600
GENERATIONS = 4  # one lasts a year, whatever happens to the node (docs/DESIGN.md)


@dataclass(frozen=True)
class Plan:
    """What a board is to hold. Addresses are 16 octets, `lifetime` is in seconds.

    `home_address`: None for the next free one, of the pool that goes with the plan.
    `generations`: keys for each correspondent; 0 stands for as many as `kcns` has, or four.
    `kcns`: keys from files, in the order of the correspondents and their generations; empty to
    have them made at random. `reach`: where UDP reaches correspondents, `native`: whether the
    board speaks native IPv6 too.
    """

    home_address: bytes | None
    correspondents: tuple[bytes, ...]
    lifetime: int = LIFETIME_S
    generations: int = 0
    kcns: tuple[bytes, ...] = field(default=(), repr=False)
    reach: Reach = field(default_factory=dict)
    native: bool = True

    def __post_init__(self) -> None:
        """Say how many generations 0 stands for."""
        if not self.generations:
            given = max(1, len(self.kcns) // max(1, len(self.correspondents)))
            object.__setattr__(self, "generations", given if self.kcns else GENERATIONS)

    def at(self, home_address: bytes) -> "Plan":
        """The same for this home address."""
        return replace(self, home_address=home_address)

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
        stand_in = self if self.home_address is not None else self.at(b"\xfd" + os.urandom(15))
        stand_in.make(dict.fromkeys(self.correspondents, 0))

    def make(self, first: dict[bytes, int]) -> Credentials:
        """A set with fresh nonces and keys, for a plan with a home address. `first`: each
        correspondent's first generation."""
        assert self.home_address is not None
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
                        self.reach.get(correspondent, ()),
                    )
                    for correspondent in self.correspondents
                ],
                self.native,
            )
            check_credentials(made)
        except Misuse as error:
            raise BadInputError(str(error)) from None
        return made


def next_keys(registry: Registry, identity: Identity, generations: int) -> tuple[Credentials, int]:
    """A set like the board's own, with new keys and further generations; and its lifetime.

    Raises RefusedError where the board holds none that this registry knows.
    """
    if identity.set_id is None:
        raise RefusedError(f"board {identity.board} holds no usable keys: provision it")
    set_id = bytes.fromhex(identity.set_id)
    entries = registry.entries_of_set(set_id)
    peers: dict[bytes, Peer] = {}
    for entry in entries:
        if entry.correspondent in peers:
            continue
        pairs_found = registry.pairs_for_correspondent(
            entry.correspondent, home_addresses=[entry.home_address]
        )
        key = next((k for pair in pairs_found for k in pair.keys if k.set_id == set_id), None)
        if key is None:
            raise RefusedError(f"the keys of board {identity.board} are retired: provision it")
        first = registry.next_generation(entry.home_address, entry.correspondent)
        new = [(first + number, os.urandom(KCN_OCTETS)) for number in range(generations)]
        peers[entry.correspondent] = Peer(
            entry.correspondent, key.home_nonce, key.care_of_nonce, entry.lifetime, new
        )
    if not peers:
        raise RefusedError(
            f"board {identity.board} holds keys that this registry doesn't know: "
            "provision it with --replace"
        )
    made = Credentials(os.urandom(SET_ID_OCTETS), entries[0].home_address, list(peers.values()))
    try:
        check_credentials(made)
    except Misuse as error:
        raise BadInputError(str(error)) from None
    return made, entries[0].lifetime
