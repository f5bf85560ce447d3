"""MicroPython's raw REPL, spoken by mpremote's transport: how files get onto a board.

Entering it ends the program that runs (the agent says goodbye to its correspondents first);
`restart` starts the board afresh. Leaving without `restart` leaves it at its prompt.
"""

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from mpremote.transport import TransportError
from mpremote.transport_serial import SerialTransport

from roamkey import notice
from roamkey.board import hearing
from roamkey.board.opening import BAUD, PortError, open_port, unlock
from roamkey.board.patience import patient
from roamkey.errors import BoardError

ENTER_S = patient(
    12.0
)  # an agent takes up to 1.5 s to end, a slow board as long to show its prompt
EXEC_S = patient(15.0)  # erasing flash takes its time
_READ_S = patient(3.0)
_INTERRUPTS_EACH_S = patient(3.0)
_SETTLING_S = patient(1.5)
_CTRL_A = b"\r\x01"
_RAW = b"raw REPL; CTRL-B to exit\r\n"

_FACTS = """
import sys, json
try:
    import machine
    board = machine.unique_id().hex()
except Exception:
    board = None
i = sys.implementation
print(json.dumps({
    "board": board, "platform": sys.platform, "machine": getattr(i, "_machine", None),
    "version": list(i.version[:3]), "mpy": getattr(i, "_mpy", 0), "name": i.name,
}))
"""

# The package's own file alone decides; what of it was in memory is there again afterwards.
_FROZEN_AGENT = """
import sys, json
_path, _held = sys.path[:], sys.modules.pop("mip6", None)
sys.path[:] = [%r]
try:
    import mip6
    _found = str(getattr(mip6, "__version__", "unknown"))
except ImportError:
    _found = None
sys.path[:] = _path
sys.modules.pop("mip6", None)
if _held:
    sys.modules["mip6"] = _held
print(json.dumps(_found))
"""
_FROZEN_PATH = ".frozen"  # the entry of sys.path that stands for what the firmware holds


@dataclass(frozen=True)
class Frozen:
    """An agent that is part of a board's firmware: its version.

    `boots`: its main.py is, too. MicroPython then runs that one and never /main.py.
    """

    agent: str
    boots: bool


@dataclass(frozen=True)
class Facts:
    """What MicroPython says of itself. `mpy`: `sys.implementation._mpy`, 0 if it loads none."""

    board: str | None
    platform: str
    machine: str | None
    micropython: str
    mpy: int


class BoardProgramError(BoardError):
    """A program that ran on the board raised; `kind` is the last line of its traceback."""

    def __init__(self, port: str, traceback: str) -> None:
        lines = traceback.strip().splitlines()
        self.kind = "".join(c if c.isprintable() else "?" for c in (lines or ["?"])[-1])[:200]
        super().__init__(f"{port}: on the board: {self.kind}")


class _Transport(SerialTransport):  # type: ignore[misc]
    """mpremote's transport, which enters the raw REPL with patience and prints nothing.

    `other`: what was heard while the prompt was waited for, the latest of it.
    """

    def __init__(self, port: str, baud: int, timeout: float) -> None:
        super().__init__(port, baud, timeout=timeout)
        self.other = bytearray()

    def enter_raw_repl(self, soft_reset: bool = False, timeout_overall: float = ENTER_S) -> None:
        end = time.monotonic() + timeout_overall
        asked = 0
        while time.monotonic() < end:
            # A program that ignores one Ctrl-C, or was just starting, gets another.
            self.serial.write(b"\r\x03")
            self.serial.reset_input_buffer()
            self.serial.write(_CTRL_A)
            asked += 1
            if not self._heard(_RAW, min(end, time.monotonic() + _INTERRUPTS_EACH_S)):
                voice = hearing.recognize(bytes(self.other))
                if voice is not None and voice.certain:
                    break
                continue
            if asked > 1:  # a slow board may yet answer what it was asked before
                while self._heard(_RAW, time.monotonic() + _SETTLING_S):
                    pass
                self.serial.write(_CTRL_A)
                if not self._heard(_RAW, time.monotonic() + _INTERRUPTS_EACH_S):
                    break
            self.in_raw_repl = True
            return
        raise TransportError("no prompt")

    def read_until(
        self,
        min_num_bytes: int,
        ending: bytes,
        timeout: float | None = 10,
        data_consumer: Callable[[bytes], None] | None = None,
        timeout_overall: float | None = None,
    ) -> bytes:
        """As mpremote's, which waits 10 s for a prompt whatever else it is told."""
        wait = EXEC_S if timeout is None else timeout
        data: bytes = super().read_until(
            min_num_bytes,
            ending,
            min(wait, EXEC_S) if wait == 10 else wait,
            data_consumer,
            timeout_overall,
        )
        return data

    def _heard(self, ending: bytes, end: float) -> bool:
        data = bytearray()
        while time.monotonic() < end:
            if self.serial.in_waiting:
                data += self.serial.read(1)
                if data.endswith(ending):
                    return True
                self.other += data[-1:]
                del self.other[: -hearing.HEARD_OCTETS_MAX]
            else:
                time.sleep(0.01)
        return False


class Repl:
    """The raw REPL of the board at `port`, as a context manager. Every method raises BoardError
    where the port fails or the board doesn't do as a REPL does."""

    def __init__(self, port: str, enter_s: float = ENTER_S) -> None:
        self.port = port
        self._enter_s = enter_s
        self._transport: _Transport | None = None
        self._lost = False  # the board doesn't do as a REPL does, so nothing more is asked of it

    def __enter__(self) -> "Repl":
        try:
            self._transport = _Transport(self.port, BAUD, timeout=_READ_S)
        except (TransportError, OSError, ValueError):
            open_port(self.port).close()  # says why; mpremote doesn't
            raise PortError(self.port, "can't be opened") from None
        try:
            with notice.waiting(f"asking for the prompt of the board at {self.port}"):
                self._guarded(lambda t: t.enter_raw_repl(timeout_overall=self._enter_s))
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            if self._transport is not None and self._transport.in_raw_repl:
                self._transport.exit_raw_repl()
        self._close()

    def run(self, program: str, timeout: float | None = None) -> str:
        """Run a program and return what it printed; raises BoardProgramError if it raised.

        `timeout`: seconds without an octet from the board, None for EXEC_S.
        """

        def exec_(transport: _Transport) -> tuple[bytes, bytes]:
            printed, raised = transport.exec_raw(
                program, timeout=EXEC_S if timeout is None else timeout
            )
            return printed, raised

        printed, raised = self._guarded(exec_)
        if raised:
            raise BoardProgramError(self.port, raised.decode(errors="replace"))
        text: str = printed.decode(errors="replace")
        return text

    def ask(self, program: str, timeout: float | None = None) -> Any:
        """Run a program whose last line is JSON, and return that."""
        lines = self.run(program, timeout).strip().splitlines()
        try:
            return json.loads(lines[-1])
        except (IndexError, ValueError, RecursionError):
            raise BoardError(f"{self.port}: the board's answer makes no sense") from None

    def facts(self) -> Facts:
        """Which MicroPython this is, and on what; raises BoardError for another Python."""
        answer = self.ask(_FACTS)
        try:
            version = ".".join(str(int(part)) for part in answer["version"])
            facts = Facts(
                answer["board"], answer["platform"], answer["machine"], version, answer["mpy"]
            )
            if answer["name"] != "micropython":
                raise BoardError(f"{self.port}: not MicroPython but {answer['name']}")
        except (KeyError, TypeError, ValueError):
            raise BoardError(f"{self.port}: the board's answer makes no sense") from None
        for text in (facts.board or "", facts.platform, facts.machine or ""):
            if not isinstance(text, str) or not text.isprintable():
                raise BoardError(f"{self.port}: the board's answer makes no sense")
        return facts

    def frozen(self) -> Frozen | None:
        """The agent in the firmware, None without one."""
        agent = self.ask(_FROZEN_AGENT % _FROZEN_PATH)
        if agent is None:
            return None
        if not isinstance(agent, str) or not agent.isprintable():
            raise BoardError(f"{self.port}: the board's answer makes no sense")
        return Frozen(agent, "main" in self._frozen_modules())

    def _frozen_modules(self) -> list[str]:
        """Modules in the firmware by name, those in C among them; none where it doesn't tell."""
        try:
            return self.run("help('modules')").split()
        except BoardProgramError:
            return []

    def restart(self) -> None:
        """Start the board afresh, as its reset button does; the port may vanish meanwhile."""
        self.leave_for("import machine\nmachine.reset()")

    def leave_for(self, program: str) -> None:
        """Start a program that doesn't return; the REPL is over with that."""
        transport = self._transport
        if transport is None or self._lost:
            return
        with contextlib.suppress(OSError, TransportError):
            transport.exec_raw_no_follow(program)
            transport.in_raw_repl = False
            time.sleep(0.05)  # what was written has left before the port is closed

    def _guarded(self, work: Callable[[_Transport], Any]) -> Any:
        transport = self._transport
        if transport is None:
            raise BoardError(f"{self.port}: not open")
        lost, self._lost = self._lost, True
        try:
            result = work(transport)
            self._lost = lost
            return result
        except TransportError as error:
            said = "" if transport.in_raw_repl else hearing.describe(bytes(transport.other))
            raise BoardError(
                f"{self.port}: the board gives no REPL ({error}): "
                + (
                    said
                    or "no MicroPython, a sealed board, or a program that doesn't let itself "
                    "be interrupted"
                )
            ) from None
        except OSError:  # SerialException is one
            raise BoardError(f"{self.port}: the board went away") from None
        except (IndexError, ValueError, ArithmeticError, LookupError):
            raise BoardError(f"{self.port}: the line is disturbed") from None
        except Exception as error:
            # struct.error, where the board stops in mid-answer
            if type(error).__module__ != "struct":
                raise
            raise BoardError(f"{self.port}: the board stopped answering") from None

    def _close(self) -> None:
        if self._transport is not None:
            unlock(self._transport.serial)
            with contextlib.suppress(OSError):
                self._transport.close()
            self._transport = None
