"""Ctrl-C before a command has begun and after its end: the process ends without a word."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

EXIT_INTERRUPTED = 130


def end_at_once() -> bool:
    """From now on Ctrl-C ends the process with exit code 130: only where nothing is to be undone.

    Where Ctrl-C is ignored, or somebody else's, it stays so; whether it is ours now.
    """
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, lambda *_: os._exit(EXIT_INTERRUPTED))
    return ours


@contextmanager
def at_once() -> Iterator[None]:
    """The same meanwhile; an interrupt raised amid imports may be swallowed there, or printed."""
    ours = end_at_once()
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
