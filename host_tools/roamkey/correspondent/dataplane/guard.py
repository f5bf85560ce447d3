"""A process that outlives another by just long enough to tidy up: what the kernel keeps though
whoever put it there was killed.

It has no signals and no files but a pipe, whose other end closes with the process that it guards.
While it is there nobody else begins for the same address.
"""

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from roamkey.errors import SystemRefusedError

_PATIENCE_S = 20.0  # with the one before, which sweeps
_AGAIN_S = 0.05


class Guard:
    """From entering the context until leaving it; then, or where this process is killed, it calls
    `tidy`, in its own process. Enter it before threads start."""

    def __init__(self, lock: Path, tidy: Callable[[], None]) -> None:
        """`lock`: a file of what there is one of, where nobody else may write."""
        self._path = lock
        self._tidy = tidy

    def __enter__(self) -> None:
        """Raises SystemRefusedError where there is another one."""
        try:
            self._take()
        except OSError as error:
            raise SystemRefusedError(f"{self._path}: {error.strerror}") from None
        end, self._alive = os.pipe()
        self._process = os.fork()
        if self._process == 0:
            self._watch(end)
        os.close(end)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._alive)
        os.waitpid(self._process, 0)
        os.close(self._lock)

    def _take(self) -> None:
        until = time.monotonic() + _PATIENCE_S
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        while True:
            self._lock = os.open(self._path, flags, 0o600)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(self._lock), self._path.stat()):
                    return
            except (BlockingIOError, FileNotFoundError):  # or it goes just now
                pass
            os.close(self._lock)
            if time.monotonic() >= until:
                raise SystemRefusedError("another data plane doesn't come to its end")
            time.sleep(_AGAIN_S)

    def _watch(self, end: int) -> None:
        """In the process that guards."""
        code = 1
        try:
            os.setsid()
            nothing = os.open(os.devnull, os.O_RDWR)
            for standard in range(3):
                os.dup2(nothing, standard)
            keep = sorted((end, self._lock))
            os.closerange(3, keep[0])
            os.closerange(keep[0] + 1, keep[1])
            os.closerange(keep[1] + 1, os.sysconf("SC_OPEN_MAX"))
            os.read(end, 1)
            self._tidy()
            self._path.unlink(missing_ok=True)
            code = 0
        finally:
            os._exit(code)
