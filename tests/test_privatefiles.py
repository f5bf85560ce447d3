"""Files of mode 0600: whole or not at all, and nobody else's even for a moment."""

import os
import random
import secrets
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from roamkey import privatefiles
from roamkey.errors import BadInputError

FULL = Path("/dev/full")


@pytest.fixture(autouse=True)
def open_handed():
    """As careless a umask as there is."""
    old = os.umask(0)
    yield
    os.umask(old)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_made_once(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    assert privatefiles.create(path, b"one") and not privatefiles.create(path, b"two")
    assert path.read_bytes() == b"one" and mode(path) == 0o600


def test_written_over_a_file_that_others_could_read(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(b"old")
    path.chmod(0o666)
    privatefiles.write(path, b"new")
    assert path.read_bytes() == b"new" and mode(path) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]


@pytest.mark.parametrize("name", ["secret", "secret.new", ".roamkey-6161616161616161"])
@pytest.mark.parametrize("kind", ["link", "file", "dangling"])
def test_nothing_planted_leads_a_secret_elsewhere(
    tmp_path: Path, monkeypatch, name: str, kind: str
) -> None:
    """Wherever it lies, even where the name for the new one was guessed."""
    monkeypatch.setattr(secrets, "token_hex", lambda octets: octets * "61")
    elsewhere = tmp_path / "elsewhere"
    planted = tmp_path / name
    if kind != "dangling":
        elsewhere.write_bytes(b"")
    if kind == "file":
        planted.write_bytes(b"")
        planted.chmod(0o666)
    else:
        planted.symlink_to(elsewhere)
    path = tmp_path / "secret"
    try:
        privatefiles.write(path, b"new")
        assert not path.is_symlink() and path.read_bytes() == b"new" and mode(path) == 0o600
    except FileExistsError:
        assert name.startswith(".roamkey") and planted.exists() == (kind != "dangling")
    assert not elsewhere.exists() or elsewhere.read_bytes() == b""
    assert privatefiles.create(tmp_path / "secret", b"x") is (
        not (tmp_path / "secret").is_symlink() and path.read_bytes() == b"x"
    )


def test_what_is_no_file_is_never_replaced() -> None:
    with pytest.raises(BadInputError, match="/dev/full is no file that could be replaced"):
        privatefiles.write(Path("/dev/full"), b"secret")
    with pytest.raises(OSError, match="No space"):
        privatefiles.write(Path("/dev/full"), b"no secret", privatefiles.SHARED)
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


def test_shared_files_follow_the_umask(tmp_path: Path) -> None:
    os.umask(0o027)
    privatefiles.write(tmp_path / "log", "ä", privatefiles.SHARED)
    assert mode(tmp_path / "log") == 0o640 and (tmp_path / "log").read_text("utf-8") == "ä"


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(os, "fdopen", lambda number, how: (os.close(number), FULL.open(how))[1])
    for work in (privatefiles.create, privatefiles.write):
        with pytest.raises(OSError, match="No space"):
            work(tmp_path / "secret", b"content")
    assert list(tmp_path.iterdir()) == []


def test_what_fails_leaves_the_old_one_and_nothing_else(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "secret"
    privatefiles.write(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        privatefiles.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]


def test_read_refuses_what_others_may_touch(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    privatefiles.write(path, b"12345")
    assert privatefiles.read(path, 3) == b"1234" and privatefiles.open_to_others(path) is None
    path.chmod(0o640)
    assert privatefiles.open_to_others(path) == 0o640
    with pytest.raises(BadInputError, match="mode 0640 opens the key to others; chmod 600 it"):
        privatefiles.read(path, 3)


_WRITER = """
import sys
from pathlib import Path
from roamkey import privatefiles
n = int(sys.argv[2])
while True:
    n += 1
    privatefiles.write(Path(sys.argv[1]), str(n) * 20000, privatefiles.SHARED)
    print(n, flush=True)
"""


def test_who_is_killed_leaves_whole_files(tmp_path: Path) -> None:
    """At any moment: and what was said to be written is there, or what was written after it."""
    path = tmp_path / "results"
    chance, last = random.Random(5), 1000
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, path, str(last)], stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            said = int(process.stdout.readline())
            time.sleep(chance.uniform(0, 0.02))
            process.kill()
            said = max([said, *(int(word) for word in process.stdout.read().split())])
        last = int(path.read_text()[:4])
        assert said <= last <= said + 1 and path.read_text() == str(last) * 20000
        for left in set(tmp_path.iterdir()) - {path}:  # between its two names: an instant
            assert left.read_text() == str(int(left.read_text()[:4])) * 20000
            left.unlink()


@pytest.mark.parametrize("where", ["no such files", "no /proc"])
def test_file_systems_without_nameless_files(tmp_path: Path, monkeypatch, where: str) -> None:
    if where == "no /proc":
        monkeypatch.setattr(privatefiles, "_by_number", lambda descriptor: "/none")
    else:
        real = os.open

        def refusing(path, flags, *more, **options):
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(95, "Operation not supported")
            return real(path, flags, *more, **options)

        monkeypatch.setattr(os, "open", refusing)
    for content in (b"one", b"two"):
        privatefiles.write(tmp_path / "secret", content)
        assert (tmp_path / "secret").read_bytes() == content and mode(tmp_path / "secret") == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]


def test_several_into_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "labels" / "today"
    for content in ("one", b"two"):
        privatefiles.write_each(folder, {"a": content, "b": b""})
    assert (folder / "a").read_bytes() == b"two" and mode(folder / "a") == 0o666
    assert len(list(folder.iterdir())) == 2
