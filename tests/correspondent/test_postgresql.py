"""What only PostgreSQL can do to a daemon: go away and come back, and deadlock; encrypted too."""

import signal
import threading
from ipaddress import IPv6Address

import pytest
from sqlalchemy import select, update
from support.nodes import Scene

from roamkey.correspondent.core.cache import BindingCache
from roamkey.correspondent.core.responder import Responder
from roamkey.correspondent.store import Store
from roamkey.registry.schema import keys
from roamkey.waiting import until

CARE_OF = IPv6Address("2001:db8:1::1").packed
CARE_OF_2 = IPv6Address("2001:db8:2::2").packed


@pytest.fixture
def scene(postgresql):
    made = Scene(postgresql.url())
    yield made
    made.registry.close()


def other_daemon(scene):
    made = Responder(
        BindingCache(scene.correspondent),
        Store(scene.registry, scene.correspondent),
        scene.troubles.append,
    )
    made.start(scene.now)
    return made


def test_a_server_that_stops_and_comes_back(postgresql, scene):
    node = scene.node()
    assert scene.send(node.update(0, CARE_OF)).outcome == "accepted"
    postgresql.stop(signal.SIGQUIT)
    try:
        verdict = scene.send(node.update(1, CARE_OF_2))
        assert (verdict.outcome, verdict.reason, verdict.reply) == ("dropped", "registry", None)
        assert "\n" not in scene.troubles[0]
    finally:
        postgresql.start()
    assert scene.send(node.update(0, CARE_OF)).status == 135, "what was acknowledged is kept"
    assert scene.send(node.update(1, CARE_OF_2)).outcome == "accepted"


def test_a_refusal_names_what_another_daemon_accepted(scene):
    node = scene.node()
    other = other_daemon(scene)
    for sequence in range(8):
        assert other.process([node.update(sequence, CARE_OF)], scene.now)[0].status == 0
    verdict = scene.send(node.update(3, CARE_OF_2))
    assert verdict.status == 135
    assert node.read(verdict.reply, CARE_OF_2).sequence == 7
    assert scene.cache.binding(node.home, scene.now).care_of_address == CARE_OF


def test_a_deadlock_with_another_writer_is_tried_again(scene):
    """The other locks in the wrong order; one of the two is told to give way, and if it is the
    daemon's group, that is committed by the next attempt."""
    nodes = [scene.node(number) for number in (1, 2)]
    first, second = sorted(
        key.key_id
        for pair in scene.registry.pairs_for_correspondent(scene.correspondent)
        for key in pair.keys
    )
    holds, ended = threading.Event(), []

    def contrary():
        try:
            with scene.registry.writing() as c:
                c.execute(select(keys.c.id).where(keys.c.id == second).with_for_update())
                holds.set()
                wait_until_blocked(scene)
                touch = update(keys).where(keys.c.id == first).values(lifetime=600)
                c.execute(touch)
            ended.append("committed")
        except Exception as error:
            ended.append(str(error))

    thread = threading.Thread(target=contrary)
    thread.start()
    assert holds.wait(10)
    verdicts = scene.responder.process([node.update(0, CARE_OF) for node in nodes], scene.now)
    thread.join(30)
    assert [verdict.outcome for verdict in verdicts] == ["accepted"] * 2
    assert ended[0] == "committed" or "deadlock" in ended[0]
    assert scene.troubles == []


def wait_until_blocked(scene):
    """Until some transaction waits for a lock."""
    from sqlalchemy import text

    def blocked():
        with scene.registry.reading() as c:
            return c.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))

    until(blocked, 5, 0.01)


def test_an_encrypted_registry_serves_the_daemon(postgresql, tmp_path, monkeypatch):
    file = tmp_path / "passphrase"
    file.write_bytes(b"correct horse battery")
    file.chmod(0o600)
    monkeypatch.setenv("ROAMKEY_PASSPHRASE_FILE", str(file))
    scene = Scene(postgresql.url())
    node = scene.node(generations=2)
    assert scene.send(node.update(0, CARE_OF)).outcome == "accepted"
    assert scene.send(node.update(0, CARE_OF_2, generation=1)).outcome == "accepted"
    scene.reopen()
    assert scene.send(node.update(0, CARE_OF_2, generation=1)).status == 135
    assert scene.send(node.update(1, CARE_OF, generation=0)).reason == "authenticator"
    scene.registry.close()
