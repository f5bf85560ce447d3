"""Call a function whenever a socket can be read: asyncio of CPython and of MicroPython."""

import asyncio

from ..compat import MICROPYTHON, const

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable


class _Readable:
    """Awaited again and again: until its socket can be read. MicroPython alone."""

    def __init__(self, stream: "socket.socket") -> None:
        self._stream = stream
        self._asked = False

    def __iter__(self) -> "_Readable":
        return self

    def __next__(self) -> None:
        self._asked = not self._asked
        if not self._asked:
            raise StopIteration
        try:
            asyncio.core._io_queue.queue_read(self._stream)  # type: ignore[attr-defined]  # MicroPython's own
        except Exception:
            self._asked = False
            raise


async def _serve(
    readable: "_Readable",
    function: "Callable[[], object]",
    failed: "Callable[[Exception], object]",
) -> None:
    while True:
        try:
            await readable  # type: ignore[misc]  # MicroPython awaits iterators
            function()
        except Exception as error:
            failed(error)
            await asyncio.sleep(0)  # others may have memory to give back


class Watch:
    """Calls `function` whenever `stream` can be read, until `stop`. Needs a running loop.

    What `function` raises goes to `failed(error)`.
    """

    def __init__(
        self,
        stream: "socket.socket",
        function: "Callable[[], object]",
        failed: "Callable[[Exception], object]",
    ) -> None:
        self._stream = stream
        self._function = function
        self._failed = failed
        if MICROPYTHON:
            self._task = asyncio.create_task(_serve(_Readable(stream), function, failed))
        else:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(stream.fileno(), self._call)

    def _call(self) -> None:
        try:
            self._function()
        except Exception as error:
            self._failed(error)

    def stop(self) -> None:
        """Call it no more; the stream may be closed then."""
        if MICROPYTHON:
            self._task.cancel()
        else:
            self._loop.remove_reader(self._stream.fileno())
