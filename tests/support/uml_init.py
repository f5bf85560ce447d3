"""The first program of the kernel of `uml`: makes it a place to live in, runs the job, halts.

It gets the folder of the job; what it can't do is said on the console, and then the kernel halts.
"""

import ctypes
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

# linux/reboot.h
_POWER_OFF = 0x4321FEDC
_READ_ONLY = 1  # MS_RDONLY, sys/mount.h
_LOAD = (
    "mip6",
    "xfrm_user",
    "tun",
    "veth",
    "bridge",
    "ip6_tunnel",
    "sit",
    "fou",
    "fou6",
    "nf_tables",
)

_libc = ctypes.CDLL(None, use_errno=True)


def _mount(source: str, target: str, kind: str, options: str = "", flags: int = 0) -> None:
    done = _libc.mount(source.encode(), target.encode(), kind.encode(), flags, options.encode())
    if done < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount {target}: {os.strerror(number)}")


def _furnish(told: Path, job: dict[str, object]) -> None:
    _mount("proc", "/proc", "proc")
    _mount("sys", "/sys", "sysfs")
    _mount("run", "/run", "tmpfs")
    _mount("mnt", "/mnt", "tmpfs")
    Path("/mnt/told").mkdir()
    _mount("told", "/mnt/told", "hostfs", str(told))
    if job["shared"]:
        Path("/mnt/shared").mkdir()
        _mount("shared", "/mnt/shared", "hostfs", str(job["shared"]))
    _mount("tmp", "/tmp", "tmpfs")
    Path("/tmp").chmod(0o1777)
    for folder in job["seen"]:
        Path(folder).mkdir(parents=True)
        _mount("seen", folder, "hostfs", folder, _READ_ONLY)
    for name, kind in (("pts", "devpts"), ("shm", "tmpfs")):
        Path("/dev", name).mkdir(exist_ok=True)
        _mount(name, f"/dev/{name}", kind)
    Path("/dev/ptmx").exists() or Path("/dev/ptmx").symlink_to("pts/ptmx")
    script = "/mnt/told/modprobe"
    Path("/proc/sys/kernel/modprobe").write_text(script)
    for module in _LOAD:
        subprocess.run([script, "-q", module], check=False)
    Path("/proc/sys/net/ipv6/conf/default/accept_dad").write_text("0")


def main() -> None:
    """Run the job of the folder given."""
    told, code = Path(sys.argv[1]), 1
    try:
        job = json.loads((told / "job.json").read_text())
        _furnish(told, job)
        environment = {"HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1", **job["environment"]}
        code = subprocess.run(job["command"], cwd=job["folder"], env=environment).returncode
        Path("/mnt/told/code").write_text(str(code))
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    os.sync()
    _libc.reboot(_POWER_OFF)


if __name__ == "__main__":
    main()
