"""Power cuts in the middle of a provisioning, on the real MicroPython with a real littlefs."""

import contextlib
import random
import threading
import time
from dataclasses import replace

import pytest

from mip6 import addresses
from roamkey.board.serial_client import SerialClient
from roamkey.enroll import deliver
from roamkey.enroll.plan import Plan
from roamkey.errors import BoardError
from roamkey.lab.board import VirtualBoard
from roamkey.registry import CONFIRMED, SENT, Registry

PLAN = Plan(
    addresses.parse("2001:db8:a::1"),
    tuple(addresses.parse(f"2001:db8:c::{last:x}") for last in range(2, 8)),
    generations=4,
)
AGENT = addresses.parse("2001:db8:a::ff")
WITH_HOME_AGENT = replace(
    PLAN, correspondents=PLAN.correspondents[:2], routability=PLAN.correspondents[2:4],
    home_agent=AGENT,
)  # fmt: skip
KEYLESS = replace(
    PLAN, correspondents=(), routability=PLAN.correspondents, home_agent=AGENT, insecure=True
)


def identify(port: str) -> str | None:
    with SerialClient(port, answer_s=30) as client:
        return client.identify().set_id


@pytest.mark.parametrize(("plan", "cuts"), [(PLAN, 8), (WITH_HOME_AGENT, 4), (KEYLESS, 4)])
def test_power_cuts(
    virtual: VirtualBoard, registry: Registry, hasty, plan: Plan, cuts: int
) -> None:
    dice = random.Random(6275)
    board_id = virtual.unique_id.hex()
    started = time.monotonic()
    old: str | None = deliver.provision(registry, virtual.port, plan).set_id
    took = time.monotonic() - started
    for _ in range(cuts):
        cut = threading.Timer(dice.uniform(0, took), virtual.power_cut)
        cut.start()
        with contextlib.suppress(BoardError):
            deliver.provision(
                registry, virtual.port, plan, replace=True, connect=hasty, ask_again_s=0
            )
        cut.join()
        sets = registry.sets_of_board(board_id)
        known = {found.set_id.hex() for found in sets}
        virtual.power_on()
        held = identify(virtual.port)
        assert held in known | {old}, "the board holds a set that nobody knows"
        if all(found.state != SENT for found in sets):
            assert [found.set_id.hex() for found in sets] == [held]
        old = deliver.provision(registry, virtual.port, plan, replace=True).set_id
        assert identify(virtual.port) == old
        (left,) = registry.sets_of_board(board_id)
        assert (left.set_id.hex(), left.state) == (old, CONFIRMED)
