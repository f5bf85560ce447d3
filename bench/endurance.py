"""What a year of each hostile behaviour costs of a key's 65,536 numbers: `bench/endurance.py`.

Simulated time, the real Binding Update List, ledger and budget; an hour a step at most, each timer
of the list at its moment. Nobody here has the key but the correspondent, where there is one. Also
told: an honest node that moves four times an hour, for comparison. Writes
bench/out/endurance.json: {behaviour: {"numbers_per_year": N}}; exit code 1 where one is at 65,536
or beyond.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

sys.path[:0] = [str(Path(__file__).parents[1] / "tests" / name) for name in ("core", "support")]

import peer  # noqa: E402
from peer import CN, COA1, COA2, COA3, Correspondent, MemoryStore  # noqa: E402

from mip6.bindings import silence  # noqa: E402
from mip6.bindings.update_list import BindingUpdateList  # noqa: E402
from mip6.bindings.uplinks import Uplinks  # noqa: E402
from mip6.errors import Exhausted  # noqa: E402
from mip6.limits import SEQUENCE_NUMBERS  # noqa: E402

_OUT = Path(__file__).parent / "out" / "endurance.json"
_YEAR_MS = 365 * 24 * 3600 * 1000
_LIFETIME_S = 3600  # what `provision` asks for by default
_RTT_MS = 40


class World:
    """A node's list over a year. `answer(update)`: the correspondent's packet, or None."""

    def __init__(self, answer: Callable[["World", object], object]) -> None:
        self.now = 0
        self.store = MemoryStore()
        self.cn = Correspondent()
        self.answer = answer
        self.taken = True  # whether the platform takes what is sent
        self.sent = 0
        self.boot()

    def boot(self) -> None:
        """The agent starts: what it knew but for flash is gone, and its clock begins anew."""
        self.base = self.now
        self.keystore = peer.keystore((CN,), lifetime=_LIFETIME_S, store=self.store)
        self.bindings = BindingUpdateList(self.keystore, 0)

    @property
    def clock(self) -> int:
        """Milliseconds since the agent's start."""
        return self.now - self.base

    @property
    def numbers(self) -> int:
        """How many numbers of the key are used or reserved."""
        return self.keystore.ledger.limits[0]

    def draw(self) -> None:
        """Send what is due, and hear what is answered."""
        heard = []
        while True:
            packet = self.bindings.next_packet(self.clock)
            if packet is None:
                break
            if not self.taken:
                self.bindings.unsent()
                continue
            self.sent += 1
            packet = (*packet[:3], bytes(packet[3]))
            reply = self.answer(self, packet)
            if reply is not None:
                heard.append(reply)
        self.keystore.top_up()
        if heard:
            self.now += _RTT_MS
            for reply in heard:
                peer.receive(self.bindings, reply, self.clock)
            self.draw()

    def until(self, end: int) -> None:
        """Let time pass."""
        self.draw()
        while True:
            at = self.bindings.wakes_at()
            if at is None or self.base + at >= end:
                break
            self.now = max(self.now, self.base + at)
            self.draw()
        self.now = max(self.now, end)


def accepts(world: World, packet: object) -> object:
    """As an honest correspondent."""
    return world.cn.answer(world.cn.read(packet))


def silent(world: World, packet: object) -> object:
    """Nobody is there."""
    return None


def refusing(status: int) -> Callable[[World, object], object]:
    """A correspondent that says no."""
    return lambda world, packet: world.cn.answer(world.cn.read(packet), status=status)


def at(address: bytes) -> Callable[[World], None]:
    """Stay at an address for a year."""

    def play(world: World) -> None:
        world.bindings.attach(address, world.clock)
        world.until(_YEAR_MS)

    return play


def forging(make: Callable[[World], object], every_ms: int = 5000) -> Callable[[World], None]:
    """Somebody sends two forged packets every few seconds (one in ten can cause anything)."""

    def play(world: World) -> None:
        world.bindings.attach(COA1, world.clock)
        while world.now < _YEAR_MS:
            world.until(world.now + every_ms)
            for _ in range(2):
                peer.receive(world.bindings, make(world), world.clock)
            # Once the budget is spent a second is like the next: skip to the next token.
            if world.keystore.budget.wait(0, world.clock) > every_ms:
                world.until(min(_YEAR_MS, world.now + world.keystore.budget.wait(0, world.clock)))

    return play


def moving(every_ms: int) -> Callable[[World], None]:
    """The care-of address changes, again and again."""

    def play(world: World) -> None:
        turn = 0
        while world.now < _YEAR_MS:
            turn += 1
            world.bindings.attach((COA1, COA2, COA3)[turn % 3], world.clock)
            world.until(world.now + every_ms)
            wait = world.keystore.budget.wait(0, world.clock)
            if wait > every_ms and every_ms < 60000:
                world.until(min(_YEAR_MS, world.now + wait))

    return play


def rogue(world: World) -> None:
    """A neighbour advertises and deprecates two prefixes in turn: the real choice of address."""
    uplinks = Uplinks(peer.HOME, CN)
    turn = 0
    uplinks.usable("wlan0", 1, COA1, 0)
    while world.now < _YEAR_MS:
        turn += 1
        for address, preferred in ((COA1, turn % 2 == 0), (COA2, turn % 2 == 1)):
            new = uplinks.usable("wlan0", 1, address, world.clock, preferred, 1800)
            if new and world.bindings.care_of is not None:
                silence.verify(world.bindings, world.clock)
        best = uplinks.best(world.clock, world.bindings.care_of)
        assert best is not None
        world.bindings.attach(best[1], world.clock)
        world.until(world.now + (1000 if turn < 100000 else 600000))


def short_lived(world: World) -> None:
    """A neighbour's prefix is valid for thirty seconds, for ever again."""
    world.bindings.valid_until = 30000
    world.bindings.attach(COA1, world.clock)
    while world.now < _YEAR_MS:
        world.bindings.valid_until = world.clock + 30000
        wait = world.keystore.budget.wait(0, world.clock)
        world.until(world.now + max(10000, min(wait, 3600000)))


def boots(seconds: int) -> Callable[[World], None]:
    """The board starts again and again without a loss of power, registers, and starts again."""

    def play(world: World) -> None:
        while world.now < _YEAR_MS:
            world.bindings.attach(COA1, world.clock)
            world.until(world.now + 1000 * seconds)
            wait = world.keystore.budget.wait(0, world.clock)
            if wait > 1000 * seconds:  # nothing to spend: many such starts are like none
                world.until(min(_YEAR_MS, world.now + wait))
            world.boot()

    return play


def refused_by_the_platform(world: World) -> None:
    """The system takes no packet, at an address that changes once a minute."""
    world.taken = False
    moving(60000)(world)


BEHAVIOURS = {
    "honest node, a move in 15 minutes": (accepts, moving(900000)),
    "no answer at all": (silent, at(COA1)),
    "status 129 for ever": (refusing(129), moving(900000)),
    "status 131 for ever": (refusing(131), at(COA1)),
    "status 130 for ever": (refusing(130), at(COA1)),
    "forged refresh requests": (accepts, forging(lambda w: w.cn.refresh_request(COA1))),
    "forged Binding Errors": (accepts, forging(lambda w: w.cn.binding_error(COA1, 1))),
    "forged Binding Errors, no answer": (
        silent,
        forging(lambda w: w.cn.binding_error(COA1, 1), 60000),
    ),
    "rogue advertisements of two prefixes": (accepts, rogue),
    "rogue advertisements of 30 s": (accepts, short_lived),
    "a care-of address changing ten times a second": (accepts, moving(100)),
    "the same, no answer": (silent, moving(100)),
    "the platform sends nothing": (accepts, refused_by_the_platform),
    "a start each 5 s": (accepts, boots(5)),
    "a start each 5 s, no answer": (silent, boots(5)),
}


def year(behaviour: str) -> int:
    """The numbers of the key that a year of a behaviour uses up, reserved ones included."""
    answer, play = BEHAVIOURS[behaviour]
    world = World(answer)
    try:
        play(world)
    except Exhausted:
        return SEQUENCE_NUMBERS
    return world.numbers


def main() -> None:
    """Print the table, write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=_OUT)
    arguments = parser.parse_args()
    table = Table("behaviour", "numbers a year", f"of {SEQUENCE_NUMBERS:,}", title="Endurance")
    found = {}
    for name in BEHAVIOURS:
        print(f"{name} …", file=sys.stderr, flush=True)
        numbers = year(name)
        found[name] = {"numbers_per_year": numbers}
        table.add_row(name, f"{numbers:,}", f"{100 * numbers / SEQUENCE_NUMBERS:.1f} %")
    Console(highlight=False).print(table)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(found, indent=2) + "\n")
    if max(entry["numbers_per_year"] for entry in found.values()) >= SEQUENCE_NUMBERS:
        sys.exit("a key would not last a year")


if __name__ == "__main__":
    main()
