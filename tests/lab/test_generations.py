"""A key that runs out: the board moves on to the next, and the earlier is retired for good."""

import json
import socket
import time
from pathlib import PurePosixPath

import pytest
from counter import counter_of
from stores import MemoryStore

from mip6 import addresses
from mip6.keystore.keystore import Keystore
from roamkey.enroll.deliver import provision
from roamkey.enroll.plan import Plan
from roamkey.lab.network import CORRESPONDENT_ADDRESS, Network
from roamkey.lab.scene import HOME_ADDRESS, Scene
from roamkey.registry import RETIRED
from roamkey.registry.schema import keys

pytestmark = [pytest.mark.lab, pytest.mark.timeout(110)]

BOUND_WITHIN_S = 40.0
NEARLY_SPENT = 65530  # of 65,535
CORRESPONDENT_PORT = "wan-c"  # the switch's end of the correspondent's cable
PLAN = Plan(
    addresses.parse(HOME_ADDRESS), (addresses.parse(CORRESPONDENT_ADDRESS),), generations=2
)


def spend(board, number: int) -> None:
    """Bring the counter of a board without power forward, by the key store itself."""
    records = {
        str(PurePosixPath(name).relative_to("/roamkey")): board.read_file(name)
        for name in board.list_files()
        if name.startswith("/roamkey/")
    }
    store = MemoryStore(records)
    keystore = Keystore(store)
    keystore.load()
    assert counter_of(keystore, 0).advance(number)
    keystore.release()
    changed = {
        name: store.records[name] for name in records if store.records[name] != records[name]
    }
    assert [name for name in changed if name.startswith("seq/")] == list(changed)
    board.install({f"/roamkey/{name}": content for name, content in changed.items()})


def rows(scene: Scene) -> list[tuple[int, str, int | None]]:
    with scene.registry.reading() as c:
        statement = keys.select().with_only_columns(
            keys.c.generation, keys.c.state, keys.c.last_sequence
        )
        return [tuple(row) for row in c.execute(statement.order_by(keys.c.generation))]


def wait_for_drops(scene: Scene, wanted: int) -> None:
    """Until the correspondent has counted so many updates that no live key verifies."""
    end = time.monotonic() + 5
    while True:
        lines = [json.loads(line) for line in scene.log.read_text().splitlines()]
        counted = sum(line.get("reasons", {}).get("authenticator", 0) for line in lines)
        if counted == wanted:
            return
        assert time.monotonic() < end, lines[-5:]
        time.sleep(0.1)


def test_an_exhausted_key_gives_way_to_the_next_for_good(tmp_path) -> None:
    with Network(delay_ms=2) as network, Scene(tmp_path, network) as scene:
        provision(scene.registry, scene.board.port, PLAN, replace=True)
        scene.board.power_cut()
        spend(scene.board, NEARLY_SPENT)
        scene.board.power_on()
        scene.wait_until_bound_to(scene.move("visited1").address, BOUND_WITHIN_S)
        first = scene.wire.wait_for(lambda s: s.is_update and s.sequence == NEARLY_SPENT + 1)
        (peer,) = scene.status()["keystore"]["peers"]
        began = peer["generation"]  # behind those of the set before
        assert peer["key"]["generations_left"] == 1
        assert peer["key"]["used_percent"] == 99 and peer["key"]["warning"] is None
        turn = 0
        while peer["generation"] == began:
            assert turn < 10, peer
            turn += 1
            where = scene.move(("visited1", "visited2")[turn % 2]).address
            scene.wait_until_bound_to(where, BOUND_WITHIN_S)
            (peer,) = scene.status()["keystore"]["peers"]
        assert peer["generation"] == began + 1 and peer["key"]["generations_left"] == 0
        assert peer["uses_left"] > 65500
        *_, (_, state, last), (_, _, following) = rows(scene)
        assert state == RETIRED and last >= NEARLY_SPENT + 1
        assert following is not None and following < 10

        # A recorded update of the earlier key is dropped without a word, then and after a restart.
        bound_to = scene.bound_to()
        recorded = [s for s in scene.wire.seen if s.is_update and s.sequence > NEARLY_SPENT]
        assert first in recorded
        turned_away = 0
        switch = network.namespace("switch")
        with switch.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as line:
            line.bind((CORRESPONDENT_PORT, 0))
            for _ in range(2):
                since = time.time()
                for signal in recorded:
                    line.send(signal.frame)
                time.sleep(1.0)
                answers = [s for s in scene.wire.seen if s.time > since and not s.is_update]
                assert not answers, answers
                assert scene.bound_to() == bound_to
                turned_away += len(recorded)
                wait_for_drops(scene, turned_away)
                scene.correspondent.kill()
                scene.correspondent.start()
        assert rows(scene)[1][1] == RETIRED
    sequences = [s.sequence for s in scene.wire.seen if s.is_acceptance]
    assert len(sequences) == len(set(sequences))
