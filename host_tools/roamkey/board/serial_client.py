"""The host's end of a board's console: one request at a time over a serial port.

Every request is covered by a CRC, long ones go in acknowledged pieces. What isn't a covered answer
to the request at hand (noise, a late answer, prints of a program, our own lines on a cable that
echoes) is skipped: an answer has a result or an error, and no method. A piece of a key is sent
only after the board has acknowledged the piece before it, which a REPL wouldn't.
"""

import contextlib
import itertools
import json
import random
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeVar

import serial

from mip6 import terminal
from mip6.console import framing
from roamkey import notice
from roamkey.board.identity import Identity, identity_from
from roamkey.board.line import Line
from roamkey.board.patience import patient
from roamkey.errors import BoardError, RefusedError

ANSWER_S = patient(5.0)  # for requests that write nothing
STORE_S = patient(15.0)  # where keys are written: erasing flash takes its time
ERASE_S = patient(180.0)  # where all free flash is erased
_QUIET_S = 0.1
_FIRST_WAIT_S = patient(0.3)
_TRIES = 5
_NUDGE_AT = 2  # the try before which a raw REPL that somebody left is asked for
_PARSE_ERROR = -32700
_IDS = 1 << 24  # a small number to every board

_T = TypeVar("_T")


def _first_id() -> int:
    """Of a client's requests: a late answer to the client before is none to this one."""
    return random.randrange(10_000_000, _IDS)  # of one length in decimal digits


class ConsoleRefusedError(RefusedError):
    """The board answered with an error object: `code` as in docs/SPEC.md, "The console"."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"the board refuses: {message}")
        self.code = code


class _Damaged(Exception):
    """The board says that a line of ours arrived damaged."""


class SerialClient:
    """A board on the serial port at `port`, to be used as a context manager.

    `answer_s`, `store_s`: seconds to wait for an answer, and for that to `provision`. `delivered`:
    whether the last request may have reached the board whole; while it is False, the board can't
    have acted. `restarts`: whether it starts afresh for the keys that it was given. Every method
    raises BoardError when the port fails or no answer comes, ConsoleRefusedError when the board
    says no.
    """

    def __init__(self, port: str, answer_s: float = ANSWER_S, store_s: float = STORE_S) -> None:
        self.port = port
        self.delivered = False
        self.restarts = False
        self._answer_s = answer_s
        self._store_s = store_s
        self._ids = itertools.count(_first_id())
        self._line = Line(port)

    def __enter__(self) -> "SerialClient":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the port without resetting an ESP32."""
        self._line.close()

    @property
    def at_repl(self) -> bool:
        """Whether the last request met MicroPython's prompt."""
        return self._line.prompt

    def identify(self) -> Identity:
        """Ask the board who it is; also brings both ends into step after noise."""
        answer = self.request("identify", again=True)
        try:
            return identity_from(answer)
        except ValueError as error:
            raise BoardError(f"{self.port}: the board's identity {error}") from None

    def status(self) -> dict[str, Any]:
        """The board's state: `keystore`, `node` and `console` (see docs/SPEC.md)."""
        answer = self.request("status", again=True)
        if not isinstance(answer, dict):
            raise BoardError(f"{self.port}: the board's status makes no sense")
        return answer

    def provision(self, params: dict[str, Any]) -> str:
        """Give the board a set of keys; the set_id that it then holds (hexadecimal)."""
        return self._give("provision", params)

    def rekey(self, params: dict[str, Any]) -> str:
        """Give the board new keys for its set; the set_id that it then holds (hexadecimal)."""
        return self._give("rekey", params)

    def _give(self, method: str, params: dict[str, Any]) -> str:
        answer = self.request(method, params, answer_s=self._store_s)
        set_id = answer.get("set_id") if isinstance(answer, dict) else None
        if not isinstance(set_id, str):
            raise BoardError(f"{self.port}: the board doesn't say which keys it holds")
        self.restarts = answer.get("restarts") is True
        return set_id

    def erase(self) -> None:
        """Have the board forget its keys and the passwords of its networks, and overwrite them."""
        self.request("erase", answer_s=ERASE_S)

    def reboot(self) -> None:
        """Start the board afresh."""
        self.request("reboot")

    def ask(
        self, method: str, params: dict[str, Any] | None = None, *, again: bool = False
    ) -> dict[str, Any]:
        """As `request`, where the result is an object."""
        answer = self.request(method, params, again=again, answer_s=self._store_s)
        if not isinstance(answer, dict):
            raise BoardError(f"{self.port}: the board's answer makes no sense")
        return answer

    def overhear(self, wait_s: float) -> str | None:
        """The next line that a program on the board printed, without its end; None for none within
        so many seconds."""
        try:
            return self._line.other(time.monotonic() + wait_s).decode(errors="replace")
        except TimeoutError:
            return None
        except OSError:
            raise BoardError(f"{self.port}: the board went away") from None

    def request(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        *,
        again: bool = False,
        answer_s: float | None = None,
    ) -> Any:
        """The result of one request. `again`: asking twice does no harm, so that silence may be
        answered by asking again."""
        self.delivered = False
        self._line.begin()
        try:
            with notice.waiting(f"asking the board at {self.port}"):
                return self._request(method, params, again, answer_s or self._answer_s)
        except serial.SerialTimeoutException:
            raise BoardError(f"{self.port}: the board takes no input") from None
        except OSError:  # SerialException is one
            raise BoardError(f"{self.port}: the board went away") from None

    def _request(
        self, method: str, params: dict[str, Any] | None, again: bool, answer_s: float
    ) -> Any:
        identifier = next(self._ids)
        request = {"jsonrpc": "2.0", "id": identifier, "method": method}
        if params is not None:
            request["params"] = params
        try:
            *pieces, last = framing.cut(json.dumps(request, separators=(",", ":")).encode())
        except terminal.Oversized as error:
            raise RefusedError(str(error)) from None
        for number, piece in enumerate(pieces):
            self._send_piece(piece, framing.acknowledgement(number))
        end = time.monotonic() + answer_s
        for attempt in range(_TRIES):
            if again and attempt == _NUDGE_AT:
                self._line.nudge()
            self.delivered = True
            self._line.write(last)
            wait = max(0.0, end - time.monotonic())
            if again and attempt < _TRIES - 1:  # soon at first: a board that boots is deaf
                wait = min(wait, _FIRST_WAIT_S * 2**attempt)
            try:
                return self._answer(identifier, wait)
            except _Damaged:
                continue
            except TimeoutError:
                if self._line.leave_raw_repl():
                    self._line.begin()
                    return self._request(method, params, again, max(answer_s, ANSWER_S))
                if not again or (self.at_repl and not self._line.heard):
                    break
        raise self._line.silence()

    def _send_piece(self, piece: bytes, acknowledgement: bytes) -> None:
        for _ in range(_TRIES):
            self._line.write(piece)
            with contextlib.suppress(_Damaged, TimeoutError):
                self._await(lambda text: text == acknowledgement or None, self._answer_s / _TRIES)
                return
        raise self._line.silence()

    def _answer(self, identifier: int, wait: float) -> Any:
        """The result for `identifier`; raises TimeoutError, _Damaged, ConsoleRefusedError."""

        def ours(text: bytes) -> dict[str, Any] | None:
            answer = _decode(text)
            if answer is None or answer.get("id") != identifier or "method" in answer:
                return None
            return answer if "result" in answer or isinstance(answer.get("error"), dict) else None

        answer = self._await(ours, wait)
        if "result" in answer:
            return answer["result"]
        code, message = answer["error"].get("code"), answer["error"].get("message")
        raise ConsoleRefusedError(code if isinstance(code, int) else 0, _printable(str(message)))

    def _await(self, wanted: Callable[[bytes], _T | None], wait: float) -> _T:
        """What `wanted` makes of the first covered line that it doesn't make None of.

        Raises TimeoutError after `wait` seconds; _Damaged if the board complained of a damaged
        line and then fell silent (an earlier line of noise may have been meant, not ours).
        """
        end = time.monotonic() + wait
        damaged = False
        while True:
            try:
                text = self._line.next(time.monotonic() + _QUIET_S if damaged else end)
            except TimeoutError:
                if damaged:
                    raise _Damaged from None
                raise
            answer = _decode(text)
            if answer and answer.get("id", 0) is None and _code(answer) == _PARSE_ERROR:
                damaged = True
            found = wanted(text)
            if found is not None:
                return found


def _decode(text: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None


def _code(answer: dict[str, Any]) -> Any:
    error = answer.get("error")
    return error.get("code") if isinstance(error, dict) else None


def _printable(text: str) -> str:
    """A board's message as one line that a terminal shows and doesn't obey."""
    return "".join(c if c.isprintable() else "?" for c in text)[:200]
