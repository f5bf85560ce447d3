"""Two clocks: the wall's, for what is told and kept, and a steady one, by which bindings live.

The wall's clock may be set at any time, by a year or back by an hour; a lifetime is a span and
must not change with it. So whatever is counted down in a daemon goes by the steady clock, which
nobody sets and which counts the time that the machine slept. It starts at what the wall's
clock showed when this process began: both are milliseconds since 1970, and mostly the same.

The registry keeps the wall's time: other daemons and later starts must understand it.
"""

import time

_SAME_MS = 1_000  # what a clock that is kept right may be off


def wall_ms() -> int:
    """What the wall's clock shows, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def boot_ms() -> int:
    """Milliseconds since the machine started: the same for all its processes."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000


#: What the steady clock is ahead of `boot_ms`.
AHEAD_MS = wall_ms() - boot_ms()


def now_ms() -> int:
    """What the steady clock shows."""
    return boot_ms() + AHEAD_MS


def shift_ms() -> int:
    """How far the wall's clock was set ahead of the steady one; negative: back; 0: it was not."""
    shift = wall_ms() - now_ms()
    return shift if abs(shift) > _SAME_MS else 0
