"""Taking keys away: from a board that is at hand, or from the registry alone where it is lost."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from mip6 import addresses
from roamkey.board.serial_client import SerialClient
from roamkey.errors import BoardError, RefusedError
from roamkey.registry import Registry

Connect = Callable[[str], SerialClient]


@dataclass(frozen=True)
class Gone:
    """What has no key any more. `home_addresses`: in text; empty where nothing was live."""

    board: str | None
    home_addresses: tuple[str, ...]


@dataclass(frozen=True)
class Contents:
    """What an erasure takes from a board. `machine`: what MicroPython calls it; `home_address`:
    None without keys; `peers`: whose keys it holds; `networks`: the Wi-Fi it knows, by name;
    `live`: nodes whose keys the registry retires with it, with their names. All in text.
    """

    board: str
    machine: str
    home_address: str | None
    peers: tuple[str, ...]
    networks: tuple[str, ...]
    live: tuple[str, ...]


def contents(registry: Registry, port: str, *, connect: Connect = SerialClient) -> Contents:
    """What `erase` would take from the board at `port`. Raises BoardError, RefusedError."""
    with connect(port) as client:
        identity = client.identify()
        keystore = client.status().get("keystore") or {}
        networks: list[str] = []
        with suppress(RefusedError):  # where Wi-Fi isn't the agent's business
            known = client.ask("networks", again=True).get("networks") or []
            networks = [str(one.get("ssid")) for one in known if isinstance(one, dict)]
    peers = keystore.get("peers") or []
    home = keystore.get("home_address")
    return Contents(
        identity.board,
        identity.machine or identity.platform,
        home if isinstance(home, str) else None,
        tuple(str(one.get("correspondent")) for one in peers if isinstance(one, dict)),
        tuple(networks),
        tuple(_with_name(registry, home) for home in _homes(registry, identity.board)),
    )


def erase(registry: Registry, port: str, *, connect: Connect = SerialClient) -> Gone:
    """Erase the board at `port`, then retire what the registry has for it.

    In this order, since a further run can end the second half alone. Raises BoardError,
    RefusedError.
    """
    with connect(port) as client:
        board = client.identify().board
        try:
            client.erase()
            identity = client.identify()
        except BoardError as error:
            raise BoardError(
                f"{error}; whether board {board} is erased is unknown: run the same command again"
            ) from None
        if identity.set_id is not None or identity.keystore != "empty":
            raise BoardError(f"board {board} still holds keys: run the same command again")
    return _retire_board(registry, board)


def retire(
    registry: Registry, board: str | None = None, home_address: bytes | None = None
) -> Gone:
    """Retire, for good, the keys of a board (its whole id) or of a home address (16 octets).

    What is retired already is no error. Raises RefusedError for what was never there.
    """
    if board is not None:
        gone = _retire_board(registry, board)
        if not gone.home_addresses:
            raise RefusedError(f"no live key in the registry for a board {board}")
        return gone
    if home_address is None or registry.node_by_home_address(home_address) is None:
        text = "" if home_address is None else addresses.text(home_address)
        raise RefusedError(f"no node in the registry with the home address {text}")
    node = registry.node_by_home_address(home_address)
    registry.retire(home_address)
    return Gone(node.board_id if node else None, (addresses.text(home_address),))


def _retire_board(registry: Registry, board: str) -> Gone:
    """Retire all sets of a board."""
    homes = _homes(registry, board)
    for home_address in homes:
        registry.retire(addresses.parse(home_address))
    return Gone(board, homes)


def _with_name(registry: Registry, home: str) -> str:
    name = registry.names().get(addresses.parse(home))
    return f"{home} ({name})" if name else home


def _homes(registry: Registry, board: str) -> tuple[str, ...]:
    found = sorted({one.home_address for one in registry.sets_of_board(board)})
    return tuple(map(addresses.text, found))
