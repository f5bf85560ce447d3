"""What emulated boards have in common: a process, a folder of its own, a console at one path."""

import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import TypeVar

_Board = TypeVar("_Board", bound="EmulatedBoard")


class EmulatedBoard:
    """A context manager, with power inside. A kind of board says what `power_on` and `stop` do."""

    def __init__(self, kind: str) -> None:
        """Without power. `kind`: for the folder's name."""
        self._folder = tempfile.TemporaryDirectory(prefix=f"roamkey-{kind}-")
        self._run = Path(self._folder.name)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self: _Board) -> _Board:
        try:
            self.power_on()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def power_on(self) -> None:
        """Plug it in. Nothing happens if it has power."""
        raise NotImplementedError

    def stop(self) -> None:
        """End the emulator and remove what it made, save an image that was named."""
        raise NotImplementedError

    @property
    def repl(self) -> str:
        """The path of the console's pty: for mpremote, pyserial; the same after a power cycle."""
        return str(self._run / "repl")

    @property
    def running(self) -> bool:
        """Whether the board has power and the emulator lives."""
        return self._process is not None and self._process.poll() is None

    def _lead_to(self, pty: str) -> None:
        """Have `repl` lead there."""
        link = self._run / "repl.new"
        link.unlink(missing_ok=True)
        link.symlink_to(pty)
        link.replace(self._run / "repl")
