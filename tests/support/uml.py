"""A kernel with Mobile IPv6, for what this machine's own may lack: Debian's `user-mode-linux`.

It is a kernel as a process: it boots in seconds, on this host's own files, which it can read and
not write, and runs one command as root. `run` gives the exit code.

    code = uml.run([sys.executable, "-m", "pytest", "tests/…"], timeout_s=120)

All that it writes is in its memory, but for the folder given as `shared`. It runs in a process
namespace of its own, whose end takes all of its processes along.
"""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from roamkey.lab import sandbox

INIT = Path(__file__).parent / "uml_init.py"
_TOLD = "/mnt/told"  # see `uml_init`
_ROOT = Path(__file__).parents[2]
SHARED = "/mnt/shared"  # where the kernel's programs find that folder
INSIDE = "ROAMKEY_TESTS_IN_KERNEL"
_MEMORY = "1G"
_MODULES = Path("/usr/lib/uml/modules")
_KILLED = 124  # as of timeout(1)


def inside() -> bool:
    """Whether this process runs in such a kernel."""
    return os.environ.get(INSIDE) == "1"


def refusal() -> str | None:
    """Why there is none here, in a line; None where there is."""
    if shutil.which("linux.uml") is None:
        return "no kernel with Mobile IPv6 to boot (Debian, Ubuntu: apt install user-mode-linux)"
    if _modprobe() is None:
        return "the kernel's modules can't be loaded (Debian, Ubuntu: apt install kmod)"
    return None


def run(
    command: Sequence[str],
    timeout_s: float,
    shared: Path | None = None,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    output: int | None = None,
) -> int:
    """Boot it, run a command, end it; the command's exit code, 124 where it took too long.

    `folder`: where the command runs, by default the current one; `environment`: of it, beside a
    few variables; `output`: a descriptor for what it and the kernel print, by default ours. Raises
    SystemRefusedError where there are no namespaces.
    """
    with tempfile.TemporaryDirectory(prefix="roamkey-uml-") as told:
        version = _version()
        (Path(told) / "lib/modules").mkdir(parents=True)
        (Path(told) / "lib/modules" / version).symlink_to(_MODULES / version)
        (Path(told) / "modprobe").write_text(f'#!/bin/sh\nexec {_modprobe()} -d {_TOLD} "$@"\n')
        (Path(told) / "modprobe").chmod(0o755)
        job = {
            "command": list(command),
            "folder": str(folder or Path.cwd()),
            "shared": str(shared) if shared else "",
            "seen": _seen({_ROOT, Path(sys.prefix), Path(sys.base_prefix)}),
            "environment": {
                "PATH": os.environ.get("PATH", os.defpath),
                "LANG": "C.UTF-8",
                "CI": os.environ.get("CI", ""),
                **(environment or {}),
                INSIDE: "1",
            },
        }
        (Path(told) / "job.json").write_text(json.dumps(job))
        guard = sandbox.fork()
        if guard == 0:
            _boot(Path(told), output)
        try:
            return _wait(guard, Path(told), timeout_s)
        except BaseException:
            os.kill(guard, signal.SIGKILL)
            sandbox.wait(guard)
            raise


def _seen(needed: set[Path]) -> list[str]:
    """What of it that kernel's own /tmp would hide."""
    hidden = {one for one in needed if one.is_relative_to("/tmp")}
    return [str(one) for one in hidden if not hidden & set(one.parents)]


def _boot(told: Path, output: int | None) -> None:
    """In the sandbox: have the kernel run, until it halts."""
    code = 1
    try:
        kernel = [
            "linux.uml", f"mem={_MEMORY}", "rootfstype=hostfs", "rootflags=/", "ro", "loglevel=1",
            f"uml_dir={told}/", "con=null", "con0=fd:0,fd:1", f"init={sys.executable}", "--",
            str(INIT), str(told),
        ]  # fmt: skip
        code = subprocess.run(
            kernel, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        ).returncode
    finally:
        os._exit(code)


def _wait(guard: int, told: Path, timeout_s: float) -> int:
    pidfd = os.pidfd_open(guard)
    try:
        ended = bool(select.select([pidfd], [], [], timeout_s)[0])
    finally:
        os.close(pidfd)
    if not ended:
        os.kill(guard, signal.SIGKILL)
    sandbox.wait(guard)
    if not ended:
        return _KILLED
    try:
        return int((told / "code").read_text())
    except (OSError, ValueError):
        return 1  # it never came to the command's end


def _version() -> str:
    told = subprocess.run(["linux.uml", "--version"], capture_output=True, text=True, check=True)
    return told.stdout.split()[-1]


def _modprobe() -> str | None:
    return shutil.which("modprobe", path=os.pathsep.join((os.defpath, "/usr/sbin", "/sbin")))
