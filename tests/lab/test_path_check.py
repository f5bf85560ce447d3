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
from roamkey.lab.lans import (
    CORRESPONDENT_ADDRESS,
    CORRESPONDENT_IPV4,
    HOME_AGENT_ADDRESS,
    KEYLESS_ADDRESS,
    ROUTER_OUTSIDE_IPV4,
)
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
    port = path["port"]
    assert port["kept_s"] is None and port["forgotten_s"] is not None, port
    assert port["forgotten_s"] > 6
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


@pytest.fixture
def accompanied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """With a home agent, and a correspondent without a key."""
    if tun.refusal():
        pytest.skip(tun.refusal())
    monkeypatch.setenv("ROAMKEY_REGISTRY", str(tmp_path / "registry.sqlite"))
    with (
        Network(networks=CHECKED, home_agent=True) as network,
        Scene(tmp_path, network, reach=REACH) as made,
    ):
        yield made


def paths_of(scene: Scene, roamkey: Roamkey) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code of a check, and the path of each, by address."""
    code, out, error = roamkey("doctor", "--port", scene.board.port, "--path", "--json")
    told = checked("doctor", out)
    assert error == "" and (code == 0) == told["reached"], error
    return code, {one["correspondent"]: one for one in told["paths"]}


def all_bound(scene: Scene) -> bool:
    return all(one["state"] == "bound" for one in scene.status()["node"]["bindings"])


def test_a_silent_home_agent_and_a_silent_correspondent_without_a_key(
    accompanied: Scene, roamkey: Roamkey
) -> None:
    scene = accompanied
    scene.move("both")
    assert until(lambda: all_bound(scene), 40)
    code, paths = paths_of(scene, roamkey)
    agent, keyless = paths[HOME_AGENT_ADDRESS], paths[KEYLESS_ADDRESS]
    assert code == 0
    assert (agent["role"], agent["authorized_by"]) == ("home agent", "static key")
    assert verdicts(agent) == {"native": "passes", "udp6": "passes", "udp4": "passes"}
    assert (keyless["role"], keyless["authorized_by"]) == ("correspondent", "return routability")
    assert verdicts(keyless) == {"native": "passes"}
    assert paths[CORRESPONDENT_ADDRESS]["role"] == "correspondent"

    # What updates take doesn't pass here: the home agent stands for the node, inside UDP.
    scene.move("nodst")
    assert until(lambda: stood_for(scene), 60)
    code, paths = paths_of(scene, roamkey)
    keyless = paths[KEYLESS_ADDRESS]
    assert code == 0 and keyless["through_home_agent"] and verdicts(keyless) == {"native": "fails"}
    assert "destination options" in of_way(keyless, "native")["ask"]
    assert paths[HOME_AGENT_ADDRESS]["way"] == "udp6"

    scene.move("visited1")
    assert until(lambda: all_bound(scene), 60)
    scene.keyless.kill()
    code, paths = paths_of(scene, roamkey)
    native = of_way(paths[KEYLESS_ADDRESS], "native")
    assert native["found"] == "neither the home test nor the care-of test is answered"
    assert "return routability" in native["ask"] and "correspondent status" in native["ask"]
    assert paths[HOME_AGENT_ADDRESS]["reached"]

    scene.home_agent.kill()
    code, paths = paths_of(scene, roamkey)
    agent = paths[HOME_AGENT_ADDRESS]
    assert code == 1 and not agent["reached"]
    assert set(verdicts(agent).values()) == {"fails", "absent"}
    assert paths[CORRESPONDENT_ADDRESS]["reached"]
    code, out, _ = roamkey("doctor", "--port", scene.board.port, "--path")
    words = " ".join(out.split())
    assert code == 1 and f"to the home agent {HOME_AGENT_ADDRESS}" in words
    assert f"the home agent {HOME_AGENT_ADDRESS} is silent by native and udp6" in words
    assert "roamkey home-agent status" in words


def stood_for(scene: Scene) -> bool:
    """Whether the home agent has the board, and nobody expects more of a network."""
    found = {one["correspondent"]: one for one in scene.status()["node"]["bindings"]}
    return bool(
        found[HOME_AGENT_ADDRESS]["state"] == "bound" and found[KEYLESS_ADDRESS]["state"] == "home"
    )
