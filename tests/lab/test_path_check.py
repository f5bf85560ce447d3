"""`roamkey doctor --path` on real parts: a board in networks that drop this or that, a daemon."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import command
import pytest
from json_output import checked
from support.daemons import run_cli
from support.nft import NEEDS_NFT

from roamkey.correspondent import view
from roamkey.correspondent.dataplane import tun
from roamkey.lab.conditions import Conditions
from roamkey.lab.lans import CORRESPONDENT_ADDRESS, CORRESPONDENT_IPV4, ROUTER_OUTSIDE_IPV4
from roamkey.lab.network import Network
from roamkey.lab.scene import HOME_ADDRESS, Scene
from roamkey.waiting import until

pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    NEEDS_NFT,
]

Roamkey = Callable[..., tuple[int, str, str]]
REACH = (CORRESPONDENT_ADDRESS, CORRESPONDENT_IPV4)
CHECKED = {
    "cafe": Conditions("ipv4"),
    "nodst": Conditions("no-destination-options"),
    "nort": Conditions("no-routing-headers"),
    "both": Conditions("dual"),
}


@pytest.fixture
def roamkey(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Roamkey:
    """Runs the command in this process: exit code, stdout, stderr."""
    return partial(command.run, monkeypatch, capsys)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setenv("ROAMKEY_REGISTRY", str(tmp_path / "registry.sqlite"))
    with Network(networks=CHECKED) as network, Scene(tmp_path, network, reach=REACH) as made:
        yield made


def path_of(scene: Scene, roamkey: Roamkey, *more: object) -> dict[str, Any]:
    """The one path that a check finds."""
    code, out, error = roamkey("doctor", "--port", scene.board.port, "--path", "--json", *more)
    told = checked("doctor", out)
    assert error == "" and (code == 0) == told["reached"], error
    assert told["home_address"] == HOME_ADDRESS
    (path,) = told["paths"]
    return path


def verdicts(path: dict[str, Any]) -> dict[str, str]:
    return {one["way"]: one["verdict"] for one in path["ways"]}


def of_way(path: dict[str, Any], way: str) -> dict[str, Any]:
    (found,) = [one for one in path["ways"] if one["way"] == way]
    return found


def bound(scene: Scene) -> bool:
    return bool(scene.status()["node"]["bindings"][0]["state"] == "bound")


def test_what_passes_and_what_to_ask_for(scene: Scene, roamkey: Roamkey) -> None:
    """In one network after the other; the correspondent's events are at hand."""
    scene.move("both")
    assert until(lambda: bound(scene), 30)
    path = path_of(scene, roamkey)
    assert verdicts(path) == {"native": "passes", "udp6": "passes", "udp4": "passes"}
    assert path["way"] == "native" and path["reached"]
    assert of_way(path, "udp4")["nat"] is True and of_way(path, "udp6")["nat"] is False

    scene.move("nodst")
    assert until(lambda: bound(scene), 30)
    path = path_of(scene, roamkey)
    assert verdicts(path) == {"native": "fails", "udp6": "passes", "udp4": "absent"}
    native = of_way(path, "native")
    assert native["found"] == "updates don't arrive"
    assert "destination options out" in native["ask"] and "RFC 7872" in native["ask"]
    assert "no IPv4 address" in of_way(path, "udp4")["found"]

    scene.move("nort")
    assert until(lambda: bound(scene), 30)
    path = path_of(scene, roamkey)
    native = of_way(path, "native")
    assert native["found"] == "updates arrive, their answers don't"
    assert "routing headers of type 2 in" in native["ask"]
    assert path["way"] == "udp6"

    log = [json.loads(line) for line in scene.log.read_text().splitlines()]
    sequences = [one["sequence"] for one in log if one["event"] == "accepted"]
    assert len(sequences) > 9 and sequences == sorted(set(sequences))

    scene.correspondent.kill()
    code, out, _ = roamkey("doctor", "--port", scene.board.port, "--path")
    assert code == 1 and "nothing passes" in out and "correspondent path" in out


def test_behind_a_nat_and_what_the_correspondent_sees(scene: Scene, roamkey: Roamkey) -> None:
    if tun.refusal():
        pytest.skip(tun.refusal())
    scene.move("cafe")
    assert until(lambda: bound(scene), 30)
    path = path_of(scene, roamkey, "--nat", 6)
    assert verdicts(path) == {"native": "absent", "udp6": "absent", "udp4": "passes"}
    assert of_way(path, "udp4")["place"] == f"{CORRESPONDENT_IPV4}:4191"
    assert 5 < path["port"]["kept_s"] < 8 and path["port"]["forgotten_s"] is None
    assert until(lambda: bound(scene), 30)
    assert scene.status()["node"]["bindings"][0]["lifetime_left_s"] > 60

    code, out, _ = run_cli(scene.network, "path", "--json")
    (seen,) = checked("correspondent-path", out)
    assert code == 0 and seen["correspondent"] == CORRESPONDENT_ADDRESS
    came = {one["way"]: one["received"] for one in seen["ways"]}
    assert came["udp4"] > 0 and came["native"] == came["udp6"] == 0
    (node,) = seen["nodes"]
    assert node["nat"] is True and node["endpoint"].startswith(f"{ROUTER_OUTSIDE_IPV4}:")
    code, out, _ = run_cli(scene.network, "path")
    assert code == 0 and "behind a NAT" in out and "UDP port 4191" in out

    # Now the NAT forgets in the middle of a silence, and gives another port afterwards.
    forgetting = threading.Thread(target=forget_in_a_silence, args=(scene,))
    forgetting.start()
    path = path_of(scene, roamkey, "--nat", 6)
    forgetting.join()
    assert path["port"]["kept_s"] is None and path["port"]["forgotten_s"] > 6
    assert "forgotten sooner" in path["port"]["found"] and "RFC 4787" in path["port"]["ask"]
    assert until(lambda: bound(scene), 30)


def forget_in_a_silence(scene: Scene) -> None:
    """Once the board is bound for eight seconds, and said what it had to say."""

    def brief() -> bool:
        now = time.time_ns() // 1_000_000
        return any(one["lifetime_left_s"] < 8 for one in view.current(scene.registry, now))

    assert until(brief, 60)
    time.sleep(1)
    scene.network.forget_ports()
