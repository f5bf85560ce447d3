"""Shells complete roamkey's words: what is told to them, and the shells themselves."""

import os
import pty
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from roamkey.cli import COMMANDS


def told(*words: str) -> dict[str, str]:
    """What roamkey tells a shell: each word, and what it is."""
    done = subprocess.run(
        [sys.executable, "-m", "roamkey", *words],
        capture_output=True, text=True, check=True, env={**os.environ, "_ROAMKEY_COMPLETE": "1"},
    )  # fmt: skip
    assert done.stderr == ""
    pairs = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def test_commands_and_what_they_do() -> None:
    assert told("") == {name: what for name, (_, what) in COMMANDS.items()}
    assert list(told("reg")) == ["registry"]
    assert {"run", "status", "page"} <= set(told("correspondent", ""))
    assert list(told("correspondent", "ru")) == ["run"]


def test_options_values_and_files() -> None:
    assert told("status", "--js") == {"--json": "Print JSON."}
    assert set(told("lab", "board", "--flash", "")) == {"rp2", "esp32"}
    assert set(told("completion", "")) == {"bash", "zsh", "fish"}
    assert told("completion", "bash", "") == {}
    assert told("field", "report", "") == {} == told("networks", "list", "--board", "")
    assert "--install" in told("lab", "board", "--flash", "rp2", "x.img", "--")
    assert "--version" in told("--")
    assert told("nonsense", "") == {} == told("nonsense", "more", "--")


def test_ports_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    leader, follower = pty.openpty()
    name = os.ttyname(follower)
    monkeypatch.setenv("ROAMKEY_PORTS", name)
    try:
        assert name in told("status", "--port", "")
        assert list(told("status", "--port", name[:-1])) == [name]
    finally:
        os.close(leader)
        os.close(follower)


def test_the_first_word_needs_no_parser() -> None:
    code = (
        "import os, sys\nos.environ['_ROAMKEY_COMPLETE'] = '1'\nsys.argv = ['roamkey', 'st']\n"
        "from roamkey.cli import main\ntry:\n    main()\nexcept SystemExit as end:\n"
        "    assert not end.code\nassert not {'typer', 'click', 'inspect'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith(b"status\t"), done.stderr


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """In which `roamkey` is the one under test, whatever is installed."""
    program = tmp_path / "roamkey"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m roamkey "$@"\n')
    program.chmod(0o755)
    return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}


def test_bash(environ: dict[str, str], tmp_path: Path) -> None:
    script = """
        eval "$(roamkey completion bash)"
        complete -p roamkey
        try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _roamkey; echo "${COMPREPLY[*]}"; }
        try roamkey stat; try roamkey lab board --flash ''; try roamkey decode ''
    """
    done = subprocess.run(["bash", "-c", script], env=environ, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "complete -o default -F _roamkey roamkey", "status", "rp2 esp32", "",
    ], done.stderr  # fmt: skip


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish")
def test_fish(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "walk.pcap").write_text("")
    script = (
        "roamkey completion fish | source; complete -C 'roamkey stat'; "
        "complete -C 'roamkey lab board --flash '; complete -C 'roamkey decode wal'"
    )
    done = subprocess.run(
        ["fish", "-c", script], env=environ, capture_output=True, text=True, cwd=tmp_path
    )
    lines = done.stdout.splitlines()
    assert lines[0] == f"status\t{COMMANDS['status'][1]}", done.stderr
    assert {line.split("\t")[0] for line in lines[1:]} == {"rp2", "esp32", "walk.pcap"}


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh")
@pytest.mark.parametrize("how", ["eval", "fpath"])
def test_zsh(environ: dict[str, str], tmp_path: Path, how: str) -> None:
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        ["zsh", "-f", "-i"], stdin=follower, stdout=follower, stderr=follower,
        env={**environ, "TERM": "dumb", "PS1": "> "}, cwd=tmp_path, start_new_session=True,
    )  # fmt: skip
    os.close(follower)
    folder = tmp_path / "functions"
    folder.mkdir()
    (folder / "_roamkey").write_text(
        subprocess.run(["roamkey", "completion", "zsh"], env=environ, stdout=subprocess.PIPE,
                       text=True, check=True).stdout
    )  # fmt: skip
    lines = [f"fpath=({folder} $fpath)", "autoload -U compinit", "compinit -u"]
    if how == "eval":
        lines = [*lines[1:], 'eval "$(roamkey completion zsh)"']
    try:
        os.write(leader, ("; ".join(lines) + "; echo rea''dy\n").encode())
        wait_for(leader, b"ready")
        os.write(leader, b"roamkey stat\t")
        wait_for(leader, b"us ")
        os.write(leader, b"\x15roamkey lab board --flash r\t")
        wait_for(leader, b"rp2 ")
    finally:
        process.kill()
        process.wait()
        os.close(leader)


def wait_for(file: int, wanted: bytes) -> None:
    """Read until something is there."""
    said, until = b"", time.monotonic() + 60
    while wanted not in said:
        assert time.monotonic() < until, said
        said += os.read(file, 4096)
