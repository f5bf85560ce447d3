"""A server that doesn't answer: commands end, with a line and an exit code."""

import os
import signal
import sys
import time
from ipaddress import IPv6Address

import pytest
from sqlalchemy import text
from support.nodes import Scene
from support.stopped import stopped, tell

from roamkey import cli
from roamkey.enroll import transferfile
from roamkey.errors import SystemRefusedError
from roamkey.lab.postgresql import Server, programs
from roamkey.registry import Registry, database


@pytest.fixture(scope="module")
def server():
    if programs() is None and not os.environ.get("CI"):
        pytest.skip("PostgreSQL is not installed (Debian, Ubuntu: apt install postgresql)")
    try:
        made = Server()
    except SystemRefusedError as error:
        pytest.skip(str(error))
    with made:
        yield made


def ends(monkeypatch, capsys, *words):
    """Exit code and standard error of a command, and the seconds that it took."""
    monkeypatch.setattr(sys, "argv", ["roamkey", *map(str, words)])
    started = time.monotonic()
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code, capsys.readouterr().err, time.monotonic() - started


@pytest.mark.parametrize("command", ["bindings", "retire", "import", "export", "info"])
def test_a_command_beside_a_server_that_hangs(server, monkeypatch, capsys, tmp_path, command):
    url = server.url()
    secret = tmp_path / "passphrase"
    secret.write_text("a passphrase\n")
    secret.chmod(0o600)
    file = tmp_path / "pairs"
    scene = Scene(url)
    home = str(IPv6Address(scene.node(1).home))
    here = str(IPv6Address(scene.correspondent))
    transferfile.export_to(scene.registry, scene.correspondent, file, b"a passphrase")
    scene.registry.close()
    of_file = ("--file-passphrase", secret, file)
    words = {
        "bindings": ("correspondent", "bindings"),
        "retire": ("retire", "--home-address", home, "--yes"),
        "import": ("import", *of_file),
        "export": ("export", "--correspondent", here, "--force", *of_file),
        "info": ("registry", "info"),
    }[command]
    monkeypatch.setattr(database, "BUSY_S", 2.0)
    with stopped(server.processes()):
        code, told, took = ends(monkeypatch, capsys, *words, "--registry", url)
    assert code == 5, told
    assert told.startswith("roamkey: registry ") and len(told.splitlines()) == 1
    assert took < 8


def test_a_server_that_hangs_in_the_middle(server, monkeypatch):
    """Its process for this connection stands still, and all of its processes."""
    monkeypatch.setattr(database, "SILENT_S", 2.0)
    with Registry.open(server.url()) as registry:
        for pids in (lambda: [mine_of(registry)], server.processes):
            assert mine_of(registry)
            with stopped(pids()):
                started = time.monotonic()
                with pytest.raises(SystemRefusedError, match="no answer for 2 s"):
                    registry.summary()
                assert time.monotonic() - started < 6
        with pytest.raises(SystemRefusedError, match="nothing"), registry.reading() as c:
            c.execute(text("SELECT * FROM nothing"))


def mine_of(registry):
    with registry.reading() as c:
        return c.scalar(text("SELECT pg_backend_pid()"))


def test_a_commit_that_is_not_answered(server, monkeypatch):
    monkeypatch.setattr(database, "SILENT_S", 2.0)
    with Registry.open(server.url()) as registry:
        pid = mine_of(registry)
        with pytest.raises(SystemRefusedError, match="no answer for 2 s"), registry.writing() as c:
            c.execute(text("CREATE TABLE something (id INTEGER)"))
            tell([pid], signal.SIGSTOP)
        tell([pid], signal.SIGCONT)


def test_who_computes_meanwhile_is_not_cut_off(server, monkeypatch):
    """Between transactions and while the server answers; only silence counts."""
    monkeypatch.setattr(database, "SILENT_S", 1.5)
    with Registry.open(server.url()) as registry:
        with registry.reading() as c:
            for _ in range(4):
                c.execute(text("SELECT pg_sleep(0.7)"))
        time.sleep(3)
        assert registry.summary()
