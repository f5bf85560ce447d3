"""`EmulatedPicoW`: a Pico W that can be switched on, unplugged and looked into."""

import contextlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from roamkey import children, extras
from roamkey.board import images
from roamkey.errors import BadInputError, BoardError, SystemRefusedError
from roamkey.lab.emulated import EmulatedBoard
from roamkey.lab.pico_w.wear import Wear
from roamkey.lab.virtual_board.process import Spawn

RESET = 75  # exit code of the emulator where the firmware resets the chip (machine.reset())
DEFAULT_NETWORK = "RP2040PY-GUEST"  # what rp2040py's chip calls its own
_BOOT_S = 120.0
_END_S = 5.0


def check_uf2(uf2: Path) -> None:
    """Raise BadInputError unless the file is firmware for an RP2040."""
    try:
        with uf2.open("rb") as file:
            block = file.read(images.UF2_BLOCK)
    except OSError as error:
        raise BadInputError(f"{uf2}: {error.strerror}") from error
    family = images.uf2_family(block)
    if family is None:
        raise BadInputError(f"{uf2}: not a UF2 file")
    if family != images.RP2040:
        raise BadInputError(f"{uf2}: firmware for another chip than the RP2040")


class EmulatedPicoW(EmulatedBoard):
    """An emulated Pico W with its file system in an image file, as a context manager.

    uf2: a MicroPython build of RPI_PICO_W. image: its file system (made, empty, if missing; by
    default in a folder that vanishes with the board). networks: open Wi-Fi networks in reach,
    name to TAP device (made where the process runs; None: a network with nothing behind it).
    spawn: starts the process, like subprocess.Popen (for one in a network namespace).
    Raises BadInputError, SystemRefusedError (rp2040py missing, no TAP), BoardError (no boot).
    """

    def __init__(
        self,
        uf2: Path,
        *,
        image: Path | None = None,
        networks: Mapping[str, str | None] | None = None,
        spawn: Spawn = subprocess.Popen,
    ) -> None:
        check_uf2(uf2)
        if find_spec("rp2040py") is None:
            raise SystemRefusedError(extras.missing("rp2040py", "an emulated Pico W"))
        self._uf2 = uf2.resolve()
        self._networks = {DEFAULT_NETWORK: None} if networks is None else dict(networks)
        self._spawn = spawn
        super().__init__("pico-w")
        self.image = (image or self._run / "fs.bin").absolute()
        self._seconds_before = 0.0

    @property
    def asks_for_reset(self) -> bool:
        """Whether its firmware has reset the chip: `power_cut` and `power_on` are what follows."""
        return self._process is not None and self._process.poll() == RESET

    def power_on(self) -> None:
        """Boot and wait until its USB console is there. Nothing happens if it has power."""
        if self.running:
            return
        with (self._run / "emulator.log").open("ab") as log:
            self._process = self._spawn(
                self._command(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        try:
            told = self._wait_for_console()
        except BaseException:
            self.power_cut()
            raise
        self._lead_to(told)

    def power_cut(self) -> None:
        """Unplug it: the image is as it was at that instant. Nothing happens without power."""
        if self._process is None:
            return
        self._process.kill()
        self._reap()

    def stop(self) -> None:
        """End the emulator and remove what it made, save an image that was named."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()  # the end of its commands: it ends in good order
            children.end(self._process, None, _END_S)
            self.power_cut()
        self._folder.cleanup()

    def lose_network(self, name: str) -> None:
        """Carry the board out of a network's reach. Raises BoardError without power."""
        self._tell(f"lose {name}")

    def regain_network(self, name: str) -> None:
        """Carry it back into reach. Raises BoardError without power."""
        self._tell(f"regain {name}")

    def flash_log(self) -> Wear:
        """What its flash went through since this object was made, over all power cycles."""
        log = self._run / "flash.log"
        return Wear.read(log) if log.exists() else Wear()

    def seconds(self) -> float:
        """Seconds by the board's own clock since this object was made (tenths exact)."""
        return self._seconds_before + self._seconds_now()

    def _seconds_now(self) -> float:
        clock = self._run / "clock"
        return float(clock.read_text()) if clock.exists() else 0.0

    def _command(self) -> Sequence[str]:
        networks = [f"{name}={tap}" if tap else name for name, tap in self._networks.items()]
        return [
            sys.executable,
            "-m",
            "roamkey.lab.pico_w.emulator",
            *("--uf2", str(self._uf2), "--image", str(self.image), "--run", str(self._run)),
            *(word for network in networks for word in ("--network", network)),
        ]

    def _wait_for_console(self) -> str:
        assert self._process is not None
        answer = children.first_object(self._process, _BOOT_S)
        if "error" in answer:
            kind = {"BadInputError": BadInputError, "SystemRefusedError": SystemRefusedError}
            raise kind.get(answer["kind"], BoardError)(answer["error"])
        if "repl" not in answer:
            raise BoardError(f"{self._uf2.name}: no USB console: is it built for RPI_PICO_W?")
        return str(answer["repl"])

    def _tell(self, command: str) -> None:
        if self._process is None or self._process.stdin is None or not self.running:
            raise BoardError("the emulated Pico W has no power")
        self._process.stdin.write(command.encode() + b"\n")
        self._process.stdin.flush()

    def _reap(self) -> None:
        assert self._process is not None
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self._process = None
        self._seconds_before += self._seconds_now()
        (self._run / "clock").unlink(missing_ok=True)
        (self._run / "repl").unlink(missing_ok=True)
