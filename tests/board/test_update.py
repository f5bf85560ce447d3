"""A board of release 0.1.0, with keys and numbers used, is updated and goes on with both."""

import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from mip6 import messages
from roamkey.board.built import Image
from roamkey.board.installer import install, roll_back
from roamkey.board.serial_client import SerialClient
from roamkey.field import boardlog
from roamkey.lab.installed import installed_files
from roamkey.lab.network import Network
from roamkey.lab.scene import HOME_ADDRESS, Scene

DATA = Path(__file__).parent / "data"
BOUND_WITHIN_S = 40.0


def release(version: str) -> Image:
    """The agent as a release put it on a virtual board."""
    with zipfile.ZipFile(DATA / f"agent-{version}.zip") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    main = files.pop("main.py")
    return Image("mpy", files, main)


class Updated(Scene):
    """A board of release 0.1.0 in the laboratory."""

    def __init__(self, out: Path, network: Network) -> None:
        agent = installed_files(release("0.1.0"), "0.1.0")
        super().__init__(out, network, agent=agent)
        self.networks = iter(("visited1", "visited2") * 10)

    def peer(self) -> dict[str, Any]:
        """What the board says of its keys for the one correspondent, its set's id with it."""
        keystore = self.status()["keystore"]
        assert keystore["status"] == "ready"
        (peer,) = keystore["peers"]
        return {"set_id": keystore["set_id"], **peer}

    def roam(self) -> int:
        """Move on until board and correspondent are bound; the sequence number of that."""
        address = self.move(next(self.networks)).address
        self.wait_until_bound_to(address, BOUND_WITHIN_S)
        end = time.monotonic() + BOUND_WITHIN_S
        while True:
            (binding,) = self.status()["node"]["bindings"]
            if binding["state"] == "bound":
                return int(binding["sequence"])
            assert time.monotonic() < end, binding
            time.sleep(0.05)

    def events(self) -> list[boardlog.Event]:
        with SerialClient(self.board.port, answer_s=30) as client:
            board = client.identify().board
            return boardlog.pull(boardlog.over_console(client), board, HOME_ADDRESS).events


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.timeout(180)
def test_keys_numbers_and_log_go_on_over_an_update_and_back(tmp_path: Path) -> None:
    with Network() as network, Updated(tmp_path, network) as scene:
        used = [scene.roam() for _ in range(4)]
        before, old_log = scene.peer(), scene.events()

        done = install(scene.board.port)
        assert (done.slot, done.form, done.previous) == ("b", "mpy", "0.1.0")
        after = scene.peer()
        assert (after["set_id"], after["generation"]) == (before["set_id"], before["generation"])
        assert after["uses_left"] <= before["uses_left"]
        used += [scene.roam() for _ in range(2)]
        new_log = scene.events()
        assert new_log[: len(old_log)] == old_log
        assert new_log[-1].boot > old_log[-1].boot
        assert {"acknowledged", "state"} <= {event.kind for event in new_log[len(old_log) :]}

        assert roll_back(scene.board.port).slot == "a"
        assert scene.peer()["set_id"] == before["set_id"]
        used += [scene.roam() for _ in range(2)]
        assert scene.events()[: len(new_log)] == new_log

        again = install(scene.board.port)
        assert (again.slot, again.sent) == ("b", 0)
        used.append(scene.roam())
        seen = list(scene.wire.seen)
    assert used == sorted(set(used))
    accepted = [signal.sequence for signal in seen if signal.is_acceptance]
    assert accepted == sorted(set(accepted))
    assert messages.SEQUENCE_OUT_OF_WINDOW not in [signal.status for signal in seen]
