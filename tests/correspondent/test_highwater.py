"""A registry that is older than what was accepted: noticed, not served, and set right."""

import shutil
import stat
import subprocess
import sys
from ipaddress import IPv6Address

import pytest
from json_output import checked
from support.nodes import Scene

from roamkey.correspondent.highwater import HighWater
from roamkey.errors import RefusedError
from roamkey.registry import Registry, backup, marks

CARE_OF = IPv6Address("2001:db8:1::1").packed
CARE_OF_2 = IPv6Address("2001:db8:2::2").packed
CLI = [sys.executable, "-c", "from roamkey.cli import main; main()", "registry"]


class Kept(Scene):
    """A scene with high-water marks beside its registry."""

    def start(self, **options):
        self.told = []
        folder = marks.place(str(self.path))
        self.high_water = HighWater(folder, self.correspondent, self.told.append)
        super().start(**options)
        self.high_water.attach(self.store, self.registry)
        self.responder.reload(self.store, self.now)
        self.high_water.look(self.store)

    def stop(self):
        self.registry.close()
        self.high_water.close()

    def start_again(self):
        self.registry = Registry.open(self.path)
        self.start()


@pytest.fixture
def scene(tmp_path):
    made = Kept(tmp_path / "registry.sqlite")
    yield made
    made.stop()


def copy_of(scene):
    """An older state of the registry, as somebody copies a file."""
    older = scene.path.with_name("older.sqlite")
    backup.make(str(scene.path), older)
    return older


def put_back(scene, older):
    """By hand, and the daemon is started again."""
    scene.stop()
    for file in scene.path.parent.glob("registry.sqlite*"):
        file.unlink()
    shutil.copy(older, scene.path)
    scene.start_again()


def accepted(scene, node, numbers, care_of=CARE_OF, **options):
    made = [node.update(number, care_of, **options) for number in numbers]
    assert {scene.send(update).outcome for update in made} == {"accepted"}
    return made


def test_an_older_registry_is_noticed_and_its_nodes_are_not_served(scene):
    node, other = scene.node(1), scene.node(2)
    accepted(scene, node, range(5))
    accepted(scene, other, range(5))
    older = copy_of(scene)
    recorded = accepted(scene, node, range(5, 60), CARE_OF_2)
    put_back(scene, older)
    assert len(scene.told) == 1 and "registry restore" in scene.told[0]
    assert "2001:db8:a::1" in scene.told[0] and "\n" not in scene.told[0]
    assert scene.high_water.facts()["behind"] == 1
    for update in [*recorded, node.update(60, CARE_OF)]:
        verdict = scene.send(update)
        assert (verdict.outcome, verdict.reason) == ("dropped", "registry behind")
        assert verdict.reply is None and verdict.change is None
    assert scene.cache.binding(node.home, scene.now) is None
    accepted(scene, other, [5])  # nothing of this one was forgotten

    done = backup.raise_in_place(str(scene.path), None, backup.Unknown())
    assert (done.raised, done.retired) == (2, 0)
    assert {scene.send(update).status for update in recorded} == {135}
    scene.high_water.look(scene.store)
    assert scene.high_water.facts()["behind"] == 0, "the running daemon follows"
    answer = scene.send(node.update(60, CARE_OF))
    assert node.read(answer.reply, CARE_OF).sequence == 59 + marks.MARGIN
    accepted(scene, node, [60 + marks.MARGIN])


def test_the_same_state_and_a_newer_one_are_served(scene):
    node = scene.node()
    accepted(scene, node, range(5))
    scene.stop()
    scene.start_again()
    assert scene.told == [] and scene.send(node.update(4, CARE_OF)).status == 135
    scene.stop()
    plain = Scene(scene.path)  # a daemon without marks goes on
    accepted(plain, node, range(5, 9))
    plain.registry.close()
    scene.start_again()
    older = copy_of(scene)
    accepted(scene, node, [9])
    put_back(scene, older)
    assert scene.send(node.update(9, CARE_OF)).reason == "registry behind"


def test_a_retired_key_does_not_come_back(scene):
    """A board was lost; the backup still has its key. Or the key never was used."""
    used, unused, kept = (scene.node(number) for number in (1, 2, 3))
    accepted(scene, used, range(3))
    older = copy_of(scene)
    for node in (used, unused):
        scene.registry.retire(node.home)
    accepted(scene, kept, [0])  # by now the daemon has heard of it
    accepted(scene, kept, [1])
    put_back(scene, older)
    for node in (used, unused, kept):
        assert scene.send(node.update(9, CARE_OF)).reason == "registry behind"
    done = backup.raise_in_place(str(scene.path), None, backup.Unknown())
    assert (done.raised, done.retired) == (1, 2)
    for node in (used, unused):
        assert scene.send(node.update(100, CARE_OF)).reason == "no key"
    accepted(scene, kept, [100])


def test_an_earlier_generation_does_not_come_back(scene):
    """The later one isn't in the backup, or unused there."""
    node = scene.node(generations=2)
    accepted(scene, node, range(3))
    older = copy_of(scene)
    accepted(scene, node, [0], generation=1)
    put_back(scene, older)
    assert scene.send(node.update(3, CARE_OF)).reason == "registry behind"
    done = backup.raise_in_place(str(scene.path), None, backup.Unknown())
    assert (done.raised, done.retired) == (1, 1)
    assert scene.send(node.update(100, CARE_OF)).reason == "authenticator"
    accepted(scene, node, [100], generation=1)


def test_a_new_registry_in_the_same_place_is_another(scene):
    node = scene.node()
    accepted(scene, node, range(50))
    scene.stop()
    for file in scene.path.parent.glob("registry.sqlite*"):
        file.unlink()
    scene.start_again()
    node = scene.node()
    accepted(scene, node, range(3))
    assert scene.told == []


def test_marks_outlive_kill_and_are_private(scene):
    node = scene.node()
    accepted(scene, node, range(7))
    file = scene.high_water._marks.path
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    found = marks.read(file.parent, scene.registry.identity())
    assert list(found[scene.correspondent].values()) == [7], "without having been closed"


def test_two_daemons_at_one_folder_keep_a_file_each(scene):
    node = scene.node()
    second = HighWater(marks.place(str(scene.path)), scene.correspondent, scene.told.append)
    second.attach(scene.store, scene.registry)
    scene.responder.reload(scene.store, scene.now)
    accepted(scene, node, range(7))  # in the second's file
    second.close()
    older = scene.path.with_name("older.sqlite")
    backup.make(str(scene.path), older)
    scene.high_water.attach(scene.store, scene.registry)
    with scene.registry.writing() as c:
        c.exec_driver_sql("UPDATE keys SET last_sequence = 3")
    scene.responder.reload(scene.store, scene.now)
    assert scene.send(node.update(7, CARE_OF)).reason == "registry behind"


def test_damaged_and_missing_marks_are_no_end(scene, monkeypatch):
    node = scene.node()
    accepted(scene, node, range(3))
    file = scene.high_water._marks.path
    scene.stop()
    content = file.read_bytes()
    file.write_bytes(content[:-5])  # a record that a power cut tore
    scene.start_again()
    assert scene.told == []
    accepted(scene, node, [3])
    scene.stop()
    file.write_bytes(b"something else" * 10)
    scene.start_again()
    accepted(scene, node, [4])
    monkeypatch.setattr("os.pwrite", raising)
    accepted(scene, node, [5])
    assert "disk full" in scene.high_water.facts()["marks_error"]


def raising(*_):
    raise OSError(28, "disk full")


def test_without_a_folder_nodes_are_served(scene):
    folder = marks.place(str(scene.path))
    scene.stop()
    shutil.rmtree(folder)
    folder.write_text("in the way")
    scene.start_again()
    assert len(scene.told) == 1 and "no high-water marks" in scene.told[0]
    accepted(scene, scene.node(), range(3))


# --- the commands


def run(*arguments, code=0):
    command = [*CLI, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    assert code == 0 or len(done.stderr.splitlines()) == 1
    return done.stdout


def test_backup_and_restore_by_command(scene, tmp_path):
    node, retired = scene.node(1), scene.node(2)
    accepted(scene, node, range(5))
    file = tmp_path / "backup"
    made = run("backup", file, "--registry", scene.path, "--json")
    assert checked("registry-backup", made)["octets"] == file.stat().st_size
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    run("backup", file, "--registry", scene.path, code=1)
    recorded = accepted(scene, node, range(5, 30), CARE_OF_2)
    scene.registry.retire(retired.home)
    run("restore", file, "--registry", scene.path, code=4)  # it is open
    scene.stop()
    told = run("restore", file, "--registry", scene.path, "--json")
    assert checked("registry-restore", told) == {"raised": 1, "retired": 1}
    before = scene.path.with_name("registry.sqlite.before-restore")
    octets = before.read_bytes()
    run("restore", file, "--registry", scene.path)
    assert before.read_bytes() == octets and before.with_name(before.name + "-2").exists()
    assert not [file for file in tmp_path.iterdir() if "restoring" in file.name]
    assert stat.S_IMODE(scene.path.stat().st_mode) == 0o600
    scene.start_again()
    assert scene.told == [] and scene.cache.bound() == 0
    assert {scene.send(update).status for update in recorded} == {135}
    assert scene.send(retired.update(0, CARE_OF)).reason == "no key"


@pytest.mark.parametrize("lost", ["damaged", "gone"])
def test_the_registry_is_lost_and_the_marks_are_there(scene, tmp_path, lost):
    node = scene.node()
    accepted(scene, node, range(5))
    file = tmp_path / "backup"
    backup.make(str(scene.path), file)
    recorded = accepted(scene, node, range(5, 30), CARE_OF_2)
    scene.stop()
    for one in tmp_path.glob("registry.sqlite*"):
        one.unlink()
    if lost == "damaged":
        scene.path.write_bytes(b"x" * 8192)
        scene.path.chmod(0o600)
    backup.restore(str(scene.path), file, None, backup.Unknown())
    scene.start_again()
    assert scene.told == []
    assert {scene.send(update).status for update in recorded} == {135}
    accepted(scene, node, [30 + marks.MARGIN])


def test_where_nothing_is_known_somebody_has_to_say(scene, tmp_path):
    node = scene.node()
    accepted(scene, node, range(5))
    file = tmp_path / "backup"
    backup.make(str(scene.path), file)
    recorded = accepted(scene, node, range(5, 30), CARE_OF_2)
    scene.stop()
    shutil.rmtree(marks.place(str(scene.path)))
    for one in tmp_path.glob("registry.sqlite*"):
        one.unlink()
    with pytest.raises(RefusedError, match="--advance"):
        backup.restore(str(scene.path), file, None, backup.Unknown())
    assert not scene.path.exists()
    backup.restore(str(scene.path), file, None, backup.Unknown(advance=100))
    scene.start_again()
    assert {scene.send(update).status for update in recorded} == {135}
    accepted(scene, node, [105])
    scene.stop()
    shutil.rmtree(marks.place(str(scene.path)))
    scene.path.unlink()
    done = backup.restore(str(scene.path), file, None, backup.Unknown(retire=True))
    assert (done.raised, done.retired) == (0, 1)
    scene.start_again()
    assert scene.send(node.update(200, CARE_OF)).reason == "no key"


def test_a_key_is_never_raised_beyond_its_end(scene):
    node = scene.node()
    accepted(scene, node, [65_530])
    done = backup.raise_in_place(str(scene.path), None, backup.Unknown())
    assert done.raised == 1
    assert scene.send(node.update(65_535, CARE_OF)).status == 135


def test_a_postgresql_put_back_by_other_means(postgresql, tmp_path, monkeypatch):
    """As pg_restore does it: the rows are older; the daemon runs on, or is started anew."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path))
    scene = Kept(postgresql.url())
    node = scene.node()
    accepted(scene, node, range(5))
    recorded = accepted(scene, node, range(5, 30), CARE_OF_2)
    scene.stop()
    with Registry.open(scene.path) as registry, registry.writing() as c:
        c.exec_driver_sql("UPDATE keys SET last_sequence = 4")
    scene.start_again()
    assert {scene.send(update).reason for update in recorded} == {"registry behind"}
    with pytest.raises(RefusedError, match="pg_dump"):
        backup.make(scene.path, tmp_path / "file")
    with pytest.raises(RefusedError, match="pg_restore"):
        backup.restore(scene.path, tmp_path / "file", None, backup.Unknown())
    backup.raise_in_place(scene.path, None, backup.Unknown())
    assert {scene.send(update).status for update in recorded} == {135}
    accepted(scene, node, [30 + marks.MARGIN])
    scene.stop()


def test_an_encrypted_registry_is_restored_with_its_passphrase(tmp_path, monkeypatch):
    secret = tmp_path / "passphrase"
    secret.write_bytes(b"correct horse battery")
    secret.chmod(0o600)
    monkeypatch.setenv("ROAMKEY_PASSPHRASE_FILE", str(secret))
    scene = Kept(tmp_path / "registry.sqlite")
    node = scene.node()
    accepted(scene, node, range(5))
    file = tmp_path / "backup"
    backup.make(str(scene.path), file)
    assert node.kcns[0] not in file.read_bytes()
    recorded = accepted(scene, node, range(5, 30), CARE_OF_2)
    scene.stop()
    backup.restore(str(scene.path), file, secret, backup.Unknown())
    scene.start_again()
    assert {scene.send(update).status for update in recorded} == {135}
    scene.stop()


def test_a_registry_set_back_under_a_running_daemon(scene):
    """The revision falls: everything is read anew, and compared."""
    node = scene.node()
    accepted(scene, node, range(9))
    scene.node(2)
    scene.send(node.update(9, CARE_OF))
    with scene.registry.writing() as c:
        c.exec_driver_sql("UPDATE keys SET last_sequence = 3 WHERE last_sequence IS NOT NULL")
        c.exec_driver_sql("UPDATE registry SET revision = 1")
    assert scene.send(node.update(10, CARE_OF)).reason == "registry behind"
