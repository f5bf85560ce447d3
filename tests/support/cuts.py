"""Power cuts while a board's keys change: it holds the old set or the new one whole, and the
registry's next run finishes. For virtual boards and emulated ones."""

import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from roamkey.board.identity import Identity
from roamkey.board.serial_client import SerialClient
from roamkey.enroll.deliver import Connect
from roamkey.errors import BoardError, RefusedError
from roamkey.registry import CONFIRMED, SENT, Registry

_ANSWER_S = 30.0
_STORE_S = 60.0
_BEYOND = 1.4  # of what a change takes when nothing disturbs it


class Powered(Protocol):
    """A board that can be unplugged."""

    def power_on(self) -> None:
        """Plug it in."""

    def power_cut(self) -> None:
        """Unplug it."""


def patient(port: str) -> SerialClient:
    """Opens a port and waits as long as an emulated board may take."""
    return SerialClient(port, answer_s=_ANSWER_S, store_s=_STORE_S)


@contextlib.contextmanager
def hasty(_: str) -> Iterator[Connect]:
    """A client that doesn't wait long for answers: a virtual board's port stays without power."""
    yield lambda port: SerialClient(port, answer_s=0.6, store_s=0.3)


class _Open(SerialClient):
    """For several uses, then to be closed."""

    def __exit__(self, *_: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def kept_open(port: str) -> Iterator[Connect]:
    """A client whose board listens already: QEMU looks each second whether somebody has opened
    its pty, and what a change of keys takes is a fraction of that."""
    client = _Open(port)
    try:
        client.identify()
        yield lambda _: client
    finally:
        client.close()


def identify(port: str) -> Identity:
    """Who the board is, and what it holds."""
    with patient(port) as client:
        return client.identify()


def through_cuts(
    board: Powered,
    port: str,
    registry: Registry,
    change: Callable[[Connect], str],
    cuts: int,
    opened: Callable[[str], AbstractContextManager[Connect]] = hasty,
    started: Callable[[float], object] = lambda _: None,
) -> Counter[str]:
    """Cut power at random moments of a change of keys, so many times; whether the board held the
    old set afterwards or a new one, added up. `change`: gives other keys, over a client that it
    is to open so, and tells their set; `opened`: `hasty` or `kept_open`; `started`: what happens
    after each start, and when that was, in seconds since the epoch."""
    dice = random.Random(6275)
    board_id = identify(port).board
    with opened(port) as connect:
        change(connect)
        began = time.monotonic()
        old = change(connect)
        took = time.monotonic() - began
    outcomes: Counter[str] = Counter()
    for _ in range(cuts):
        done = None
        with opened(port) as connect:
            cut = threading.Timer(dice.uniform(0, _BEYOND * took), board.power_cut)
            cut.start()
            with contextlib.suppress(BoardError, RefusedError):
                done = change(connect)
            cut.join()
        sets = registry.sets_of_board(board_id)
        known = {found.set_id.hex() for found in sets}
        since = time.time()
        board.power_on()
        started(since)
        held = identify(port).set_id
        assert held in known | {old}, "the board holds a set that nobody knows"
        assert done in (None, held), "what was done is undone"
        if all(found.state != SENT for found in sets):
            assert [found.set_id.hex() for found in sets] == [held]
        outcomes["old" if held == old else "new"] += 1
        old = change(patient)
        assert identify(port).set_id == old
        (left,) = registry.sets_of_board(board_id)
        assert (left.set_id.hex(), left.state) == (old, CONFIRMED)
    return outcomes
