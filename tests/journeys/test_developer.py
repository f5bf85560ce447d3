"""The firmware developer's hour: docs/APPLICATIONS.md from its top to its end, on a playground."""

import json
import signal
import time
from pathlib import Path

import pytest
from support.account import PROJECT, Account
from support.blocks import programs
from support.roaming import need_tun

DOCUMENT = PROJECT / "docs" / "APPLICATIONS.md"
TRIED = ("slow.py", "newest.py", "tidy.py")
PRINTED = {"slow.py": "a value at "}
RAISES = "async def main(node):\n    print('about to fail')\n    raise ValueError('of mine')\n"
_UP_S = 120.0


def readings(lines: list[str]) -> list[int]:
    """The numbers of the greenhouse's readings that its other end printed, each once."""
    said = [json.loads(line.split(" ", 1)[1]) for line in lines if ' {"' in line]
    return list(dict.fromkeys(one["n"] for one in said if "n" in one))


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_from_an_empty_account_to_a_greenhouse(tmp_path: Path) -> None:
    need_tun()
    with Account(tmp_path / "account") as developer:
        run, clone = developer.run, developer.clone
        blocks = programs(DOCUMENT)
        for name, text in blocks.items():
            (clone / name).write_text(text)
        assert set(blocks) == {"my.py", "receiver.py", *TRIED}
        up = run("roamkey lab up --json", timeout_s=_UP_S).ok().json()
        try:
            _first_program(developer, up["home_address"])
            for name in TRIED:
                _tried(developer, name)
            _what_fails(developer)
            _greenhouse(developer)
            _sealed(developer)
            text = clone / "back.py"
            run("roamkey app get back.py").ok()
            assert text.read_bytes() == (clone / "greenhouse.py").read_bytes()
            assert "removed" in run("roamkey app remove").ok().output
            assert run("roamkey app status --json").ok().json() == {"application": "none"}
            assert run("roamkey app remove --json").ok().json()["removed"] is False
        finally:
            run("roamkey lab down")


def _first_program(developer: Account, home_address: str) -> None:
    run = developer.run
    assert "no /app.py" in run("roamkey app remove && roamkey app get").ended(4).errors
    with developer.start("roamkey lab run python3 receiver.py") as receiver:
        done = run("roamkey app put my.py --json").ok().json()
        assert (done["restarted"], done["application"]) == (True, "running")
        assert receiver.wait_for("21.5") == f"{home_address} 21.5"
    again = run("roamkey app put my.py").ok().output
    assert "it runs already: nothing done" in again
    assert run("roamkey app get").ok().output == (developer.clone / "my.py").read_text()


def _tried(developer: Account, name: str) -> None:
    said = developer.run(f"roamkey app run {name} --for 2500ms").ok().output
    assert PRINTED.get(name, "") in said and "Traceback" not in said, said
    assert developer.run("roamkey app get").ok().output == (developer.clone / "my.py").read_text()


def _what_fails(developer: Account) -> None:
    run, clone = developer.run, developer.clone
    (clone / "damaged.py").write_text("async def main(node):\n    x = [\n    return x\n")
    said = run("roamkey app put damaged.py").ended(1).errors
    assert said == "roamkey: damaged.py, line 3: SyntaxError: invalid syntax\n"
    (clone / "none.py").write_text("print('hello')\n")
    assert run("roamkey app put none.py").ended(1).errors.count("\n") == 1
    (clone / "raises.py").write_text(RAISES)
    expected = ('  File "app.py", line 3, in main', "ValueError: of mine")
    assert all(line in run("roamkey app put raises.py").ok().output for line in expected)
    with developer.start("roamkey app log --follow") as follows:
        follows.wait_for("about to fail")
        follows.wait_for(expected[0])
        follows.wait_for(expected[1])
        seen = len(follows.lines)
        follows.wait_for(lambda line: len(follows.lines) > seen)  # it is called again
        assert follows.end(signal.SIGINT) == 130
    told = run("roamkey app log --json").ok().json()
    assert told["application"] == "ValueError: of mine" and "app.py" in told["traceback"]
    assert told["printed"].startswith("about to fail\nTraceback") and told["lost"] == 0
    with developer.start("roamkey app run raises.py") as tried:
        assert tried.wait_for("File ") == '  File "raises.py", line 3, in main'
        assert tried.end(signal.SIGINT) == 0


def _greenhouse(developer: Account) -> None:
    """Readings go on over a move, and arrive all; the window does as it is told."""
    run, clone = developer.run, developer.clone
    text = (clone / "firmware/examples/greenhouse.py").read_text()
    assert "EVERY_S = 10.0" in text
    (clone / "greenhouse.py").write_text(text.replace("EVERY_S = 10.0", "EVERY_S = 0.5"))
    run("roamkey app put greenhouse.py").ok()
    host = "python3 firmware/examples/greenhouse_host.py"
    with developer.start(f"roamkey lab run -- {host} --window open") as other_end:
        other_end.wait_for('"window": true')
        run("roamkey lab move visited2").ok()
        before = len(readings(other_end.lines))
        other_end.wait_for(lambda _: len(readings(other_end.lines)) > before + 2)
    heard = readings(other_end.lines)
    time.sleep(2)  # nobody acknowledges meanwhile
    with developer.start(f"roamkey lab run -- {host}") as other_end:
        most = heard[-1] + 8
        other_end.wait_for(lambda _: most in readings(other_end.lines))
        heard += readings(other_end.lines)
    assert sorted(set(heard))[: most + 1] == list(range(most + 1))
    log = run("roamkey app log").ok().output
    assert "window open" in log and log.count("reaching 1") >= 2 and "Traceback" not in log


def _sealed(developer: Account) -> None:
    run = developer.run
    run("roamkey lab run roamkey seal").ok()  # whose key is in the playground's registry
    for words in ("put my.py", "run my.py", "get", "remove", "log", "stop"):
        refused = run(f"roamkey app {words}").ended(4)
        assert refused.output == "" and refused.errors.count("\n") == 1, refused
        assert "sealed" in refused.errors
    run("roamkey unseal").ok()
    assert run("roamkey app status --json").ok().json() == {"application": "running"}
