"""Milliseconds since this file was loaded, of a clock that never goes back nor wraps."""

import time

from .compat import MICROPYTHON

if MICROPYTHON:
    _last = time.ticks_ms()
    _sum = 0

    def now():
        """Whole milliseconds. To be called at least once in six days: the ticks wrap."""
        global _last, _sum
        ticks = time.ticks_ms()
        _sum += time.ticks_diff(ticks, _last)
        _last = ticks
        return _sum

else:  # CPython
    _start = time.monotonic_ns()

    def now():
        """Whole milliseconds."""
        return (time.monotonic_ns() - _start) // 1000000
