"""What the user's registry calls the boards that commands show; a board itself doesn't know."""

from roamkey import registry
from roamkey.errors import RoamkeyError
from roamkey.registry import checks

_PATIENCE_S = 1.0  # it is only a name


def board_of(name: str) -> str | None:
    """The id of the board that holds the node with this name, or None."""
    if not checks.is_name(name):
        return None
    return next((board for board, called in names().items() if called == name), None)


def names() -> dict[str, str]:
    """Names by board id; none where there is no registry, or it doesn't answer at once."""
    try:
        with registry.Registry.open(create=False, to_encrypt=True, patience_s=_PATIENCE_S) as it:
            return it.names_of_boards()
    except RoamkeyError:
        return {}
