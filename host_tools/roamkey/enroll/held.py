"""What a board holds, as a command that put it there tells."""

from dataclasses import dataclass
from typing import Any

from mip6 import addresses
from roamkey.registry import CORRESPONDENT, HOME_AGENT, Registry

Peer = tuple[str, tuple[int, ...]]  # an address in text, and the generations of its keys


@dataclass(frozen=True)
class Held:
    """The set that a board holds and the registry has confirmed; no secret in it.

    `correspondents`: address in text and its generations, none where return routability takes the
    place of keys; `home_agent` likewise, where there is one. `finished`: whether an earlier run
    had sent it and this one only confirmed it.
    """

    board: str
    set_id: str
    home_address: str
    correspondents: tuple[Peer, ...]
    lifetime: int
    finished: bool
    home_agent: Peer | None = None

    def plain(self) -> dict[str, Any]:
        """The same in plain values, for JSON."""
        return {
            "board": self.board,
            "set_id": self.set_id,
            "home_address": self.home_address,
            "correspondents": [_plain(peer) for peer in self.correspondents],
            "home_agent": None if self.home_agent is None else _plain(self.home_agent),
            "lifetime": self.lifetime,
            "finished_earlier_run": self.finished,
        }


def _plain(peer: Peer) -> dict[str, Any]:
    return {"address": peer[0], "generations": list(peer[1])}


def held_by(registry: Registry, board: str, set_id: bytes, *, finished: bool) -> Held:
    """What the registry has of a set that `board` holds."""
    entries = registry.entries_of_set(set_id)
    found: dict[str, dict[str, tuple[int, ...]]] = {CORRESPONDENT: {}, HOME_AGENT: {}}
    for entry in entries:
        peers, name = found[entry.role], addresses.text(entry.correspondent)
        number = () if entry.generation is None else (entry.generation,)
        peers[name] = peers.get(name, ()) + number
    return Held(
        board,
        set_id.hex(),
        addresses.text(entries[0].home_address),
        tuple(found[CORRESPONDENT].items()),
        entries[0].lifetime,
        finished,
        next(iter(found[HOME_AGENT].items()), None),
    )
