"""What the registry answers with. Addresses are 16 octets; secrets stay out of every repr."""

from dataclasses import dataclass, field

from mip6 import addresses


@dataclass(frozen=True)
class Node:
    """A home address, and the board that holds it; `board_id` is None while no key is live."""

    board_id: str | None
    home_address: bytes
    refused: bool

    def __repr__(self) -> str:
        return f"Node({self.board_id!r}, {addresses.text(self.home_address)})"


@dataclass(frozen=True)
class KeySet:
    """A set of keys that went to a board in one step. `state`: sent, confirmed or retired."""

    set_id: bytes
    state: str
    home_address: bytes


@dataclass(frozen=True)
class Key:
    """A live key of a pair. `lifetime`: the longest to be granted, in seconds."""

    key_id: int
    set_id: bytes
    generation: int
    kcn: bytes = field(repr=False)
    home_nonce: bytes = field(repr=False)
    care_of_nonce: bytes = field(repr=False)
    lifetime: int
    state: str
    last_sequence: int | None


@dataclass(frozen=True)
class Pair:
    """A pair with its live keys, the earliest generation first; none is left of a retired pair."""

    pair_id: int
    board_id: str | None
    home_address: bytes
    correspondent: bytes
    refused: bool
    keys: tuple[Key, ...]
