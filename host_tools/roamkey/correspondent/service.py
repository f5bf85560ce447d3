"""What a service is told and tells: signals as something to select on, and sd_notify(3).

SIGTERM and SIGINT stop the daemon, SIGHUP reloads it.
"""

import os
import signal
import socket
import sys
import threading
from contextlib import suppress
from types import FrameType

from roamkey.errors import SystemRefusedError

STOPPING = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """A context: `wakeup` becomes readable when a signal came. Restores what was there before."""

    def __init__(self) -> None:
        """Nothing is caught yet."""
        self.stopped_by: signal.Signals | None = None
        self._reload = False

    def __enter__(self) -> "Signals":
        self.wakeup, self._write_end = socket.socketpair()
        self.wakeup.setblocking(False)
        self._write_end.setblocking(False)
        # A full pipe wakes as well as one octet does.
        self._old_fd = signal.set_wakeup_fd(self._write_end.fileno(), warn_on_full_buffer=False)
        self._old = {one: signal.signal(one, self._note) for one in (*STOPPING, signal.SIGHUP)}
        return self

    def __exit__(self, *_: object) -> None:
        for one, handler in self._old.items():
            signal.signal(one, handler)
        signal.set_wakeup_fd(self._old_fd)
        self.wakeup.close()
        self._write_end.close()

    def clear(self) -> None:
        """Let `wakeup` wait for the next signal."""
        with suppress(BlockingIOError):
            self.wakeup.recv(4096)

    def take_reload(self) -> bool:
        """Whether a SIGHUP came since this was last asked."""
        asked, self._reload = self._reload, False
        return asked

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._reload = True
        else:
            self.stopped_by = signal.Signals(number)


def feed_watchdog() -> None:
    """Tell systemd that all is well, where it watches (WatchdogSec)."""
    if "WATCHDOG_USEC" in os.environ:
        notify(WATCHDOG="1")


def notify(**states: str) -> None:
    """Tell systemd, as `notify(READY="1", STATUS="...")`; nothing happens where nobody listens."""
    target = os.environ.get("NOTIFY_SOCKET", "")
    if target[:1] not in ("/", "@"):
        return
    text = "\n".join(f"{name}={value}" for name, value in states.items())
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as one,
        suppress(OSError),  # the service runs, whether or not that could be told
    ):
        one.setblocking(False)
        one.connect(target.replace("@", "\0", 1) if target[0] == "@" else target)
        one.sendall(text.encode())


def end_in_time(seconds: float) -> None:
    """Whatever hangs on the way out, the process has ended in so many seconds."""

    def end() -> None:
        os.write(sys.stderr.fileno(), b"roamkey: something doesn't end, and is left behind\n")
        os._exit(SystemRefusedError.exit_code)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
