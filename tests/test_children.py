"""Child processes end: when asked, when told otherwise, and when they don't want to."""

import signal
import subprocess
import sys

from roamkey import children


def python(code: str, **options) -> "subprocess.Popen[bytes]":
    options = {"stdout": subprocess.PIPE, **options}
    return subprocess.Popen([sys.executable, "-c", code], **options)


def test_ended_by_a_signal() -> None:
    with python("print('{}', flush=True); import time; time.sleep(60)") as process:
        assert children.first_object(process, 30) == {}
        assert children.end(process) == -signal.SIGTERM
        assert children.end(process) == -signal.SIGTERM, "once more does no harm"


def test_killed_where_it_would_not_end() -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('{\"deaf\": 1}', flush=True); time.sleep(60)"
    )
    with python(code) as process:
        assert children.first_object(process, 30) == {"deaf": 1}
        assert children.end(process, patience_s=0.1) == -signal.SIGKILL


def test_waited_for_where_it_was_told_otherwise() -> None:
    with python("input(); exit(7)", stdin=subprocess.PIPE) as process:
        process.stdin.write(b"\n")
        process.stdin.close()
        assert children.end(process, None, 30) == 7
    assert children.end(None) is None


def test_no_word_in_time() -> None:
    with python("import time; time.sleep(60)") as process:
        assert children.first_object(process, 0.01) == {}
        children.end(process, signal.SIGKILL)


def test_the_command() -> None:
    done = subprocess.run([*children.roamkey("--version")], capture_output=True, check=True)
    assert done.stdout.startswith(b"roamkey ")
