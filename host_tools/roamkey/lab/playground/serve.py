"""The process behind a playground: makes it, and does what `roamkey lab` asks until `down`.

    python -m roamkey.lab.playground.serve bare|whole

Processes as `sandbox.ensure` has them: those outside wait, the one inside does all. All hold the
lock (playground.py), which goes with them however they end; the kernel ends what is inside with
those outside. Standard output is lines of JSON: {"told": text} as it comes up, then {"ready":
facts} or {"failed": text, "code": exit code}; after that nothing is read or written there.

Asked over a Unix socket in the playground's folder, which is its user's alone: one request a
connection, {"method", "parameters"} to {"result"} or {"error", "code"}. `enter` gives the
descriptors of the namespaces, too.
"""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from roamkey import playground
from roamkey.errors import BadInputError, RefusedError, RoamkeyError, SystemRefusedError
from roamkey.lab import sandbox
from roamkey.lab.playground.forward import Forward
from roamkey.lab.playground.world import PAGE, World

SOCKET = "control"
NAMESPACES = ("user", "mnt", "pid")
_REQUEST_OCTETS_MAX = 4096
_PATIENCE_S = 5.0  # for the request of who has connected
_SUDO = '#!/bin/sh\n# In the playground one is root already.\nexec "$@"\n'


@contextlib.contextmanager
def folder_opened(folder: Path) -> Iterator[str]:
    """A short path to a folder: a Unix socket's has 107 octets at most."""
    descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def main(bare: bool) -> None:
    """Make it and serve it; returns at its end. What fails is said on standard output."""
    try:
        lock = _take()
        page = _listener()
        sandbox.ensure()
    except (RoamkeyError, OSError) as error:
        _say({"failed": str(error), "code": getattr(error, "exit_code", 5)})
        sys.exit(1)
    with lock, page:
        _serve(bare, page)


def _take() -> Any:
    """The lock, and an empty folder: what a killed playground left is removed."""
    path = playground.lock()
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RefusedError("a playground is up already: roamkey lab status, lab down") from None
    folder = playground.folder()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    programs = folder / "bin"
    programs.mkdir()
    sudo = programs / "sudo"
    sudo.write_text(_SUDO)
    sudo.chmod(0o755)
    return lock


def _listener() -> socket.socket:
    """Where a browser of this host finds the page: its usual port, or one that is free."""
    for family, host in ((socket.AF_INET6, PAGE[0]), (socket.AF_INET, "127.0.0.1")):
        for port in (PAGE[1], 0):
            one = socket.socket(family, socket.SOCK_STREAM)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                one.bind((host, port))
                one.listen()
                return one
            except OSError as error:
                one.close()
                if error.errno != errno.EADDRINUSE:  # a host without IPv6
                    break
    raise SystemRefusedError("no port of this host's loopback is to be had for the page")


def _say(what: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(what), flush=True)


def _serve(bare: bool, page: socket.socket) -> None:
    folder = playground.folder()
    try:
        with World(folder, bare, lambda text: _say({"told": text})) as world:
            served = world.network.namespace("correspondent")

            def connect() -> socket.socket:
                one = served.socket(socket.AF_INET6, socket.SOCK_STREAM)
                one.connect(PAGE)
                return one

            Forward(page, connect)
            host, port = page.getsockname()[:2]
            url = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
            with _control(folder) as control:
                _say({"ready": {**world.facts(), "page": url}})
                _become_silent(folder)
                _Server(world, url, control).run()
    except (RoamkeyError, TimeoutError, OSError) as error:
        _say({"failed": str(error), "code": getattr(error, "exit_code", 5)})
        sys.exit(1)


@contextlib.contextmanager
def _control(folder: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        with folder_opened(folder) as short:
            one.bind(f"{short}/{SOCKET}")
        one.listen()
        yield one


def _become_silent(folder: Path) -> None:
    """Nobody reads us from now on; what goes wrong stands in a file."""
    with (folder / "playground.log").open("ab") as log, Path(os.devnull).open("rb") as nothing:
        sys.stdout.flush()
        for descriptor, file in ((0, nothing), (1, log), (2, log)):
            os.dup2(file.fileno(), descriptor)


class _Server:
    """Answers requests, one after the other, until one is `down`."""

    def __init__(self, world: World, url: str, control: socket.socket) -> None:
        self._world = world
        self._url = url
        self._control = control
        self._going = True

    def run(self) -> None:
        while self._going:
            caller, _ = self._control.accept()
            with caller, contextlib.suppress(OSError):  # who asked is gone
                caller.settimeout(_PATIENCE_S)
                self._answer(caller)

    def _answer(self, caller: socket.socket) -> None:
        descriptors: list[int] = []
        try:
            request = json.loads(caller.recv(_REQUEST_OCTETS_MAX))
            result = self._do(request["method"], request["parameters"], descriptors)
            answer = {"result": result}
        except (RoamkeyError, TimeoutError, ValueError, KeyError, TypeError) as error:
            answer = {"error": str(error), "code": getattr(error, "exit_code", 5)}
        try:
            octets = json.dumps(answer).encode()
            if descriptors:
                socket.send_fds(caller, [octets], descriptors)
            else:
                caller.sendall(octets)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _do(self, method: str, parameters: dict[str, Any], descriptors: list[int]) -> Any:
        world = self._world
        if method == "status":
            return {**world.facts(), "page": self._url}
        if method == "move":
            return {**world.move(str(parameters["network"])), "page": self._url}
        if method == "cut":
            return {**world.cut(float(parameters["off_s"])), "page": self._url}
        if method == "enter":
            host = str(parameters["host"])
            if host not in world.hosts:
                raise BadInputError(f"no host {host} here: {', '.join(world.hosts)}")
            for name in NAMESPACES:
                descriptors.append(os.open(f"/proc/self/ns/{name}", os.O_RDONLY | os.O_CLOEXEC))
            descriptors.append(os.dup(world.network.namespace(host).descriptor))
            return world.variables
        if method == "down":
            self._going = False
            return {}
        raise BadInputError(f"no method {method}")


if __name__ == "__main__":
    main(sys.argv[1] == "bare")
