"""Ctrl-C before a command has begun and after its end: the process ends without a word. While a
command works on boards it ends when those that it began are finished, or at a second one.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

EXIT_INTERRUPTED = 130
_SHOW_CURSOR = b"\x1b[?25h"  # which bars hide


def end_at_once() -> bool:
    """From now on Ctrl-C ends the process with exit code 130: only where nothing is to be undone.

    Where Ctrl-C is ignored, or somebody else's, it stays so; whether it is ours now.
    """
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, _end)
    return ours


def _end(*_: object) -> None:
    os._exit(EXIT_INTERRUPTED)


@contextmanager
def handed_over() -> Iterator[None]:
    """A command runs: where Ctrl-C would have ended the process, it is raised in it meanwhile."""
    ours = signal.getsignal(signal.SIGINT) is _end
    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        if ours:
            end_at_once()


@contextmanager
def gently(stop: threading.Event, words: str) -> Iterator[None]:
    """Meanwhile Ctrl-C sets `stop` and says `words` on stderr; another one ends the process at
    once with exit code 130, so only where whatever is left can be gone on with."""
    on_main = threading.current_thread() is threading.main_thread()
    if not on_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def heard(*_: object) -> None:  # amid any statement: neither a buffer nor a lock is used
        if stop.is_set():
            if os.isatty(2):
                _write(_SHOW_CURSOR)
            os._exit(EXIT_INTERRUPTED)
        stop.set()
        _write(f"\nroamkey: {words}\n".encode())

    signal.signal(signal.SIGINT, heard)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _write(octets: bytes) -> None:
    with suppress(OSError):
        os.write(2, octets)
