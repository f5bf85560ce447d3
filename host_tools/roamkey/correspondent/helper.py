"""A thread for what may take its time: one job at a time, and the loop goes on meanwhile.

The registry answers when it likes, or never: a server whose process hangs, another writer, a disk.
Whoever gave the job selects on the helper, and calls `finish` when it becomes readable. A job that
never ends keeps its thread; the process can end all the same.
"""

import socket
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

_Job = Callable[[], Any]


class Helper:
    """The thread; `close()` it."""

    def __init__(self) -> None:
        """Nothing to do yet."""
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._result: Any = None
        self._error: BaseException | None = None
        self._then: Callable[[Any], None] | None = None
        self._since = 0.0
        self._done, self._doing = socket.socketpair()
        threading.Thread(target=self._run, name="registry", daemon=True).start()

    def fileno(self) -> int:
        """Readable when a job has ended."""
        return self._done.fileno()

    @property
    def busy(self) -> bool:
        """Whether a job was given that isn't finished yet."""
        return self._then is not None

    def takes_s(self) -> float:
        """For how long the present job has been running; 0 without one."""
        return time.monotonic() - self._since if self.busy else 0.0

    def give(self, job: _Job, then: Callable[[Any], None]) -> None:
        """Have a job done; `finish` calls `then` with what it returned. Only when not busy."""
        assert not self.busy
        self._then, self._since = then, time.monotonic()
        self._jobs.put(job)

    def finish(self) -> None:
        """The job has ended: go on with what it returned, or raise what it raised."""
        self._done.recv(1)
        then, result, error = self._then, self._result, self._error
        self._then = self._result = self._error = None
        if error is not None:
            raise error
        if then is not None:
            then(result)

    def close(self) -> None:
        """End the thread, once it has nothing to do."""
        self._jobs.put(None)
        if not self.busy:
            self._done.close()

    def _run(self) -> None:
        with self._doing:
            for job in iter(self._jobs.get, None):
                try:
                    self._result = job()
                except BaseException as error:
                    self._error = error
                try:
                    self._doing.send(b"1")
                except OSError:  # nobody waits any more
                    return
