"""Child processes: roamkey's own command in one, its first words, and its end.

Whoever started a process ends it, by the object that stands for it and never by a name.
"""

import json
import os
import select
import signal
import subprocess
import sys
from typing import Any

PATIENCE_S = 5.0


def roamkey(*arguments: str | os.PathLike[str]) -> list[str]:
    """The command line that runs `roamkey ARGUMENTS` with this Python."""
    return [sys.executable, "-m", "roamkey", *map(str, arguments)]


def end(
    process: "subprocess.Popen[Any] | None",
    how: signal.Signals | None = signal.SIGTERM,
    patience_s: float = PATIENCE_S,
) -> int | None:
    """End a process and reap it; its exit code, or None where there is none.

    `how`: the signal that asks it to end; None: it was told otherwise. Where it doesn't in
    `patience_s` seconds it is killed.
    """
    if process is None:
        return None
    if how is not None:
        process.send_signal(how)  # which does nothing to one that was reaped
    try:
        return process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def first_object(process: "subprocess.Popen[bytes]", timeout_s: float) -> dict[str, Any]:
    """The first line that a process prints, as JSON; an empty object if none comes in time."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], timeout_s)
    line = os.read(process.stdout.fileno(), 4096) if ready else b""
    found: dict[str, Any] = json.loads(line) if line else {}
    return found
