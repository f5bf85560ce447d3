"""Sealing boards and opening them again, so that an interruption at any moment loses no key.

The registry knows the key before the board does (`sent`), and forgets it after the board has said
that it is open. Between the two, the board's own word (`identify`) tells what an interrupted run
left: a further run ends the job, whichever it was.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mip6.console import jsonrpc
from mip6.console.lock import CHALLENGE_OCTETS, ID_OCTETS, KEY_OCTETS, response
from roamkey.board.identity import Identity
from roamkey.board.serial_client import ConsoleRefusedError, SerialClient
from roamkey.errors import BoardError, RefusedError
from roamkey.registry import Registry

_BOOT_HELP = (
    "`roamkey install` removes MicroPython's own; another: `mpremote fs rm :/boot.py`, and "
    "have /app.py do what it did"
)

Connect = Callable[[str], SerialClient]


@dataclass(frozen=True)
class Sealed:
    """What became of a board. `seal_id`: hexadecimal, None where it is open. `finished`: whether
    an earlier run had done it and this one only found it so."""

    board: str
    seal_id: str | None
    finished: bool


def seal(registry: Registry, port: str, *, connect: Connect = SerialClient) -> Sealed:
    """Seal the board at `port` under a new key that goes into the registry.

    Raises BoardError (a further run finishes the job) and RefusedError.
    """
    with connect(port) as client:
        identity = client.identify()
        if identity.sealed is not None:
            _known(registry, identity)
            registry.confirm_seal(identity.board, bytes.fromhex(identity.sealed))
            return Sealed(identity.board, identity.sealed, True)
        seal_id, key = os.urandom(ID_OCTETS), os.urandom(KEY_OCTETS)
        registry.add_seal(identity.board, seal_id, key)
        try:
            client.ask("seal", {"seal_id": seal_id.hex(), "key": key.hex()})
        except ConsoleRefusedError as error:
            registry.remove_seal(identity.board)
            if "/boot." in str(error):
                raise RefusedError(f"{error} ({_BOOT_HELP})") from None
            raise
        except BoardError as error:
            raise BoardError(_unknown(error, identity.board, "sealed")) from None
        if client.identify().sealed != seal_id.hex():
            raise BoardError(f"board {identity.board} doesn't bear the seal that it was given")
    registry.confirm_seal(identity.board, seal_id)
    return Sealed(identity.board, seal_id.hex(), False)


def unseal(registry: Registry, port: str, *, connect: Connect = SerialClient) -> Sealed:
    """Open the seal of the board at `port` with the key in the registry. Raises as `seal`."""
    with connect(port) as client:
        identity = client.identify()
        if identity.sealed is None:
            if not registry.remove_seal(identity.board):
                raise RefusedError(f"board {identity.board} is not sealed")
            return Sealed(identity.board, None, True)
        known = _known(registry, identity)
        challenge = _challenge(client.ask("unseal"), identity.board)
        try:
            client.ask("unseal", {"response": response(known.key, known.seal_id, challenge).hex()})
        except ConsoleRefusedError as error:
            if error.code == jsonrpc.SEALED:
                text = f"board {identity.board} doesn't take the registry's key for its seal"
                raise RefusedError(text) from None
            raise
        except BoardError as error:
            raise BoardError(_unknown(error, identity.board, "open")) from None
    registry.remove_seal(identity.board)
    return Sealed(identity.board, None, False)


def _known(registry: Registry, identity: Identity) -> Any:
    """The seal that the board bears; raises RefusedError where this registry doesn't know it."""
    known = registry.seal_of(identity.board)
    if known is None or known.seal_id.hex() != identity.sealed:
        raise RefusedError(
            f"board {identity.board} bears a seal that is not in this registry: only the one "
            "that sealed it has the key"
        )
    return known


def _challenge(answer: dict[str, Any], board: str) -> bytes:
    wait = answer.get("wait_s")
    if isinstance(wait, int) and wait > 0:
        raise RefusedError(f"board {board} takes no attempt for {wait} s: the last ones failed")
    try:
        challenge = bytes.fromhex(answer["challenge"])
    except (KeyError, TypeError, ValueError):
        challenge = b""
    if len(challenge) != CHALLENGE_OCTETS:
        raise BoardError(f"board {board} gives no challenge")
    return challenge


def _unknown(error: BoardError, board: str, what: str) -> str:
    return f"{error}; whether board {board} is {what} is unknown: run the same command again"
