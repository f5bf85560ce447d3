"""Noise on the line and the plug pulled, while keys go onto a board: old set or new, never else.

Whatever happens to the first run, the board holds the old set or one that the registry knows, and
after a second run on a good line both hold the same. `make fuzz` sets CAMPAIGN=full in the
environment: every octet and many more seeds; `make test` takes a sample.
"""

import contextlib
import os
import random
from collections.abc import Callable

import pytest
from support.cuts import through_cuts

from mip6 import addresses
from roamkey.board.serial_client import SerialClient
from roamkey.enroll import deliver
from roamkey.enroll.plan import Plan
from roamkey.errors import BoardError, RoamkeyError
from roamkey.lab.board import VirtualBoard
from roamkey.registry import CONFIRMED, SENT, Registry

FULL = os.environ.get("CAMPAIGN") == "full"
SEEDS = 30 if FULL else 2
HOME = addresses.parse("2001:db8:a::1")
PEERS = addresses.parse("2001:db8:c::2"), addresses.parse("2001:db8:c::3")
PLAN = Plan(HOME, PEERS, generations=1)
LINE = 64  # octets, a typical distance between two accidents

pytestmark = pytest.mark.timeout(3600 if FULL else 120)


def quick(port: str) -> SerialClient:
    return SerialClient(port, answer_s=0.25, store_s=0.2)


def provision(registry: Registry, port: str, connect: deliver.Connect = quick) -> str:
    found = deliver.provision(registry, port, PLAN, replace=True, connect=connect, ask_again_s=0)
    return found.set_id


def rekey(registry: Registry, port: str, connect: deliver.Connect = quick) -> str:
    return deliver.rekey(registry, port, 1, connect=connect, ask_again_s=0).set_id


JOBS = pytest.mark.parametrize("job", [provision, rekey])


def states(registry: Registry, board: str = "fa4e") -> dict[str, str]:
    return {found.set_id.hex(): found.state for found in registry.sets_of_board(board)}


def after_accident(registry: Registry, fake, job: Callable[[Registry, str], str]) -> str:
    """What must hold after a run that something happened to; then the second run."""
    assert fake.set_id in states(registry), "the board holds a set that nobody knows"
    held = job(registry, fake.port)
    assert fake.set_id == held and states(registry) == {held: CONFIRMED}
    return held


@JOBS
def test_unplugged_at_every_octet(job, registry, fake) -> None:
    provision(registry, fake.port)
    dice = random.Random(4449)
    outcomes = {"nothing": 0, "unknown": 0, "done": 0}
    point = tried = 0
    while outcomes["done"] < 3:  # the exchange grows by a digit now and then
        fake.unplug()
        fake.unplug_after = point
        fake.plug()
        try:
            job(registry, fake.port)
            outcomes["done"] += 1
        except BoardError as failure:
            unknown = "run the same command again" in str(failure)
            outcomes["unknown" if unknown else "nothing"] += 1
            assert unknown == (SENT in states(registry).values()), failure
        fake.unplug()
        fake.unplug_after = None
        fake.plug()
        after_accident(registry, fake, job)
        tried += 1
        point += 1 if FULL else dice.randrange(5, 20)
    print(
        f"{job.__name__}: unplugged at {tried} places, the last after {point} octets: {outcomes}"
    )
    assert outcomes["nothing"] and outcomes["unknown"]


class Noisy:
    """Does something to an octet in `LINE` or so: loses it, doubles it, turns it, adds others."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self.kind = ("lose", "double", "turn", "add", "cut", "all")[seed % 6]
        self.done = 0
        self._cutting = False

    def __call__(self, octets: bytes) -> bytes:
        return b"".join(self._one(octets[i : i + 1]) for i in range(len(octets)))

    def _one(self, octet: bytes) -> bytes:
        if self._cutting:
            self._cutting = octet != b"\n"
            return b"" if self._cutting else octet
        if self._dice.randrange(4 * LINE):
            return octet
        self.done += 1
        kind = self._dice.choice(("lose", "double", "turn", "add", "cut"))
        kind = kind if self.kind == "all" else self.kind
        if kind == "lose":
            return b""
        if kind == "double":
            return octet * 2
        if kind == "turn":
            return bytes([octet[0] ^ 1 << self._dice.randrange(8)])
        if kind == "add":
            return octet + self._dice.randbytes(self._dice.randrange(1, 3 * LINE))
        self._cutting = octet != b"\n"
        return b"" if self._cutting else octet


@JOBS
def test_noise_in_both_directions(job, registry, fake) -> None:
    old = provision(registry, fake.port)
    accidents, done = 0, 0
    for seed in range(SEEDS * 6):
        fake.hears, fake.says = Noisy(seed), Noisy(seed + 6_000_000)
        with contextlib.suppress(RoamkeyError):
            old = job(registry, fake.port)
            done += 1
        accidents += fake.hears.done + fake.says.done
        assert fake.set_id in {old, *states(registry)}
        fake.hears = fake.says = bytes
        old = after_accident(registry, fake, job)
    print(
        f"{job.__name__}: {SEEDS * 6} runs, {accidents} accidents, {done} runs done all the same"
    )
    assert accidents > 6 * SEEDS and done


def test_only_noise(registry, fake) -> None:
    """A line that carries nothing but random octets, for a while, changes nothing."""
    old = provision(registry, fake.port)
    before = dict(fake.store.records)
    fake.says = lambda _: b""  # nobody reads
    dice = random.Random(4449)
    for _ in range(SEEDS * 200):
        for octet in dice.randbytes(dice.randrange(1, 400)):
            fake._feed(octet)
    assert fake.store.records == before and fake.set_id == old


@JOBS
def test_power_cuts_on_the_real_board(job, virtual: VirtualBoard, registry) -> None:
    """As above on MicroPython and littlefs, a sample: each costs a boot."""
    deliver.provision(registry, virtual.port, PLAN)

    def change(connect: deliver.Connect) -> str:
        return job(registry, virtual.port, connect)

    cuts = 40 if FULL else 4
    assert through_cuts(virtual, virtual.port, registry, change, cuts).total() == cuts
