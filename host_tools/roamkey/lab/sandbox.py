"""A sandbox for the laboratory: namespaces of its own, which the kernel removes with it.

The sandbox is a child process with its own mount, network and process namespaces; without root
it has a user namespace too, in which it is root. Three processes take part:

    caller ── guard ── child (number 1 in its process namespace) ── whatever it starts

The kernel kills the guard when the caller dies, the child when the guard dies, and
every process of a process namespace when its number 1 dies. So nothing outlives the caller,
also after SIGKILL; and as no namespace has a name in the file system, each vanishes with its
last process and descriptor.
"""

import errno
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from roamkey.errors import SystemRefusedError
from roamkey.lab import syscalls

_NAMESPACES = syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET | syscalls.CLONE_NEWPID
_FORWARDED = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
_WATCHED = {*_FORWARDED, signal.SIGCHLD}
_LOOK_S = 0.2

_inside = False


def inside() -> bool:
    """Whether this process runs in a sandbox."""
    return _inside


def ensure() -> None:
    """Continue inside a sandbox: what follows runs in a child process, unless we are inside.

    The calling process waits, passes signals on and exits with the child's status (128 + number
    after a signal). Call it first thing, before threads start. In the child SIGTERM and SIGHUP
    raise SystemExit, so that context managers clean up.

    Raises SystemRefusedError where the system forbids namespaces; it names the way out.
    """
    if _inside:
        return
    guard = fork()
    if guard:
        sys.exit(wait(guard))


def fork() -> int:
    """Fork into a sandbox: returns 0 in the sandboxed child and a process id in the caller.

    That process (the guard) exits with the child's status; see `wait`. The caller may have
    threads: as with os.fork, the child has only the calling one.

    Raises SystemRefusedError where the system forbids namespaces; it names the way out.
    """
    if sys.platform != "linux":
        raise SystemRefusedError("the laboratory needs Linux namespaces")
    sys.stdout.flush()
    sys.stderr.flush()
    caller = os.getpid()
    refusal, report = os.pipe()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    guard = os.fork()
    if guard == 0:
        os.close(refusal)
        _supervise(caller, report)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return 0
    os.close(report)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    with os.fdopen(refusal, "rb") as pipe:
        message = pipe.read().decode()
    if message:
        os.waitpid(guard, 0)
        raise SystemRefusedError(message)
    return guard


def wait(child: int) -> int:
    """Wait for a child process; pass SIGINT, SIGTERM and SIGHUP on to it. Returns its exit code.

    A signal from the terminal reaches the child anyway, and a second one would interrupt its
    cleaning up: only those sent by a process are passed on.
    """
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    try:
        while True:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
            received = signal.sigtimedwait(_WATCHED, _LOOK_S)
            if received is None:  # a thread of the caller's may have taken SIGCHLD
                continue
            if received.si_signo in _FORWARDED and received.si_code <= 0:  # SI_USER and kin
                os.kill(child, received.si_signo)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _supervise(caller: int, report: int) -> None:
    """Enter the namespaces and fork: returns in the child only, with the sandbox ready."""
    try:
        _enter_namespaces()
    except OSError as error:
        os.write(report, _explain(error).encode())
        os._exit(SystemRefusedError.exit_code)
    syscalls.signal_on_parent_death(signal.SIGKILL)
    if os.getppid() != caller:  # it died before we asked
        os._exit(1)
    alive, go = os.pipe()
    child = os.fork()
    if child:
        os.close(alive)
        os.write(go, b"1")
        os.close(report)
        os._exit(wait(child))
    os.close(go)
    syscalls.signal_on_parent_death(signal.SIGKILL)
    if not os.read(alive, 1):  # the guard died before we asked
        os._exit(1)
    os.close(alive)
    os.close(report)
    _move_in()


def _enter_namespaces() -> None:
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0:
        try:
            syscalls.unshare(_NAMESPACES)
        except PermissionError:  # root of a container may lack CAP_SYS_ADMIN
            syscalls.unshare(syscalls.CLONE_NEWUSER | _NAMESPACES)
            _become_root(uid, gid)
    else:
        syscalls.unshare(syscalls.CLONE_NEWUSER | _NAMESPACES)
        _become_root(uid, gid)
    # What we mount must not show outside.
    syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)


def _become_root(uid: int, gid: int) -> None:
    """Root of the new user namespace, as which exec keeps the capabilities."""
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")


def _move_in() -> None:
    global _inside
    _inside = True
    try:
        # A view of our own process namespace, with a writable /proc/sys for our own network.
        flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
        syscalls.mount("proc", "/proc", "proc", flags)
    except PermissionError:
        pass  # containers that mask parts of /proc forbid it; the outer view serves
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _exit_on_signal)


def _exit_on_signal(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _explain(error: OSError) -> str:
    """The one line for the user: what is forbidden, and what to do about it."""
    head = f"the laboratory needs namespaces of its own ({error.strerror})"
    if _setting("kernel/apparmor_restrict_unprivileged_userns") == 1:
        way = "run: sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"
    elif _setting("kernel/unprivileged_userns_clone") == 0:
        way = "run: sudo sysctl kernel.unprivileged_userns_clone=1"
    elif error.errno == errno.ENOSPC:
        full = [kind for kind in ("user", "mnt", "pid", "net") if not _room_for(kind)]
        way = f"run: sudo sysctl user.max_{(full or ['user'])[0]}_namespaces=10000"
    elif os.geteuid() == 0:
        way = "in a container, start it with --privileged"
    else:
        way = "run as root, or in a container start it with --privileged"
    return f"{head}: {way}"


def _room_for(kind: str) -> bool:
    return _setting(f"user/max_{kind}_namespaces") != 0


def _setting(name: str) -> int | None:
    try:
        return int(Path("/proc/sys", name).read_text())
    except (OSError, ValueError):
        return None
