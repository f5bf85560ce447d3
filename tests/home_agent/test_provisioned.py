"""A board as `roamkey provision` makes it, with its home agent and correspondents with and without
its key: each daemon takes what is its own, of one registry."""

import json
from pathlib import Path

import pytest
from json_output import checked
from support.daemons import Daemon
from support.home_network import AGENT_TEXT, Agent

from mip6 import addresses
from roamkey.board import doctor
from roamkey.board.serial_client import SerialClient
from roamkey.enroll import deliver
from roamkey.enroll.plan import Plan
from roamkey.lab.board import VirtualBoard
from roamkey.lab.installed import installed_files
from roamkey.lab.lans import CORRESPONDENT_ADDRESS
from roamkey.registry import CONFIRMED, Registry
from roamkey.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

HOME = "2001:db8:a::77"
STRANGER = "2001:db8:c::3"
KINDS = (CORRESPONDENT_ADDRESS, STRANGER, AGENT_TEXT)


@pytest.fixture
def board(lab_network, tmp_path):
    spawn = lab_network.add_node("board").popen
    with VirtualBoard(tmp_path / "board.img", spawn=spawn) as made:
        made.install(installed_files())
        made.start()
        yield made


def bindings(board: VirtualBoard) -> dict[str, tuple[str, str]]:
    """Of each peer: the state, and what authorizes the binding."""
    with SerialClient(board.port) as client:
        node = client.status()["node"]
    return {one["correspondent"]: (one["state"], one["authorized_by"]) for one in node["bindings"]}


def test_each_daemon_takes_its_own(lab_network, tmp_path: Path, board: VirtualBoard) -> None:
    path = tmp_path / "registry.sqlite"
    peers = {text: addresses.parse(text) for text in KINDS}
    plan = Plan(
        addresses.parse(HOME),
        (peers[CORRESPONDENT_ADDRESS],),
        routability=(peers[STRANGER],),
        home_agent=peers[AGENT_TEXT],
        generations=1,
    )
    with Registry.open(path) as registry:
        held = deliver.provision(registry, board.port, plan)
        assert held.home_agent == (AGENT_TEXT, (0,))
        agent = Agent(lab_network, path)
        ready = agent.start()
        assert ready["nodes"] == 1
        namespace = lab_network.namespace("correspondent")
        namespace.add_address("eth0", f"{STRANGER}/64")
        keyed = Daemon(lab_network, path)  # its device would hold what the other one sends
        assert keyed.ready()["nodes"] == 1
        other = Daemon(
            *(lab_network, tmp_path / "strangers.sqlite", STRANGER),
            more=("--encapsulation", "off", "--no-metrics"),
        )
        assert other.ready()["nodes"] == 0

        lab_network.move("board", "wlan0", "visited1", dad=False)
        wanted = {
            CORRESPONDENT_ADDRESS: ("bound", "static key"),
            STRANGER: ("bound", "return routability"),
            AGENT_TEXT: ("bound", "static key"),
        }
        assert until(lambda: bindings(board) == wanted or None, 30), bindings(board)
        (row,) = checked("home-agent-bindings", agent.bindings())
        assert (row["home_address"], row["generation"]) == (HOME, 0)
        used = {
            pair.role: [key.last_sequence is not None for key in pair.keys]
            for text in (CORRESPONDENT_ADDRESS, AGENT_TEXT)
            for pair in registry.pairs_for_correspondent(peers[text])
        }
        assert used == {"correspondent": [True], "home agent": [True]}
        (found,) = registry.sets_of_board(board.unique_id.hex())
        assert (found.set_id.hex(), found.state) == (held.set_id, CONFIRMED)
        checks = {one.name: one for one in doctor.examine(board.port).checks}
        assert checks["home agent"].verdict == "ok"

        # The next keys: the home agent's daemon learns of them as the correspondent's does.
        assert deliver.rekey(registry, board.port, 1).home_agent == (AGENT_TEXT, (1,))

        def renewed() -> bool:
            return [row["generation"] for row in json.loads(agent.bindings())] == [1]

        assert until(renewed, 30)
        assert until(lambda: bindings(board) == wanted or None, 30), bindings(board)
    for daemon in (agent, keyed, other):
        assert daemon.end()[0] == 0
