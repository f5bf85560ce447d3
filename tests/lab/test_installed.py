"""A virtual board of the laboratory has what `roamkey install` puts on one."""

import hashlib
import subprocess
from pathlib import Path

import pytest
from support.account import Account

from roamkey.board.built import image_for
from roamkey.board.installer import install
from roamkey.errors import SystemRefusedError
from roamkey.lab import installed
from roamkey.lab.board import VirtualBoard


def test_there_is_nothing_left_to_install(tmp_path: Path) -> None:
    wanted = image_for("linux", 0x306)
    with VirtualBoard(tmp_path / "board.img") as board:
        board.install(installed.installed_files())
        board.start()
        done = install(board.port)
        assert (done.form, done.slot, done.changed) == ("mpy", "a", False)
        assert done.kept == len(wanted.files)
        board.power_cut()
        found = {path: board.read_file(path) for path in board.list_files()}
    agent = {path: octets for path, octets in found.items() if path.startswith("/agent/a/")}
    assert {
        path.removeprefix("/agent/a/"): hashlib.sha256(octets).hexdigest()
        for path, octets in agent.items()
    } == wanted.sums
    assert all(path.endswith(".mpy") for path in agent)
    assert not [path for path in found if path.startswith(("/lib/", "/agent/b"))]


def test_an_interpreter_of_other_bytecode(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Boards get sources then; a program that looks inside the agent as it ships can't run."""
    older = tmp_path / "older"
    older.write_text("#!/bin/sh\necho linux 517\n")
    older.chmod(0o755)
    monkeypatch.setenv("MICROPYTHON", str(older))
    installed.image.cache_clear()
    try:
        assert "/agent/a/mip6/node.py" in installed.installed_files()
        with pytest.raises(SystemRefusedError, match="doesn't load what our mpy-cross makes"):
            installed.write_beside(tmp_path)
        older.write_text("#!/bin/sh\necho no such option >&2\nexit 1\n")
        installed.image.cache_clear()
        installed._kind.cache_clear()
        with pytest.raises(SystemRefusedError, match="older: no such option"):
            installed.image()
    finally:
        installed.image.cache_clear()
        installed._kind.cache_clear()


def test_programs_find_what_they_import_where_it_is(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "from mip6.keystore import ledger, records as kept\n"
        "from mip6.limits import SEQUENCE_NUMBERS\n"
        "assert ledger.Ledger and kept.READY == 'ready'\n"
        "print(SEQUENCE_NUMBERS)\n"
        "assert not SEQUENCE_NUMBERS, 'kept'\n"
    )
    folder = installed.write_beside(tmp_path / "board", {"program": program})
    done = subprocess.run(
        [installed.micropython(), "program.py"],
        env={"MICROPYPATH": f"{folder}:.frozen"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("65536\n") and "AssertionError: kept" in done.stdout


def test_a_board_of_the_laboratory_has_what_install_puts_there(tmp_path: Path) -> None:
    """`lab board --install` and `install` on a bare board: the same files, octet for octet."""
    found = []
    with Account(tmp_path / "account") as somebody:
        for options, install in (("--install", False), ("", True)):
            image = tmp_path / f"board{len(found)}.img"
            with somebody.start(f"roamkey lab board {image} {options}") as running:
                port = running.wait_for("/dev/")
                if install:
                    somebody.run(f"roamkey install --port {port}").ok()
                somebody.run(f"roamkey status --port {port}").ok()
            board = VirtualBoard(image)
            paths = [path for path in board.list_files() if not path.startswith("/roamkey/")]
            found.append({path: board.read_file(path) for path in paths})
    assert found[0] == found[1]
    assert "/main.py" in found[0] and "/agent/a/mip6/agent.mpy" in found[0]
