"""A module of the laboratory as a process of its own, spoken to over a pair of sockets.

Bridge and advertiser each have their process: the interpreter lock of a busy main program would
delay their packets. Requests and answers are JSON objects, one a line; the first line from the
helper says that it is ready; it exits when the other end closes.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from roamkey import children
from roamkey.lab.namespaces import Namespace

_START_TIMEOUT_S = 20.0


class Helper:
    """The caller's end. Starts `python -m MODULE DESCRIPTOR CONFIGURATION` in a namespace."""

    def __init__(self, namespace: Namespace, module: str, configuration: object) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = namespace.popen(
                [sys.executable, "-m", module, str(theirs.fileno()), json.dumps(configuration)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # the terminal's Ctrl-C is not for it
                env={**os.environ, "PYTHONSAFEPATH": "1"},
            )
        ours.settimeout(_START_TIMEOUT_S)
        self._module = module
        self._socket = ours
        self._lines = ours.makefile("rb")
        self._answer()

    def ask(self, method: str, **parameters: object) -> Any:
        """Call a method of the helper and return its result; raises RuntimeError if it fails."""
        request = json.dumps({"method": method, "parameters": parameters})
        self._socket.sendall(request.encode() + b"\n")
        return self._answer()

    def kill(self) -> None:
        """End the process with SIGKILL, and wait for it; `close` is still due."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process and wait for it."""
        self._lines.close()
        self._socket.close()
        children.end(self._process, None)

    def _answer(self) -> Any:
        line = self._lines.readline()
        if not line:
            raise RuntimeError(f"{self._module} ended (exit code {self._process.wait()})")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{self._module}: {answer['error']}")
        return answer["result"]


class Control:
    """The helper's end: `fileno` for select, and `serve` when it is readable."""

    def __init__(self, descriptor: int, methods: dict[str, Callable[..., object]]) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._socket = socket.socket(fileno=descriptor)
        self._methods = methods
        self._received = b""

    def ready(self) -> None:
        self._send({"result": "ready"})

    def fileno(self) -> int:
        return self._socket.fileno()

    def serve(self) -> bool:
        """Serve what has arrived; False when the other end has closed."""
        try:
            data = self._socket.recv(65536)
        except ConnectionResetError:
            return False
        self._received += data
        *lines, self._received = self._received.split(b"\n")
        for line in lines:
            request = json.loads(line)
            try:
                answer = {"result": self._methods[request["method"]](**request["parameters"])}
            except (OSError, ValueError, KeyError) as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            self._send(answer)
        return bool(data)

    def _send(self, answer: dict[str, object]) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._socket.sendall(json.dumps(answer).encode() + b"\n")
