"""Bytecode that runs where it lies in flash: files found in a real littlefs, functions of the real
MicroPython pointed there. What only a Pico W has (tests/pico_w) is the flash in its address space.
"""

import random
import subprocess
from pathlib import Path

import pytest
from littlefs import LittleFS

from mip6.inplace import littlefs
from mip6.inplace.bytecode import functions
from roamkey.build import compile_board_files
from roamkey.lab.interpreter import micropython

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
BLOCKS = 1024


class Flash:
    """A littlefs as a Pico W has it, and what is in its files."""

    def __init__(self) -> None:
        self.fs = LittleFS(
            block_size=littlefs.BLOCK, block_count=BLOCKS, prog_size=256, read_size=32
        )
        self.files: dict[str, bytes] = {}

    def write(self, path: str, octets: bytes) -> None:
        with self.fs.open(path, "wb") as file:
            file.write(octets)
        self.files[path] = octets

    def found(self) -> list[bytes]:
        """All files with blocks of their own, as the flash has them."""
        flash = bytes(self.fs.context.buffer)
        volume = littlefs.Volume(lambda at, octets: flash[at : at + octets])
        return [b"".join(flash[at : at + count] for at, count in one) for one in volume.files()]


def lived(seed: int) -> Flash:
    """A file system after a history of writes, removals, renames."""
    chance = random.Random(seed)
    flash = Flash()
    folders = ["", "agent", "agent/a", "agent/a/mip6", "roamkey", "roamkey/log"]
    for folder in folders[1:]:
        flash.fs.mkdir(folder)
    for step in range(150):
        path = f"{chance.choice(folders)}/{chance.randrange(12)}".lstrip("/")
        if chance.random() < 0.2 and path in flash.files:
            flash.fs.remove(path)
            del flash.files[path]
        elif chance.random() < 0.2 and path in flash.files:
            other = f"{chance.choice(folders)}/r{step}".lstrip("/")
            flash.fs.rename(path, other)
            flash.files[other] = flash.files.pop(path)
        else:
            flash.write(path, chance.randbytes(chance.choice((30, 700, 4096, 9000, 40000))))
    return flash


@pytest.mark.parametrize("seed", range(6))
def test_every_file_of_a_file_system_with_a_past_is_found_and_no_other(seed: int) -> None:
    flash = lived(seed)
    blocks = sorted(octets for octets in flash.files.values() if len(octets) > 512)
    assert len(blocks) > 10 and sorted(flash.found()) == blocks


def test_a_damaged_file_system_ends_the_search_and_nothing_else() -> None:
    flash = lived(7)
    whole = bytes(flash.fs.context.buffer)
    chance = random.Random(7)
    for _ in range(100):
        broken = bytearray(whole)
        for _ in range(chance.randrange(1, 200)):
            broken[chance.randrange(len(broken))] ^= chance.randrange(1, 256)
        volume = littlefs.Volume(lambda at, octets, b=broken: bytes(b[at : at + octets]))
        for pieces in volume.files():
            assert sum(count for _, count in pieces) >= 0


def test_octets_that_lie_in_two_pieces_have_no_place() -> None:
    place = littlefs.place_in([(4096, 4096), (12292, 100)], 0x10000000)
    assert place(0, 4096) == 0x10001000 and place(4090, 6) == 0x10001FFA
    assert place(4090, 7) is None and place(4096, 100) == 0x10003004
    assert place(4096, 101) is None and place(9000, 1) is None


def test_functions_of_a_file_are_those_of_its_source(tmp_path: Path) -> None:
    source = tmp_path / "program.py"
    source.write_text(
        "A = (1, 'long' * 9, b'x', None, (2.5, 10**30))\n"
        "def f(x):\n    return [y for y in x]\n"
        "class C:\n    async def g(self):\n        pass\n"
    )
    files = compile_board_files(tmp_path / "mpy", "linux", {"program": source})
    octets = files["/lib/program.mpy"].read_bytes()
    found = functions(octets.__getitem__)
    assert [children for _, _, children in found] == [2, 1, 0, 1, 0]  # module, f, [], C, g
    assert all(at > 0 and at + length <= len(octets) for at, length, _ in found)


def run(tmp_path: Path, *arguments: str) -> str:
    """inplace_program.py under MicroPython, with the agent as it is compiled."""
    program = HERE / "inplace_program.py"
    mover = REPOSITORY / "firmware" / "mip6" / "inplace" / "bytecode.py"
    extra = {"inplace_program": program, "inplace_bytecode": mover}
    files = compile_board_files(tmp_path / "mpy", "linux", extra)
    for there, here in files.items():
        if there.startswith("/lib/"):
            place = tmp_path / "lib" / there.removeprefix("/lib/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(here.read_bytes())
    done = subprocess.run(
        [str(micropython()), "-X", "heapsize=4M", "-m", "inplace_program", *arguments],
        env={"MICROPYPATH": f"{tmp_path / 'lib'}:.frozen"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_moved_functions_do_what_they_did_and_their_copies_are_gone(tmp_path: Path) -> None:
    lines = dict(line.split(" ", 1) for line in run(tmp_path, "whole").splitlines())
    assert lines["before"] == lines["after"]
    assert int(lines["moved"]) > 300 and int(lines["straddling"]) > 0
    assert int(lines["freed"]) > 0.75 * int(lines["octets"])


def test_what_differs_by_an_octet_stays_where_it_is(tmp_path: Path) -> None:
    lines = dict(line.split(" ", 1) for line in run(tmp_path, "differs").splitlines())
    assert lines["before"] == lines["after"] and int(lines["moved"]) == 0
