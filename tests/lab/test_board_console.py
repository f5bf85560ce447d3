"""The serial line of a virtual board: octets, Ctrl-C and Ctrl-D as on hardware."""

import re
import time

import pytest

FIRMWARE_LIKE = """
import asyncio, json, micropython, select, sys
micropython.kbd_intr(-1)
async def console():
    poll = select.poll()
    poll.register(sys.stdin, select.POLLIN)
    line = bytearray()
    while True:
        while not poll.poll(0):
            await asyncio.sleep_ms(5)
        octet = sys.stdin.buffer.read(1)
        if octet == b"\\x03":
            return
        if octet != b"\\n":
            line += octet
            continue
        request = json.loads(line)
        sys.stdout.buffer.write(json.dumps({"id": request["id"]}) + "\\n")
        line = bytearray()
asyncio.run(console())
"""

ECHO = """
import micropython, sys
micropython.kbd_intr(-1)
left = 4 * 256
sys.stdout.buffer.write(b"ready")
while left:
    octet = sys.stdin.buffer.read(1)
    sys.stdout.buffer.write(octet)
    left -= 1
"""


def test_every_octet_passes_unchanged_both_ways(started):
    console = started(ECHO)
    console.read_until(b"ready")
    sent = bytes(range(256)) + bytes(reversed(range(256))) + b"\r\n\n\r" * 128
    console.write(sent)
    assert console.read(len(sent)) == sent


def test_json_lines_as_the_firmware_reads_them(started):
    console = started(FIRMWARE_LIKE)
    for number in range(3):
        console.write(b'{"id": %d, "note": "\xc3\xa9"}\n' % number)
        assert console.readline() == b'{"id": %d}\n' % number
    console.write(b"\x03")
    assert b">>> " in console.read_until(b">>> ")


@pytest.mark.parametrize(
    "program",
    [
        "while True: pass",
        "import time\nwhile True: time.sleep(60)",
        "import sys\nwhile True: sys.stdin.buffer.read(1)",
        "import asyncio\nasync def f():\n  while True: await asyncio.sleep(60)\nasyncio.run(f())",
    ],
    ids=["busy", "sleeping", "reading", "asyncio"],
)
def test_ctrl_c_interrupts_main(started, program):
    console = started(f"print('running')\n{program}")
    console.read_until(b"running\n")
    console.write(b"\r\x03")
    assert b"KeyboardInterrupt" in console.read_until(b">>> ")


def test_many_ctrl_c_leave_the_repl(board, started):
    console = started("print('running')\nwhile True: pass")
    console.read_until(b"running\n")
    console.write(b"\x03" * 10 + b"print(6 * 7)\r")
    assert b"KeyboardInterrupt" in console.read_until(b"42\n")
    assert board.boots == 1


def test_ctrl_c_does_not_break_a_file_system_at_work(started):
    console = started(
        "import time\nprint('running')\n"
        "while True:\n  with open('/f', 'w') as f: f.write('x' * 5000)\n  time.sleep_ms(1)"
    )
    for number in range(5):
        console.read_until(b"running\n")
        time.sleep(0.01 * number)
        console.write(b"\x03")
        assert b"KeyboardInterrupt" in console.read_until(b">>> ")
        console.write(b"import os; print(os.listdir('/'))\r")
        assert b"'main.py'" in console.read_until(b"]\n")
        console.write(b"\x04")


def test_ctrl_c_at_the_repl_cancels_the_line(board, started):
    console = started()
    console.read_until(b">>> ")
    console.write(b"garbage(\x03print(6 * 7)\r")
    assert b"42\n" in console.read_until(b"42\n")
    assert board.boots == 1


def test_program_sees_ctrl_c_when_it_asked_for_it(board, started):
    console = started(
        "import micropython, sys\nmicropython.kbd_intr(-1)\nprint('ready')\n"
        "print(sys.stdin.buffer.read(3))"
    )
    console.read_until(b"ready\n")
    console.write(b"a\x03b")
    assert console.read_until(b"\n") == b"b'a\\x03b'\n"


def test_ctrl_d_at_the_friendly_repl_runs_main_again(started):
    console = started("print('main.py', 'kept' in globals())")
    console.read_until(b">>> ")
    console.write(b"kept = 1\r\x04")
    said = console.read_until(b"main.py False\n")
    assert re.search(rb"\r\nMPY: soft reboot\r\nmain.py False\n$", said)
    assert b">>> " in console.read_until(b">>> ")


def test_ctrl_d_in_the_raw_repl_runs_boot_only(board, started):
    board.install({"/boot.py": b"print('boot.py')"})
    console = started("print('main.py')")
    console.read_until(b">>> ")
    console.write(b"\x01")
    console.read_until(b"raw REPL; CTRL-B to exit\r\n>")
    console.write(b"\x04")
    said = console.read_until(b"raw REPL; CTRL-B to exit\r\n>")
    assert said == b"OK\r\nMPY: soft reboot\r\nboot.py\nraw REPL; CTRL-B to exit\r\n>"
    console.write(b"print(1)\x04")
    assert console.read_until(b"\x04>") == b"OK1\n\x04\x04>"
    console.write(b"import sys; sys.exit()\x04")
    said = console.read_until(b"raw REPL; CTRL-B to exit\r\n>")
    assert said.startswith(b"OK\x04\x04MPY: soft reboot\r\nboot.py\n")
    console.write(b"\x02")
    assert console.read_until(b">>> ").startswith(b"\r\nMicroPython ")


@pytest.mark.parametrize("ending", ["raise SystemExit", "import machine; machine.soft_reset()"])
def test_main_can_ask_for_a_soft_reset(started, ending):
    console = started(
        "import os\nif 'once' not in os.listdir('/'):\n"
        f"  open('/once', 'w').close()\n  {ending}\nprint('again')"
    )
    assert console.read_until(b"again\n") == b"MPY: soft reboot\r\nagain\n"


def test_board_runs_on_when_nobody_reads(board, started):
    console = started(
        "import time\n"
        "while True:\n"
        "    print('x' * 1000)\n"
        "    with open('/alive', 'w') as f: f.write(str(time.ticks_ms()))\n"
    )
    console.read_until(b"x")
    time.sleep(1.5)
    board.power_cut()
    before = board.read_file("/alive")
    board.power_on()
    time.sleep(0.3)
    board.power_cut()
    assert board.read_file("/alive") != before
