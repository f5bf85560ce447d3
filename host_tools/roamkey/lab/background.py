"""Work in a thread while a context is open, and waiting for what it finds."""

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import Generic, TypeVar

Found = TypeVar("Found")
_Me = TypeVar("_Me", bound="Background")


class Background:
    """Calls `step` again and again in a thread, from entering the context until leaving it.

    `every_s`: the pause between calls. Once more at the end; what it raises ends it, and is raised
    on leaving.
    """

    def __init__(self, step: Callable[[], None], every_s: float) -> None:
        self._step = step
        self._every = every_s
        self._failure: Exception | None = None
        self._ending = threading.Event()
        self._owned = ExitStack()  # what is closed when the thread has ended
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self: _Me) -> _Me:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._thread.join()
        self._owned.close()
        if self._failure is not None and value is None:
            raise self._failure

    def _run(self) -> None:
        ending = False
        while not ending and self._failure is None:
            ending = self._ending.wait(self._every)
            try:
                self._step()
            except Exception as failure:  # whatever it is, it belongs to who waits for us
                self._failure = failure


class Collector(Background, Generic[Found]):
    """Collects in `seen`, in order, what each call of `take` returns."""

    def __init__(self, take: Callable[[], Iterable[Found]], every_s: float) -> None:
        super().__init__(self._collect, every_s)
        self.seen: list[Found] = []
        self._take = take
        self._changed = threading.Condition()

    def wait_until(self, wanted: Callable[[Found], bool], what: str, timeout: float) -> Found:
        """The first of `seen` that is `wanted`, at once or when it comes.

        Raises TimeoutError, with the words `what`, after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                for found in self.seen:
                    if wanted(found):
                        return found
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    raise TimeoutError(f"{what} within {timeout:g} s")

    def _collect(self) -> None:
        found = list(self._take())
        if found:
            with self._changed:
                self.seen.extend(found)
                self._changed.notify_all()
