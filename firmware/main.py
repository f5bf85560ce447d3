"""Boot entry: the agent and its console, until 0x03 on the serial line gives the REPL.

`/agent/slot` says which of two copies of the agent runs, `/agent/a` or `/agent/b`: an update goes
into the other one and takes effect when that file is rewritten, which littlefs does whole or not
at all. Without it the agent is the one in `/lib`, or frozen into the firmware.

What ends the agent has the board start again after a minute, in which 0x03 gives the REPL.
A sealed board gives none, whatever happens: it starts again. MicroPython looks for an interrupt
only where a program jumps back or waits, so an 0x03 that comes before the second statement below
is raised inside `try` at the earliest.
"""

import micropython

micropython.kbd_intr(-1)  # 0x03 ends nothing while files load: from here on it waits for the agent

_SEAL = "/roamkey/seal"
_ENOENT = 2


def _sealed() -> bool:
    import os

    try:
        return os.stat(_SEAL)[6] > 0  # an empty one: power failed while the board was sealed
    except OSError as error:
        return bool(error.args[0] != _ENOENT)


def _choose() -> None:
    import sys

    try:
        with open("/agent/slot") as file:
            slot = file.read()
    except OSError:
        return
    if slot in ("a", "b"):
        sys.path.insert(0, "/agent/" + slot)


def _start_again(seconds: int = 1) -> None:
    import time

    import machine

    time.sleep(seconds)
    machine.reset()


def _tell(error: Exception) -> None:
    """What ended the agent, and a minute for whoever sits at the serial line; none if sealed."""
    import sys

    if not _sealed():
        sys.print_exception(error)  # type: ignore[attr-defined]  # MicroPython's own
        micropython.kbd_intr(3)
        _start_again(60)


try:
    _choose()
    from mip6 import agent

    agent.main()
except Exception as error:
    _tell(error)
finally:
    while True:
        try:
            if not _sealed():
                break
            _start_again()
        except BaseException:  # whatever it is: what follows this file is the REPL
            pass
