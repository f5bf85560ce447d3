"""Boards in networks as they are: the whole story in each kind, moves between all of them.

In `make test-slow` a few moves; `make fuzz` sets CAMPAIGN=full in the environment for 200.
"""

import itertools
import os
import random
from pathlib import Path

import pytest
from support.anynetwork import WAYS, Travel, without_raw_sockets
from support.nft import NEEDS_NFT

from roamkey.waiting import until

pytestmark = [
    pytest.mark.lab,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    NEEDS_NFT,
]

FULL = os.environ.get("CAMPAIGN") == "full"
MOVES = 200 if FULL else 16
LOSS_PERCENT = 10
# Updates go out after 0, 1, 3, 7, 15 and 31 s: all six, or their way, must be lost to miss this.
WITHIN_S = 40.0
KINDS = ("visited1", "cafe", "nodst", "noroute")


def round_trip():
    """From each kind of network to each other one, once: a closed way through all twelve."""
    left = {one: [two for two in KINDS if two != one] for one in KINDS}
    at, way, done = KINDS[0], [KINDS[0]], []
    while way:  # Hierholzer
        if left[at]:
            at = left[at].pop()
            way.append(at)
        else:
            done.append(way.pop())
            at = way[-1] if way else at
    return done[::-1]


def check(travel, lan):
    """The board is reached in this network by the way that leads there, and data flow."""
    travel.agree(WITHIN_S)  # where routing headers are dropped, the native update arrives
    binding = travel.scene.binding()
    assert travel.network.lans[lan].holds(binding["care_of_address"])
    assert binding["way"] == WAYS[lan], lan
    assert travel.host.answered(WITHIN_S), lan
    assert travel.host.hears(WITHIN_S), lan
    assert travel.ping(3), lan


def test_the_whole_story_in_networks_of_each_kind(tmp_path):
    """It registers, moves from each kind to each other, loses its power and comes back in each,
    and goes home; data flow both ways, and `ping` has an answer, wherever it is."""
    with Travel(tmp_path) as travel:
        cut = set()
        for before, lan in itertools.pairwise([None, *round_trip()]):
            assert before != lan
            travel.go(lan, WITHIN_S)
            check(travel, lan)
            if lan not in cut:
                cut.add(lan)
                travel.lose_power(WITHIN_S)
                check(travel, lan)
        assert cut == set(KINDS)
        travel.scene.move("home")
        assert until(lambda: travel.scene.binding() is None, WITHIN_S, 0.05)
        assert travel.host.answered(WITHIN_S)


def test_the_last_binding_is_right_after_each_of_many_lossy_moves(tmp_path):
    """Whatever is lost, and whichever way wins: in the end the correspondent has the board where
    it is, by the way that the board takes, and data flow."""
    chance = random.Random(1)
    used = set()
    with Travel(tmp_path, loss_percent=LOSS_PERCENT, seed=1) as travel:
        lan = None
        for _ in range(MOVES):
            lan = chance.choice([one for one in KINDS if one != lan])
            travel.go(lan, WITHIN_S)
            travel.agree(WITHIN_S)
            assert travel.host.answered(WITHIN_S), lan
            assert travel.network.lans[lan].holds(travel.scene.binding()["care_of_address"])
            used.add(travel.scene.binding()["way"])
        assert used == set(WAYS.values())
        node = travel.scene.status()["node"]
        assert not {"authenticator", "checksum", "unknown correspondent"} & set(node["drops"])


def test_without_raw_sockets_there_is_udp_alone(tmp_path):
    """The agent where no program may have raw sockets: it says so, and does everything else."""
    with Travel(tmp_path, spawn=without_raw_sockets) as travel:
        for lan in ("visited1", "cafe", "nodst"):
            travel.go(lan, WITHIN_S)
            assert travel.scene.binding()["way"] == ("udp4" if lan == "cafe" else "udp6")
            assert travel.host.answered(WITHIN_S) and travel.host.hears(WITHIN_S)
            assert travel.ping(3)
        node = travel.scene.status()["node"]
        assert node["native"] is False and "CAP_NET_RAW" in node["native_text"]
        assert node["state"] == "away" and node["text"] == ""
        pid = travel.scene.board.pid
        rights = dict(
            line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if line.startswith("Cap")
        )  # fmt: skip
        assert not any(int(one, 16) >> 13 & 1 for one in rights.values())
