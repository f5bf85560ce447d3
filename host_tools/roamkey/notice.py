"""Says on a terminal what is waited for, once that takes longer than a moment.

    with notice.waiting("asking the board at /dev/ttyACM0"):
        ...

Where nobody looks (a pipe, a file, a bar that moves already) nothing is said.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

_MOMENT_S = 1.0
_lock = threading.Lock()
_terminal: TextIO | None = None
_muted = 0
_told = False  # one at a time


def show_on(stream: TextIO | None) -> None:
    """Say it here, if that is a terminal; None: nowhere."""
    global _terminal
    _terminal = stream if stream is not None and stream.isatty() else None


@contextmanager
def muted() -> Iterator[None]:
    """Say nothing meanwhile: something else is drawn."""
    global _muted
    with _lock:
        _muted += 1
    try:
        yield
    finally:
        with _lock:
            _muted -= 1


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say `what` if what stands below takes longer than a moment; it goes away afterwards."""
    stream = _terminal
    if stream is None or _muted:
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_tell, args=(stream, what, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _tell(stream: TextIO, what: str, over: threading.Event) -> None:
    global _told
    if over.wait(_MOMENT_S):
        return
    with _lock:
        if _told or _muted:
            return
        _told = True
    line = "".join(c if c.isprintable() else "?" for c in what)[:70]
    dots = 0
    with suppress(OSError, ValueError):
        while not over.wait(0 if not dots else _MOMENT_S):
            dots += 1
            stream.write(f"\r{line} {'.' * min(dots, 8)}")
            stream.flush()
        stream.write(f"\r{' ' * (len(line) + 9)}\r")
        stream.flush()
    with _lock:
        _told = False
