"""Ctrl-C as a board has it: when 0x03 interrupts, when it is an octet like the others.

Two properties of the unix port shape this. SIGINT at the REPL kills it, so the signal may go out
only while user code runs. And a build without a GIL raises KeyboardInterrupt inside the signal
handler, wherever the C code is: inside littlefs that would leave a broken file system in memory,
which hardware never does. So an interrupt waits for a system call, in which a program that serves
a serial line spends its time; a program that computes without pause gets it all the same.
"""

import enum
import time

from roamkey.lab.virtual_board.pipes import waiting
from roamkey.lab.virtual_board.process import Interpreter

PAUSE = 0.002  # s between two looks at a process
_PATIENCE = 0.05  # s to wait for a calm moment
_SETTLING = 0.1  # s in which the program may end before it is given what follows the Ctrl-C


class Verdict(enum.Enum):
    """What becomes of an 0x03 that is next in line."""

    WAIT = enum.auto()
    PASS_ON = enum.auto()
    TAKEN = enum.auto()


class Interrupt:
    """Decides on one 0x03 after the other for one interpreter."""

    def __init__(self, interpreter: Interpreter, stdin: int) -> None:
        """`stdin` is the reading end of the pipe that the interpreter reads."""
        self._interpreter = interpreter
        self._stdin = stdin
        self._met: float | None = None
        self._sent: float | None = None

    def step(self) -> Verdict:
        """Go on with the 0x03 that is next in line; after WAIT ask again in PAUSE seconds."""
        verdict = self._look_again() if self._sent is not None else self._decide()
        if verdict is not Verdict.WAIT:
            self._met = self._sent = None
        return verdict

    def _decide(self) -> Verdict:
        now = time.monotonic()
        if self._met is None:
            self._met = now
        patient = now - self._met < _PATIENCE
        calm = self._interpreter.sleeping()
        if self._interpreter.interruptible():
            if (calm or not patient) and self._interpreter.interrupt():
                self._sent = now
            return Verdict.WAIT
        # With unread octets before it the REPL may be about to run a program.
        calm = calm and not waiting(self._stdin)
        return Verdict.WAIT if patient and not calm else Verdict.PASS_ON

    def _look_again(self) -> Verdict:
        assert self._sent is not None
        early = time.monotonic() - self._sent < _SETTLING
        return Verdict.WAIT if early and self._interpreter.interruptible() else Verdict.TAKEN
