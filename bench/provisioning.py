"""How long boards take from bare to registered. Run it with `make bench`.

Virtual boards: MicroPython with an empty flash on a serial port, each in a network of its own
making. The clock runs from before the command is started until it has ended, which it does when
every board has the agent, holds its keys after a reboot, and is bound by the correspondent:

one board       roamkey setup --port ... --registered ...
a tray          roamkey batch fleet.csv --jobs 16 --registered ...
one by one      roamkey batch fleet.csv --jobs 1 --registered ...

A serial line of hardware adds to that: at 115,200 baud 60 KB take seven seconds, over USB one.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console
from rich.table import Table

from roamkey.lab import apart, sandbox
from roamkey.lab.board import VirtualBoard
from roamkey.lab.demo.correspondent import Correspondent
from roamkey.lab.network import CORRESPONDENT_ADDRESS, Network

BOARDS = 16
BATCH_S = 20.0  # that a tray may take
_PREFIX = "2001:db8:a::/64"
_REGISTERED_S = "60"
_OUT = Path(__file__).parent / "out" / "provisioning.json"


def main() -> int:
    """Measure, print a table, write `bench/out/provisioning.json`; 1 where it takes too long."""
    arguments = argparse.ArgumentParser(description="measure provisioning in the laboratory")
    arguments.add_argument("--boards", type=int, default=BOARDS)
    count = arguments.parse_args().boards
    apart.stand_apart()
    sandbox.ensure()
    os.environ["COLUMNS"] = "80"
    with tempfile.TemporaryDirectory() as folder:
        one = measure(Path(folder, "one"), 1, None)
        together = measure(Path(folder, "together"), count, count)
        singly = measure(Path(folder, "singly"), count, 1)
    found = {
        "one_board_s": round(one, 2),
        "batch16_s": round(together, 2),
        "one_by_one16_s": round(singly, 2),
    }
    table = Table("bare to registered", "s", "s a board")
    table.add_row("one board, roamkey setup", f"{one:.1f}", f"{one:.1f}")
    table.add_row(f"{count} boards at a time", f"{together:.1f}", f"{together / count:.1f}")
    table.add_row(f"{count} boards one by one", f"{singly:.1f}", f"{singly / count:.1f}")
    Console().print(table)
    if count == BOARDS:
        _OUT.parent.mkdir(exist_ok=True)
        _OUT.write_text(json.dumps(found, indent=2) + "\n")
    if together > BATCH_S:
        print(f"{count} boards took {together:.1f} s, more than {BATCH_S:g} s", file=sys.stderr)
        return 1
    return 0


def measure(out: Path, count: int, jobs: int | None) -> float:
    """Seconds for `count` bare boards; `jobs` None: by `roamkey setup`, which does one."""
    out.mkdir()
    with ExitStack() as stack:
        network = stack.enter_context(Network())
        boards = [_board(stack, network, out, number) for number in range(count)]
        correspondent = Correspondent(network, out / "registry.sqlite", out / "correspondent.log")
        with_registry = ["--registry", str(out / "registry.sqlite")]
        subprocess.run(_roamkey("provision", "-h"), check=True, capture_output=True)  # warm caches
        correspondent.start()
        stack.callback(correspondent.kill)
        common = ["--home-prefix", _PREFIX, "--correspondent", CORRESPONDENT_ADDRESS]
        common += ["--registered", _REGISTERED_S, *with_registry]
        if jobs is None:
            command = _roamkey("setup", "--port", boards[0].port, *common)
        else:
            fleet = out / "fleet.csv"
            lines = [f"board {number},{board.port}" for number, board in enumerate(boards)]
            fleet.write_text("\n".join(["name,port", *lines, ""]))
            command = _roamkey("batch", str(fleet), "--jobs", str(jobs), *common)
        started = time.monotonic()
        subprocess.run(command, check=True)
        took = time.monotonic() - started
        bound = {binding["home_address"] for binding in correspondent.bindings()}
        if len(bound) != count:
            raise SystemExit(f"{count} boards, and {len(bound)} are bound")
        return took


def _board(stack: ExitStack, network: Network, out: Path, number: int) -> VirtualBoard:
    """A board with an empty flash, its uplink plugged in."""
    name = f"board{number}"
    namespace = network.add_node(name)
    board = stack.enter_context(VirtualBoard(out / f"{name}.img", spawn=namespace.popen))
    board.start()
    network.move(name, "wlan0", "visited1", dad=False)
    return board


def _roamkey(*words: str) -> list[str]:
    return [sys.executable, "-m", "roamkey", *words]


if __name__ == "__main__":
    sys.exit(main())
