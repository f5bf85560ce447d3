"""Flashing the ESP32 family through esptool's Python API: check, erase, write, verify."""

import contextlib
import re
import threading
from collections.abc import Callable
from typing import Any

import serial

from roamkey.board.images import Firmware
from roamkey.board.opening import refusal
from roamkey.errors import BoardError, RefusedError, SystemRefusedError

BAUD = 460_800
_ATTEMPTS = 4
_HOLD = "; hold BOOT, press EN (reset) once, let go of BOOT, and run this again"

Progress = Callable[[str, int, int], None]  # step, octets done, octets in all


def flash(port: str, firmware: Firmware, *, erase: bool, progress: Progress) -> str:
    """Write `firmware` and check it by the chip's own MD5; the board's id as MicroPython gives it.

    Raises RefusedError before anything is written where the file doesn't fit the chip or its
    flash, BoardError where the chip doesn't answer or what was written isn't there.
    """
    esptool = _library()
    _try_port(port)
    _listen()
    _listener.progress = progress
    chip = None
    try:
        _step("connecting")
        chip = esptool.detect_chip(port, connect_attempts=_ATTEMPTS)
        _check(chip, firmware)
        board = "".join(f"{octet:02x}" for octet in chip.read_mac())
        with contextlib.suppress(esptool.FatalError):  # slower without it, as certain
            chip = esptool.run_stub(chip)
        if chip.IS_STUB and "://" not in port:
            chip.change_baud(BAUD)
        esptool.attach_flash(chip)
        _check_flash(esptool, chip, firmware)
        if erase:
            _step("erasing")
            esptool.erase_flash(chip)
        _step("writing")
        parts = [(firmware.offset, firmware.content)]
        esptool.write_flash(chip, parts)
        _step("verifying")
        esptool.verify_flash(chip, parts)
        esptool.reset_chip(chip, "hard-reset")
        return board
    except (esptool.FatalError, OSError) as error:  # SerialException is an OSError
        hint = "" if chip is not None else _HOLD
        raise BoardError(f"{port}: {_line(error).rstrip('.')}{hint}") from None
    finally:
        _listener.progress = None
        if chip is not None:
            with contextlib.suppress(OSError):
                chip._port.close()


def _step(name: str) -> None:
    _listener.step = name
    _listener.tell(0, 1)


def _check(chip: Any, firmware: Firmware) -> None:
    found = chip.CHIP_NAME
    if found != firmware.chip:
        raise RefusedError(f"{firmware.path} is for {firmware.chip}, the board has {found}")


def _check_flash(esptool: Any, chip: Any, firmware: Firmware) -> None:
    """Whether the flash is as large as the image expects, as far as the chip tells."""
    text = esptool.cmds.detect_flash_size(chip)
    found = re.fullmatch(r"(\d+)(KB|MB)", text or "")
    if found is None:
        return
    size = int(found[1]) << (20 if found[2] == "MB" else 10)
    if max(firmware.flash_size, firmware.offset + firmware.size) > size:
        raise RefusedError(
            f"{firmware.path} needs {firmware.flash_size >> 20} MB of flash, the board has {text}"
        )


def _library() -> Any:
    try:
        import esptool
        import esptool.cmds
        from esptool.util import FatalError
    except ModuleNotFoundError:
        raise SystemRefusedError(
            "flashing an ESP32 needs esptool: pip install 'roamkey[flash]'"
        ) from None
    esptool.FatalError = FatalError
    return esptool


def _try_port(port: str) -> None:
    """Raise BoardError in our words where the port can't be opened; esptool's are longer."""
    try:
        serial.serial_for_url(port, exclusive=True).close()
    except (OSError, ValueError) as error:
        raise refusal(port, error) from None


class _Listener(threading.local):
    """To whom esptool's output goes that this thread brings about; its logger is one for all."""

    step = ""
    progress: Progress | None = None

    def tell(self, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(self.step, done, total)


_listener = _Listener()
_installing = threading.Lock()
_installed = False


def _listen() -> None:
    """Have esptool's logger tell `_listener`, and print nothing."""
    global _installed
    from esptool.logger import TemplateLogger, log

    class Log(TemplateLogger):  # type: ignore[misc]
        def print(self, *args: Any, **kwargs: Any) -> None: ...

        def note(self, message: str) -> None: ...

        def warning(self, message: str) -> None: ...

        def error(self, message: str) -> None: ...

        def stage(self, finish: bool = False) -> None: ...

        def set_verbosity(self, verbosity: str) -> None: ...

        def progress_bar(
            self,
            cur_iter: int,
            total_iters: int,
            prefix: str = "",
            suffix: str = "",
            bar_length: int = 30,
        ) -> None:
            _listener.tell(cur_iter, total_iters)

    with _installing:
        if not _installed:
            log.set_logger(Log())
            _installed = True


def _line(error: Exception) -> str:
    """An error as one line."""
    text = " ".join(str(error).split())
    return text[:200] or "the chip doesn't answer"
