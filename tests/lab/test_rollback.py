"""An older flash image put back: the correspondent tells, and the board goes forward only."""

import time

import pytest

from mip6 import messages
from roamkey.board.serial_client import SerialClient
from roamkey.lab.network import Network
from roamkey.lab.scene import Scene
from roamkey.registry.schema import keys

pytestmark = [pytest.mark.lab, pytest.mark.timeout(110)]

BOUND_WITHIN_S = 40.0


def settled(scene: Scene, address: str) -> None:
    """Wait until the correspondent has the address, and the board its acknowledgement."""
    scene.wait_until_bound_to(address, BOUND_WITHIN_S)
    end = time.monotonic() + BOUND_WITHIN_S
    while scene.status()["node"]["bindings"][0]["state"] != "bound":
        assert time.monotonic() < end, scene.status()["node"]
        time.sleep(0.05)


def updates(scene: Scene, since: float) -> list:
    """The Binding Updates and Acknowledgements seen on the way since then."""
    return [signal for signal in scene.wire.seen if signal.time >= since]


def last_accepted(scene: Scene) -> int:
    with scene.registry.reading() as c:
        return c.scalar(keys.select().with_only_columns(keys.c.last_sequence))


def test_an_older_image_moves_forward_only(tmp_path) -> None:
    with Network(delay_ms=2) as network, Scene(tmp_path, network) as scene:
        address = scene.move("visited1").address
        settled(scene, address)
        old = scene.board.snapshot(tmp_path / "old.img")
        for turn in range(10):
            network_name = ("visited2", "visited1")[turn % 2]
            settled(scene, scene.move(network_name).address)
        before = last_accepted(scene)
        assert before >= 10
        put_back = time.time()
        scene.board.restore(old)
        signal = scene.wire.wait_for(
            lambda s: s.status == messages.SEQUENCE_OUT_OF_WINDOW, put_back
        )
        assert signal.sequence == before  # the last accepted number, authenticated
        scene.wire.wait_for(lambda s: s.is_acceptance and s.sequence > before, signal.time)
        with SerialClient(scene.board.port, answer_s=30) as client:
            (peer,) = client.status()["keystore"]["peers"]
        assert 65536 - peer["uses_left"] > before
        settled(scene, scene.bound_to() or "")
        for network_name in ("visited2", "visited1"):
            settled(scene, scene.move(network_name).address)
        seen = updates(scene, 0)
    sent = [s.sequence for s in seen if s.is_update]
    accepted = [s.sequence for s in seen if s.is_acceptance]
    assert len(set(accepted)) == len(accepted), "a number was accepted twice"
    assert accepted == sorted(accepted)
    after = [s for s in seen if s.is_update and s.time > signal.time]
    assert [s.sequence for s in after if s.sequence <= before] == []
    assert len(sent) > len(set(sent)), "the old image did not repeat a number: nothing was tried"
