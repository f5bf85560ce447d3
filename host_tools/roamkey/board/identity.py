"""Who a board is, as it says itself."""

from dataclasses import dataclass
from typing import Any

_NAMES = ("board", "platform", "micropython", "agent", "keystore", "set_id")


@dataclass(frozen=True)
class Identity:
    """What `identify` answers. `set_id`: hexadecimal, None while no usable keys are there.

    `keystore`: the state of the stored keys (see docs/SPEC.md), "ready" with usable ones.
    `machine`: board and chip as MicroPython calls them, None where it doesn't say. `sealed`: the
    seal's id (hexadecimal), None on an open board. `features`: what older agents can't do.
    """

    board: str
    platform: str
    micropython: str
    agent: str
    keystore: str
    set_id: str | None
    machine: str | None = None
    sealed: str | None = None
    features: tuple[str, ...] = ()


def identity_from(answer: Any) -> Identity:
    """What an answer to `identify` says (docs/SPEC.md). Raises ValueError, whose text goes on
    where "the board's identity" ends."""
    try:
        known = {name: answer[name] for name in _NAMES}
        others = {name: answer.get(name) for name in ("machine", "sealed")}
        features = tuple(answer.get("features", ()))
    except (KeyError, TypeError, AttributeError):
        raise ValueError("is incomplete") from None
    optional = [known["set_id"], *others.values()]
    words = [known[name] for name in _NAMES[:-1]] + [word or "" for word in optional]
    if not all(isinstance(word, str) and word.isprintable() for word in (*words, *features)):
        raise ValueError("makes no sense")
    return Identity(**known, **others, features=features)
