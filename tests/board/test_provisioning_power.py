"""Power cuts in the middle of a provisioning, on the real MicroPython with a real littlefs."""

import contextlib
import random
import threading
import time

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


def identify(port: str) -> str | None:
    with SerialClient(port, answer_s=30) as client:
        return client.identify().set_id


def test_power_cuts(virtual: VirtualBoard, registry: Registry, hasty) -> None:
    dice = random.Random(6275)
    board_id = virtual.unique_id.hex()
    started = time.monotonic()
    old: str | None = deliver.provision(registry, virtual.port, PLAN).set_id
    took = time.monotonic() - started
    for _ in range(8):
        cut = threading.Timer(dice.uniform(0, took), virtual.power_cut)
        cut.start()
        with contextlib.suppress(BoardError):
            deliver.provision(
                registry, virtual.port, PLAN, replace=True, connect=hasty, ask_again_s=0
            )
        cut.join()
        sets = registry.sets_of_board(board_id)
        known = {found.set_id.hex() for found in sets}
        virtual.power_on()
        held = identify(virtual.port)
        assert held in known | {old}, "the board holds a set that nobody knows"
        if all(found.state != SENT for found in sets):
            assert [found.set_id.hex() for found in sets] == [held]
        old = deliver.provision(registry, virtual.port, PLAN, replace=True).set_id
        assert identify(virtual.port) == old
        (left,) = registry.sets_of_board(board_id)
        assert (left.set_id.hex(), left.state) == (old, CONFIRMED)
