"""The newcomer's first hour: from an empty account to a board that is followed, lost and found.

What is typed is what README prints; what is looked at is what it promises.
"""

import re
from pathlib import Path

import pytest
from support.account import PROJECT, Account
from support.roaming import need_tun

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(240)]

README = (PROJECT / "README.md").read_text(encoding="utf-8")


def test_from_nothing_to_a_board_that_is_followed(tmp_path: Path) -> None:
    need_tun()
    with Account(tmp_path / "account") as newcomer:
        # The first thing typed without having read anything says what to do, in a line.
        said = newcomer.run(".venv/bin/roamkey provision").ended(1, 3)
        assert len(said.errors.splitlines()) == 1 and "Traceback" not in said.errors

        up = newcomer.run(".venv/bin/roamkey lab up").ok()
        shown = re.findall(r"^ +[\d.]+ s  (.*)$", up.output, re.MULTILINE)
        assert len(shown) >= 5 and shown[-1] == "ready"  # never long without a word
        try:
            _play(newcomer)
        finally:
            newcomer.run(".venv/bin/roamkey lab down").ok()

        # What was only played with is gone: no registry, no keys, no flash.
        left = [path.name for path in newcomer.home.rglob("*") if path.is_file()]
        assert set(left) <= {"lab.lock", "board-lines.json", "board-sums.json"}
        newcomer.run(".venv/bin/roamkey lab up --bare").ok()
        try:
            _make_a_node(newcomer)
        finally:
            newcomer.run(".venv/bin/roamkey lab down").ok()


def _play(newcomer: Account) -> None:
    moved = newcomer.run(".venv/bin/roamkey lab move cafe").ok().output
    assert "udp4" in moved and re.search(r"after \d+ ms", moved)
    assert "udp4" in newcomer.run(".venv/bin/roamkey lab cut").ok().output
    bindings = newcomer.run(".venv/bin/roamkey correspondent bindings").ok().output
    assert "udp4" in bindings and "192.168." in bindings
    status = newcomer.run(".venv/bin/roamkey status").ok().output  # no port: there is one board
    assert "keys and counters are in order" in status
    home = newcomer.run(".venv/bin/roamkey lab status --json").ok().json()["home_address"]
    newcomer.run(f".venv/bin/roamkey lab run ping -c3 -W5 {home}").ok()


def _make_a_node(newcomer: Account) -> None:
    """README's "Use it", on the correspondent's host."""
    section = README.partition("\n## Use it\n")[2]
    block = re.search(r"(?:^    .*\n)+", section, re.MULTILINE)
    assert block is not None
    typed = [line.strip() for line in block[0].splitlines()]
    assert len(typed) == 5 and "flash" in typed[1]  # a virtual board has MicroPython
    reading = "python3 -c 'import socket; s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); "
    reading += 's.bind(("::", 5005)); s.settimeout(60); print(*s.recvfrom(2048))\''
    script = [typed[0], typed[2], typed[3], f"{typed[4]} >daemon.log 2>&1 & {reading}"]
    for number, line in enumerate(script):
        (newcomer.clone / f"line{number}").write_text(f"{line}\n")
        ran = newcomer.run(f"roamkey lab run sh line{number}", timeout_s=90).ok()
    (known,) = newcomer.run("roamkey correspondent bindings --json").ok().json()
    assert known["home_address"] in ran.output  # a reading, from where the board is at home
