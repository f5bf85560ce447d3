"""Processes that stand still for a while, as on a machine that hangs."""

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def stopped(pids: Iterable[int]) -> Iterator[None]:
    """They stand still in the context, and go on behind it."""
    try:
        tell(pids, signal.SIGSTOP)
        yield
    finally:
        tell(pids, signal.SIGCONT)


def tell(pids: Iterable[int], how: signal.Signals) -> None:
    """Send them a signal; a server's connection may have ended."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, how)
