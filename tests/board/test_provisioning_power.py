"""Power cuts in the middle of a provisioning, on the real MicroPython with a real littlefs."""

from dataclasses import replace

import pytest
from support.cuts import through_cuts

from mip6 import addresses
from roamkey.enroll import deliver
from roamkey.enroll.deliver import Connect
from roamkey.enroll.plan import Plan
from roamkey.lab.board import VirtualBoard
from roamkey.registry import Registry

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


@pytest.mark.parametrize(("plan", "cuts"), [(PLAN, 8), (WITH_HOME_AGENT, 4), (KEYLESS, 4)])
def test_power_cuts(virtual: VirtualBoard, registry: Registry, plan: Plan, cuts: int) -> None:
    def change(connect: Connect) -> str:
        return deliver.provision(
            registry, virtual.port, plan, replace=True, connect=connect, ask_again_s=0
        ).set_id

    assert through_cuts(virtual, virtual.port, registry, change, cuts).total() == cuts
