"""What the user's registry calls the boards that commands show; a board itself doesn't know."""

from collections.abc import Callable
from typing import TypeVar

from mip6 import addresses
from roamkey import registry
from roamkey.errors import RoamkeyError
from roamkey.registry import checks

_PATIENCE_S = 1.0  # it is only a name

_Answer = TypeVar("_Answer")


def board_of(name: str) -> str | None:
    """The id of the board that holds the node with this name, or None."""
    if not checks.is_name(name):
        return None
    return next((board for board, called in names().items() if called == name), None)


def home_of(name: str, url: str | None) -> str | None:
    """The home address of the node that the registry at `url` (None: the user's own) calls so."""
    if not checks.is_name(name):
        return None
    found = _asked(lambda opened: opened.home_address_of(name), url)
    return None if found is None else addresses.text(found)


def names() -> dict[str, str]:
    """Names by board id; none where there is no registry, or it doesn't answer at once."""
    return _asked(lambda opened: opened.names_of_boards()) or {}


def _asked(
    question: "Callable[[registry.Registry], _Answer]", url: str | None = None
) -> _Answer | None:
    """What a registry answers; None where there is none, or it doesn't answer at once."""
    try:
        with registry.Registry.open(
            url, create=False, to_encrypt=True, patience_s=_PATIENCE_S
        ) as opened:
            return question(opened)
    except RoamkeyError:
        return None
