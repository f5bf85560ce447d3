"""The sandbox: what it says when it is refused, and that nothing is left behind, ever."""

import ctypes
import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest

from roamkey.errors import SystemRefusedError
from roamkey.lab import sandbox, syscalls
from roamkey.lab.namespaces import Namespace
from roamkey.waiting import until

MARK = "ROAMKEY_TEST_MARK"
NOBODY = 65534
SCRIPT = """
import os, signal, sys, time
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it,
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and so does nohup
from roamkey.lab import sandbox
sandbox.ensure()
from roamkey.lab.network import Network
with Network() as network:
    network.attach("board", "wlan0", "visited1", dad=False)
    network.spawn("board", ["sh", "-c", sys.argv[2] + "sleep 1000 & wait; sleep 1000"])
    nodes = ("correspondent", "router", "switch", "board")
    inodes = [os.fstat(network.namespace(node).descriptor).st_ino for node in nodes]
    print(*inodes, flush=True)
    way = sys.argv[1]
    if way == "failure":
        raise ValueError("on purpose")
    if way == "wait":
        time.sleep(1000)
print("closed", flush=True)
"""


def marked_processes(mark: str) -> list[str]:
    """The command lines of the processes that carry the mark in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
        except OSError:
            continue  # it has ended, or isn't ours
    return found


def network_namespaces() -> set[int]:
    found = set()
    for link in Path("/proc").glob("[0-9]*/ns/net"):
        try:
            found.add(link.stat().st_ino)
        except OSError:
            continue
    return found


class Run:
    """The script above in a process; ends by itself or by a signal; then nothing is left."""

    def __init__(self, way: str, stubborn: bool = False) -> None:
        """stubborn: a process in the network ignores requests to end."""
        trap = "trap '' TERM; " if stubborn else ""
        self.mark = uuid.uuid4().hex
        self.interfaces = socket.if_nameindex()
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, way, trap],
            env={**os.environ, MARK: self.mark},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        first = self.process.stdout.readline().split()
        if not first:
            error = self.process.communicate()[1]
            if "needs namespaces of its own" in error:
                pytest.skip(error.strip().splitlines()[-1])
            raise AssertionError(error)
        self.inodes = {int(inode) for inode in first}

    def finish(self) -> tuple[int, str, str]:
        try:
            out, error = self.process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        deadline = time.monotonic() + 60
        left = self.inodes
        while time.monotonic() < deadline:  # the kernel is still at it
            processes = marked_processes(self.mark)
            # The number of one that is gone may be given to the next, of whoever makes it.
            left = left & network_namespaces()
            if not processes and not left:
                break
            time.sleep(0.05)
        assert (processes, left) == ([], set())
        assert socket.if_nameindex() == self.interfaces
        return self.process.returncode, out, error


def test_nothing_is_left_after_success():
    assert Run("success", stubborn=True).finish()[:2] == (0, "closed\n")


def test_nothing_is_left_after_failure():
    code, _, error = Run("failure").finish()
    assert code == 1
    assert "on purpose" in error


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_nothing_is_left_after_a_signal(number, code):
    run = Run("wait")
    # One that is about to become another program shows no environment for a moment.
    assert until(lambda: len(marked_processes(run.mark)) >= 6, 20)
    run.process.send_signal(number)
    assert run.finish()[:2] == (code, "")


def test_nothing_is_left_after_ctrl_c():
    run = Run("wait")
    os.killpg(run.process.pid, signal.SIGINT)  # as the terminal does: to the whole group
    assert "KeyboardInterrupt" in run.finish()[2]


def test_nothing_is_left_after_sigkill():
    run = Run("wait", stubborn=True)
    run.process.kill()
    assert run.finish()[0] == -signal.SIGKILL


def test_nothing_is_left_when_the_sandboxed_process_is_killed():
    run = Run("wait")
    supervisor = children(run.process.pid)[0]
    os.kill(children(supervisor)[0], signal.SIGKILL)
    assert run.finish()[0] == 128 + signal.SIGKILL


def children(process: int) -> list[int]:
    listing = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(child) for child in listing.split()]


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSPC])
def test_a_refusal_is_one_line_that_says_what_to_do(monkeypatch, number):
    def refuse(flags: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(syscalls, "unshare", refuse)
    with pytest.raises(SystemRefusedError, match="needs namespaces of its own") as caught:
        sandbox.fork()
    assert "\n" not in str(caught.value)
    assert not sandbox.inside()


def test_the_ubuntu_restriction_is_named(monkeypatch):
    setting = "kernel/apparmor_restrict_unprivileged_userns"
    monkeypatch.setattr(sandbox, "_setting", {setting: 1}.get)
    explained = sandbox._explain(PermissionError(errno.EPERM, "Operation not permitted"))
    assert "sysctl kernel.apparmor_restrict_unprivileged_userns=0" in explained


@pytest.mark.skipif(os.geteuid() != 0, reason="the other lab tests run as an ordinary user")
def test_an_ordinary_user_gets_namespaces_too():
    """Root becomes an ordinary user in a child, which enters a sandbox."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            # Changing the user made us undumpable, and our files in /proc root's; login undoes it.
            ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
            code = _cable_in_a_sandbox()
        except SystemRefusedError:
            code = 77
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == 77:
        pytest.skip("user namespaces are forbidden here")
    assert code == 0


def _cable_in_a_sandbox() -> int:
    supervisor = sandbox.fork()
    if supervisor:
        return sandbox.wait(supervisor)
    one, other = Namespace("one"), Namespace("other")
    one.add_veth("a", "02:00:00:00:00:01", other, "b", "02:00:00:00:00:02")
    one.set_ipv6("a", forwarding=1)
    assert os.geteuid() == 0
    assert (one.interfaces(), other.interfaces()) == (["lo", "a"], ["lo", "b"])
    return 0


def test_a_childs_end_that_another_thread_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGCHLD goes to any thread that doesn't block it: pytest-xdist and others have some."""
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    held, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(held, 1)
        os._exit(7)
    real = os.waitpid

    def just_before_its_end(*given: int) -> tuple[int, int]:
        monkeypatch.setattr(os, "waitpid", real)
        os.write(go, b"1")
        time.sleep(0.5)
        return 0, 0

    monkeypatch.setattr(os, "waitpid", just_before_its_end)
    try:
        assert sandbox.wait(child) == 7
    finally:
        over.set()
        other.join()
