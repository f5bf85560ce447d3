"""Keys to another machine's registry: whole, encrypted, and never backwards."""

import stat
from functools import partial
from pathlib import Path

import command
import pytest
from json_output import checked
from sqlalchemy import update

from mip6 import addresses
from roamkey.enroll import transferfile
from roamkey.errors import BadInputError, RefusedError
from roamkey.registry import GenerationKey, PairKeys, Registry
from roamkey.registry.schema import keys

HOME, HOME_2 = (addresses.parse(f"2001:db8:a::{n}") for n in (1, 2))
CN, CN_2 = (addresses.parse(f"2001:db8:c::{n}") for n in (2, 3))
PASSPHRASE = b"a passphrase of some length"


def kcn(number: int) -> bytes:
    return b"secret-key-material-%02d" % number


def pair(*numbers: int, home: bytes = HOME, cn: bytes = CN, first: int = 0) -> PairKeys:
    found = tuple(GenerationKey(first + i, kcn(n)) for i, n in enumerate(numbers))
    return PairKeys(home, cn, b"home-non", b"careof-n", found)


@pytest.fixture
def two(tmp_path: Path):
    """The station's registry with two boards, and an empty one of a correspondent's machine."""
    with (
        Registry.open(tmp_path / "here.sqlite") as here,
        Registry.open(tmp_path / "there.sqlite") as there,
    ):
        here.add_sent(b"set-0001", "b1", [pair(1, 2), pair(3, cn=CN_2)], 600)
        here.confirm(b"set-0001")
        here.add_sent(b"set-0002", "b2", [pair(4, home=HOME_2)], 60)
        yield here, there


def send(here, there, path: Path, **options):
    transferfile.export_to(here, CN, path, PASSPHRASE, force=True)
    return transferfile.import_from(there, path, PASSPHRASE, **options)[1]


def live(registry: Registry):
    return [
        (found.home_address, found.board_id, [(k.generation, k.kcn, k.state) for k in found.keys])
        for found in registry.pairs_for_correspondent(CN)
    ]


def accept(registry: Registry, generation: int, number: int) -> None:
    """As if the daemon had accepted this number from the first board."""
    with registry.writing() as c:
        found = registry.pairs_for_correspondent(CN)[0].keys
        (key_id,) = (key.key_id for key in found if key.generation == generation)
        c.execute(update(keys).where(keys.c.id == key_id).values(last_sequence=number))


def test_what_the_correspondent_needs_arrives(two, tmp_path) -> None:
    here, there = two
    taken = send(here, there, tmp_path / "out")
    assert (taken.added, taken.advanced, taken.retired, taken.kept) == (3, 0, 0, 0)
    assert live(there) == live(here)
    assert not there.pairs_for_correspondent(CN_2)
    before = live(there)
    again = send(here, there, tmp_path / "out")
    assert (again.added, again.kept) == (0, 0) and live(there) == before
    assert there.next_generation(HOME, CN) == 2


def test_the_file_shows_nothing_and_is_the_owners(two, tmp_path) -> None:
    here, there = two
    path = tmp_path / "out"
    transferfile.export_to(here, CN, path, PASSPHRASE)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_bytes()
    for number in range(1, 5):
        assert kcn(number) not in content and kcn(number).hex().encode() not in content
    with pytest.raises(RefusedError, match="--force"):
        transferfile.export_to(here, CN, path, PASSPHRASE)
    with pytest.raises(RefusedError, match="no pair"):
        transferfile.export_to(here, HOME, tmp_path / "none", PASSPHRASE)
    with pytest.raises(RefusedError, match="wrong passphrase"):
        transferfile.import_from(there, path, b"another passphrase")
    for at in (20, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises((RefusedError, BadInputError)):
            transferfile.import_from(there, path, PASSPHRASE)
    for damaged in (b"", b"roamkey export 2\n" + content[17:], content[:40]):
        path.write_bytes(damaged)
        with pytest.raises((RefusedError, BadInputError)):
            transferfile.import_from(there, path, PASSPHRASE)
    assert not live(there)


def test_an_older_sequence_state_is_refused(two, tmp_path) -> None:
    here, there = two
    old = tmp_path / "old"
    accept(here, 0, 5)
    transferfile.export_to(here, CN, old, PASSPHRASE)
    assert send(here, there, tmp_path / "new").added == 3
    accept(there, 0, 9)
    with pytest.raises(RefusedError, match=r"accepted number 9 here: the file is older"):
        transferfile.import_from(there, old, PASSPHRASE)
    _, taken = transferfile.import_from(there, old, PASSPHRASE, new_only=True)
    assert taken.kept == 1 and taken.advanced == 0
    assert there.pairs_for_correspondent(CN)[0].keys[0].last_sequence == 9
    accept(here, 0, 12)
    assert send(here, there, tmp_path / "new").advanced == 1
    assert there.pairs_for_correspondent(CN)[0].keys[0].last_sequence == 12


def test_a_retired_key_does_not_come_back(two, tmp_path) -> None:
    here, there = two
    send(here, there, tmp_path / "out")
    there.retire(HOME)
    with pytest.raises(RefusedError, match="generation 0 is retired here"):
        transferfile.import_from(there, tmp_path / "out", PASSPHRASE)
    _, taken = transferfile.import_from(there, tmp_path / "out", PASSPHRASE, new_only=True)
    assert taken.kept == 2 and taken.added == 0
    assert [keys for home, _, keys in live(there) if home == HOME] == [[]]


def test_what_was_retired_there_is_retired_here(two, tmp_path) -> None:
    here, there = two
    send(here, there, tmp_path / "out")
    here.add_sent(b"set-0003", "b1", [pair(5, first=2)], 600)
    here.confirm(b"set-0003")
    old = tmp_path / "out"
    taken = send(here, there, tmp_path / "new")
    assert (taken.added, taken.retired) == (1, 2)
    assert live(there) == live(here)
    with pytest.raises(RefusedError, match="generation 2 is known here already"):
        transferfile.import_from(there, old, PASSPHRASE)
    here.retire(HOME)
    assert send(here, there, tmp_path / "new").retired == 1
    assert not there.pairs_for_correspondent(CN)[0].keys


def test_conflicts_leave_nothing_behind(two, tmp_path) -> None:
    here, there = two
    there.add_sent(b"set-9999", "b9", [pair(9, home=HOME_2, cn=CN_2)], 60)
    with pytest.raises(RefusedError, match="belongs to board b9"):
        send(here, there, tmp_path / "out")
    assert not live(there)
    there.withdraw(b"set-9999")
    there.add_sent(b"set-9999", "b9", [pair(4, home=HOME, cn=CN_2)], 60)
    with pytest.raises(RefusedError, match=r"belongs to board b9|is or was in use"):
        send(here, there, tmp_path / "out")
    assert not live(there)


def test_the_same_generation_with_another_kcn_is_refused(two, tmp_path) -> None:
    here, there = two
    there.add_sent(b"set-9999", "b1", [pair(8)], 60)
    with pytest.raises(RefusedError, match="another Kcn here"):
        send(here, there, tmp_path / "out")


def test_into_an_encrypted_registry(two, tmp_path) -> None:
    here, _ = two
    file = tmp_path / "passphrase"
    file.write_text("registry passphrase")
    file.chmod(0o600)
    with Registry.open(tmp_path / "sealed.sqlite", passphrase_file=file) as there:
        send(here, there, tmp_path / "out")
        assert live(there) == live(here)
        there.add_seal("b1", b"seal-001", b"k" * 32)
        assert there.seal_of("b1").key == b"k" * 32
    for found in tmp_path.glob("sealed.sqlite*"):
        assert kcn(1) not in found.read_bytes() and b"k" * 32 not in found.read_bytes()


def test_seals_are_encrypted_with_the_rest(two, tmp_path) -> None:
    here, _ = two
    file = tmp_path / "passphrase"
    file.write_text("registry passphrase")
    file.chmod(0o600)
    here.add_seal("b1", b"seal-001", b"k" * 32)
    here.close()
    with Registry.open(tmp_path / "here.sqlite", False, file, to_encrypt=True) as opened:
        opened.encrypt()
        assert opened.seal_of("b1").key == b"k" * 32
        assert opened.remove_seal("b1") and not opened.remove_seal("b1")


def test_the_commands(two, tmp_path, monkeypatch, capsys) -> None:
    here, there = two
    for opened in two:
        opened.close()
    file = tmp_path / "passphrase"
    file.write_bytes(PASSPHRASE)
    file.chmod(0o600)

    roamkey = partial(command.run, monkeypatch, capsys)
    options = ("--file-passphrase", file, "--json")
    out = tmp_path / "out"
    code, said, _ = roamkey(
        *("export", out, "--correspondent", "2001:db8:c::2", *options),
        *("--registry", tmp_path / "here.sqlite"),
    )
    assert code == 0 and checked("export", said) == {"file": str(out), "nodes": 2, "keys": 3}
    target = ("--registry", tmp_path / "there.sqlite")
    code, said, _ = roamkey("import", out, *options, *target)
    assert code == 0 and checked("import", said)["added"] == 3
    code, said, _ = roamkey("import", out, *options[:2], "--new-only", *target)
    assert code == 0 and "0 key(s) added" in said
    for bad, words in ((tmp_path / "none", "No such file"), (file, "no file of")):
        code, _, error = roamkey("import", bad, *options, *target)
        assert code == 1 and words in error and error.count("\n") == 1
