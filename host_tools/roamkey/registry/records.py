"""What the registry takes and answers with: nodes, sets, pairs and their keys. No database in it.

Addresses are 16 octets, instants milliseconds since 1970, lifetimes seconds. Secrets stay out of
every repr.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from mip6 import addresses
from mip6.keystore.keyset import Credentials
from roamkey.errors import BadInputError, RefusedError

#: A key's life: given to the board, which has not answered yet; held by it; never accepted again.
SENT = "sent"
CONFIRMED = "confirmed"
RETIRED = "retired"

#: What the peer of a pair is to the node: its key has one use and no other.
ROLES = CORRESPONDENT, HOME_AGENT = ("correspondent", "home agent")


class AbsentError(BadInputError):
    """There is no registry yet."""


class TakenError(RefusedError):
    """Somebody else was given this home address, or this Kcn, just now."""


# --- keys on their way into a registry


@dataclass(frozen=True)
class GenerationKey:
    """One Kcn of a pair: the number that names it, and the secret (20 to 255 octets)."""

    generation: int
    kcn: bytes = field(repr=False)


@dataclass(frozen=True)
class PairKeys:
    """What both ends of a pair share. Nonces have 8 to 32 octets. `correspondent`: the peer's
    address; with a home agent's `role` the keys are those of RFC 4285, the nonces unused. Without
    keys it is a peer that the board knows, and no pair."""

    home_address: bytes
    correspondent: bytes
    home_nonce: bytes = field(repr=False)
    care_of_nonce: bytes = field(repr=False)
    keys: tuple[GenerationKey, ...]
    role: str = CORRESPONDENT


def pairs_of(credentials: Credentials) -> list[PairKeys]:
    """A board's set as the registry takes it."""
    return [
        PairKeys(
            credentials.home_address,
            peer.correspondent,
            peer.home_nonce,
            peer.care_of_nonce,
            tuple(GenerationKey(number, kcn) for number, kcn in peer.generations),
            HOME_AGENT if index == credentials.home_agent else CORRESPONDENT,
        )
        for index, peer in enumerate(credentials.peers)
    ]


# --- what is in it

NO_SITE = "there is no site (`roamkey init` makes one)"


@dataclass(frozen=True)
class Site:
    """What boards are given where nobody says otherwise: the correspondent, a home address of the
    prefix (its network address, and its length), and where UDP reaches the correspondent: texts
    "host:port". `home_agent`: None where there is none; `home_agent_reach`: as `reach`."""

    correspondent: bytes
    home_network: bytes
    home_prefix_length: int
    reach: tuple[str, ...]
    home_agent: bytes | None = None
    home_agent_reach: tuple[str, ...] = ()

    @property
    def home_prefix(self) -> str:
        """The prefix in text, as fd00:0:0:a::/64."""
        return f"{addresses.text(self.home_network)}/{self.home_prefix_length}"


@dataclass(frozen=True)
class Node:
    """A home address, and the board that holds it; `board_id` is None while no key is live.
    `name`: what people call it, where they do."""

    board_id: str | None
    home_address: bytes
    refused: bool
    name: str | None = None

    def __repr__(self) -> str:
        return f"Node({self.board_id!r}, {addresses.text(self.home_address)})"


@dataclass(frozen=True)
class KeySet:
    """A set of keys that went to a board in one step. `state`: sent, confirmed or retired."""

    set_id: bytes
    state: str
    home_address: bytes


class SetEntry(NamedTuple):
    """What is public of a key in a set, or of a peer without one: then `generation` is None."""

    home_address: bytes
    correspondent: bytes
    generation: int | None
    lifetime: int
    role: str


@dataclass(frozen=True)
class Key:
    """A live key of a pair. `lifetime`: the longest to be granted; `last_sequence`: the last
    number accepted, None before the first. `key_id`: its row; 0 for a key of another registry."""

    key_id: int
    set_id: bytes
    generation: int
    kcn: bytes = field(repr=False)
    home_nonce: bytes = field(repr=False)
    care_of_nonce: bytes = field(repr=False)
    lifetime: int
    state: str
    last_sequence: int | None

    def given(
        self, home_address: bytes, correspondent: bytes, role: str = CORRESPONDENT
    ) -> PairKeys:
        """The same as a key file has it."""
        return PairKeys(
            home_address,
            correspondent,
            self.home_nonce,
            self.care_of_nonce,
            (GenerationKey(self.generation, self.kcn),),
            role,
        )


@dataclass(frozen=True)
class Pair:
    """A pair with its live keys, the earliest generation first; none is left of a retired pair.

    `behind`: more of it was seen before than the registry knows now (see `registry.marks`);
    `damaged`: what is wrong with its rows, where something is; then it has no keys here.
    """

    pair_id: int
    board_id: str | None
    home_address: bytes
    correspondent: bytes
    refused: bool
    keys: tuple[Key, ...]
    damaged: str | None = None
    behind: bool = False
    role: str = CORRESPONDENT
    name: str | None = None


@dataclass(frozen=True)
class MovedPair:
    """A pair on its way to another registry. `latest`: its highest generation ever; `keys`: the
    live ones."""

    home_address: bytes
    board_id: str | None
    latest: int
    keys: tuple[Key, ...]
    role: str = CORRESPONDENT
    name: str | None = None


# --- what a correspondent makes of it


class Binding(NamedTuple):
    """Where a node is until `expires_ms`. `endpoint`: outer address, port and local address (34
    octets) where it is reached inside UDP, else b""."""

    care_of_address: bytes
    lifetime: int
    registered_ms: int
    expires_ms: int
    key_id: int
    endpoint: bytes = b""


class Change(NamedTuple):
    """What must be durable before the answer leaves.

    `sequence`: the number used under the key, None for one that was used before; then, and with
    `refused`, the pair's binding stays as it is, else it becomes `binding`, which may be none.
    `confirms`: the key verified for the first time: its set is confirmed, and the pair's earlier
    generations are retired.
    """

    pair_id: int
    key_id: int
    generation: int
    sequence: int | None
    confirms: bool
    binding: Binding | None
    refused: bool = False


class Bound(NamedTuple):
    """A binding with all that is told of it. `last_sequence`, `generation`: of its key."""

    home_address: bytes
    care_of_address: bytes
    correspondent: bytes
    board_id: str | None
    last_sequence: int
    generation: int
    endpoint: bytes
    registered_ms: int
    expires_ms: int
    role: str
    name: str | None = None


class NodeState(NamedTuple):
    """A node of a correspondent, without a secret: how many live keys, the generation in use and
    its last accepted number, and its binding, where there is one."""

    home_address: bytes
    board_id: str | None
    live_keys: int
    generation: int | None
    last_sequence: int | None
    care_of_address: bytes | None
    endpoint: bytes
    registered_ms: int | None
    expires_ms: int | None
    name: str | None = None


class Use(NamedTuple):
    """What was heard of a pair's node: when its last update was accepted, when data last came from
    it (milliseconds since 1970, None: not since it was noted last); the key in use, and the last
    number used of it (-1: none)."""

    pair_id: int
    update_ms: int | None
    data_ms: int | None
    key_id: int
    sequence: int


class NodeUse(NamedTuple):
    """A node and one of its peers, without a secret; from `peer` on None where it has none with a
    key. `uses_left`: numbers of all live keys together; `ends_s`: how long they last at the
    present rate, None where nobody knows yet. `last_ms`: when it was last heard of, by update or
    data; None: never. `care_of_address`, `expires_ms`: of its binding, which may be over."""

    home_address: bytes
    name: str | None
    board_id: str | None
    refused: bool
    peer: bytes | None
    role: str | None
    live_keys: int | None
    generation: int | None
    uses_left: int | None
    ends_s: int | None
    update_ms: int | None
    data_ms: int | None
    last_ms: int | None
    care_of_address: bytes | None
    expires_ms: int | None


class Figures(NamedTuple):
    """The nodes of a correspondent in numbers: how many were never heard of; for how long the
    quietest of the others was silent, the least uses left and the soonest end of keys, in seconds;
    and how many are quiet for longer than so many seconds, have fewer uses left, or have keys that
    end sooner. None where there is no node to tell of."""

    never: int
    quietest_s: int | None
    least_uses: int | None
    soonest_end_s: int | None
    quiet: dict[int, int]
    uses_left: dict[int, int]
    ends: dict[int, int]
