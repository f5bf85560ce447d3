"""Wi-Fi networks that `provision`, `setup` and `networks set` give to a board."""

import io
import json
import os
import pty
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from roamkey.errors import BadInputError
from roamkey.lab.board import VirtualBoard

ADDRESSES = ("--home-address", "2001:db8:a::1", "--correspondent", "2001:db8:c::2")
PASSWORD = "correct horse battery"
ENTERED = [
    {"ssid": "depot", "password": PASSWORD, "priority": 0},
    {"ssid": "guests", "password": None, "priority": 1},
]


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "wifi"
    path.write_text(PASSWORD + "\n")
    path.chmod(0o600)
    return path


def networks(board: VirtualBoard) -> Any:
    board.power_cut()
    return json.loads(board.read_file("/roamkey/networks"))


def test_provision_enters_them(virtual, roamkey, tmp_path, password_file) -> None:
    both = ("--port", virtual.port, "--registry", tmp_path / "registry.sqlite")
    code, out, error = roamkey(
        *("provision", *both, *ADDRESSES, "--wifi", "depot", "--wifi", "guests"),
        *("--password-file", password_file, "--open"),
    )
    assert (code, error) == (0, "")
    assert "Wi-Fi          depot\n" in out and "Wi-Fi          guests\n" in out
    assert networks(virtual) == ENTERED
    assert PASSWORD.encode() not in (tmp_path / "registry.sqlite").read_bytes()


def test_setup_enters_them(roamkey, tmp_path, password_file) -> None:
    both = ("--registry", tmp_path / "registry.sqlite")
    with VirtualBoard(tmp_path / "bare.img") as board:
        board.start()
        code, out, error = roamkey(
            *("setup", "--port", board.port, *both, *ADDRESSES, "--no-reach"),
            *("--wifi", "depot", "--password-file", password_file, "--wifi", "guests", "--open"),
        )
        assert (code, error) == (0, "") and "Wi-Fi          depot\n" in out
        assert networks(board) == ENTERED


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--wifi", "depot"), 2, "network depot: give --password-file FILE (- for stdin), or "
         "--open if it has none"),
        (("--password-file", "x"), 2, "more --password-file than networks"),
        (("--wifi", "", "--open"), 1, "the name of a network has 1 to 32 octets"),
        (("--wifi", "é" * 17, "--open"), 1, "the name of a network has 1 to 32 octets"),
        (("--wifi", "a", "--wifi", "a", "--open"), 1, "a network is named twice"),
        ([w for n in range(17) for w in ("--wifi", str(n))], 1, "at most 16 networks"),
        (("--wifi", "depot", "--password-file", "none"), 1, "none: No such file"),
    ],
)  # fmt: skip
def test_what_is_refused(words, code, said, roamkey, tmp_path, monkeypatch) -> None:
    """Before the board is touched, and the registry made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    registry = tmp_path / "registry.sqlite"
    for command in ("provision", "setup"):
        ended, out, error = roamkey(
            command, "--port", "/dev/nowhere", "--registry", registry, *ADDRESSES, *words
        )
        assert (ended, out) == (code, "") and said in error and error.count("\n") == 1
    assert not registry.exists()


def test_networks_set_wants_a_password_or_open(virtual, roamkey, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    port = ("--port", virtual.port)
    code, _, error = roamkey("networks", "set", "guests", *port)
    assert code == 2 and "network guests: give --password-file FILE" in error
    code, _, error = roamkey("networks", "set", "guests", *port, "--open", "--password-file", "x")
    assert code == 2 and "give either --password-file or --open" in error
    assert "no networks" in roamkey("networks", "list", *port)[1]


@pytest.mark.parametrize(("typed", "code"), [(PASSWORD, 0), ("1234567", 1), ("", 1)])
def test_a_terminal_is_asked(virtual, typed, code) -> None:
    said, ended = on_terminal(
        ["networks", "set", "depot", "--port", virtual.port], "(not shown): ", typed
    )
    assert ended == code and "password of depot (not shown): " in said
    assert PASSWORD not in said and "1234567" not in said
    if code == 0:
        assert "depot  (with a password)" in said and networks(virtual) == ENTERED[:1]
    else:
        assert "the password: " in said


def on_terminal(words: list[str], asked: str, typed: str) -> tuple[str, int]:
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


def test_a_password_is_in_no_text() -> None:
    from roamkey.enroll.wifi import Network, check

    assert PASSWORD not in repr(Network("depot", PASSWORD))
    with pytest.raises(BadInputError, match="priority"):
        check([Network("depot", PASSWORD, 256)])
