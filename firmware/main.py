"""Boot entry: the agent and its console, until 0x03 on the serial line gives the REPL.

A sealed board gives none, whatever happens: it starts again. MicroPython looks for an interrupt
only where a program jumps back or waits, so an 0x03 that comes before the second statement below
is raised inside `try` at the earliest.
"""

import micropython

micropython.kbd_intr(-1)  # 0x03 ends nothing while files load: from here on it waits for the agent

_SEAL = "/roamkey/seal"
_ENOENT = 2


def _sealed():
    import os

    try:
        return os.stat(_SEAL)[6] > 0  # an empty one: power failed while the board was sealed
    except OSError as error:
        return error.args[0] != _ENOENT


def _start_again():
    import time

    import machine

    time.sleep(1)
    machine.reset()


try:
    from mip6 import agent

    agent.main()
finally:
    while True:
        try:
            if not _sealed():
                break
            _start_again()
        except BaseException:  # whatever it is: what follows this file is the REPL
            pass
