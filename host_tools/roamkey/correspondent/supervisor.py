"""What systemd is told: sd_notify(3), in as many lines as it takes."""

import os
import socket
from contextlib import suppress


def notify(**states: str) -> None:
    """Send states, as `notify(READY="1", STATUS="...")`; nothing happens where nobody listens."""
    target = os.environ.get("NOTIFY_SOCKET", "")
    if target[:1] not in ("/", "@"):
        return
    text = "\n".join(f"{name}={value}" for name, value in states.items())
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as one,
        suppress(OSError),  # the service runs, whether or not that could be told
    ):
        one.connect(target.replace("@", "\0", 1) if target[0] == "@" else target)
        one.sendall(text.encode())
