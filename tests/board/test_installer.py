"""Installing the agent on virtual boards: what is sent, and what boots after a power cut."""

import dataclasses
import hashlib
import os
import random
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from mip6.ports import portsboot
from roamkey.board import agent, installer, mains, repl, slots
from roamkey.board.built import Image, image_for
from roamkey.board.doctor import examine
from roamkey.board.identity import Identity
from roamkey.board.installer import install, roll_back
from roamkey.board.repl import Repl
from roamkey.board.serial_client import SerialClient
from roamkey.errors import BoardError, RefusedError
from roamkey.firmware import board_files
from roamkey.lab.board import ESP32, RP2, VirtualBoard

LINUX_MPY = 0x306
CUTS = 14  # power cuts that are booted from, of the many points that are recorded


@pytest.fixture(scope="module")
def image() -> Image:
    return image_for("linux", LINUX_MPY)


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[VirtualBoard]:
    """A running board with an empty flash."""
    with VirtualBoard(tmp_path / "board.img") as board:
        board.start()
        yield board


def of_version(image: Image, version: str, **more: bytes) -> Image:
    """The same agent under another version, with files beside it."""
    files = {path: octets for path, octets in image.files.items() if path != "mip6/__init__.mpy"}
    files["mip6/__init__.py"] = f'__version__ = "{version}"\n'.encode()
    return dataclasses.replace(image, files={**files, **more})


def running(board: VirtualBoard) -> str:
    """The version of the agent that runs."""
    with SerialClient(board.port, answer_s=30) as client:
        return client.identify().agent


def test_what_ran_leaves_its_memory_to_the_update(virtual: VirtualBoard) -> None:
    """A Pico W with a home agent, its application and the console had no room for both."""
    alive = (
        "import sys\nprint(sorted(n for n in sys.modules if n[:4] == 'mip6'), 'agent' in dir())"
    )
    assert running(virtual)
    with Repl(virtual.port) as board:
        assert "mip6.agent" in board.run(alive) and "True" in board.run(alive)
        free = "import gc\ngc.collect()\nprint(gc.mem_free())"
        before = int(board.run(free))
        slots.Flash(board)
        assert board.run(alive).strip() == "[] False"
        assert int(board.run(free)) > before + 100_000  # octets; of 64 bits, none in place


def test_first_time_again_update_and_back(bare: VirtualBoard, image: Image) -> None:
    told: list[tuple[int, int]] = []
    first = install(bare.port, progress=lambda *step: told.append(step))
    assert (first.form, first.slot, first.copied, first.kept) == ("mpy", "a", 0, 0)
    assert first.sent == len(image.files) and first.previous is None
    assert first.octets == sum(map(len, image.files.values()))
    assert told[-1] == (first.octets, first.octets)
    assert first.board == bare.unique_id.hex()
    assert running(bare) == first.agent

    again = install(bare.port)
    assert (again.changed, again.slot, again.octets) == (False, "a", 0)

    newer = of_version(image, "9.1")
    update = install(bare.port, image=newer)
    assert (update.agent, update.slot, update.sent) == ("9.1", "b", 1)
    assert update.copied == len(image.files) - 1 and update.previous == first.agent

    # The slot that is written next holds most files already.
    newest = install(bare.port, image=of_version(image, "9.2", **{"extra/more.py": b"x = 1\n"}))
    assert (newest.agent, newest.slot, newest.sent) == ("9.2", "a", 2)
    assert newest.kept == len(image.files) - 1

    back = roll_back(bare.port)
    assert (back.agent, back.slot, back.changed) == ("9.1", "b", False)
    assert running(bare) == "9.1"
    assert roll_back(bare.port).agent == "9.2"

    bare.power_cut()
    assert bare.read_file("/agent/slot") == b"a"
    assert "/agent/a/mip6/__init__.mpy" not in bare.list_files()


def test_nothing_to_go_back_to(bare: VirtualBoard) -> None:
    install(bare.port)
    with pytest.raises(RefusedError, match="no earlier agent"):
        roll_back(bare.port)
    assert running(bare)


def test_over_an_agent_in_lib_and_its_keys_stay(virtual: VirtualBoard, image: Image) -> None:
    virtual.power_cut()
    virtual.install({"/roamkey/networks": b"[]"})
    virtual.power_on()
    done = install(virtual.port, image=of_version(image, "9.1"))
    assert (done.agent, done.slot) == ("9.1", "a")
    virtual.power_cut()
    assert virtual.read_file("/roamkey/networks") == b"[]"


def test_source_where_bytecode_does_not_load() -> None:
    source = image_for("rp2", 0x206)
    assert source.form == "py" and "mip6/agent.py" in source.files
    assert image_for("rp2", 0).form == "py"
    assert image_for("linux", 0x1306).form == "mpy"


def test_a_program_of_ones_own_stays(bare: VirtualBoard) -> None:
    """Whatever is in it, mention of the agent too, and what isn't text."""
    for program in (b"print('mine')\n", b"import mip6  # and more\n", b"x = '\xff'\n"):
        bare.power_cut()
        bare.install({"/main.py": program})
        bare.power_on()
        with pytest.raises(RefusedError, match="--replace-main"):
            install(bare.port)
        bare.power_cut()
        assert bare.read_file("/main.py") == program
    bare.power_on()
    install(bare.port, replace_main=True)
    assert running(bare)


def test_a_main_that_an_installation_wrote_is_ours(bare: VirtualBoard, image: Image) -> None:
    """One that this release doesn't know, too: a newer roamkey's; and every earlier release's."""
    newer = dataclasses.replace(image, main=image.main + b"# newer\n")
    install(bare.port, image=newer)
    assert install(bare.port).changed is False  # the files are the same
    bare.power_cut()
    assert bare.read_file("/main.py") == image.main
    with zipfile.ZipFile(Path(__file__).parent / "data" / "agent-0.1.0.zip") as archive:
        assert hashlib.sha256(archive.read("main.py")).hexdigest() in mains.OURS


def test_the_present_main_is_known() -> None:
    """Whoever changes firmware/main.py adds its sum: the next release must take it for ours."""
    assert hashlib.sha256(board_files()["/main.py"].read_bytes()).hexdigest() in mains.OURS


def test_what_is_there_already_starts_nothing_again(bare: VirtualBoard, roamkey) -> None:
    """Asked of the agent that runs; what differs is found, whatever it is."""
    app = b"print('hello')\n"
    install(bare.port, app=app)
    boots = bare.boots
    began = time.monotonic()
    done = install(bare.port, app=app)
    assert time.monotonic() - began < 2
    assert (done.changed, done.slot, done.sent, done.copied) == (False, "a", 0, 0)
    assert done.kept == len(image_for("linux", LINUX_MPY).files) and done.board
    code, out, _ = roamkey("install", "--port", bare.port)
    assert code == 0 and "nothing to do: the agent goes on" in out
    assert bare.boots == boots
    for path, content in (
        ("/agent/%s/mip6/pathcheck.mpy", b"damaged"), ("/agent/%s/mip6/more.py", b""),
        ("/app.py", b"other"), ("/boot.py", slots.PORTS_BOOT.encode()),
        ("/main.py", image_for("linux", LINUX_MPY).main + b"#"),
    ):  # fmt: skip
        bare.power_cut()
        bare.install({path.replace("%s", bare.read_file("/agent/slot").decode()): content})
        bare.power_on()
        assert running(bare)
        boots = bare.boots
        install(bare.port, app=app, replace_main=True)
        assert bare.boots > boots, path
    boots = bare.boots
    assert install(bare.port, app=app).changed is False and bare.boots == boots


def test_a_bare_board_without_room_had_no_agent(bare: VirtualBoard, image: Image) -> None:
    large = dataclasses.replace(image, files={**image.files, "x.mpy": bytes(2 << 20)})
    with pytest.raises(BoardError, match=r"too full: \d+ KB needed, \d+ KB free$"):
        install(bare.port, image=large)
    install(bare.port)
    with pytest.raises(BoardError, match=r"KB free; the old agent stays$"):
        install(bare.port, image=large)


def test_an_agent_that_does_not_start_is_taken_back(bare: VirtualBoard, image: Image) -> None:
    install(bare.port, image=of_version(image, "9.1"))
    broken = of_version(image, "9.2", **{"mip6/agent.py": b"raise ValueError\n"})
    files = {path: octets for path, octets in broken.files.items() if path != "mip6/agent.mpy"}
    files["hashlib.py"] = b"syntax error\n"  # must not be in the way of mending it
    with pytest.raises(BoardError, match="the old one runs again"):
        install(bare.port, image=dataclasses.replace(broken, files=files), answer_s=3)
    assert running(bare) == "9.1"


def test_a_full_flash(bare: VirtualBoard, image: Image) -> None:
    install(bare.port, image=of_version(image, "9.1"))
    huge = of_version(image, "9.2", **{"huge.bin": bytes(900_000)})
    with pytest.raises(BoardError, match="too full"):
        install(bare.port, image=huge)
    assert running(bare) == "9.1"


def test_ports_and_boards_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(BoardError, match="no such port"):
        install(str(tmp_path / "none"))


def test_a_port_is_free_though_a_program_that_just_starts_has_a_copy_of_it(
    bare: VirtualBoard,
) -> None:
    with Repl(bare.port) as repl:
        assert repl._transport is not None
        copy = os.dup(repl._transport.serial.fileno())  # as a fork has until it runs another
    try:
        with Repl(bare.port) as repl:
            assert repl.facts().platform == "linux"
    finally:
        os.close(copy)


def test_a_busy_port(bare: VirtualBoard) -> None:
    with serial.Serial(bare.port, exclusive=True), pytest.raises(BoardError, match="busy"):
        install(bare.port)


def test_a_sealed_board_is_refused_at_once(fake, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = Identity("fa4e", "rp2", "1.28.0", "0.1", "ready", "00" * 8, sealed="11" * 8)
    monkeypatch.setattr(SerialClient, "identify", lambda self: sealed)
    for command in (install, roll_back, examine):
        with pytest.raises(RefusedError, match="unseal it first"):
            command(fake.port)
    assert not fake.heard


def test_power_cuts_in_an_update(
    bare: VirtualBoard, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever instant the power goes at, an agent boots: the old one, or the new one whole."""
    install(bare.port, image=of_version(image, "9.1"))
    cuts: list[Path] = []
    lock = threading.Lock()

    def record() -> None:
        with lock:
            cuts.append(bare.snapshot(tmp_path / f"cut{len(cuts):04}.img"))

    run = Repl.run

    def run_and_record(self: Repl, program: str, timeout: float | None = None) -> str:
        record()
        return run(self, program, timeout)

    stop = threading.Event()

    def every_few_ms() -> None:
        while not stop.wait(0.004):
            record()

    monkeypatch.setattr(Repl, "run", run_and_record)
    recorder = threading.Thread(target=every_few_ms)
    recorder.start()
    # All of it changes, so that all of it is written.
    newer = {path: octets + b"\0" for path, octets in image.files.items()}
    newer = of_version(dataclasses.replace(image, files=newer), "9.2").files
    newer = {
        p: image.files[p] if p in image.files and i % 3 else newer[p] for i, p in enumerate(newer)
    }
    install(bare.port, image=dataclasses.replace(image, files=newer))
    stop.set()
    recorder.join()
    monkeypatch.undo()
    record()
    assert running(bare) == "9.2"

    chosen = [cuts[round(i * (len(cuts) - 1) / (CUTS - 1))] for i in range(CUTS)]
    booted = []
    for cut in chosen:
        bare.restore(cut)
        booted.append(running(bare))
    assert booted[0] == "9.1" and booted[-1] == "9.2"
    assert booted == sorted(booted), "once the new agent has booted, the old one is over"

    # After a cut the same command finishes the job.
    bare.restore(chosen[CUTS // 2])
    done = install(bare.port, image=dataclasses.replace(image, files=newer))
    assert done.agent == "9.2" and done.sent < len(newer)


def test_a_power_cut_while_it_installs(
    bare: VirtualBoard, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(bare.port, image=of_version(image, "9.1"))
    monkeypatch.setattr(repl, "EXEC_S", 2.0)
    big = random.Random(1).randbytes(300_000)

    def cut_halfway(done: int, total: int) -> None:
        if bare.powered and done > total // 2:
            assert done < total
            bare.power_cut()

    with pytest.raises(BoardError, match=r"gives no REPL|stopped answering"):
        install(
            bare.port, image=of_version(image, "9.2", **{"big.bin": big}), progress=cut_halfway
        )
    assert not bare.powered
    bare.power_on()
    assert running(bare) == "9.1"


FROZEN_MAIN = """
import sys
sys.path.append("/rom")
exec(open("/rom/main.py").read())
"""


@pytest.fixture
def with_frozen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, image: Image
) -> Iterator[VirtualBoard]:
    """A board whose firmware holds an agent and its main.py: /rom stands for the firmware.

    A virtual board's own firmware can't be another; tests/pico_w has one with the agent frozen in.
    """
    monkeypatch.setattr(repl, "_FROZEN_PATH", "/rom")
    monkeypatch.setattr(Repl, "_frozen_modules", lambda self: ["mip6/__init__", "main"])
    files = {f"/rom/{path}": octets for path, octets in image.files.items()}
    with VirtualBoard(tmp_path / "board.img") as board:
        board.install({**files, "/rom/main.py": image.main, "/main.py": FROZEN_MAIN.encode()})
        board.start()
        yield board


def test_the_firmware_has_this_version_already(with_frozen: VirtualBoard) -> None:
    done = install(with_frozen.port)
    assert (done.form, done.slot, done.frozen, done.previous) == (
        "frozen", "", installer.__version__, None,
    )  # fmt: skip
    assert not done.changed and done.agent == installer.__version__
    with pytest.raises(RefusedError, match="no earlier agent"):
        roll_back(with_frozen.port)


def test_a_copy_goes_before_the_firmwares_agent_and_back(
    with_frozen: VirtualBoard, image: Image
) -> None:
    frozen = installer.__version__  # what the records of copies say, too, whatever they hold
    first = install(with_frozen.port, image=of_version(image, "9.1"))
    assert (first.agent, first.slot, first.frozen, first.previous) == ("9.1", "a", frozen, frozen)
    back = roll_back(with_frozen.port)
    assert (back.agent, back.slot, back.form, back.previous) == (frozen, "", "frozen", frozen)
    again = roll_back(with_frozen.port)
    assert (again.agent, again.slot, again.previous) == ("9.1", "a", frozen)

    second = install(with_frozen.port, image=of_version(image, "9.2"))
    assert (second.agent, second.slot, second.previous) == ("9.2", "b", frozen)
    # The firmware's is the one that this host would install: its copies step back.
    host = install(with_frozen.port)
    assert (host.agent, host.slot, host.changed, host.previous) == (frozen, "", False, frozen)
    copied = install(with_frozen.port, copy=True)
    assert (copied.agent, copied.slot, copied.form) == (frozen, "a", "mpy")

    removed = installer.remove(with_frozen.port)
    assert (removed.agent, removed.slot, removed.previous) == (frozen, "", None)
    with_frozen.power_cut()
    assert not [path for path in with_frozen.list_files() if path.startswith("/agent/")]
    # The main.py that boots is the firmware's: the one in flash is nobody's to change.
    assert with_frozen.read_file("/main.py") == FROZEN_MAIN.encode()


def test_a_copy_that_does_not_start_leaves_the_firmwares(
    with_frozen: VirtualBoard, image: Image
) -> None:
    broken = of_version(image, "9.2", **{"mip6/agent.py": b"raise ValueError\n"})
    files = {path: octets for path, octets in broken.files.items() if path != "mip6/agent.mpy"}
    with pytest.raises(BoardError, match="the old one runs again"):
        install(with_frozen.port, image=dataclasses.replace(broken, files=files), answer_s=3)
    assert running(with_frozen) == installer.__version__


def test_no_agent_in_the_firmware(bare: VirtualBoard) -> None:
    done = install(bare.port)
    assert done.frozen is None
    with Repl(bare.port) as opened:
        assert opened.frozen() is None
        assert "_asyncio" in opened._frozen_modules()
        opened.restart()
    with pytest.raises(RefusedError, match="holds no agent"):
        installer.remove(bare.port)
    assert running(bare)


def folders(port: str) -> set[str]:
    """The folders below /agent."""
    walk = (
        "import os, json\n"
        "def walk(p):\n"
        "    for e in os.ilistdir(p):\n"
        "        if e[1] & 0x4000:\n"
        "            found.append(p + '/' + e[0])\n"
        "            walk(p + '/' + e[0])\n"
        "found = []\n"
        "walk('/agent')\n"
    )
    with Repl(port) as opened:
        opened.run(walk)
        found = set(opened.ask("print(json.dumps(found))"))
        opened.restart()
    return found


def test_a_slot_changes_its_form_and_back(tmp_path: Path, image: Image) -> None:
    """A folder goes before a file of its name: of sources mip6/console/, before console.mpy."""
    large = dataclasses.replace(RP2, block_count=2 * RP2.block_count)  # for sources, and more
    with VirtualBoard(tmp_path / "board.img", geometry=large) as board:
        board.start()
        change_form_and_back(board, image)


def change_form_and_back(bare: VirtualBoard, image: Image) -> None:
    source = image_for("linux", 0x206)
    assert "mip6/console/methods.py" in source.files and "mip6/console.mpy" in image.files
    assert install(bare.port, image=source).slot == "a"
    assert install(bare.port, image=image).slot == "b"
    compiled = install(bare.port, image=of_version(image, "9.1"))
    assert (compiled.slot, compiled.agent) == ("a", "9.1")
    assert folders(bare.port) == {
        f"/agent/{slot}{below}" for slot in "ab" for below in ("", "/hashlib", "/mip6")
    }
    assert install(bare.port, image=source).slot == "b"
    assert roll_back(bare.port).agent == "9.1"
    assert install(bare.port, image=source).slot == "b"
    assert "/agent/b/mip6/console" in folders(bare.port)


def test_empty_folders_that_a_power_cut_left_hide_nothing(
    bare: VirtualBoard, image: Image
) -> None:
    """Files of the other form were removed, or were about to come, when power failed."""
    with Repl(bare.port) as opened:
        opened.run(
            "import os\n"
            "for p in ('', '/a', '/a/mip6', '/a/mip6/console', '/a/mip6/ports'):\n"
            "    os.mkdir('/agent' + p)\n"
        )
        opened.restart()
    done = install(bare.port)
    assert (done.slot, done.sent) == ("a", len(image.files))
    assert running(bare)
    assert "/agent/a/mip6/console" not in folders(bare.port)


def test_an_agent_in_lib_boots_without_slots(tmp_path: Path) -> None:
    """What mip and mpremote cp put there: sources, which leave no room on a Pico W."""
    with VirtualBoard(tmp_path / "board.img", geometry=ESP32) as board:
        board.install(board_files())
        board.start()
        assert running(board)
        board.power_cut()
        board.install({"/agent/slot": b"x"})  # damaged: as if it weren't there
        board.power_on()
        assert running(board)


def test_the_raw_repl_of_a_program_that_ignores_interrupts(bare: VirtualBoard) -> None:
    bare.power_cut()
    bare.install(
        {"/main.py": b"import micropython, time\nmicropython.kbd_intr(-1)\ntime.sleep(1000)\n"}
    )
    bare.power_on()
    started = time.monotonic()
    with pytest.raises(BoardError, match="gives no REPL"), Repl(bare.port, enter_s=1.0):
        pass
    assert time.monotonic() - started < 10


def test_await_agent_says_why(bare: VirtualBoard) -> None:
    with pytest.raises(BoardError, match="REPL prompt"):
        agent.await_agent(bare.port, None, 5)


def test_the_ports_own_boot_py_is_known_and_no_other() -> None:
    """Its SHA-256 is that of what ports/esp32/modules/inisetup.py of MicroPython 1.28 writes."""
    own = slots.PORTS_BOOT
    assert hashlib.sha256(own.encode()).hexdigest() == (
        "16f5b4bcb120e9a032242b47967e649a0cc577b41939e81ef7d4b4da181bd17f"
    )
    for text in (own, "", "\n\n", own.replace("\n", "\r\n"), own.replace("#esp.", "  #esp.")):
        assert slots.is_ports_boot(text)
    others = (
        own.replace("#import esp", "import esp"),
        own + "import machine\n",
        own + "# how to wire the sensor\n",
        "?",  # of which nothing is known
    )
    for text in (None, *others):
        assert not slots.is_ports_boot(text)


def test_an_esp32_that_is_to_be_sealed_removes_the_ports_own_boot_py_itself(tmp_path) -> None:
    file = tmp_path / "boot.py"
    for own in (slots.PORTS_BOOT, slots.PORTS_BOOT.replace("\n", "\r\n"), ""):
        file.write_text(own)
        assert portsboot.drop(str(file)) and not file.exists()
    for other in ("import sys\n", slots.PORTS_BOOT + "# mine\n", "\xff", 9 * slots.PORTS_BOOT):
        file.write_text(other, encoding="latin-1")
        assert not portsboot.drop(str(file)) and file.exists()
    assert not portsboot.drop(str(tmp_path / "none"))
    assert set(slots.PORTS_BOOT.splitlines()) <= set(portsboot._LINES)


@pytest.mark.parametrize("text", ["import sys\n", "# mine\n"])
def test_another_boot_py_is_left_alone(virtual: VirtualBoard, roamkey, text: str) -> None:
    mine = text.encode()
    virtual.power_cut()
    virtual.install({"/boot.py": mine})
    virtual.power_on()
    code, out, error = roamkey("install", "--port", virtual.port)
    assert code == 0 and "/boot.py" in out and "left alone" in out and "/app.py" in out, error
    virtual.power_cut()
    assert virtual.read_file("/boot.py") == mine


def test_a_program_beside_the_agent(bare: VirtualBoard, image: Image, roamkey, tmp_path) -> None:
    """It is there when the agent is, and another one takes its place in one step."""
    program = tmp_path / "reader.py"
    first = "async def main(node):\n    pass\n"
    for text in (first, first + "# longer\n" * 1000):
        program.write_text(text)
        code, out, error = roamkey("install", "--port", bare.port, "--app", program)
        assert (code, error) == (0, "") and f"{program}, as /app.py" in out
        bare.power_cut()
        assert bare.read_file("/app.py") == text.encode()
        assert "/app.py.new" not in bare.list_files()
        bare.power_on()
    code, _, error = roamkey("install", "--port", bare.port, "--app", tmp_path / "nothing.py")
    assert code == 1 and error.startswith("roamkey: ") and "nothing.py" in error
    both = ("--app", program, "--rollback")
    assert roamkey("install", "--port", bare.port, *both)[0] == 2
