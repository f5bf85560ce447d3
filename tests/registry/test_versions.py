"""Older registries are upgraded, newer ones refused; a migrated one is like a new one."""

from ipaddress import IPv6Address
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text

from roamkey.errors import BadInputError, SystemRefusedError
from roamkey.registry import Registry, database, migrations, schema, versions
from roamkey.registry.keysets import fingerprint

HOME = IPv6Address("2001:db8:a::100").packed
CN = IPv6Address("2001:db8:c::2").packed
CARE_OF = IPv6Address("2001:db8:1::1").packed
KCN = b"secret-key-material-of-old"
FINGERPRINT_KEY = bytes(range(32))

# A node with a binding, as the first revision of roamkey left it.
FIRST = (
    "INSERT INTO registry VALUES (1, 1, 7, :fingerprint_key)",
    "INSERT INTO nodes VALUES (5, 'board-1', :home, false)",
    "INSERT INTO pairs VALUES (6, 5, :cn, 7)",
    "INSERT INTO keys VALUES "
    "(8, 6, :set_id, 0, :kcn, :mark, :nonce, :nonce, 600, 'confirmed', 41)",
    "INSERT INTO bindings VALUES (6, 8, :care_of, 600, 1700000000000, 1700000600000)",
)


@pytest.fixture
def first(registry_url):
    """A database made by the first revision."""
    engine = database.reach(registry_url, create=True)
    values = {
        "fingerprint_key": FINGERPRINT_KEY,
        "home": HOME,
        "cn": CN,
        "set_id": bytes(8),
        "kcn": KCN,
        "mark": fingerprint(FINGERPRINT_KEY, KCN),
        "nonce": b"12345678",
        "care_of": CARE_OF,
    }
    with database.writing(engine) as c:
        migrations.upgrade(c, "", schema.REVISIONS[0])
        for statement in FIRST:
            names = [name for name in values if f":{name}" in statement]
            c.execute(text(statement), {name: values[name] for name in names})
        c.execute(text("DROP TABLE alembic_version"))  # it had none
    engine.dispose()
    return registry_url


def test_a_registry_of_the_first_revision_is_upgraded(first, capfd):
    with Registry.open(first) as registry:
        line = capfd.readouterr().err
        assert line.count("\n") == 1 and "upgraded from 0001 to " in line
        (pair,) = registry.pairs_for_correspondent(CN)
        (key,) = pair.keys
        assert (pair.pair_id, key.key_id, key.kcn, key.last_sequence) == (6, 8, KCN, 41)
        assert registry.revision() == 7
        with registry.reading() as c:
            assert c.scalar(text("SELECT care_of_address FROM bindings")) == CARE_OF
            assert c.scalar(text("SELECT fingerprint_key FROM registry")) == FINGERPRINT_KEY
            assert versions.revision_of(c) == schema.REVISIONS[-1]
    Registry.open(first).close()
    assert capfd.readouterr().err == ""


def test_an_upgraded_registry_has_the_tables_of_a_new_one(first):
    with Registry.open(first) as registry, registry.reading() as c:
        context = MigrationContext.configure(c, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []
        checks = inspect(c).get_check_constraints("registry")
        assert "one_key_place" in [check["name"] for check in checks]
        assert any("id = 1" in check["sqltext"] for check in checks)


def test_a_failed_upgrade_changes_nothing(first, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr("roamkey.registry.versions.print", lambda *_, **__: 1 / 0, raising=False)
        with pytest.raises(ZeroDivisionError):
            Registry.open(first)
    engine = database.reach(first, create=False)
    with database.reading(engine) as c:
        assert versions.revision_of(c) == "0001"
        assert c.scalar(text("SELECT schema FROM registry")) == 1
    engine.dispose()
    Registry.open(first).close()


def test_a_newer_registry_is_refused(registry_url):
    with Registry.open(registry_url) as registry, registry.writing() as c:
        c.execute(schema.version.update().values(version_num="9999"))
    with pytest.raises(BadInputError, match="revision 9999, newer than") as caught:
        Registry.open(registry_url)
    assert "\n" not in str(caught.value)


def test_the_list_of_revisions_is_alembic_s():
    script = ScriptDirectory(str(Path(migrations.__file__).parent))
    walked = [step.revision for step in script.walk_revisions()]
    assert walked[::-1] == list(schema.REVISIONS)


def test_an_empty_registry_without_create_is_refused(registry_url):
    if registry_url.startswith("postgresql"):
        with pytest.raises(BadInputError, match="empty"):
            Registry.open(registry_url, create=False)


def test_a_server_that_is_not_there_is_one_line_without_the_password(tmp_path, capfd):
    url = f"postgresql+psycopg://user:hunter2@/db?host={tmp_path}&connect_timeout=2"
    query = f"postgresql+psycopg://user@/db?host={tmp_path}&password=hunter2"
    port = "postgresql+psycopg://user:hunter2@127.0.0.1:1/db"
    option = "postgresql+psycopg://user:hunter2@127.0.0.1:1/db?hunter2=hunter2"
    for one in (url, query, port):
        with pytest.raises(SystemRefusedError) as caught:
            Registry.open(one)
        assert "hunter2" not in repr(caught.value) and "\n" not in str(caught.value)
        assert caught.value.__cause__ is None and caught.value.__suppress_context__
    with pytest.raises((SystemRefusedError, BadInputError)) as caught:
        Registry.open(option)
    assert "\n" not in str(caught.value)
    assert "hunter2" not in capfd.readouterr().err


def test_names_in_messages_have_no_password():
    made = database.reach("postgresql+psycopg://u:hunter2@host/db?password=hunter2", create=False)
    assert database.name(made) == "postgresql+psycopg://u@host/db"
    assert "hunter2" not in repr(made)
