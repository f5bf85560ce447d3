"""Under sudo the daemon goes on as the user who called it: real credentials, in processes of
their own. Needs root."""

import json
import os
import pwd
import subprocess
import sys

import pytest

from mip6 import packets

NOBODY = pwd.getpwnam("nobody")
NETWORK_RIGHTS = "0000000000003000"  # CAP_NET_ADMIN and CAP_NET_RAW
TUNNEL_RIGHTS = "0000008000003000"  # and CAP_BPF

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="becoming another user needs root")

PROGRAM = f"""
import json, os, socket, subprocess, sys
from roamkey.correspondent import privileges
from roamkey.registry import database
if sys.argv[2] == "reachable":  # a Python of root's own is closed to others
    privileges._finds_us = lambda user: True
told = privileges.leave_root(sys.argv[1] or None, privileges.BPF if sys.argv[3:] else None)
def rights(status):
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return {{name: lines[name].split() for name in ("Uid", "Groups", "CapEff", "CapAmb")}}
socket.socket(socket.AF_INET6, socket.SOCK_RAW, {packets.MOBILITY}).close()
child = subprocess.run(["cat", "/proc/self/status"], capture_output=True, text=True, check=True)
try:
    own = open("/proc/self/status").read()
    os.setuid(0)
    back = True
except PermissionError:
    back = False
print(json.dumps({{
    "told": told, "home": os.environ.get("HOME"), "default": str(database.default_path()),
    "own": rights(own), "child": rights(child.stdout), "back": back,
}}))
"""


def run(registry="", reachable="reachable", more=(), **environment):
    """What the program found after `leave_root`."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SUDO_", "ROAMKEY_", "XDG"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(registry), reachable, *more],
        env={**clean, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return json.loads(done.stdout)


@pytest.fixture
def home(tmp_path):
    """Root's home, without a registry."""
    return str(tmp_path)


def test_as_the_caller_with_two_rights(home):
    found = run(HOME=home, SUDO_UID=str(NOBODY.pw_uid))
    assert found["told"] == "goes on as nobody, with CAP_NET_RAW and CAP_NET_ADMIN alone"
    for process in (found["own"], found["child"]):
        assert process["Uid"] == [str(NOBODY.pw_uid)] * 4
        assert process["Groups"] == [str(NOBODY.pw_gid)]
        assert process["CapEff"] == process["CapAmb"] == [NETWORK_RIGHTS]
    assert found["home"] == NOBODY.pw_dir and found["default"].startswith(NOBODY.pw_dir)
    assert not found["back"]


def test_a_home_agent_has_one_more(home):
    found = run(more=["BPF"], HOME=home, SUDO_UID=str(NOBODY.pw_uid))
    assert found["told"] == "goes on as nobody, with CAP_NET_RAW, CAP_NET_ADMIN and CAP_BPF alone"
    for process in (found["own"], found["child"]):
        assert process["CapEff"] == process["CapAmb"] == [TUNNEL_RIGHTS]


def stays(found):
    return found["told"] is None and found["own"]["Uid"] == ["0"] * 4


def test_without_sudo_root_stays_root(home):
    assert stays(run(HOME=home))
    assert stays(run(HOME=home, SUDO_UID="0"))
    assert stays(run(HOME=home, SUDO_UID="x"))
    assert stays(run(HOME=home, SUDO_UID="4000000000"))  # nobody's


def test_where_root_alone_has_a_registry(home, tmp_path):
    of_root = tmp_path / ".local/share/roamkey/registry.sqlite"
    of_root.parent.mkdir(parents=True)
    of_root.touch()
    assert stays(run(HOME=home, SUDO_UID=str(NOBODY.pw_uid)))


def test_a_registry_is_served_as_its_owner(home, tmp_path):
    caller = {"HOME": home, "SUDO_UID": str(NOBODY.pw_uid)}
    theirs, ours = tmp_path / "theirs.sqlite", tmp_path / "ours.sqlite"
    for path in (theirs, ours):
        path.touch(0o600)
    os.chown(theirs, NOBODY.pw_uid, -1)
    assert run(theirs, **caller)["told"]
    assert stays(run(ours, **caller))
    assert stays(run(ours, ROAMKEY_REGISTRY=str(theirs), **caller))
    assert run(ROAMKEY_REGISTRY=str(theirs), **caller)["told"]
    assert stays(run(tmp_path / "new.sqlite", **caller))  # in a folder of root's
    assert run("postgresql+psycopg://host/database", **caller)["told"]
    assert run(f"sqlite:///{theirs}", **caller)["told"]
    assert stays(run(f"sqlite:///{ours}", **caller))


def test_where_the_caller_cannot_read_the_installation(home):
    found = run(reachable="asked", HOME=home, SUDO_UID=str(NOBODY.pw_uid))
    assert stays(found) == (not nobody_can_run_us())


def nobody_can_run_us():
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import roamkey"],
            user=NOBODY.pw_uid,
            group=NOBODY.pw_gid,
            extra_groups=[],
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except PermissionError:
        return False
    return done.returncode == 0
