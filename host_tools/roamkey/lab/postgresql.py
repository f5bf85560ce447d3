"""A PostgreSQL server of one's own: on a Unix socket in a folder, gone when it is closed.

It runs from the programs of an installed package (Debian, Ubuntu: postgresql), as an ordinary
user, since PostgreSQL refuses to be root. Durable as in production: fsync and full-page writes
are on.
"""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from roamkey import children
from roamkey.errors import SystemRefusedError
from roamkey.waiting import until

_PROGRAMS = "/usr/lib/postgresql"
_USERS = ("postgres", "nobody")
_USER = "roamkey"
_DATABASE = "postgres"
_STARTS_S = 60.0
_STOPS_S = 30.0


def programs() -> Path | None:
    """The folder of the latest installed server's programs, or None."""
    found = [folder for folder in Path(_PROGRAMS).glob("*/bin") if (folder / "postgres").is_file()]
    return max(found, key=lambda folder: int(folder.parent.name.split(".")[0]), default=None)


class Server:
    """A running server; `url()` gives a fresh database in it. A context manager."""

    def __init__(self) -> None:
        """Make and start it; raises SystemRefusedError."""
        bin_folder = programs()
        if bin_folder is None:
            raise SystemRefusedError("PostgreSQL is not installed (package postgresql)")
        self._bin = bin_folder
        # A socket's path is short, and the server's user must reach it: not below a home folder.
        self._folder = Path(tempfile.mkdtemp(prefix="roamkey-pg-", dir="/tmp"))
        self._data = self._folder / "data"
        self._as_user = _drop_root(self._folder)
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()
        try:
            self._initialize()
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """Start it (again) over its data."""
        options: list[str | Path] = [
            "-D",
            self._data,
            "-k",
            self._folder,
            "-c",
            "listen_addresses=",
        ]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._as_user, self._bin / "postgres", *options],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,  # Ctrl-C is for its owner
            )
        process = self._process

        def answers() -> bool:
            return not self._run("pg_isready", "-q", check=False)

        ended_or_ready = until(lambda: answers() or process.poll() is not None, _STARTS_S, 0.05)
        if not ended_or_ready or process.poll() is not None:
            raise SystemRefusedError(f"PostgreSQL doesn't start: {self._last_words()}")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: connections are cut (SIGINT), or as a power cut would (SIGQUIT)."""
        children.end(self._process, how, _STOPS_S)
        self._process = None

    def processes(self) -> list[int]:
        """The server's processes, its first one first: to stop and kill, where it was started."""
        if self._process is None:
            return []
        first = self._process.pid
        children_of = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children_of)]

    def close(self) -> None:
        """Stop it, and remove all that it had. A forked child's copy has no say in that."""
        if os.getpid() != self._owner:
            return
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self) -> str:
        """The SQLAlchemy URL of something as good as a new, empty database: a schema in one."""
        name = f"registry_{secrets.token_hex(4)}"
        self._run("psql", "-q", "-c", f"CREATE SCHEMA {name}", _DATABASE)
        options = f"host={self._folder}&options=-csearch_path%3D{name}"
        return f"postgresql+psycopg://{_USER}@/{_DATABASE}?{options}"

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _initialize(self) -> None:
        command: list[str | Path] = [
            self._bin / "initdb",
            "-D",
            self._data,
            "-U",
            _USER,
            "--auth=trust",
        ]
        done = subprocess.run(
            [*self._as_user, *command, "--encoding=UTF8", "--no-locale"],
            cwd=self._folder,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemRefusedError(f"initdb: {' '.join(done.stderr.split())[-300:]}")

    def _run(self, program: str, *arguments: str, check: bool = True) -> int:
        command: list[str | Path] = [
            self._bin / program,
            "-h",
            self._folder,
            "-U",
            _USER,
            *arguments,
        ]
        done = subprocess.run(command, cwd=self._folder, capture_output=True, text=True)
        if check and done.returncode:
            raise SystemRefusedError(f"{program}: {' '.join(done.stderr.split())}")
        return done.returncode

    def _last_words(self) -> str:
        text = (self._folder / "log").read_text(errors="replace")
        return " ".join(text.split())[-300:] or "no log"


def _drop_root(folder: Path) -> list[str | Path]:
    """What to put before a command so that an ordinary user runs it; the folder becomes theirs."""
    if os.geteuid():
        return []
    for name in _USERS:
        try:
            user = pwd.getpwnam(name)
            os.chown(folder, user.pw_uid, user.pw_gid)
        except (KeyError, OSError):  # no such user, or one that this user namespace doesn't map
            continue
        folder.chmod(0o711)  # the socket is reached through it
        return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    raise SystemRefusedError("PostgreSQL needs an ordinary user to run as; none here")
