"""A registry's file is moved or replaced while it is open: nothing is lost by it in silence."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from support.nodes import Scene

from roamkey.errors import SystemRefusedError
from roamkey.registry import Registry
from roamkey.registry.place import Place
from roamkey.waiting import until


def log_of(path):
    return path.with_name(path.name + "-wal")


def copied(path):
    """A copy of what there is now, as somebody makes it."""
    other = path.with_name("other.sqlite")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (str(other),))
    other.chmod(0o600)
    return other


@pytest.fixture
def scene(tmp_path):
    made = Scene(tmp_path / "registry.sqlite")
    made.node(1)
    yield made
    made.registry.close()


def test_a_file_that_is_away_is_not_made_and_its_log_not_removed(scene, tmp_path):
    path, away = scene.path, tmp_path / "away"
    revision = scene.registry.revision()
    assert log_of(path).stat().st_size
    path.rename(away)
    for _ in range(2):
        with pytest.raises(SystemRefusedError, match="was moved away"):
            scene.registry.revision()
        with pytest.raises(SystemRefusedError, match="was moved away"), scene.registry.writing():
            pass
        scene.registry.close()  # the next connection would be a new one
    assert not path.exists()
    away.rename(path)
    assert scene.registry.revision() == revision
    scene.node(2)
    with Registry.open(path) as opened:
        assert len(opened.live_keys()) == 2


def test_what_replaces_it_is_not_mixed_with_its_log(scene, tmp_path):
    path, other = scene.path, copied(scene.path)
    scene.node(2)  # in the log alone
    other.rename(path)
    with pytest.raises(SystemRefusedError, match="was replaced"):
        scene.registry.revision()
    assert not log_of(path).exists(), "it would be applied to another file"
    assert path.with_name(path.name + "-wal.before").exists()
    with Registry.open(path) as opened:
        assert len(opened.live_keys()) == 1
        opened.retire(scene.node_type(1).home)
        assert log_of(path).exists()
        scene.registry.close()
        assert log_of(path).exists(), "another one's end removed it"
        with pytest.raises(SystemRefusedError, match="was replaced"):
            scene.registry.revision()
        assert log_of(path).exists()
    with Registry.open(path) as opened:
        assert opened.live_keys() == []


def test_a_link_leads_to_the_log(scene, tmp_path):
    link = tmp_path / "link.sqlite"
    link.symlink_to(scene.path)
    with Registry.open(link) as opened:
        assert opened.log_octets() == log_of(scene.path).stat().st_size > 0
        copied(scene.path).rename(scene.path)
        with pytest.raises(SystemRefusedError, match="was replaced"):
            opened.revision()


def test_whoever_opens_first_sets_the_log_aside(scene, tmp_path):
    """A reload comes before anything else was noticed."""
    path, other = scene.path, copied(scene.path)
    scene.node(2)
    other.rename(path)
    with Registry.open(path) as opened:
        assert len(opened.live_keys()) == 1
        scene.registry.close()
        opened.retire(scene.node_type(1).home)
        assert log_of(path).exists()


_HOLDS = """
import sys
from roamkey.registry import Registry
opened = Registry.open(sys.argv[1])
opened.revision()
print(flush=True)
sys.stdin.readline()
opened.close()
"""


@pytest.fixture
def holder(scene):
    """Another process that has the registry open, until it is told a line."""
    command = [sys.executable, "-c", _HOLDS, str(scene.path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        process.stdout.readline()
        yield process
        process.kill()


def test_a_log_that_others_use_is_neither_moved_nor_applied(scene, tmp_path, holder):
    other = copied(scene.path)
    scene.registry.revision()
    other.rename(scene.path)
    with pytest.raises(SystemRefusedError, match="in use: end whatever has it open"):
        Registry.open(scene.path)
    assert log_of(scene.path).exists()


def test_a_process_that_ends_removes_nobodys_log(scene, holder):
    scene.registry.close()
    copied(scene.path).rename(scene.path)
    with Registry.open(scene.path) as opened:
        opened.revision()
        assert holder.communicate("\n", timeout=60)[0] == ""
        assert holder.returncode == 0
        assert log_of(scene.path).exists()


def test_a_closed_connection_of_a_file_in_its_place_is_closed(tmp_path):
    path = tmp_path / "file"
    path.touch()
    place = Place(str(path))
    closed = []

    class Connection:
        def close(self):
            closed.append(self)

    class Dialect:
        def connect(self, where, uri):
            assert where == f"file:{path}?mode=rw" and uri
            return Connection()

    place.close(place.connect(Dialect(), {}))
    assert len(closed) == 1


@pytest.mark.parametrize("name", ["a?b%41#c.sqlite", os.fsdecode(b"\xff\xfe.sqlite"), "ü.sqlite"])
def test_any_name_will_do(tmp_path, name):
    path = tmp_path / name
    with Registry.open(path) as opened:
        assert opened.summary()
        watch = opened.watch()
        assert until(lambda: watch.take() is None, 10)  # it has a look
        watch.close()
    assert path.stat().st_size
