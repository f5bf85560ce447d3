"""Whether an agent runs on a board: after a start, and before a prompt is asked for."""

import time
from pathlib import Path

from roamkey.board import discovery
from roamkey.board.identity import Identity
from roamkey.board.patience import patient
from roamkey.board.serial_client import SerialClient
from roamkey.errors import BoardError, RefusedError

_LOOK_S = patient(1.0)
_PAUSE_S = 0.2
_ASK_S = patient(3.0)


def await_agent(
    port: str, board: str | None, answer_s: float, *, other: bool = True
) -> tuple[str, Identity]:
    """The board's identity once its agent answers, and the port where it then is.

    A board that starts afresh may come back under another name of a port: with `other` it is
    looked for by its id, at ports that came meanwhile; behind those that were there all the time
    are other boards, which somebody may work on. Raises BoardError if no answer comes in
    `answer_s` seconds.
    """
    end = time.monotonic() + answer_s
    steady = _there()
    failure = BoardError(f"{port}: no answer")
    while True:
        try:
            with SerialClient(port, answer_s=min(answer_s, _ASK_S)) as client:
                identity = client.identify()
            if board in (None, identity.board):
                return port, identity
            failure = BoardError(f"{port}: another board is there now: {identity.board}")
        except BoardError as error:
            failure = error
            if "REPL prompt" in str(error):  # nothing will start by itself
                raise
        if time.monotonic() >= end:
            raise failure
        time.sleep(_PAUSE_S)
        there = _there()
        steady &= there
        if other and board is not None and not Path(port).exists():
            port = _elsewhere(port, board, there - steady)


def _there() -> set[discovery.Port]:
    return {port for port in discovery.ports() if Path(port.path).exists()}


def _elsewhere(port: str, board: str, candidates: set[discovery.Port]) -> str:
    try:
        return discovery.find(board, sorted(candidates, key=lambda one: one.path)).port.path
    except (BoardError, RefusedError):
        return port


def refuse_sealed(port: str) -> bool:
    """Ask first: a sealed board gives no REPL, and one would wait for it in vain. Whether an agent
    answered."""
    with SerialClient(port, answer_s=_LOOK_S) as client:
        try:
            sealed = client.identify().sealed
        except (BoardError, RefusedError):
            return False
    if sealed:
        raise RefusedError(f"{port}: the board is sealed: unseal it first")
    return True
