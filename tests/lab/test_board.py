"""A virtual board boots from its flash, keeps its state, and keeps its port."""

import sys

import pytest

from roamkey.errors import BoardError
from roamkey.lab.board import VirtualBoard

COUNT_BOOTS = """
import machine
try:
    with open("/boots") as file:
        boots = int(file.read())
except OSError:
    boots = 0
with open("/boots", "w") as file:
    file.write(str(boots + 1))
print("boot", boots, "cause", machine.reset_cause())
"""


def test_boots_from_its_flash(board, started):
    board.install({"/boot.py": b"print('boot.py')", "/lib/shim.py": b"value = 7"})
    console = started(
        "import os, shim, sys\n"
        "print(sys.path, sys.argv, __name__, sorted(os.listdir('/')), os.getcwd(), shim.value)"
    )
    said = console.read_until(b">>> ").decode()
    assert said.startswith(
        "boot.py\n['', '.frozen', '/lib'] [] __main__ ['boot.py', 'lib', 'main.py'] / 7\n"
    )
    assert "MicroPython" in said


def test_main_runs_in_the_namespace_of_the_repl(started):
    console = started("answer = 42")
    console.read_until(b">>> ")
    console.write(b"print(sorted(globals()), answer)\r")
    assert b"['__file__', '__name__', 'answer'] 42\n" in console.read_until(b"\n>>> ")


def test_traceback_of_main_is_that_of_hardware(started):
    said = started("def f():\n  1 / 0\nf()\n").read_until(b">>> ").decode()
    assert said.startswith(
        "Traceback (most recent call last):\n"
        '  File "main.py", line 3, in <module>\n'
        '  File "main.py", line 2, in f\n'
        "ZeroDivisionError: divide by zero\n"
    )


def test_main_does_not_run_when_boot_raised(board, started):
    board.install({"/boot.py": b"raise ValueError('no')"})
    said = started("print('main.py')").read_until(b">>> ")
    assert b"ValueError: no" in said
    assert b"main.py" not in said


def test_state_survives_resets_and_power_cuts(board, started):
    console = started(COUNT_BOOTS)
    assert console.read_until(b"cause 1\n").startswith(b"boot 0")
    board.reset()
    assert b"boot 1 cause 2\n" in console.read_until(b"cause 2\n")
    console.read_until(b">>> ")
    board.power_cut()
    assert not board.powered
    console.write(b"lost\r")
    board.power_on()
    assert b"boot 2 cause 1\n" in console.read_until(b"cause 1\n")
    console.read_until(b">>> ")
    console.write(b"\x04")
    assert b"boot 3 cause 5\n" in console.read_until(b"cause 5\n")
    console.read_until(b">>> ")
    console.write(b"import machine; machine.reset()\r")
    assert b"boot 4 cause 2\n" in console.read_until(b"cause 2\n")
    board.power_cut()
    assert board.read_file("/boots") == b"5"


def test_a_write_that_returned_survives_a_power_cut(board, started):
    console = started(
        "n = 0\n"
        "while True:\n"
        "    with open('/n', 'w') as file:\n"
        "        file.write(str(n))\n"
        "    print(n)\n"
        "    n += 1\n"
    )
    for _ in range(3):
        console.read_until(b"\n40\n")
        board.power_cut()
        said = console.read_all().decode()
        last = int(said.rpartition("\n")[0].rpartition("\n")[2] or 40)
        # What was printed last may have been lost on the line, which holds some kilobytes.
        assert last <= int(board.read_file("/n")) < last + 2000
        board.power_on()


def test_power_cut_copies_the_image(board, started, tmp_path):
    started(COUNT_BOOTS).read_until(b">>> ")
    board.power_cut(copy_to=tmp_path / "copy.img")
    board.power_on()
    board.power_cut()
    with VirtualBoard(tmp_path / "copy.img") as copy:
        assert copy.read_file("/boots") == b"1"
        assert copy.unique_id != board.unique_id


def test_snapshot_and_restore(board, started, tmp_path):
    console = started(COUNT_BOOTS)
    console.read_until(b">>> ")
    snapshot = board.snapshot(tmp_path / "then.img")
    board.reset()
    assert b"boot 1" in console.read_until(b">>> ")
    board.restore(snapshot)
    assert b"boot 1" in console.read_until(b">>> ")


def test_unique_id_stays_with_the_image(board, started):
    program = "import machine; print(machine.unique_id().hex())"
    identity = started(program).read_until(b"\n").strip().decode()
    assert bytes.fromhex(identity) == board.unique_id
    assert len(board.unique_id) == 8
    assert VirtualBoard(board.image).unique_id == board.unique_id


def test_a_fresh_flash_is_formatted_at_boot(board, open_console):
    board.image.write_bytes(b"\xff" * board.geometry.size)
    board.start()
    console = open_console(board)
    console.write(b"\r\nimport os; print(os.listdir('/'))\r")
    assert b"[]" in console.read_until(b"[]")


def test_flash_in_use_is_not_touched(board):
    board.start()
    with pytest.raises(BoardError, match="in use"):
        board.install({"/main.py": b""})


@pytest.mark.parametrize("interpreter", ["/bin/false", sys.executable, "/nowhere/micropython"])
def test_an_interpreter_that_cannot_boot_is_one_clear_error(board, interpreter):
    bad = VirtualBoard(board.image, interpreter=interpreter)
    with pytest.raises(Exception, match=r"^(the virtual board did not boot: |/nowhere)") as raised:
        bad.start()
    assert "\n" not in str(raised.value)
    assert not bad.powered
