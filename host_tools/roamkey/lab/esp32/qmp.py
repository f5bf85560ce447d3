"""QEMU's monitor (the QEMU Machine Protocol): JSON objects, a line each, on a local socket."""

import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from roamkey.errors import BoardError

_PATIENCE_S = 20.0
_AGAIN_S = 0.05


class Monitor:
    """The monitor at `path`; `close` it. Raises BoardError where nothing listens there in time, or
    as soon as `ended`."""

    def __init__(self, path: Path, ended: Callable[[], bool]) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(_PATIENCE_S)
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                self._socket.connect(str(path))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                if ended() or time.monotonic() > until:
                    self._socket.close()
                    raise BoardError("the emulator gives no monitor") from None
                time.sleep(_AGAIN_S)
        self._lines = self._socket.makefile("rb")
        try:
            self._next()  # its greeting
            self.ask("qmp_capabilities")
        except BaseException as error:
            self.close()
            if isinstance(error, (OSError, ValueError)):
                raise BoardError("the emulator's monitor makes no sense") from None
            raise

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._socket.close()

    def ask(self, command: str, **arguments: Any) -> Any:
        """Have it carried out; what it returns. Raises BoardError."""
        words = {"execute": command, "arguments": arguments}
        try:
            self._socket.sendall(json.dumps(words).encode() + b"\n")
            while True:
                answer = self._next()
                if "return" in answer:
                    return answer["return"]
                if "error" in answer:
                    raise BoardError(f"the emulator: {command}: {answer['error'].get('desc')}")
        except (OSError, ValueError) as error:
            raise BoardError(f"the emulator: {command}: {error}") from None

    def _next(self) -> dict[str, Any]:
        line = self._lines.readline()
        if not line:
            raise BoardError("the emulator has ended")
        found: dict[str, Any] = json.loads(line)
        return found
