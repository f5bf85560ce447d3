"""The chip's watchdog: it resets a board on which nobody has fed it for eight seconds.

On an open board it must never stand between a person and the REPL. So it is stopped before one,
where it can be (the RP2040 and RP2350: in its register, since MicroPython has no call for it), and
after a reset of its own an open board starts without. Where it can't be stopped, on an ESP32, only
a sealed board has one; opened, that is given a day instead. See docs/DESIGN.md.
"""

import sys

from ..compat import const

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..agent import Agent

_TIMEOUT_MS = const(8388)  # the longest that the RP2040 knows
_DAY_MS = const(86400000)
_ROUNDS = const(600)  # seconds in which a program may hold the board again

# The registers, from the base on (RP2040 data sheet section 4.7, RP2350 data sheet section 12.9)
_BASES = (("RP2040", 0x40058000), ("RP2350", 0x400D8000))
_REASON = const(0x08)
_TIMER = const(1)  # in REASON: it was not fed; machine.reset() sets another bit
_CLEAR = const(0x3000)  # from CTRL on: the bits written here are cleared in it
_ENABLE = const(0x40000000)


def follow(agent: "Agent", sealed: bool) -> None:
    """Have it run where it may now, and be fed by this Agent. What fails here costs a line."""
    try:
        if bitten():
            agent.application.rounds = _ROUNDS
        fed = watch(sealed)
        if fed is None:
            stop(agent.feed is not None)
        agent.feed = fed
        if hasattr(agent.node, "watch"):
            agent.node.watch(fed)
    except Exception as error:  # whatever it is: the board works without
        agent.node.part.note(error)


def watch(sealed: bool) -> "Callable[[], object] | None":
    """Start it where there is one and where it may; what feeds it, or None."""
    import machine

    if not hasattr(machine, "WDT"):
        return None
    if sealed or (_base() is not None and not bitten()):
        return machine.WDT(timeout=_TIMEOUT_MS).feed
    return None


def stop(runs: bool) -> None:
    """The REPL may follow. `runs`: whether it was started since the reset."""
    import machine

    base = _base()
    if base is not None:
        machine.mem32[base + _CLEAR] = _ENABLE
    elif runs:
        machine.WDT(timeout=_DAY_MS).feed()


def bitten() -> bool:
    """Whether it was the watchdog that reset the board."""
    import machine

    base = _base()
    if base is not None:
        return bool(machine.mem32[base + _REASON] & _TIMER)
    return hasattr(machine, "WDT_RESET") and machine.reset_cause() == machine.WDT_RESET


def _base() -> int | None:
    """Where the registers are; None on a chip that isn't known."""
    if sys.platform == "rp2":
        for chip, base in _BASES:
            if chip in sys.implementation._machine:  # type: ignore[attr-defined]  # MicroPython's own
                return base
    return None
