"""A program from a file to a board: what no board takes, power cuts, older agents, odd flashes."""

import contextlib
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from roamkey.board import program
from roamkey.board.agent import await_agent
from roamkey.board.serial_client import ConsoleRefusedError, SerialClient
from roamkey.errors import BadInputError, BoardError, RefusedError
from roamkey.lab.board import VirtualBoard

MAIN = "async def main(node):\n    pass\n"
WAITS = "import asyncio\n\n\nasync def main(node):\n    print('%s')\n    await asyncio.sleep(99)\n"


@pytest.mark.parametrize(
    "text",
    [
        MAIN,
        "def main(*all):\n    yield\n",
        "from other import main\n",
        "from other import *\n",
        "main = None\n",
        "import micropython\n\n\n@micropython.viper\ndef f(p: ptr8):\n    pass\n\n\n" + MAIN,
    ],
)
def test_programs(text: str, tmp_path: Path) -> None:
    path = tmp_path / "my.py"
    path.write_text(text)
    assert program.read(path) == text.encode()


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b"async def main(node:\n", "my.py, line 2: SyntaxError: invalid syntax"),
        (MAIN.encode() + b"    [*a, 1]\n", "line 3: SyntaxError"),  # CPython's alone
        (b"", "no main in it"),
        (b"def other(): pass\n", "no main in it"),
        (b"async def main(): pass\n", "line 1: main is called with the node"),
        (b"\xff\n", "not UTF-8"),
        (b"#" * (program.OCTETS_MAX + 1), "fit no board"),
    ],
)
def test_what_no_board_runs(octets: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "my.py"
    path.write_bytes(octets)
    with pytest.raises(BadInputError) as caught:
        program.read(path)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    for other in (tmp_path / "none.py", tmp_path):
        with pytest.raises(BadInputError):
            program.read(other)


def test_a_power_cut_leaves_the_old_program_or_the_new_one(virtual: VirtualBoard) -> None:
    """At moments over the whole of it; the next `put` ends what was begun."""
    texts = [(WAITS % name + f"# {name}\n" * 3000).encode() for name in ("old", "new")]
    began = time.monotonic()
    program.put(virtual.port, texts[0])
    lasts = time.monotonic() - began
    seen = set()
    for part in range(6):
        wanted = texts[(part + 1) % 2]
        before = virtual_app(virtual)
        putting = threading.Thread(target=put_or_not, args=(virtual.port, wanted))
        putting.start()
        time.sleep(lasts * part / 5)
        virtual.power_cut()
        left = virtual.read_file("/app.py")
        assert left in (before, wanted)
        seen.add(left == wanted)
        virtual.power_on()
        putting.join(120)
    assert False in seen
    program.put(virtual.port, texts[1])
    assert virtual_app(virtual) == texts[1]
    virtual.power_cut()
    assert [path for path in virtual.list_files() if path.startswith("/app")] == ["/app.py"]


def put_or_not(port: str, source: bytes) -> None:
    with contextlib.suppress(BoardError, RefusedError):
        program.put(port, source)


def virtual_app(board: VirtualBoard) -> bytes | None:
    with SerialClient(board.port) as client:
        client.identify()
        return program.get(client)


def test_a_trial_ends_with_the_next_start(virtual: VirtualBoard) -> None:
    program.put(virtual.port, (WAITS % "kept").encode())
    done = program.trial(virtual.port, (WAITS % "tried").encode())
    assert (done.application, done.restarted) == ("running", True)
    assert printed(virtual) == b"tried\n"
    virtual.reset()
    assert printed(virtual) == b"kept\n"
    virtual.power_cut()
    assert [path for path in virtual.list_files() if path.startswith("/app")] == ["/app.py"]


def printed(board: VirtualBoard) -> bytes:
    with SerialClient(board.port) as client:
        client.identify()
        return program.printed(client)[1]


def test_a_board_that_is_full_keeps_what_it_has(virtual: VirtualBoard) -> None:
    kept = (WAITS % "kept").encode()
    program.put(virtual.port, kept)
    with pytest.raises(BoardError, match=r"too full for 1000000 octets: \d+ KB free"):
        program.put(virtual.port, b"#" * 1_000_000)
    assert virtual_app(virtual) == kept


def test_one_kept_from_starting_is_put_and_runs(virtual: VirtualBoard) -> None:
    program.put(virtual.port, (WAITS % "old").encode())
    with SerialClient(virtual.port) as client:
        program.ask(client, set="stop")
    assert program.put(virtual.port, (WAITS % "new").encode()).application == "running"


def test_a_program_that_gives_nobody_a_turn_is_told_of_and_removed(
    virtual: VirtualBoard, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.put(virtual.port, (WAITS % "kept").encode())
    monkeypatch.setattr(program, "_ANSWER_S", 3.0)
    blocks = b"import time\n\n\nasync def main(node):\n    while True:\n        time.sleep(1)\n"
    with pytest.raises(BoardError, match="may give nobody else a turn: the trial is over"):
        program.trial(virtual.port, blocks)
    monkeypatch.undo()
    await_agent(virtual.port, None, 60.0)
    assert printed(virtual) == b"kept\n"
    monkeypatch.setattr(program, "_ANSWER_S", 3.0)
    with pytest.raises(BoardError, match="`roamkey app remove` takes it away"):
        program.put(virtual.port, blocks)
    monkeypatch.undo()
    assert program.remove(virtual.port) == (True, virtual.port)
    assert virtual_app(virtual) is None


def test_a_board_without_an_agent_says_what_to_do(tmp_path: Path) -> None:
    with VirtualBoard(tmp_path / "bare.img") as bare:
        bare.start()
        with pytest.raises(RefusedError, match="`roamkey install --app FILE` puts both there"):
            program.put(bare.port, MAIN.encode())
        bare.power_cut()
        assert "/app.py" not in bare.list_files()


class OlderAgent:
    """A client of a board whose agent knows `set` alone."""

    port = "PORT"

    def ask(self, method: str, params: Any = None, *, again: bool = False) -> dict[str, Any]:
        if params and "set" not in params:
            raise ConsoleRefusedError(-32602, "the parameters are set, no others")
        return {"application": "running"}


def test_an_older_agent_is_updated_first() -> None:
    older: Any = OlderAgent()
    assert program.ask(older)["application"] == "running"
    with pytest.raises(RefusedError, match="`roamkey install` updates it"):
        program.get(older)
    with pytest.raises(RefusedError, match="`roamkey install` updates it"):
        program.printed(older)
