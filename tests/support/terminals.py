"""The command on a terminal of its own, as a person has it."""

import os
import pty
import subprocess
import sys
import time


def on_terminal(words: list[str], asked: str = "\0", typed: str = "") -> tuple[str, int]:
    """What a terminal shows of `roamkey WORDS`, and its exit code; `typed` answers `asked`."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "roamkey", *words],
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # its own terminal
    )  # fmt: skip
    os.close(slave)
    shown, end = b"", time.monotonic() + 30
    answered = False
    while time.monotonic() < end:
        try:
            shown += os.read(master, 4096)
        except OSError:
            break
        if not answered and asked.encode() in shown:
            answered = True
            os.write(master, typed.encode() + b"\n")
    os.close(master)
    return shown.decode(), process.wait(10)
