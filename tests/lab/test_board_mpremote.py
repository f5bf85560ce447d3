"""The real mpremote finds a board in a virtual board."""

import subprocess
import sys
import time

import pytest

pytest.importorskip("mpremote")


@pytest.fixture
def mpremote(board):
    """Runs mpremote on the started board with the given words; returns what it printed."""
    board.install({"/main.py": b"kept = 'main.py ran'\nprint(kept)"})
    board.start()

    def run(*words: str, code: int = 0) -> str:
        argv = [sys.executable, "-m", "mpremote", "connect", board.port, *words]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout.replace("\r", "")

    return run


def test_exec_resets_first_and_resume_does_not(mpremote):
    assert mpremote("exec", "a = 1; print('main', 'kept' in globals())") == "main False\n"
    assert mpremote("resume", "exec", "print(a)") == "1\n"
    assert mpremote("exec", "print('a' in globals())") == "False\n"


def test_eval_and_errors(mpremote):
    assert mpremote("eval", "6 * 7") == "42\n"
    assert "ZeroDivisionError" in mpremote("exec", "1 / 0", code=1)


def test_exec_of_a_long_program(mpremote):
    assert mpremote("exec", "n = 0\n" + "n += 1\n" * 3000 + "print(n)") == "3000\n"


def test_fs_copies_lists_and_removes(mpremote, tmp_path):
    content = bytes(range(256)) * 40
    (tmp_path / "there").write_bytes(content)
    mpremote("fs", "mkdir", ":/lib")
    mpremote("fs", "cp", str(tmp_path / "there"), ":/lib/data.bin")
    assert "10240 data.bin" in mpremote("fs", "ls", ":/lib")
    mpremote("fs", "cp", ":/lib/data.bin", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == content
    mpremote("fs", "rm", ":/lib/data.bin")
    assert "data.bin" not in mpremote("fs", "ls", ":/lib")


def test_run_and_mount(mpremote, tmp_path):
    (tmp_path / "program.py").write_text("import os, imported\nprint(os.listdir('/'))\n")
    (tmp_path / "imported.py").write_text("print('imported')\n")
    assert "ImportError" in mpremote("run", str(tmp_path / "program.py"), code=1)
    said = mpremote("mount", str(tmp_path), "exec", "import program")
    assert "imported\n['remote', 'main.py']\n" in said  # beside what mpremote itself says


def test_soft_reset_and_reset(mpremote, board):
    mpremote("exec", "a = 1")
    mpremote("soft-reset")
    assert mpremote("resume", "exec", "print('a' in globals(), 'kept' in globals())") == (
        "False False\n"
    )
    boots = board.boots
    mpremote("reset")
    while board.boots < boots + 2:  # softly first, and 100 ms later
        time.sleep(0.01)
    assert mpremote("resume", "eval", "__import__('machine').reset_cause()") == "2\n"
    assert mpremote("resume", "eval", "kept") == "main.py ran\n"


def test_a_program_that_reads_the_line_is_interrupted(mpremote, board):
    board.power_cut()
    board.install({"/main.py": b"import sys\nwhile True: sys.stdin.buffer.read(1)"})
    board.power_on()
    assert mpremote("resume", "eval", "6 * 7") == "42\n"
    board.reset()
    assert mpremote("eval", "6 * 7") == "42\n"
