"""What the user's registry calls the boards that commands show; a board itself doesn't know."""

from roamkey import registry
from roamkey.errors import RoamkeyError

_PATIENCE_S = 1.0  # it is only a name


def names() -> dict[str, str]:
    """Names by board id; none where there is no registry, or it doesn't answer at once."""
    try:
        with registry.Registry.open(create=False, to_encrypt=True, patience_s=_PATIENCE_S) as it:
            return it.names_of_boards()
    except RoamkeyError:
        return {}
