"""Keeps one board's serial port open over resets and power cuts, and its interpreter running.

    client -- pty -- Supervisor -- two pipes -------- MicroPython
                         |-------- control socket -------|

One thread a board; it owns everything here, and other threads hand it work through `call`. It
waits in poll, so an idle board costs nothing. Octets pass unchanged, with three exceptions that
make a process look like a board:

- 0x03 interrupts running Python code unless it called `micropython.kbd_intr(-1)`; anywhere else,
  at the REPL above all, it is an octet like the others (see interrupt.py).
- The interpreter ends where a board makes a soft reset (Ctrl-D, SystemExit). The supervisor says
  "MPY: soft reboot" and starts it again, in the raw REPL if the reset came from there.
- Output that no client takes for half a second is dropped, as the rp2 port's USB serial does.
"""

import concurrent.futures
import os
import queue
import select
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from roamkey.errors import BoardError, RoamkeyError
from roamkey.lab.virtual_board.interrupt import PAUSE, Interrupt, Verdict
from roamkey.lab.virtual_board.line import Line
from roamkey.lab.virtual_board.process import (
    HARD_RESET,
    POWER_ON,
    SOFT_RESET,
    WATCHDOG_RESET,
    Interpreter,
    Setup,
)

_T = TypeVar("_T")

_CTRL_A = b"\x01"
_CTRL_C = b"\x03"
_RAW_PROMPT = b"raw REPL; CTRL-B to exit\r\n>"
_PROMPT = b">>> "
# What shared/runtime/pyexec.c writes last when the raw REPL ends: for Ctrl-D on an empty line, and
# after a program that raised SystemExit.
_RAW_ENDINGS = (b">OK\r\n", b"\x04\x04")
_SHORT_LIFE = 0.1  # s; a main.py that ends at once must not keep the host busy with restarts
_BOOT_LIMIT = 30.0  # s until the flash must be mounted, on a busy machine


class Supervisor:
    """The serial port and the power switch of one board."""

    def __init__(self, setup: Setup) -> None:
        """Open the port; the board is without power. `close` must be called in the end."""
        self._setup = setup
        self._line = Line()
        self.port = self._line.port
        self.boots = 0
        self._woken, self._wake = os.pipe()
        self._work: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._interpreter: Interpreter | None = None
        self._interrupt: Interrupt | None = None
        self._booted: Future[None] = Future()
        self._mounted = False  # the boot is over, so input may pass
        self._raw_repl = False  # the REPL of this run is to start raw
        self._started = 0.0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"board {self.port}", daemon=True)
        self._thread.start()

    # What other threads use.

    @property
    def pid(self) -> int | None:
        """The process of the interpreter; None without power."""
        interpreter = self._interpreter
        return interpreter.pid if interpreter else None

    def call(self, work: Callable[[], _T]) -> _T:
        """Run `work` between two events of the board, in the supervisor's thread."""
        done: Future[_T] = Future()

        def run() -> None:
            try:
                done.set_result(work())
            except BaseException as error:
                done.set_exception(error)

        self._work.put(run)
        os.write(self._wake, b"w")
        while not concurrent.futures.wait([done], timeout=1).done:
            if not self._thread.is_alive():
                raise BoardError("the virtual board's supervisor has ended")
        return done.result()

    def power_on(self) -> None:
        """Start the board if it is off; returns when its flash is mounted, before boot.py."""
        self.call(lambda: None if self._interpreter else self._start(POWER_ON))
        self._wait_for_mount()

    def reset(self) -> None:
        """Reset as by the reset button; returns as `power_on`."""
        self.call(lambda: self._restart(HARD_RESET))
        self._wait_for_mount()

    def power_off(self) -> None:
        """Take the power away at once. The port stays; what is sent to it is lost."""
        self.call(self._power_off)

    def frozen(self, work: Callable[[], _T]) -> _T:
        """Run `work` while the board stands still, as at the instant of a power cut."""

        def run() -> _T:
            if not self._interpreter:
                return work()
            with self._interpreter.stopped():
                return work()

        return self.call(run)

    def close(self) -> None:
        """End the board and its port."""
        if self._closing:
            return
        self._closing = True
        os.write(self._wake, b"w")
        self._thread.join()
        self._line.close()
        os.close(self._woken)
        os.close(self._wake)

    def _wait_for_mount(self) -> None:
        try:
            self._booted.result(timeout=_BOOT_LIMIT)
        except concurrent.futures.TimeoutError:
            self.power_off()
            raise BoardError(f"the virtual board did not boot in {_BOOT_LIMIT:.0f} s") from None

    # The life of the interpreter; from here on all runs in the supervisor's thread.

    def _start(self, cause: int, raw_repl: bool = False) -> None:
        self._mounted = False
        self._raw_repl = raw_repl
        self._line.tail = b""
        self._line.hide_until(b"")
        self._booted = Future()
        self._started = time.monotonic()
        self.boots += 1
        line = self._line
        try:
            self._interpreter = Interpreter(
                self._setup, line.stdin, line.stdout, cause=cause, with_main=not raw_repl
            )
        except RoamkeyError as error:
            self._booted.set_exception(error)
            return
        self._interrupt = Interrupt(self._interpreter, line.stdin)

    def _stop(self) -> None:
        """Kill the interpreter and take the output it left."""
        interpreter, self._interpreter, self._interrupt = self._interpreter, None, None
        if interpreter:
            interpreter.kill()
            self._line.take_output(everything=True)
            if not self._booted.done():
                self._booted.set_exception(BoardError("the virtual board lost power as it booted"))

    def _power_off(self) -> None:
        self._stop()
        self._line.forget_input()

    def _restart(self, cause: int) -> None:
        self._power_off()
        self._start(cause)

    def _soft_reset(self) -> None:
        raw_repl = self._raw_repl or self._line.tail.endswith(_RAW_ENDINGS)
        self._stop()
        self._line.say(b"MPY: soft reboot\r\n")
        time.sleep(max(0.0, self._started + _SHORT_LIFE - time.monotonic()))
        self._start(SOFT_RESET, raw_repl)

    def _fail(self) -> None:
        """The interpreter ended, or came to its REPL, without having mounted the flash."""
        said, _, _ = bytes(self._line.outbound).decode(errors="replace").partition("\r\nType ")
        lines = [line for line in said.splitlines() if line and "MicroPython " not in line]
        reason = lines[-1] if lines else "the interpreter ended without a word"
        self._booted.set_exception(BoardError(f"the virtual board did not boot: {reason}"))
        self._power_off()

    def _on_control(self, interpreter: Interpreter) -> None:
        request = interpreter.control.recv(1)
        if request == b"M":
            self._mounted = True
            self._booted.set_result(None)
            interpreter.control.send(b"m")
        elif request == b"P":
            self._enter_repl()
            interpreter.control.send(b"p")
        elif request == b"R":
            self._restart(HARD_RESET)
        elif request == b"S":
            self._line.take_output(everything=True)
            self._soft_reset()
        else:
            self._on_end(interpreter)

    def _on_end(self, interpreter: Interpreter) -> None:
        """It has closed its control socket: it has ended, or is about to."""
        code = interpreter.finish()
        self._line.take_output(everything=True)
        if not self._mounted:
            self._fail()
        elif code < 0:
            self._restart(WATCHDOG_RESET)
        else:
            self._soft_reset()

    def _enter_repl(self) -> None:
        """Before the REPL: have it start raw after a soft reset that came from the raw one.

        A board remembers that mode; the unix port always starts with the friendly REPL, so its
        banner is hidden and Ctrl-A goes in front of what the client has sent.
        """
        self._line.take_output(everything=True)
        if self._raw_repl:
            self._line.recall_input()
            self._line.inbound[:0] = _CTRL_A
            self._line.give_input(1)
            self._line.hide_until(_RAW_PROMPT)

    # The loop.

    def _run(self) -> None:
        try:
            while not self._closing:
                again = self._pump()
                interpreter = self._interpreter
                ready = self._wait(again)
                if self._woken in ready:
                    os.read(self._woken, 4096)
                    while not self._work.empty():
                        self._work.get()()
                # The work above may have replaced it, and file descriptors are used again.
                same = interpreter is self._interpreter
                if interpreter and same and interpreter.control.fileno() in ready:
                    self._on_control(interpreter)
        finally:
            self._stop()

    def _wait(self, again: float | None) -> set[int]:
        """Wait for events, for at most `again` seconds; returns the descriptors that have one."""
        poll = select.poll()
        poll.register(self._woken, select.POLLIN)
        if self._interpreter:
            poll.register(self._interpreter.control, select.POLLIN)
        for descriptor, events in self._line.interests():
            poll.register(descriptor, events)
        timeout = None if again is None else max(1, int(again * 1000))
        return {descriptor for descriptor, _ in poll.poll(timeout)}

    def _pump(self) -> float | None:
        """Move what can be moved; returns after how many seconds to try again at the latest."""
        line = self._line
        line.take_output()
        if self._interpreter and not self._mounted and line.tail.endswith(_PROMPT):
            self._fail()
        line.take_input()
        delays = [line.give_output(), self._give_input()]
        return min((delay for delay in delays if delay is not None), default=None)

    def _give_input(self) -> float | None:
        """Pass the client's octets on, or Ctrl-C as what it means; returns as `_pump`."""
        line, interrupt = self._line, self._interrupt
        if not interrupt:
            line.inbound.clear()
            return None
        while line.inbound and self._mounted and not line.hiding:
            count = line.inbound.find(_CTRL_C)
            if count == 0:
                verdict = interrupt.step()
                if verdict is Verdict.WAIT:
                    return PAUSE
                if verdict is Verdict.TAKEN:
                    del line.inbound[0]
                    continue
                count = 1
            if not line.give_input(count if count > 0 else len(line.inbound)):
                return None
        return None
