"""Files of mode 0600: whole or not at all, and nobody else's even for a moment."""

import os
import stat
from pathlib import Path

import pytest

from roamkey import privatefiles
from roamkey.errors import BadInputError


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
    for left in (path, tmp_path / "secret.new"):
        left.write_bytes(b"old")
        left.chmod(0o666)
    privatefiles.write(path, b"new")
    assert path.read_bytes() == b"new" and mode(path) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]


def test_no_link_leads_a_secret_elsewhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"")
    (tmp_path / "secret.new").symlink_to(elsewhere)
    privatefiles.write(tmp_path / "secret", b"new")
    assert elsewhere.read_bytes() == b""


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
