"""A process that outlives another by just long enough to tidy up: what the kernel keeps though
whoever put it there was killed.

It has no signals and no files but a pipe, whose other end closes with the process that it guards.
While it is there nobody else begins for the same address.
"""

import errno
import os
import socket
import time
from collections.abc import Callable
from types import TracebackType

from roamkey.errors import SystemRefusedError

_PATIENCE_S = 20.0  # with the one before, which sweeps
_AGAIN_S = 0.05


class Guard:
    """From entering the context until leaving it; then, or where this process is killed, it calls
    `tidy`, in its own process. Enter it before threads start."""

    def __init__(self, name: str, tidy: Callable[[], None]) -> None:
        """`name`: of what there is one of in a network namespace."""
        self._name = b"\0roamkey-" + name.encode()
        self._tidy = tidy

    def __enter__(self) -> None:
        """Raises SystemRefusedError where there is another one."""
        self._lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._take()
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
        self._lock.close()

    def _take(self) -> None:
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self._lock.bind(self._name)
                return
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() >= until:
                    self._lock.close()
                    raise SystemRefusedError(
                        f"another data plane's end: {error.strerror}"
                    ) from None
            time.sleep(_AGAIN_S)

    def _watch(self, end: int) -> None:
        """In the process that guards."""
        code = 1
        try:
            os.setsid()
            nothing = os.open(os.devnull, os.O_RDWR)
            for standard in range(3):
                os.dup2(nothing, standard)
            keep = sorted((end, self._lock.fileno()))
            os.closerange(3, keep[0])
            os.closerange(keep[0] + 1, keep[1])
            os.closerange(keep[1] + 1, os.sysconf("SC_OPEN_MAX"))
            os.read(end, 1)
            self._tidy()
            code = 0
        finally:
            os._exit(code)
