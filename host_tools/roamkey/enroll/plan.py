"""What a board is to hold: a plan, and the sets of keys that are made for it or follow its own."""

import os
from dataclasses import dataclass, field, replace

from mip6 import addresses
from mip6.errors import Misuse
from mip6.keychange.check import check_credentials
from mip6.keystore.keyset import Credentials, Peer
from mip6.limits import SET_ID_OCTETS
from roamkey.board.identity import Identity
from roamkey.enroll.reach import Reach
from roamkey.errors import BadInputError, RefusedError
from roamkey.registry import CORRESPONDENT, HOME_AGENT, Registry, checks

KCN_OCTETS = 32
NONCE_OCTETS = 8
LIFETIME_S = 3600
GENERATIONS = 4  # one lasts a year, whatever happens to the node (docs/DESIGN.md)


@dataclass(frozen=True)
class Plan:
    """What a board is to hold. Addresses are 16 octets, `lifetime` is in seconds.

    `home_address`: None for the next free one, of the pool that goes with the plan.
    `correspondents`: those with keys; `routability`: those without; `home_agent`: None for none,
    and with keys unless it is `insecure`. `generations`: keys for each of them; 0 stands for as
    many as `kcns` has, or four. `kcns`: keys from files, in the order of the correspondents, then
    the home agent, and their generations; empty to have them made at random. `reach`: where UDP
    reaches each of them, `native`: whether the board speaks native IPv6 too. `name`: what people
    call the node, in the registry alone; None leaves what is there.
    """

    home_address: bytes | None
    correspondents: tuple[bytes, ...]
    lifetime: int = LIFETIME_S
    generations: int = 0
    kcns: tuple[bytes, ...] = field(default=(), repr=False)
    reach: Reach = field(default_factory=dict)
    native: bool = True
    routability: tuple[bytes, ...] = ()
    home_agent: bytes | None = None
    insecure: bool = False
    name: str | None = None

    def __post_init__(self) -> None:
        """Say how many generations 0 stands for."""
        if not self.generations:
            given = max(1, len(self.kcns) // max(1, len(self.keyed)))
            object.__setattr__(self, "generations", given if self.kcns else GENERATIONS)

    @property
    def keyed(self) -> tuple[bytes, ...]:
        """The peers that are given keys."""
        agent = () if self.home_agent is None or self.insecure else (self.home_agent,)
        return self.correspondents + agent

    @property
    def peers(self) -> tuple[bytes, ...]:
        """All peers, in the order of the set."""
        agent = () if self.home_agent is None else (self.home_agent,)
        return self.correspondents + self.routability + agent

    def role(self, peer: bytes) -> str:
        """What a peer is to the board."""
        return HOME_AGENT if peer == self.home_agent else CORRESPONDENT

    def at(self, home_address: bytes) -> "Plan":
        """The same for this home address."""
        return replace(self, home_address=home_address)

    def check(self) -> None:
        """Raise BadInputError (one line) for what no board would take, and for what is no name."""
        if self.name is not None:
            checks.name(self.name)
        wanted = len(self.keyed) * self.generations
        if self.kcns and len(self.kcns) != wanted:
            raise BadInputError(
                f"{len(self.kcns)} key file(s) for {wanted} key(s): "
                "give one for each correspondent and generation"
            )
        if self.home_address is not None and self.home_address in self.peers:
            raise BadInputError(
                f"the home address is given as a {self.role(self.home_address)} too"
            )
        others = self.correspondents + self.routability
        if self.home_agent in others:
            raise BadInputError("the home agent is given as a correspondent too")
        if len(set(others)) != len(others):
            raise BadInputError("a correspondent is given twice")
        if self.routability and self.home_agent is None:
            raise BadInputError(
                f"{addresses.text(self.routability[0])}: return routability needs a home agent: "
                "--home-agent names one"
            )
        stand_in = self if self.home_address is not None else self.at(b"\xfd" + os.urandom(15))
        stand_in.make(dict.fromkeys(self.keyed, 0))

    def make(self, first: dict[bytes, int]) -> Credentials:
        """A set with fresh nonces and keys, for a plan with a home address. `first`: the first
        generation of each peer that is given keys."""
        assert self.home_address is not None
        kcns = iter(self.kcns or [os.urandom(KCN_OCTETS) for _ in self.keyed * self.generations])
        keyed, peers = self.keyed, self.peers
        try:
            made = Credentials(
                os.urandom(SET_ID_OCTETS),
                self.home_address,
                [
                    Peer(
                        peer,
                        os.urandom(NONCE_OCTETS),
                        os.urandom(NONCE_OCTETS),
                        self.lifetime,
                        [(first[peer] + number, next(kcns)) for number in range(self.generations)]
                        if peer in keyed
                        else (),
                        self.reach.get(peer, ()),
                    )
                    for peer in peers
                ],
                self.native,
                None if self.home_agent is None else peers.index(self.home_agent),
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
        if entry.generation is None:
            peers[entry.correspondent] = Peer(
                entry.correspondent, bytes(NONCE_OCTETS), bytes(NONCE_OCTETS), entry.lifetime, ()
            )
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
    if not any(peer.generations for peer in peers.values()):
        raise RefusedError(
            f"board {identity.board} knows no peer by a key: there is none to change"
        )
    agent = next((e.correspondent for e in entries if e.role == HOME_AGENT), None)
    made = Credentials(
        os.urandom(SET_ID_OCTETS),
        entries[0].home_address,
        list(peers.values()),
        home_agent=None if agent is None else list(peers).index(agent),
    )
    try:
        check_credentials(made)
    except Misuse as error:
        raise BadInputError(str(error)) from None
    return made, entries[0].lifetime
