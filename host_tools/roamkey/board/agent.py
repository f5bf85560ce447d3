"""Whether an agent runs on a board: after a start, and before a prompt is asked for."""

import time
from pathlib import Path

from roamkey.board import discovery
from roamkey.board.identity import Identity
from roamkey.board.line import ForeignError
from roamkey.board.patience import patient
from roamkey.board.serial_client import SerialClient
from roamkey.errors import BoardError, RefusedError

LOOK_S = patient(2.5)  # one that sits at a prompt says so at once
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


def identify_open(client: SerialClient) -> Identity | None:
    """Who the board is, None without an agent. Raises RefusedError for a sealed one, which gives
    no REPL, and ForeignError for what is no board at all: for a prompt one would wait in vain."""
    try:
        identity = client.identify()
    except ForeignError as error:
        if error.deaf:
            raise
        return None
    except (BoardError, RefusedError):
        return None
    if identity.sealed:
        raise RefusedError(f"{client.port}: the board is sealed: unseal it first")
    return identity


def refuse_sealed(port: str) -> bool:
    """Whether an agent answers there. Raises as `identify_open`."""
    with SerialClient(port, answer_s=LOOK_S) as client:
        return identify_open(client) is not None
