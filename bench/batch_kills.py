"""Kill `roamkey batch` at random moments, and repeat it until every board is done.

Virtual boards with an empty flash, on serial ports and in networks of their own; lines of every
kind (by name, home address, board, port, or any board), each with a Wi-Fi network. The command is
ended at a random moment: by SIGKILL, by Ctrl-C, or by a second Ctrl-C while it finishes; then it
is run again, and so on until it says that all is done. After each run must hold:

- what stood in the results with keys stands there still: the same line, board, address and set;
- no board has two lines, and none was ever given two sets of keys, or two addresses;
- results and labels are whole.

In the end every board holds the set that its line tells, the registry has it confirmed and under
its name, each has a label, and one more run touches none. Then the next tray, of fresh boards,
until there were as many kills as were asked for.

`make fuzz` runs it whole, `make test` briefly. Prints a line, writes bench/out/batch_kills.json;
exits with 1 if anything was lost or done twice.
"""

import argparse
import collections
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from results import update
from sqlalchemy import select

from mip6 import addresses
from roamkey import children
from roamkey.board.serial_client import SerialClient
from roamkey.lab import sandbox
from roamkey.lab.board import VirtualBoard
from roamkey.lab.network import Network
from roamkey.registry import Registry
from roamkey.registry.schema import keys, nodes, pairs

BOARDS, KILLS, JOBS = 20, 100, 5
_COMMON = ("--home-prefix", "2001:db8:a::/64", "--correspondent", "2001:db8:c::2")
_PATIENCE_S = 300.0  # of a run that nobody ends
_LONGEST_S = 3.0  # from the first word of a board to the kill
_EARLY = 0.2  # of the kills come at any moment from the start on
_SECRET = "tray password"


class Tray:
    """Fresh boards, their fleet's file and registry, and what is known of each line so far."""

    def __init__(self, folder: Path, boards: list[VirtualBoard], chance: random.Random) -> None:
        self.folder = folder
        self.boards = boards
        self.chance = chance
        self.fleet = folder / "fleet.csv"
        self.results = folder / "fleet.results.csv"
        self.labels = folder / "labels"
        self.registry = folder / "registry.sqlite"
        self.known: dict[int, tuple[str, ...]] = {}
        self.more: tuple[str, ...] = ()
        self.sets = 1  # that a board may ever have been given
        self.counts: collections.Counter[str] = collections.Counter(trays=1, boards=len(boards))
        self.problems: list[str] = []
        self._write_fleet()

    def _write_fleet(self) -> None:
        """Of five boards one each: by name, by address, by id, by port, and any."""
        (self.folder / "wifi").write_text(_SECRET + "\n")
        (self.folder / "wifi").chmod(0o600)
        with self.fleet.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(
                ("name", "home_address", "board", "port", "wifi", "wifi_password_file")
            )
            for i, board in enumerate(self.boards):
                kind = i % 5
                writer.writerow(
                    (
                        f"tray-{i}" if kind in (0, 2) else "",
                        f"2001:db8:a::{i + 1:x}00" if kind == 1 else "",
                        board.unique_id.hex() if kind == 2 else "",
                        board.port if kind == 3 else "",
                        "depot",
                        "wifi",
                    )
                )

    def start(self, *more: str) -> "subprocess.Popen[bytes]":
        """The command, in a process group of its own: Ctrl-C goes to it alone."""
        ports = ":".join(board.port for board in self.boards)
        environment = os.environ | {"ROAMKEY_PORTS": ports, "ROAMKEY_REGISTRY": str(self.registry)}
        options = (*_COMMON, "--labels", str(self.labels), "--wait", "60", "--json", *more)
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                children.roamkey("batch", self.fleet, *options),
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

    def through(self, jobs: int, longest_s: float, kills: int) -> None:
        """Repeat it until all is done, or something is wrong; after `kills` nobody ends it."""
        while not self.problems:
            enough = self.counts["kills"] >= kills
            if self.round(jobs, _PATIENCE_S if enough else longest_s):
                self.finish()
                return

    def round(self, jobs: int, longest_s: float) -> bool:
        """Run it, end it at a random moment, look; whether it had ended by itself, all done."""
        before = self._stamp()
        process = self.start("--jobs", str(jobs), *self.more)
        try:
            early = self.chance.random() < _EARLY
            until = time.monotonic() + _PATIENCE_S
            while not early and process.poll() is None and self._stamp() == before:
                if time.monotonic() > until:
                    raise SystemExit("the command doesn't begin")
                time.sleep(0.01)
            wait_s = self.chance.uniform(0, longest_s)
            try:
                process.wait(wait_s)
            except subprocess.TimeoutExpired:
                self._end(process)
                done = False
            else:
                done = process.returncode == 0
                if not done:
                    self._complain(f"ended by itself with {process.returncode}")
        finally:
            children.end(process, signal.SIGKILL)
        self.look()
        return done

    def renew(self) -> None:
        """From now on the boards are given other keys. A run that is ended before it has said so
        in the results is begun anew."""
        self.sets = 2
        before = self._rows()
        while self._rows() == before:
            process = self.start("--again", "--replace")
            time.sleep(self.chance.uniform(0, 3))
            self._end(process)
        self.known = {}  # of keys that are replaced: `look` sees to that in the registry
        self.more = ("--replace",)

    def _end(self, process: "subprocess.Popen[bytes]") -> None:
        how = self.chance.choice(("SIGKILL", "SIGKILL", "Ctrl-C", "Ctrl-C twice"))
        self.counts["kills"] += 1
        self.counts[how] += 1
        if how == "SIGKILL":
            process.kill()
        else:
            process.send_signal(signal.SIGINT)
        if how == "Ctrl-C twice":
            time.sleep(self.chance.uniform(0, 1))
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        try:
            out, _ = process.communicate(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._complain(f"{how}: it doesn't end")
            return
        fine = process.returncode in (0, 130, -signal.SIGINT) or self._python_was_starting()
        if how != "SIGKILL" and not fine:
            self._complain(f"{how}: ended with {process.returncode}: {out[-200:]!r}")

    def _python_was_starting(self) -> bool:
        """Whether Ctrl-C came before there was anything of ours to hear it."""
        return b"Fatal Python error: init_" in (self.folder / "log").read_bytes()[-4096:]

    def look(self) -> None:
        """Compare what is there with what was."""
        rows = self._rows()
        given = {int(row["line"]): _given(row) for row in rows if row["set_id"]}
        for line, known in self.known.items():
            if given.get(line, ())[: len(known)] != known:
                self.counts["lost"] += 1
                self._complain(f"line {line}: {known} became {given.get(line)}")
        # A set that may be replaced isn't held against the next look.
        self.known = {line: one if self.sets == 1 else one[:2] for line, one in given.items()}
        boards = collections.Counter(row["board"] for row in rows if row["board"])
        lines = collections.Counter(row["line"] for row in rows if row["set_id"])
        for name, count in (boards + lines).items():
            if count > 1:
                self.counts["twice"] += 1
                self._complain(f"{name} stands in the results {count} times")
        self._look_at_registry()
        for label in self.labels.glob("*"):
            whole = b"\xaeB`\x82" if label.suffix == ".png" else b"</html>\n"
            if label.name.startswith(".") or not label.read_bytes().endswith(whole):
                self.counts["lost"] += 1
                self._complain(f"{label.name} isn't whole")

    def _look_at_registry(self) -> None:
        if not self.registry.exists():
            return
        query = select(nodes.c.home_address, nodes.c.board_id, keys.c.set_id)
        query = query.select_from(nodes.join(pairs).join(keys)).distinct()
        query = query.where(nodes.c.board_id.is_not(None))
        with Registry.open(self.registry) as registry, registry.reading() as c:
            found = c.execute(query).all()
        for what, column in (("board", 1), ("address", 0)):
            for name, count in collections.Counter(row[column] for row in found).items():
                if count > self.sets:
                    self.counts["twice"] += 1
                    self._complain(f"{what} {name!r} was given {count} sets of keys")

    def finish(self) -> None:
        """What must hold when all is done."""
        boots = [board.boots for board in self.boards]
        process = self.start(*self.more)
        out, _ = process.communicate(timeout=_PATIENCE_S)
        told = json.loads(out)["boards"]
        if process.returncode or not all(each["earlier"] for each in told):
            self._complain("one more run found something to do")
        if boots != [board.boots for board in self.boards]:
            self.counts["twice"] += 1
            self._complain("one more run touched a board")
        self.look()
        rows = {row["board"]: row for row in self._rows()}
        sheet = (self.labels / "labels.html").read_text()
        with Registry.open(self.registry) as registry:
            names = registry.names()
            for board in self.boards:
                row = rows.get(board.unique_id.hex())
                if row is None or row["result"] != "ok":
                    self._complain(f"board {board.unique_id.hex()} has no line")
                    continue
                live = [
                    (one.set_id.hex(), one.state) for one in registry.sets_of_board(row["board"])
                ]
                with SerialClient(board.port) as client:
                    held = client.identify().set_id
                    networks = client.ask("networks")["networks"]
                if live != [(held, "confirmed")] or held != row["set_id"]:
                    self._complain(f"{row['board']} holds {held}, the registry has {live}")
                if [one["ssid"] for one in networks] != ["depot"]:
                    self._complain(f"{row['board']} knows {networks}")
                if (names.get(addresses.parse(row["home_address"])) or "") != row["name"]:
                    self._complain(f"{row['board']} isn't called {row['name']}")
                if f"{row['board']}</span>" not in sheet:
                    self._complain(f"{row['board']} has no label")
        for file in (self.results, self.folder / "log", self.registry):
            if _SECRET.encode() in file.read_bytes():
                self._complain(f"the Wi-Fi password is in {file.name}")

    def _rows(self) -> list[dict[str, str]]:
        if not self.results.exists():
            return []
        with self.results.open(newline="") as file:
            return list(csv.DictReader(file))

    def _stamp(self) -> tuple[int, int] | None:
        """Something else once a line was written."""
        if not self._rows():
            return None
        status = self.results.stat()
        return status.st_ino, status.st_mtime_ns

    def _complain(self, text: str) -> None:
        self.problems.append(text)
        print(text, file=sys.stderr, flush=True)


def _given(row: dict[str, str]) -> tuple[str, str, str]:
    return row["board"], row["home_address"], row["set_id"]


def main() -> int:
    """Kill, repeat, compare; 1 where anything was lost or done twice."""
    arguments = argparse.ArgumentParser(description="kill roamkey batch, repeat it until done")
    arguments.add_argument("--boards", type=int, default=BOARDS)
    arguments.add_argument("--kills", type=int, default=KILLS)
    arguments.add_argument("--jobs", type=int, default=JOBS, help="boards at a time")
    arguments.add_argument("--longest", type=float, default=_LONGEST_S, metavar="S")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--no-save", action="store_true", help="leave bench/out alone")
    given = arguments.parse_args()
    sandbox.ensure()
    chance = random.Random(given.seed)
    counts: collections.Counter[str] = collections.Counter(lost=0, twice=0)
    problems: list[str] = []
    started = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="roamkey-tray-")))
        network = stack.enter_context(Network())
        spaces = [network.add_node(f"board{i}") for i in range(given.boards)]
        number = 0
        while counts["kills"] < given.kills:
            number += 1
            place = folder / str(number)
            place.mkdir()
            with ExitStack() as plugged:
                boards = [
                    plugged.enter_context(VirtualBoard(place / f"{i}.img", spawn=space.popen))
                    for i, space in enumerate(spaces)
                ]
                for board in boards:
                    board.start()
                tray = Tray(place, boards, chance)
                left = given.kills - counts["kills"]
                tray.through(given.jobs, given.longest, left)
                if number % 2 == 0 and not tray.problems:
                    tray.renew()
                    tray.through(given.jobs, given.longest, left)
                    tray.counts["rekeyed trays"] += 1
                counts.update(tray.counts)
                problems += tray.problems
            print(f"tray {number}: {counts['kills']} kills so far", file=sys.stderr, flush=True)
            if problems:
                for file in (tray.fleet, tray.results, place / "log"):
                    print(f"{file.name}:\n{file.read_text()}", file=sys.stderr)
                break
    told = {**counts, "problems": problems, "seconds": round(time.monotonic() - started)}
    print(", ".join(f"{count} {name}" for name, count in counts.items()))
    if not given.no_save:
        update("batch_kills.json", **told)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
