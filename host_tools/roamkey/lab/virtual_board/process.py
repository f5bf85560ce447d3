"""The interpreter as a process: started on given pipes, interrupted gently, killed whole."""

import contextlib
import os
import pty
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from roamkey.errors import SystemRefusedError
from roamkey.lab.virtual_board.flash import FlashImage

_START = Path(__file__).with_name("on_board") / "start.py"

# machine.reset_cause(), as in on_board/machine.py.
POWER_ON = 1
HARD_RESET = 2
WATCHDOG_RESET = 3
SOFT_RESET = 5


Spawn = Callable[..., "subprocess.Popen[bytes]"]
"""Starts a program as subprocess.Popen does, with its keyword arguments (pass_fds among them).

It may put the program somewhere else, into a network namespace say, but the pid it returns must
become the program itself: a wrapper has to exec it, not to fork it.
"""


@dataclass(frozen=True)
class Setup:
    """What stays the same from one start of a board to the next."""

    interpreter: str
    flash: FlashImage
    unique_id: bytes
    heap_size: int | None
    spawn: Spawn


def _hangup_ignored() -> bool:
    """Whether what we start would ignore SIGHUP, as under nohup."""
    return signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def _heed_hangup() -> None:
    """A board ends by the hang-up of its terminal, whatever its host ignores."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Interpreter:
    """One run of MicroPython, from power-on or reset to the next."""

    def __init__(
        self, setup: Setup, stdin: int, stdout: int, *, cause: int, with_main: bool
    ) -> None:
        """Start it on the file descriptors `stdin` and `stdout`; does not wait for its boot."""
        self.control, theirs = socket.socketpair()
        self._lifeline, terminal = pty.openpty()
        geometry = setup.flash.geometry
        heap = [] if setup.heap_size is None else ["-X", f"heapsize={setup.heap_size}"]
        numbers = (
            theirs.fileno(),
            geometry.block_count,
            geometry.block_size,
            geometry.read_size,
            geometry.prog_size,
            cause,
            int(with_main),
            int(setup.spawn is not subprocess.Popen),  # a network of its own: its settings, too
        )
        argv = [setup.interpreter, *heap, "-i", str(_START), str(setup.flash.path.resolve())]
        argv += [os.ttyname(terminal), *map(str, numbers), setup.unique_id.hex()]
        try:
            self._process = setup.spawn(
                argv,
                stdin=stdin,
                stdout=stdout,
                stderr=stdout,
                pass_fds=(theirs.fileno(),),
                env=_environment(),
                cwd="/",
                start_new_session=True,
                preexec_fn=_heed_hangup if _hangup_ignored() else None,
            )
        except BaseException as error:
            self.control.close()
            os.close(self._lifeline)
            if isinstance(error, OSError):
                raise SystemRefusedError(f"{setup.interpreter}: {error.strerror}") from error
            raise
        finally:
            theirs.close()
            os.close(terminal)
        self.pid = self._process.pid

    def kill(self) -> int:
        """End it at once, as a power cut does; returns its exit code, or minus the signal."""
        self._process.kill()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # what it started with os.system ends with it
        code = self._process.wait()
        self.control.close()
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        return code

    def finish(self) -> int:
        """Let one that has closed its control socket end by itself; returns as `kill` does."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        return self.kill()

    def interruptible(self) -> bool:
        """Whether Python code runs that Ctrl-C may interrupt.

        The unix port handles SIGINT exactly while `micropython.kbd_intr(3)` holds, which is while
        user code runs, and restores the default action at the REPL and after `kbd_intr(-1)`.
        """
        return bool(int(self._status("SigCgt"), 16) >> (signal.SIGINT - 1) & 1)

    def sleeping(self) -> bool:
        """Whether it waits in a system call, so that a signal hits no code that must not stop."""
        return self._status("State").startswith("S")

    def interrupt(self) -> bool:
        """Raise KeyboardInterrupt in it if it is interruptible; returns whether it was.

        It stands still between the question and the signal: at the REPL SIGINT would kill it.
        """
        with self.stopped() as alive:
            if not (alive and self.interruptible()):
                return False
            os.kill(self.pid, signal.SIGINT)
            return True

    @contextlib.contextmanager
    def stopped(self) -> Iterator[bool]:
        """Hold the process still; gives False if it had ended already."""
        alive = False
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.pid, signal.SIGSTOP)
            result = os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            alive = result is not None and result.si_code == os.CLD_STOPPED
        try:
            yield alive
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGCONT)

    def _status(self, field: str) -> str:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
                name, _, value = line.partition(":")
                if name == field:
                    return value.strip()
        return "0"  # it has just ended: no state, no signals


def _environment() -> dict[str, str]:
    """The host's environment without what would change a board, or let it write the user's files.

    With HOME the unix port keeps a history of the REPL there.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if name != "HOME" and not name.startswith("MICROPY")
    }
