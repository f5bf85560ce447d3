"""The playground: there is one of a user, it does what it says, and nothing of it outlives it."""

import contextlib
import json
import os
import signal
import urllib.request
from pathlib import Path

import jsonschema
import pytest
from support.account import Account

from roamkey.lab.namespaces import nft_program
from roamkey.schemas import schema
from roamkey.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def somebody(tmp_path):
    with Account(tmp_path / "account") as account:
        yield account
        account.run("roamkey lab down")


def checked(account: Account, line: str):
    """What a line of `roamkey lab` prints with --json, which its schema knows."""
    found = account.run(f"roamkey lab {line} --json").ok().json()
    jsonschema.validate(found, schema(f"lab-{line.split()[0]}"))
    return found


def processes(folder: Path) -> set[int]:
    """Those that have to do with a folder: by their command line, or their environment."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            told = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            if str(folder).encode() in told and entry.name != str(os.getpid()):
                found.add(int(entry.name))
    return found


def test_a_playground_from_its_beginning_to_its_end(somebody):
    up = checked(somebody, "up")
    home = up["home_address"]
    assert up["network"] == "visited1" and up["care_of_address"].startswith("2001:db8:1:")
    assert not somebody.registry.exists()  # theirs would be: the playground has its own
    daemon = "roamkey correspondent run --address 2001:db8::1"
    for line in ("roamkey init", daemon):  # not with its keys
        refused = somebody.run(line).ended(4).errors
        assert "roamkey lab shell" in refused and len(refused.splitlines()) == 1
    assert not somebody.registry.exists()

    kinds = {one["network"]: one["kind"] for one in up["networks"]}
    # On a busy host another way may answer first where several lead there.
    ways: dict[str, tuple[str | None, ...]] = {
        "visited2": ("native", "udp6", "udp4"),
        "home": (None,),
    }
    if nft_program() is not None:
        assert kinds["cafe"] == "ipv4" and kinds["office"] == "no-extension-headers"
        ways = {"cafe": ("udp4",), "office": ("udp6",), **ways}
    for network, possible in ways.items():
        moved = checked(somebody, f"move {network}")
        assert moved["network"] == network and moved["way"] in possible
        assert 0 <= moved["registered_after_s"] < 30
    assert checked(somebody, "move nowhere")["registered_after_s"] is None
    checked(somebody, "move visited2")
    cut = checked(somebody, "cut --for 0.1")
    assert cut["care_of_address"].startswith("2001:db8:2:") and cut["registered_after_s"] > 0

    # In a shell of one's own: its registry, and its board, which is plugged in.
    (binding,) = somebody.run("roamkey correspondent bindings --json").ok().json()
    assert binding["home_address"] == home
    (board,) = somebody.run("roamkey boards --json").ok().json()
    assert (board["port"], board["state"], board["board"]) == (
        up["port"], "agent", binding["board"],
    )  # fmt: skip
    with urllib.request.urlopen(up["page"], timeout=20) as page:
        assert b"<!doctype html>" in page.read()

    # On its hosts.
    assert somebody.run("roamkey lab run sh -c 'exit 7'").code == 7
    (daemon,) = (
        somebody.run("roamkey lab run -- sudo roamkey correspondent status --json").ok().json()
    )
    assert daemon["bindings"] == 1
    assert somebody.run("roamkey lab run ls -l /proc/self/ns").ok()
    assert "no host moon" in somebody.run("roamkey lab run --on moon true").ended(1).errors
    if "agent" in up["hosts"]:  # a TUN device is to be had: the kernel's own ping
        somebody.run(f"roamkey lab run ping -c3 -W5 {home}").ok()

    # A second one, and what isn't there.
    assert "lab down" in somebody.run("roamkey lab up").ended(4).errors
    assert "nowhere" in somebody.run("roamkey lab move moon").ended(1).errors
    assert checked(somebody, "status")["network"] == "visited2"

    folder = somebody.home / ".local/state/roamkey/lab"
    somebody.run("roamkey lab down").ok()
    assert not folder.exists() and processes(folder) == set()
    assert "lab up" in somebody.run("roamkey lab status").ended(4).errors
    assert home not in somebody.run("roamkey correspondent bindings --json").output
    assert somebody.run("roamkey boards --json").ok().json() == []


def test_nothing_outlives_whoever_is_killed(somebody):
    somebody.run("roamkey lab up --bare").ok()
    folder = somebody.home / ".local/state/roamkey/lab"
    sleeper = somebody.start("roamkey lab run sleep 1000")
    (serving,) = [
        pid
        for pid in processes(somebody.home)
        if b"playground.serve" in Path(f"/proc/{pid}/cmdline").read_bytes()
        and Path(f"/proc/{pid}/stat").read_text().split()[5] == str(pid)  # leads its session
    ]
    port = Path(folder, "ports", "board").resolve()
    assert port.exists() and somebody.run("roamkey boards --json").json()
    os.kill(serving, signal.SIGKILL)
    assert until(lambda: not port.exists(), 10)
    assert sleeper.process.wait(10)
    assert until(lambda: processes(somebody.home) == set(), 10), processes(somebody.home)
    assert somebody.run("roamkey boards --json").ok().json() == []
    assert "lab up" in somebody.run("roamkey lab move home").ended(4).errors
    # What it left is removed, by `down` as by the next `up`.
    somebody.run("roamkey lab down").ok()
    assert not folder.exists()
    somebody.run("roamkey lab down").ended(4)


def test_a_registry_of_ones_own_is_left_alone(somebody):
    somebody.run("roamkey init --no-reach").ok()
    before = somebody.registry.read_bytes()
    said = somebody.run("roamkey lab up --bare").ok().output
    told = f"export ROAMKEY_REGISTRY={somebody.home}/.local/state/roamkey/lab/registry.sqlite"
    assert told in said
    site = somebody.run(f"{told}; roamkey init --json").ok().json()
    assert site["correspondent"] == "2001:db8:c::2"
    assert somebody.run("roamkey init --json").ok().json()["correspondent"] != "2001:db8:c::2"
    somebody.run("roamkey lab down").ok()
    assert somebody.registry.read_bytes() == before


def test_a_shell_in_the_playground(somebody):
    somebody.run("roamkey lab up --bare").ok()
    typed = "hostname >/dev/null; roamkey init --json; echo I am $(id -u); exit 3\n"
    shell = somebody.run("SHELL=/bin/sh roamkey lab shell", typed=typed)
    assert shell.code == 3 and "I am 0" in shell.output
    site = next(line for line in shell.output.splitlines() if line.startswith("{"))
    assert json.loads(site)["correspondent"] == "2001:db8:c::2"


def test_what_is_interrupted_as_it_comes_up_leaves_nothing(somebody):
    coming = somebody.start("roamkey lab up")
    coming.wait_for("networks:")
    assert coming.end(signal.SIGINT) == 130
    assert until(lambda: processes(somebody.home) == set(), 10), processes(somebody.home)
    somebody.run("roamkey lab up --bare").ok()
