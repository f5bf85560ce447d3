"""How the command speaks to the playground: starts it, asks it, enters it."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from roamkey import playground
from roamkey.errors import RefusedError, RoamkeyError, SystemRefusedError
from roamkey.lab import syscalls
from roamkey.lab.playground.serve import NAMESPACES, SOCKET, folder_opened
from roamkey.waiting import until

_DESCRIPTORS_MAX = 8
_ANSWER_OCTETS_MAX = 1 << 16
_ANSWER_S = 120.0  # a move on a busy machine
_GONE_S = 20.0


def _refusal(text: str, code: int) -> RoamkeyError:
    """What was said in there, as an error out here."""
    error = RoamkeyError(text)
    error.exit_code = code
    return error


def start(bare: bool, tell: Callable[[str], None]) -> dict[str, Any]:
    """Make a playground and have it go on by itself; how it is. `tell` hears what is done.

    Raises RoamkeyError.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "roamkey.lab.playground.serve", "bare" if bare else "whole"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONSAFEPATH": "1"},
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            said = json.loads(line)
            if "ready" in said:
                ready: dict[str, Any] = said["ready"]
                return ready
            if "failed" in said:
                raise _refusal(said["failed"], said["code"])
            tell(said["told"])
    except BaseException:  # Ctrl-C, too: nothing half made stays
        process.terminate()  # it passes that on: more of them would interrupt the end
        process.wait()
        raise
    raise SystemRefusedError(f"the playground ended (exit code {process.wait()})")


def ask(method: str, **parameters: Any) -> Any:
    """Have the playground do something; raises RoamkeyError as it does there."""
    return _ask(method, parameters)[0]


def _ask(method: str, parameters: Mapping[str, Any]) -> tuple[Any, list[int]]:
    folder = playground.folder()
    if not playground.is_up():
        raise RefusedError("no playground is up: roamkey lab up")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as one:
        one.settimeout(_ANSWER_S)
        try:
            with folder_opened(folder) as short:
                one.connect(f"{short}/{SOCKET}")
            request = {"method": method, "parameters": parameters}
            one.sendall(json.dumps(request).encode())
            octets, descriptors, _, _ = socket.recv_fds(
                one, _ANSWER_OCTETS_MAX, _DESCRIPTORS_MAX, socket.MSG_CMSG_CLOEXEC
            )
            while more := one.recv(_ANSWER_OCTETS_MAX):
                octets += more
        except OSError as error:
            raise SystemRefusedError(f"the playground doesn't answer: {error}") from None
    if not octets:
        raise SystemRefusedError("the playground ended meanwhile")
    answer = json.loads(octets)
    if "error" in answer:
        raise _refusal(answer["error"], answer["code"])
    return answer["result"], descriptors


def stop() -> None:
    """Take the playground down, and all that it kept; raises RoamkeyError. Of one that was killed
    the rest is removed."""
    if not playground.is_up() and playground.folder().is_dir():
        shutil.rmtree(playground.folder(), ignore_errors=True)
        return
    ask("down")
    if not until(lambda: not playground.is_up(), _GONE_S, 0.02):
        raise SystemRefusedError("the playground doesn't end")
    shutil.rmtree(playground.folder(), ignore_errors=True)


def run(host: str, argv: Sequence[str]) -> int:
    """Run a program on a host of the playground; its exit code. It ends with the playground.

    It is root there, and finds its registry and its board without a word; `sudo` does nothing.
    """
    variables, descriptors = _ask("enter", {"host": host})
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's goes to the program as well
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            _enter(descriptors)
            inside = os.fork()  # a process namespace takes in who is born there
            if inside == 0:
                syscalls.signal_on_parent_death(signal.SIGKILL)
                _become(argv, variables)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            os._exit(_code(os.waitpid(inside, 0)[1]))
        except OSError as error:
            print(f"roamkey: the playground: {error}", file=sys.stderr)
        os._exit(SystemRefusedError.exit_code)
    return _code(os.waitpid(child, 0)[1])


def _enter(descriptors: Sequence[int]) -> None:
    kinds = (syscalls.CLONE_NEWUSER, syscalls.CLONE_NEWNS, syscalls.CLONE_NEWPID)
    here = Path.cwd()
    ours = [Path(f"/proc/self/ns/{name}").stat() for name in NAMESPACES]
    for kind, descriptor, mine in zip(kinds, descriptors, ours, strict=False):
        if not os.path.samestat(os.fstat(descriptor), mine):
            syscalls.setns(descriptor, kind)
    syscalls.setns(descriptors[len(NAMESPACES)], syscalls.CLONE_NEWNET)
    os.chdir(here)


def _become(argv: Sequence[str], variables: Mapping[str, str]) -> None:
    ours = f"{playground.folder() / 'bin'}:{Path(sys.executable).parent}"
    environment = {**os.environ, **variables, "debian_chroot": "playground"}
    environment["PATH"] = f"{ours}:{os.environ.get('PATH', os.defpath)}"
    try:
        os.execvpe(argv[0], list(argv), environment)
    except OSError as error:
        print(f"roamkey: {argv[0]}: {error.strerror}", file=sys.stderr)
        os._exit(127)


def _code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
