"""Encryption at rest: nothing in the files without the passphrase, everything with it."""

import stat
import subprocess
import sys
from ipaddress import IPv6Address

import pytest
from json_output import checked
from sqlalchemy import bindparam, text

from roamkey.errors import BadInputError, RefusedError
from roamkey.registry import GenerationKey, PairKeys, Registry
from roamkey.registry.encryption import Place, RegistryKeys, Secrets

CN = IPv6Address("2001:db8:c::2").packed
CLI = [sys.executable, "-c", "from roamkey.cli import main; main()"]
PASSPHRASE = b"correct horse battery"


def kcn(number):
    return b"secret-key-material-%04d" % number


def pair(number, generation=0, cn=CN):
    home = IPv6Address(f"2001:db8:a::{number:x}").packed
    keys = (GenerationKey(generation, kcn(100 * generation + number)),)
    return PairKeys(home, cn, b"home-non", b"careof-nonce", keys)


def provision(registry, number, generation=0):
    set_id = bytes((number, generation)) * 4
    registry.add_sent(set_id, f"board-{number}", [pair(number, generation)], 600)
    return set_id


def opened_kcns(registry):
    return [
        (key.kcn, key.home_nonce, key.care_of_nonce)
        for found in registry.pairs_for_correspondent(CN)
        for key in found.keys
    ]


def assert_damaged(registry, text):
    """The second node's keys can't be had, the first one's can."""
    whole, damaged = registry.pairs_for_correspondent(CN)
    assert whole.keys and whole.damaged is None
    assert not damaged.keys and text in damaged.damaged
    with pytest.raises(BadInputError, match=text):
        registry.live_keys()


@pytest.fixture
def passphrase_file(tmp_path):
    return private(tmp_path / "passphrase", PASSPHRASE + b"\n")


def private(path, content):
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def secret_columns(registry):
    with registry.reading() as c:
        rows = c.execute(text("SELECT kcn, home_nonce, care_of_nonce FROM keys ORDER BY id"))
        return [tuple(row) for row in rows]


def test_a_new_registry_with_a_passphrase_is_encrypted(registry_url, passphrase_file):
    with Registry.open(registry_url, passphrase_file=passphrase_file) as registry:
        provision(registry, 1)
        provision(registry, 2)
        columns = secret_columns(registry)
    assert len(columns) == 2
    assert all(nonces == [b"", b""] and b"secret" not in box for box, *nonces in columns)
    with Registry.open(registry_url, passphrase_file=passphrase_file) as registry:
        wanted = [(kcn(number), b"home-non", b"careof-nonce") for number in (1, 2)]
        assert opened_kcns(registry) == wanted
        assert [found.keys[0].kcn for found in registry.live_keys()] == [kcn(1), kcn(2)]
        assert registry.kcns_of_set(bytes((1, 0)) * 4) == (kcn(1),)
        with registry.reading() as c:
            assert c.scalar(text("SELECT fingerprint_key FROM registry")) is None


def test_the_database_keeps_kcn_unique_without_having_it(registry_url, passphrase_file):
    with Registry.open(registry_url, passphrase_file=passphrase_file) as registry:
        provision(registry, 1)
        registry.retire(pair(1).home_address)
        again = PairKeys(
            pair(2).home_address, CN, bytes(8), bytes(8), (GenerationKey(0, kcn(1) + b"\0"),)
        )
        with pytest.raises(RefusedError, match="was in use"):
            registry.add_sent(bytes(8), "board-2", [again], 600)


def test_wrong_and_missing_passphrases_are_one_line(registry_url, passphrase_file, tmp_path):
    with Registry.open(registry_url, passphrase_file=passphrase_file) as registry:
        provision(registry, 1)
    wrong = private(tmp_path / "wrong", b"incorrect horse")
    for file, said in ((wrong, "wrong passphrase"), (None, "--passphrase-file")):
        with Registry.open(registry_url, passphrase_file=file) as registry:
            for action in (opened_kcns, lambda r: provision(r, 2), Registry.live_keys):
                with pytest.raises(RefusedError, match=said) as caught:
                    action(registry)
                assert "\n" not in str(caught.value)
                assert caught.value.__context__ is None or "horse" not in repr(caught.value)
            assert registry.sets_of_board("board-1"), "what needs no secret needs no passphrase"


def test_a_passphrase_for_a_clear_registry_is_refused(registry_url, passphrase_file):
    Registry.open(registry_url).close()
    with pytest.raises(RefusedError, match="roamkey registry encrypt"):
        Registry.open(registry_url, passphrase_file=passphrase_file)


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (PASSPHRASE, 0o644, "chmod 600"),
        (b"short", 0o600, "8 octets"),
        (b"", 0o600, "8 octets"),
        (b"x" * 2000, 0o600, "8 octets"),
    ],
)
def test_bad_passphrase_files(tmp_path, content, mode, said):
    file = private(tmp_path / "file", content)
    file.chmod(mode)
    with pytest.raises(BadInputError, match=said):
        Registry.open(tmp_path / "registry.sqlite", passphrase_file=file)
    with pytest.raises(BadInputError, match="No such file"):
        Registry.open(tmp_path / "registry.sqlite", passphrase_file=tmp_path / "none")


def test_a_row_is_bound_to_its_place(registry_url, passphrase_file):
    with Registry.open(registry_url, passphrase_file=passphrase_file) as registry:
        provision(registry, 1)
        provision(registry, 2)
        (first, *_), (second, *_) = secret_columns(registry)
        put = text("UPDATE keys SET kcn = :box WHERE id = 2").bindparams(bindparam("box"))
        flipped = second[:20] + bytes((second[20] ^ 1,)) + second[21:]
        for box in (first, flipped, second[:10], b"", kcn(2)):
            with registry.writing() as c:
                c.execute(put, {"box": box})
            assert_damaged(registry, "not in its place")
        with registry.writing() as c:
            c.execute(put, {"box": second})
            c.execute(text("UPDATE keys SET set_id = :other WHERE id = 2"), {"other": b"x" * 8})
        assert_damaged(registry, "not in its place")
        with registry.writing() as c:  # who can only write can't plant a key of theirs
            clear = {"box": kcn(9), "nonce": bytes(8)}
            c.execute(text("UPDATE keys SET kcn = :box, home_nonce = :nonce WHERE id = 2"), clear)
        assert_damaged(registry, "in the clear")


def test_encrypting_a_registry_in_use(registry_url, passphrase_file):
    with Registry.open(registry_url) as clear:
        for number in range(1, 6):
            provision(clear, number)
        clear.retire(pair(5).home_address)
        before = opened_kcns(clear)
        done = run("encrypt", registry_url, "--passphrase-file", passphrase_file)
        assert (done.returncode, done.stderr) == (0, "")
        with pytest.raises(RefusedError, match="--passphrase-file"):
            opened_kcns(clear)
    with Registry.open(registry_url, passphrase_file=passphrase_file) as registry:
        assert opened_kcns(registry) == before
        assert not any(b"secret" in (box or b"") for box, *_ in secret_columns(registry))
        with pytest.raises(RefusedError, match="was in use"):
            provision_as(registry, 9, kcn(5))
        with pytest.raises(RefusedError, match="encrypted already"):
            registry.encrypt()
    assert run("encrypt", registry_url, "--passphrase-file", passphrase_file).returncode == 4


def provision_as(registry, number, secret):
    given = PairKeys(
        pair(number).home_address, CN, bytes(8), bytes(8), (GenerationKey(0, secret),)
    )
    registry.add_sent(bytes((number,)) * 8, f"board-{number}", [given], 600)


def test_nothing_is_left_in_the_files(tmp_path, passphrase_file):
    path = tmp_path / "registry.sqlite"
    with Registry.open(path) as clear:
        for number in range(1, 40):
            provision(clear, number)
        with clear.reading() as c:
            fingerprint_key = c.scalar(text("SELECT fingerprint_key FROM registry"))
        assert run("encrypt", path, "--passphrase-file", passphrase_file).returncode == 0
        for file in tmp_path.glob("registry.sqlite*"):
            data = file.read_bytes()
            assert b"secret-key" not in data and b"careof-nonce" not in data
            assert fingerprint_key not in data
            assert stat.S_IMODE(file.stat().st_mode) == 0o600


def in_the_clear(path):
    return [file.name for file in path.parent.glob("registry.sqlite*") if clear(file)]


def clear(file):
    return b"secret-key" in file.read_bytes()


@pytest.mark.parametrize("count", [3, 300])
def test_a_reader_keeps_it_from_ending_well(tmp_path, passphrase_file, monkeypatch, count):
    """He has an older state open, and its log holds every key in the clear."""
    monkeypatch.setattr("roamkey.registry.remains._PATIENCE_S", 0.5)
    monkeypatch.setattr("roamkey.registry.database.BUSY_S", 0.2)
    path = tmp_path / "registry.sqlite"
    with Registry.open(path) as filled:
        with filled.reading() as reader:
            reader.execute(text("SELECT * FROM registry")).all()
            given = [pair(number) for number in range(1, count + 1)]
            for number, one in enumerate(given, 1):
                filled.add_sent(number.to_bytes(8, "big"), f"board-{number}", [one], 600)
            with (
                Registry.open(path, passphrase_file=passphrase_file, to_encrypt=True) as registry,
                pytest.raises(RefusedError, match=r"in the clear in .*registry\.sqlite"),
            ):
                registry.encrypt()
            assert in_the_clear(path)
        # Nobody reads any more: the same again.
        with Registry.open(path, passphrase_file=passphrase_file, to_encrypt=True) as registry:
            registry.encrypt()
            assert in_the_clear(path) == []
            with pytest.raises(RefusedError, match="encrypted already"):
                registry.encrypt()


def test_a_copy_beside_is_found(tmp_path, passphrase_file, monkeypatch):
    monkeypatch.setattr("roamkey.registry.remains._PATIENCE_S", 0.1)
    path = tmp_path / "registry.sqlite"
    with Registry.open(path) as registry:
        provision(registry, 1)
    copy = tmp_path / "registry.sqlite.before-restore"
    copy.write_bytes(path.read_bytes())
    done = run("encrypt", path, "--passphrase-file", passphrase_file)
    assert done.returncode == 4 and "before-restore" in done.stderr
    copy.unlink()
    assert in_the_clear(path) == []
    assert run("encrypt", path, "--passphrase-file", passphrase_file).returncode == 4, "all done"


def test_a_failed_encryption_changes_nothing(registry_url, passphrase_file, monkeypatch):
    with Registry.open(registry_url) as registry:
        provision(registry, 1)
        provision(registry, 2)
        before = secret_columns(registry)
    with monkeypatch.context() as broken:
        broken.setenv("ROAMKEY_PASSPHRASE_FILE", str(passphrase_file))
        broken.setattr(RegistryKeys, "close", lambda *_: 1 / 0)
        registry = Registry.open(registry_url, to_encrypt=True)
        with registry, pytest.raises(ZeroDivisionError):
            registry.encrypt()
    with Registry.open(registry_url) as registry:
        assert secret_columns(registry) == before


def test_another_passphrase(registry_url, passphrase_file, tmp_path):
    other = private(tmp_path / "other", b"another passphrase")
    with Registry.open(registry_url, passphrase_file=passphrase_file) as registry:
        provision(registry, 1)
        before = secret_columns(registry)
    done = run(
        "passphrase", registry_url, "--passphrase-file", passphrase_file, "--new-file", other
    )
    assert (done.returncode, done.stderr) == (0, "")
    with Registry.open(registry_url, passphrase_file=other) as registry:
        assert secret_columns(registry) == before
        assert opened_kcns(registry)
    registry = Registry.open(registry_url, passphrase_file=passphrase_file)
    with registry, pytest.raises(RefusedError, match="wrong"):
        opened_kcns(registry)


def run(command, url, *options):
    arguments = [*CLI, "registry", command, "--registry", str(url), *map(str, options)]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=60)


def test_the_sealed_form_is_as_described():
    own = RegistryKeys(bytes(range(32)), bytes(32))
    place = Place(pair(1).home_address, CN, bytes(8), 3)
    for secrets in (Secrets(b"k" * 20, bytes(8), bytes(8)), Secrets(b"k" * 300, b"a" * 32, b"b")):
        box = own.hide(place, secrets)
        assert own.reveal(place, box) == secrets
        assert box != own.hide(place, secrets), "another nonce for each"
        assert len(box) == 12 + 2 + len(secrets[0]) + 1 + len(secrets[1]) + len(secrets[2]) + 16
    assert "k" * 20 not in repr(secrets) and "\\x01\\x02" not in repr(own)
    closed = own.close(PASSPHRASE)
    assert len(closed) == 16 + 3 + 12 + 64 + 16
    opened = RegistryKeys.open(closed, PASSPHRASE)
    assert opened.reveal(place, box) == secrets
    assert opened.fingerprint_key == bytes(32)
    for at in range(len(closed)):
        damaged = closed[:at] + bytes((closed[at] ^ 0x80,)) + closed[at + 1 :]
        if at in (0, 15, 16, 17, 18, 19, 31, 60, len(closed) - 1):
            with pytest.raises((RefusedError, BadInputError)):
                RegistryKeys.open(damaged, PASSPHRASE)


def test_cryptography_is_loaded_only_where_it_is_needed(tmp_path):
    program = """
        import sys
        from roamkey.registry import Registry
        Registry.open(sys.argv[1]).close()
        sys.exit("cryptography" in sys.modules or "alembic" in sys.modules)
    """
    script = "\n".join(line.strip() for line in program.splitlines())
    command = [sys.executable, "-c", script, str(tmp_path / "registry.sqlite")]
    assert subprocess.run(command, timeout=60).returncode == 0


def test_a_passphrase_as_a_credential_of_systemd(tmp_path, monkeypatch):
    file = private(tmp_path / "credential", PASSPHRASE)
    file.chmod(0o440)
    with pytest.raises(BadInputError, match="chmod 600"):
        Registry.open(tmp_path / "registry.sqlite", passphrase_file=file)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    Registry.open(tmp_path / "registry.sqlite", passphrase_file=file).close()
    file.chmod(0o444)
    with pytest.raises(BadInputError, match="chmod 600"):
        Registry.open(tmp_path / "other.sqlite", passphrase_file=file)


def test_the_command_tells_without_the_passphrase(registry_url, passphrase_file):
    with Registry.open(registry_url, passphrase_file=passphrase_file) as registry:
        provision(registry, 1)
    done = run("info", registry_url, "--json")
    found = checked("registry-info", done.stdout)
    assert (found["encrypted"], found["nodes"], found["live_keys"]) == (True, 1, 1)
    assert "yes" in run("info", registry_url).stdout
    assert run("encrypt", registry_url).returncode == 1
