"""Flashing firmware: the right file into the right board, and the board's own answer at the end.

Everything is checked before the board is touched: the file's chip against the board's, its size
against the flash, and, where MicroPython runs already, the model that both give themselves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from roamkey.board import bootloader, discovery
from roamkey.board.discovery import Found, Port
from roamkey.board.images import Firmware
from roamkey.board.repl import Facts, Repl
from roamkey.errors import BadInputError, BoardError, RefusedError
from roamkey.waiting import until

DRIVE_S = 30.0  # for the bootloader's drive to be mounted
START_S = 40.0  # for new firmware to come up: its first boot formats the flash
_PAUSE_S = 0.3

Progress = Callable[[str, int, int], None]  # step, octets done, octets in all


@dataclass(frozen=True)
class Flashed:
    """What was flashed, and what the board then said. `port` is None where nobody could ask;
    `checked`: whether the board's own answer was the file's."""

    port: str | None
    board: str | None
    machine: str | None
    micropython: str | None
    chip: str
    octets: int
    checked: bool


def flash(
    firmware: Firmware,
    port: str | None,
    *,
    drive: Path | None = None,
    force: bool = False,
    erase: bool = True,
    progress: Progress | None = None,
    drive_s: float = DRIVE_S,
    start_s: float = START_S,
) -> Flashed:
    """Flash the board at `port`, or (RP2) the one whose bootloader's drive is mounted at `drive`.

    `force`: another model of the same chip too, and a file that overwrites the board's files.
    `erase`: the whole flash first (ESP32). Raises
    BadInputError, BoardError, RefusedError (nothing was written), SystemRefusedError.
    """
    if firmware.files and not force and (firmware.kind == "uf2" or not erase):
        raise RefusedError(
            f"{firmware.path} brings {firmware.files}: keys, counters and other files of the "
            "board would be lost: --force flashes it all the same"
        )
    report = progress or (lambda step, done, total: None)
    if firmware.kind == "esp":
        if port is None:
            raise BoardError(
                f"{firmware.path} is for an ESP32, and none is plugged in: plug it in; where it "
                "isn't found then, hold BOOT meanwhile"
            )
        from roamkey.board import esp32

        _refuse_other_model(_facts(port), firmware, force)
        board = esp32.flash(port, firmware, erase=erase, progress=report)
        return _checked(firmware, [Port(port)], board, start_s, report)
    return _flash_uf2(firmware, port, drive, force, report, drive_s, start_s)


def _flash_uf2(
    firmware: Firmware,
    port: str | None,
    drive: Path | None,
    force: bool,
    report: Progress,
    drive_s: float,
    start_s: float,
) -> Flashed:
    board = None
    before = discovery.ports()
    if port is not None:
        with Repl(port) as repl:
            facts = repl.facts()
            try:
                _refuse_other_model(facts, firmware, force)
                _refuse_other_platform(facts, firmware)
            except RefusedError:
                repl.restart()
                raise
            board = facts.board
            known = bootloader.volumes()
            repl.leave_for("import machine\nmachine.bootloader()")
        report("waiting for the bootloader", 0, 1)
        if drive is None:
            volume = bootloader.wait_for_new(known, drive_s)
        else:
            volume = _await_volume(drive, drive_s)
    elif drive is not None:
        volume = bootloader.volume(drive)
    else:
        volume = _only(bootloader.volumes())
    bootloader.check(volume, firmware)
    bootloader.write(volume, firmware, lambda done, total: report("writing", done, total))
    # Where no board was known, the one that is new among the ports is it.
    known_paths = {each.path for each in before} if port is None else set()
    first = [] if port is None else [Port(port)]
    return _checked(firmware, first, board, start_s, report, known_paths)


def _checked(
    firmware: Firmware,
    first: list[Port],
    board: str | None,
    start_s: float,
    report: Progress,
    known: set[str] | None = None,
) -> Flashed:
    """Wait for the board to say what it runs; raises BoardError where that isn't the file's."""
    report("waiting for the board", 0, 1)
    found = _await_board(first, board, start_s, known or set())
    if found is None:
        raise BoardError(
            "written, but the board doesn't answer: unplug it, plug it in, see roamkey boards"
        )
    for said, expected in (
        (found.micropython, firmware.micropython),
        (found.machine, firmware.machine),
    ):
        if expected is not None and said is not None and said != expected:
            raise BoardError(f"written, but the board says {said}, and the file {expected}")
    return Flashed(
        found.port.path,
        found.board,
        found.machine,
        found.micropython,
        firmware.chip,
        firmware.size,
        firmware.micropython is not None,
    )


def _await_board(
    first: list[Port], board: str | None, start_s: float, known: set[str]
) -> Found | None:
    """The board, at the port where it was or elsewhere by its id; without either, the port that
    wasn't there before. None if it doesn't answer in time."""

    def answering() -> Found | None:
        candidates = [port for port in first if Path(port.path).exists() or "://" in port.path]
        if board is not None or not first:
            candidates += [p for p in discovery.ports() if p.path not in known]
        for found in discovery.look_at_all(candidates):
            if found.micropython and board in (None, found.board):
                return found
        return None

    return until(answering, start_s, _PAUSE_S)


def _await_volume(drive: Path, wait_s: float) -> bootloader.Volume:
    failure = BadInputError("")

    def mounted() -> bootloader.Volume | None:
        nonlocal failure
        try:
            return bootloader.volume(drive)
        except BadInputError as error:
            failure = error
            return None

    found = until(mounted, wait_s, _PAUSE_S)
    if found is None:
        raise BoardError(str(failure))
    return found


def _only(drives: list[bootloader.Volume]) -> bootloader.Volume:
    if not drives:
        raise BoardError(
            bootloader.unmounted()
            or "no board waits for firmware: hold BOOTSEL on the Pico while you plug it in, and "
            "run this again (or name one that runs MicroPython by --port)"
        )
    if len(drives) > 1:
        raise BadInputError(
            f"{len(drives)} bootloaders' drives are mounted: name the board by --port or --board, "
            "or the drive by --volume"
        )
    return drives[0]


def _facts(port: str) -> Facts | None:
    """What runs on the board now, None where nothing answers (a bare chip)."""
    found = discovery.look(Port(port))
    if found.state == discovery.UNREACHABLE:
        raise BoardError(f"{port}: {found.text}")
    if found.platform is None or found.micropython is None:
        return None
    return Facts(found.board, found.platform, found.machine, found.micropython, 0)


def _refuse_other_model(facts: Facts | None, firmware: Firmware, force: bool) -> None:
    if facts is None or force or None in (facts.machine, firmware.machine):
        return
    if facts.machine != firmware.machine:
        raise RefusedError(
            f"{firmware.path} is for {firmware.machine}, the board is {facts.machine}: "
            "--force flashes it all the same"
        )


def _refuse_other_platform(facts: Facts, firmware: Firmware) -> None:
    if firmware.machine is None and facts.platform != "rp2":
        raise RefusedError(f"{firmware.path} is for {firmware.chip}, the board is no RP2")
