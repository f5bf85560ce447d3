"""Each number once: across restarts, daemons, withdrawals, failures and kill -9."""

import os
import random
import signal
import subprocess
import sys
import textwrap
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from support.nodes import Scene

from roamkey.correspondent.core.cache import BindingCache
from roamkey.correspondent.core.responder import Responder
from roamkey.correspondent.store import Store
from roamkey.errors import RoamkeyError, SystemRefusedError
from roamkey.registry import schema
from roamkey.registry.records import Change
from roamkey.registry.schema import bindings, keys

CARE_OF = IPv6Address("2001:db8:1::1").packed
CARE_OF_2 = IPv6Address("2001:db8:2::2").packed


@pytest.fixture
def scene(registry_url):
    """In each kind of database."""
    made = Scene(registry_url)
    yield made
    made.registry.close()


def second_daemon(scene):
    """Another responder over the same registry, with a memory of its own."""
    cache = BindingCache(scene.correspondent)
    other = Responder(cache, Store(scene.registry, scene.correspondent), scene.troubles.append)
    other.start(scene.now)
    return other


def test_restart_restores_bindings(scene):
    node = scene.node()
    scene.send(node.update(5, CARE_OF))
    before = scene.cache.binding(node.home, scene.now)
    scene.reopen()
    assert scene.cache.binding(node.home, scene.now) == before
    scene.now += 400_000
    scene.reopen()
    assert scene.cache.bound() == 0


def test_keys_are_picked_up_while_running(scene):
    node = scene.node_type(5, generations=2)
    assert scene.send(node.update(0, CARE_OF)).reason == "no key"
    set_id = scene.provision(node)
    assert scene.send(node.update(0, CARE_OF)).outcome == "accepted"
    scene.registry.confirm(set_id)
    node.kcns.append(node.kcn(2))
    scene.provision(node, first=2)
    assert scene.send(node.update(0, CARE_OF, generation=2)).generation == 2
    scene.registry.retire(node.home)
    assert scene.send(node.update(1, CARE_OF, generation=2)).reason == "no key"
    assert scene.cache.bound() == 0
    with scene.registry.reading() as c:
        assert c.scalar(select(func.count()).select_from(bindings)) == 0


def test_a_withdrawn_key_is_refused_although_still_in_memory(scene):
    node = scene.node_type(5)
    set_id = scene.provision(node)
    scene.send(scene.node_type(6).update(0, CARE_OF))  # now it is in memory
    scene.registry.withdraw(set_id)
    verdict = scene.send(node.update(0, CARE_OF))
    assert (verdict.outcome, verdict.reason, verdict.reply) == ("dropped", "no key", None)
    assert scene.cache.bound() == 0


def test_of_two_daemons_one_accepts_a_number(scene):
    node = scene.node(generations=2)
    other = second_daemon(scene)
    updates = [node.update(sequence, CARE_OF) for sequence in range(20)]
    for update in updates:
        outcomes = []
        daemons = [scene.responder, other]
        random.Random(update.payload).shuffle(daemons)
        for daemon in daemons:
            outcomes.append(daemon.process([update], scene.now)[0].status)
        assert outcomes == [0, 135]
    assert other.process([node.update(0, CARE_OF, generation=1)], scene.now)[0].status == 0
    stale = scene.send(node.update(30, CARE_OF))
    assert (stale.outcome, stale.reason) == ("dropped", "authenticator")


def test_of_a_group_only_what_is_stale_is_refused(scene):
    nodes = [scene.node(number) for number in range(1, 6)]
    other = second_daemon(scene)
    other.process([nodes[1].update(7, CARE_OF_2)], scene.now)
    burst = [node.update(sequence, CARE_OF) for sequence in (6, 7, 8) for node in nodes]
    verdicts = scene.responder.process(burst, scene.now)
    refused = [(v.home_address, v.sequence) for v in verdicts if v.status == 135]
    assert refused == [(nodes[1].home, 6), (nodes[1].home, 7)]
    assert all(v.outcome == "accepted" for v in verdicts if v.status != 135)
    answer = nodes[1].read(verdicts[1].reply, CARE_OF)
    assert answer.sequence in (7, 8)
    scene.reopen()
    assert scene.cache.bound() == 5
    assert scene.send(nodes[1].update(8, CARE_OF)).status == 135


def test_the_store_takes_each_number_once(scene):
    node = scene.node()
    (pair,) = scene.registry.pairs_for_correspondent(scene.correspondent)
    key = pair.keys[0]
    change = Change(pair.pair_id, key.key_id, 0, 3, False, None)
    assert scene.store.commit([change]) == set()
    assert scene.store.commit([change]) == {0}
    late = change._replace(sequence=4)
    assert scene.store.commit([late, change, late, change._replace(sequence=5)]) == {1, 2}
    scene.registry.retire(node.home)
    assert scene.store.commit([change._replace(sequence=6)]) == {0}
    assert scene.store.commit([change._replace(sequence=None, confirms=True)]) == {0}


def test_what_could_not_be_made_durable_is_not_answered(scene, monkeypatch):
    node = scene.node()
    update = node.update(0, CARE_OF)

    def fail(changes):
        raise SystemRefusedError("registry: disk full")

    with monkeypatch.context() as broken:
        broken.setattr(scene.store, "commit", fail)
        verdict = scene.send(update)
        assert (verdict.outcome, verdict.reason, verdict.reply) == ("dropped", "registry", None)
        broken.setattr(scene.store, "revision", lambda: fail([]))
        assert scene.send(update).reason == "registry"
    assert scene.troubles == ["registry: disk full"] * 2
    assert scene.send(update).outcome == "accepted", "nothing of the failed attempt is left"


def test_a_registry_that_never_agrees_is_not_believed(scene, monkeypatch):
    node = scene.node()
    with monkeypatch.context() as broken:
        broken.setattr(scene.store, "commit", lambda changes: set(range(len(changes))))
        verdict = scene.send(node.update(0, CARE_OF))
        assert (verdict.outcome, verdict.reason, verdict.reply) == ("dropped", "registry", None)
    assert scene.send(node.update(0, CARE_OF)).outcome == "accepted"


def test_a_locked_registry_is_a_failure_of_one_line(scene, monkeypatch):
    monkeypatch.setattr("roamkey.registry.database.BUSY_S", 0.1)
    scene.reopen()
    node = scene.node()
    with scene.registry.writing() as blocker:
        blocker.execute(select(keys.c.id).with_for_update())
        assert scene.send(node.update(0, CARE_OF)).reason == "registry"
    assert "\n" not in scene.troubles[0] and "lock" in scene.troubles[0]
    assert scene.send(node.update(0, CARE_OF)).outcome == "accepted"


_CHILD = """
    import os, signal, sys
    sys.path.insert(0, {folder!r})
    from support.nodes import Scene, MobileNode
    scene = Scene(sys.argv[1])
    node = MobileNode(1)
    first, count, suicide = map(int, sys.argv[2:])
    for sequence in range(first, first + count):
        verdict = scene.send(node.update(sequence, {care_of!r}))
        assert verdict.outcome == "accepted"
        if suicide:  # durable, and the acknowledgement not yet sent
            os.kill(os.getpid(), signal.SIGKILL)
        os.write(1, b"%d\\n" % sequence)
"""


def child(scene, *arguments):
    program = textwrap.dedent(_CHILD).format(
        folder=str(Path(__file__).parents[1]), care_of=CARE_OF_2
    )
    command = [sys.executable, "-c", program, str(scene.path), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def test_killed_between_commit_and_acknowledgement(scene):
    node = scene.node()
    for sequence in range(3):
        with child(scene, sequence, 1, 1) as process:
            assert process.wait(30) == -signal.SIGKILL
        scene.reopen()
        verdict = scene.send(node.update(sequence, CARE_OF))
        assert (verdict.outcome, verdict.status) == ("refused", 135)
        assert node.read(verdict.reply, CARE_OF).sequence == sequence
        assert scene.cache.binding(node.home, scene.now).care_of_address == CARE_OF_2


@pytest.mark.parametrize("seed", range(4))
def test_killed_anywhere_no_acknowledged_number_is_lost(scene, seed):
    node = scene.node()
    with child(scene, 0, 65536, 0) as process:
        acknowledged = -1
        for _ in range(random.Random(seed).randrange(1, 200)):
            acknowledged = int(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)
        acknowledged = max([acknowledged, *map(int, process.stdout.read().split())])
    scene.reopen()
    assert scene.cache.binding(node.home, scene.now).care_of_address == CARE_OF_2
    assert scene.send(node.update(acknowledged, CARE_OF)).status == 135
    # At most one more was committed when it died.
    assert scene.send(node.update(acknowledged + 2, CARE_OF)).outcome == "accepted"


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ("keys", {"kcn": b""}), ("keys", {"kcn": b"x" * 999}), ("keys", {"home_nonce": b"?"}),
        ("keys", {"generation": 99_999}), ("keys", {"lifetime": -1}),
        ("keys", {"last_sequence": 70_000}), ("nodes", {"home_address": b"abc"}),
        ("nodes", {"home_address": bytes(16)}), ("bindings", {"care_of_address": b"!"}),
    ],
)  # fmt: skip
def test_a_damaged_row_is_one_nodes_misfortune(scene, table, values):
    """It is out, and named; the others are served, and a restart brings no other end."""
    nodes = [scene.node(number) for number in range(1, 6)]
    for node in nodes:
        assert scene.send(node.update(0, CARE_OF)).outcome == "accepted"
    changed = schema.metadata.tables[table]
    column = {"keys": "pair_id", "nodes": "id", "bindings": "pair_id"}[table]
    (third,) = (
        pair.pair_id
        for pair in scene.registry.pairs_for_correspondent(scene.correspondent)
        if pair.home_address == nodes[2].home
    )
    try:
        with scene.registry.writing() as c:
            c.execute(changed.update().where(changed.c[column] == third).values(**values))
    except RoamkeyError:
        return  # the database sees to it itself
    for _ in range(2):
        scene.troubles.clear()
        scene.reopen()
        (trouble,) = scene.troubles
        told = values.get("home_address", nodes[2].home)
        assert (IPv6Address(told).compressed if len(told) == 16 else repr(told)) in trouble
        for node in nodes[:2] + nodes[3:]:
            last = scene.cache.peer(node.home).keys[0].last_sequence
            assert scene.send(node.update(last + 1, CARE_OF)).outcome == "accepted"
    if table == "bindings":
        assert scene.send(nodes[2].update(9, CARE_OF)).outcome == "accepted"
    else:
        assert scene.send(nodes[2].update(9, CARE_OF)).outcome == "dropped"


GARBAGE = text("CAST(x'ff41' AS TEXT)")


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("keys", "kcn"), ("keys", "state"), ("keys", "lifetime"), ("keys", "last_sequence"),
        ("keys", "generation"), ("nodes", "home_address"), ("nodes", "board_id"),
        ("bindings", "care_of_address"), ("bindings", "expires_ms"), ("pairs", "revision"),
    ],
)  # fmt: skip
def test_damaged_text_is_one_nodes_misfortune(tmp_path, table, column):
    """SQLite keeps whatever in whatever column; what isn't UTF-8 can't be read as text."""
    scene = Scene(tmp_path / "registry.sqlite")
    nodes = [scene.node(number) for number in range(1, 6)]
    for node in nodes:
        assert scene.send(node.update(0, CARE_OF)).outcome == "accepted"
    changed = schema.metadata.tables[table]
    mine = "id" if table in ("nodes", "pairs") else "pair_id"
    with scene.registry.writing() as c:
        c.execute(text("PRAGMA ignore_check_constraints = 1"))
        c.execute(changed.update().where(changed.c[mine] == 3).values({column: GARBAGE}))
    for pair_ids in ([1, 2, 3, 4, 5], None):  # as others' changes, and at a start
        scene.responder.follow(scene.now, pair_ids)
        list(Store(scene.registry, scene.correspondent).followed(scene.now, None))
    scene.registry.current_bindings(scene.now)
    scene.registry.nodes_of_correspondent(scene.correspondent)
    scene.registry.summary()
    scene.reopen()
    for node in nodes[:2] + nodes[3:]:
        assert scene.send(node.update(1, CARE_OF)).outcome == "accepted"
    if table in ("keys", "bindings") or column == "home_address":
        assert "damaged in the registry" in scene.troubles[-1]
    scene.registry.close()


def test_a_revision_that_is_no_number_is_told(tmp_path):
    scene = Scene(tmp_path / "registry.sqlite")
    node = scene.node()
    with scene.registry.writing() as c:
        c.execute(schema.registry.update().values(revision=text("'abc'")))
    assert scene.send(node.update(0, CARE_OF)).reason == "registry"
    assert "revision is no number" in scene.troubles[-1]
    scene.registry.close()
