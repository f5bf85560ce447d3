"""A board that everybody reaches, wherever it is: with a key, without one, knowing nothing of it.

In `make test-slow` a few moves; `make fuzz` sets CAMPAIGN=full in the environment for 100.
"""

import os
import random

import pytest
from support.everybody import EVERYBODY, Journey
from support.nft import NEEDS_NFT

from roamkey.lab.lans import HOME, HOME_AGENT_ADDRESS, KEYLESS_ADDRESS

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(1800), NEEDS_NFT]

FULL = os.environ.get("CAMPAIGN") == "full"
MOVES = 100 if FULL else 6
WITHIN_S = 40.0
KINDS = ("visited1", "visited2", "cafe", "nodst", "noroute", HOME)


def check(journey, lan):
    """Bindings, data both ways and `ping`, all three of them."""
    journey.settle(lan, WITHIN_S)
    journey.reached(lan, WITHIN_S)
    for node in EVERYBODY:
        assert journey.ping(3, node), (lan, node)


def test_the_whole_story(tmp_path):
    """Away, to another network, behind a NAT, home, away again, and through a power cut."""
    with Journey(tmp_path) as journey:
        for lan in ("visited1", "visited2", "noroute", "cafe", HOME, "nodst", "visited1"):
            journey.scene.move(lan, dad=True)
            check(journey, lan)
            if lan in ("visited2", "cafe"):
                journey.lose_power(WITHIN_S)
                check(journey, lan)
        node = journey.scene.status()["node"]
        assert not {"authenticator", "checksum", "cookie", "tunnel"} & set(node["drops"])
        assert journey.peer(KEYLESS_ADDRESS)["authorized_by"] == "return routability"
        assert journey.peer(HOME_AGENT_ADDRESS)["state"] == "bound"


def test_everybody_is_reached_after_each_of_many_moves(tmp_path):
    """Native networks, a NAT and home in random order."""
    chance = random.Random(15)
    with Journey(tmp_path) as journey:
        lan = None
        for _ in range(MOVES):
            lan = chance.choice([one for one in KINDS if one != lan])
            journey.scene.move(lan, dad=bool(chance.getrandbits(1)))
            journey.settle(lan, WITHIN_S)
            journey.reached(lan, WITHIN_S)
        node = journey.scene.status()["node"]
        assert not {"authenticator", "checksum", "cookie", "tunnel"} & set(node["drops"])
