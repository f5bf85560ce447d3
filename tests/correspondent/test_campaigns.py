"""The campaigns of `make fuzz` that kill daemons and set two against each other, briefly.

Each is a program of its own: PostgreSQL must run outside of the laboratory's namespaces, the
daemons inside.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from roamkey.correspondent.dataplane import tun
from roamkey.lab import postgresql

BENCH = Path(__file__).parents[2] / "bench"


@pytest.fixture
def needs_postgresql():
    if postgresql.programs() is None and not os.environ.get("CI"):
        pytest.skip("PostgreSQL is not installed (Debian, Ubuntu: apt install postgresql)")


def run(script, *arguments):
    command = [sys.executable, str(BENCH / script), "--no-save", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    if "the laboratory needs namespaces" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_kill_9_under_load_sqlite():
    assert "10 kills" in run("kills.py", "--kills", "10", "--database", "sqlite")


@pytest.mark.slow
def test_kill_9_under_load_postgresql(needs_postgresql):
    assert "10 kills" in run("kills.py", "--kills", "10", "--database", "postgresql")


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_kill_9_of_a_home_agent_under_load(database, request):
    if database == "postgresql":
        request.getfixturevalue("needs_postgresql")
    reason = tun.refusal()
    if reason is not None:
        pytest.skip(f"the tunnel needs {tun.PATH}: {reason}")
    out = run("kills.py", "--daemon", "home-agent", "--kills", "5", "--database", database)
    assert "5 kills" in out


def test_two_daemons_accept_each_update_once(needs_postgresql):
    assert "1000 accepted_once" in run("two_daemons.py", "--nodes", "200", "--waves", "5")


def test_anothers_moves_are_followed_by_data(needs_postgresql):
    reason = tun.refusal()
    if reason is not None:
        pytest.skip(f"the data plane needs {tun.PATH}: {reason}")
    assert "10 within_a_second" in run("following.py", "--moves", "10")


def quick_chaos(database):
    out = run("chaos.py", "--quick", "--database", database)
    (updates,) = (line for line in out.splitlines() if line.startswith("honest_updates"))
    assert int(updates.split()[1].replace(",", "")) > 100
    return out


@pytest.mark.long
def test_everything_at_once_sqlite():
    assert "full disk" in quick_chaos("sqlite")


@pytest.mark.long
def test_everything_at_once_postgresql(needs_postgresql):
    if os.geteuid():  # the server would have to run beside the namespaces, as another user
        pytest.skip("PostgreSQL runs as no root: an ordinary user's namespaces have nobody else")
    quick_chaos("postgresql")
