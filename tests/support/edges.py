"""Damaged inputs against what reads them: captures, packets, logs and firmware files.

Each campaign mutates good ones and says what became of them. A refusal is a `RoamkeyError` of one
line; anything else that is raised is a crash, and so is an input that takes seconds.
"""

import io
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import mobility_samples
import samples
from rich.console import Console

from roamkey.board.images import read_firmware
from roamkey.decode.reading import Reading
from roamkey.decode.render import show
from roamkey.errors import RoamkeyError
from roamkey.field import boardlog, folder, page, report
from roamkey.schemas import schema

from . import images
from .mutations import mutated

LONG_S = 10.0  # of CPU: a page with its charts takes one or two
_EDGES = (b"\0", b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\1", b"\1\0\0\0")
_WORDS = (
    "null", "true", "-1", "0", "9007199254740991", "1e400", "NaN", '""', "[]", "{}", '"x"',
    '"::1%lo"', '"٣"', "[" * 2000, '"' + "9" * 5000 + '"', "253402300799001", '"\\ud800"',
)  # fmt: skip


def campaign(one: Callable[[random.Random], str], count: int, seed: int = 1) -> dict[str, Any]:
    """Try so many; the tally: `tried`, `refused`, `crashes` with some of them in words."""
    chance = random.Random(seed)
    outcomes: Counter[str] = Counter()
    crashes: list[str] = []
    longest = 0.0
    for number in range(count):
        begun = time.process_time()
        try:
            outcomes[one(chance)] += 1
        except RoamkeyError as error:
            outcomes["refused"] += 1
            if "\n" in str(error):
                crashes.append(f"{number}: more than one line: {error}")
        except Exception as error:
            crashes.append(f"{number} of seed {seed}: {type(error).__name__}: {error}")
        took = time.process_time() - begun
        longest = max(longest, took)
        if took > LONG_S:
            crashes.append(f"{number} of seed {seed}: {took:.1f} s")
    return {
        "tried": count,
        "outcomes": dict(outcomes),
        "crashes": len(crashes),
        "some": crashes[:5],
        "longest_s": round(longest, 3),
    }


def damaged(chance: random.Random, octets: bytes) -> bytes:
    """Some places changed, doubled, taken out, or put to an edge; or cut."""
    kind = chance.randrange(6)
    if kind == 0 and octets:
        return octets[: chance.randrange(len(octets))]
    if kind < 3:
        made = bytearray(octets)
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(max(1, len(made)))
            edge = chance.choice(_EDGES)
            made[at : at + len(edge)] = edge
        return bytes(made)
    return mutated(chance, octets)


class Captures:
    """Packets as hexadecimal, and captures of several links in both formats."""

    def __init__(self) -> None:
        packets = [bytes.fromhex(v["packet"]) for v in mobility_samples.VECTORS]
        packets += mobility_samples.one_of_each()
        self._packets = packets
        self._validator = jsonschema.Draft202012Validator(schema("decode"))

    def __call__(self, chance: random.Random) -> str:
        reading = Reading(everything=chance.random() < 0.3)
        chosen = chance.sample(self._packets, 3)
        if chance.random() < 0.2:
            text = "\n".join(one.hex() for one in chosen)
            octets = damaged(chance, text.encode()) if chance.random() < 0.5 else b"\n".join(
                damaged(chance, one).hex().encode() for one in chosen
            )  # fmt: skip
            found = reading.hexadecimal(io.StringIO(octets.decode("ascii", "replace")))
        else:
            link = chance.choice((1, 101, 105, 113, 127, 229, 276))
            before = {1: bytes(12) + b"\x86\xdd", 113: bytes(14) + b"\x86\xdd",
                      276: b"\x86\xdd" + bytes(18)}  # fmt: skip
            frames = [
                mobility_samples.radiotap(one)[25 if link == 105 else 0 :]
                if link in (105, 127)
                else before.get(link, b"") + one
                for one in chosen
            ]
            if chance.random() < 0.5:
                frames = [damaged(chance, one) for one in frames]
            out = io.BytesIO()
            mobility_samples.write_capture(
                out, frames, link=link, next_generation=chance.random() < 0.5
            )
            octets = out.getvalue()
            if chance.random() < 0.6:
                octets = damaged(chance, octets)
            found = reading.capture(io.BytesIO(octets))
        packets = list(found)
        document = {"packets": packets, **reading.counts()}
        if chance.random() < 0.02:  # it takes longer than all the rest
            self._validator.validate(document)
        json.dumps(document)
        out_text = io.StringIO()
        console = Console(file=out_text, width=80)
        for facts in packets:
            show(facts, console)
        if reading.failure:
            raise reading.failure
        return "shown" if packets else "nothing"


class Logs:
    """The logs of a walk, mutated as octets, as lines, and in their fields."""

    def __init__(self, place: Path, drawn: float = 0.0) -> None:
        """`drawn`: the share of reports whose page is made, too; it takes a second."""
        self._folder = place
        self._drawn = drawn
        place.mkdir(parents=True, exist_ok=True)
        log = boardlog.pull(samples.answers(samples.BOOT_1), "aa", samples.HOME)
        data = [
            {"at_ms": samples.START + 1100 + 100 * n, "home_address": samples.HOME, "number": n}
            for n in range(0, 30, 2)
        ]
        cut = {"at_ms": samples.START, "kind": "cut", "home_addresses": [samples.HOME]}
        walk = {"name": "walk", "networks": {"2001:db8:1::/64": "cafe"}, "steps": [cut]}
        self._good = {
            "board.jsonl": boardlog.as_lines(log),
            "correspondent.log": samples.correspondent_log(),
            "events.json": json.dumps(samples.events(), indent=2),
            "data.jsonl": "".join(json.dumps(one) + "\n" for one in data),
            "walk.json": json.dumps(walk),
        }

    def __call__(self, chance: random.Random) -> str:
        victims = chance.sample(sorted(self._good), chance.randrange(1, 3))
        for name, text in self._good.items():
            octets = self._mutate(chance, text) if name in victims else text.encode()
            (self._folder / name).write_bytes(octets)
        made = report.make(folder.read(self._folder))
        json.dumps(report.plain(made))
        report.rows(made)
        if chance.random() < self._drawn:
            page.render(made)
        return "reported"

    def _mutate(self, chance: random.Random, text: str) -> bytes:
        kind = chance.randrange(4)
        if kind == 0:
            return damaged(chance, text.encode())
        lines = text.split("\n")
        if kind == 1:
            chance.shuffle(lines)
            return "\n".join(lines[: chance.randrange(len(lines) + 1)]).encode()
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(lines))
            words = lines[at].split(" ")
            place = chance.randrange(len(words))
            end = "," if words[place].endswith(",") else ""
            words[place] = chance.choice(_WORDS) + end
            lines[at] = " ".join(words)
        return "\n".join(lines).encode("utf-8", "surrogatepass")


class Images:
    """UF2 files and ESP32 images."""

    def __init__(self, place: Path) -> None:
        place.mkdir(parents=True, exist_ok=True)
        self._path = place / "firmware"
        names = images.names("Raspberry Pi Pico W with RP2040", "1.28.0")
        self._good = [
            images.uf2(self._path, names * 20).read_bytes(),
            images.esp(self._path, names * 20).read_bytes(),
            images.esp(self._path, names * 20, chip_id=5, digest=False).read_bytes(),
        ]

    def __call__(self, chance: random.Random) -> str:
        good = chance.choice(self._good)
        octets = bytearray(good)
        if octets[0] == 0xE9:  # most of such a file is nothing
            begin, end = chance.choice(((0, 700), (0x7000, 0x7200), (0xF000, len(good))))
            octets[begin:end] = damaged(chance, bytes(octets[begin:end]))
        else:
            octets = bytearray(damaged(chance, good))
        self._path.write_bytes(octets)
        read_firmware(self._path)
        return "taken"


def write_walk(place: Path, moves: int) -> int:
    """The logs of a walk of so many moves, seven lines of the board's to each; the events."""
    place.mkdir(parents=True, exist_ok=True)
    events = 1
    with (place / "board.jsonl").open("w") as board, (place / "events.jsonl").open("w") as told:

        def happened(ms: int, kind: str, *detail: str) -> None:
            nonlocal events
            events += 1
            one = {"type": "event", "boot": 1, "ms": ms, "kind": kind, "detail": detail}
            board.write(json.dumps(one) + "\n")

        named = {"type": "board", "board": "aa", "home_address": samples.HOME}
        board.write(json.dumps(named) + "\n")
        happened(0, "boot", "1", "1", "0")
        for number in range(moves):
            at, scan = 1000 + 5000 * number, number % 97
            address = f"2001:db8:{number % 5 + 1}::ff:fe00:1"
            happened(at, "link", "wlan0", "down")
            happened(at + 1, "detached")
            happened(at + 200 + scan, "link", "wlan0", "up")
            happened(at + 300 + scan, "attached", address)
            happened(at + 301 + scan, "update", samples.PEER, str(number))
            happened(at + 350 + scan, "acknowledged", samples.PEER, "0")
            happened(at + 352 + scan, "data", samples.PEER)
            update = {
                "id": number, "at_ms": samples.START + at + 325 + scan, "kind": "moved",
                "home_address": samples.HOME, "care_of_address": address, "sequence": number,
                "generation": 0, "lifetime_s": 600, "correspondent": samples.PEER,
            }  # fmt: skip
            gap = {
                "id": number, "at_ms": samples.START + at + 400 + scan, "kind": "gap",
                "home_address": samples.HOME, "gap_ms": 400,
            }  # fmt: skip
            told.write(json.dumps(update) + "\n" + json.dumps(gap) + "\n")
            events += 2
    return events


def report_of(place: Path, moves: int, page_too: bool = False) -> dict[str, Any]:
    """What a report of such a walk costs, in CPU seconds, and what comes of it."""
    events = write_walk(place, moves)
    begun = time.process_time()
    made = report.make(folder.read(place))
    text = page.render(made) if page_too else ""
    took = time.process_time() - begun
    assert len(made.nodes[0].handovers) == moves
    found = {"events": events, "cpu_s": round(took, 2), "page_octets": len(text.encode())}
    return {**found, "page": text}


# What Linux says of a process's memory before it ran this program doesn't count here.
_MEASURED = """
import sys
from roamkey.cli import main
try:
    main()
finally:
    with open("/proc/self/status") as file:
        print(next(line.split()[1] for line in file if line.startswith("VmHWM")), file=sys.stderr)
"""


def decode(path: Path, as_stdin: bool, as_json: bool) -> tuple[int, float]:
    """Decode a file with the command; the most kilobytes that it took, and CPU seconds."""
    words = [sys.executable, "-c", _MEASURED, "decode", "-" if as_stdin else str(path)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with path.open("rb") as file, Path(os.devnull).open("wb") as out:
        done = subprocess.run(
            [*words, *(["--json"] if as_json else [])],
            stdin=file, stdout=out, stderr=subprocess.PIPE, check=True,
        )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return int(done.stderr), cpu_s
