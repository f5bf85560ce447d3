"""Milliseconds since this file was loaded, of a clock that never goes back nor wraps."""

import time

from .compat import MICROPYTHON

if MICROPYTHON:
    _last: int = time.ticks_ms()  # type: ignore[attr-defined]  # MicroPython's own
    _sum: int = 0

    def now() -> int:
        """Whole milliseconds. To be called at least once in six days: the ticks wrap."""
        global _last, _sum
        ticks: int = time.ticks_ms()  # type: ignore[attr-defined]  # as above
        _sum += time.ticks_diff(ticks, _last)  # type: ignore[attr-defined]  # as above
        _last = ticks
        return _sum

else:  # CPython
    _start = time.monotonic_ns()

    def now() -> int:
        """Whole milliseconds."""
        return (time.monotonic_ns() - _start) // 1000000
