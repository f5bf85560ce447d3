"""The wall's clock is set while the daemon runs, or was wrong before: bindings keep their time."""

import json
import signal
import sys
from ipaddress import IPv6Address

import pytest
from sqlalchemy import select, update
from support.daemons import Daemon, Visitor, run_cli
from support.nodes import Scene

from roamkey.correspondent.store import Store
from roamkey.registry.schema import bindings

CARE_OF = IPv6Address("2001:db8:1::1").packed
YEAR_MS = 365 * 24 * 3_600_000


class SetClock(Scene):
    """A scene whose wall's clock is `shift` ahead of the steady one."""

    shift = 0

    def start(self, **options):
        super().start(**options)
        self.store = Store(self.registry, self.correspondent, lambda: self.shift)
        self.responder.reload(self.store, self.now)

    def kept(self):
        """(registered, expires) in the registry."""
        with self.registry.reading() as c:
            row = select(bindings.c.registered_ms, bindings.c.expires_ms)
            return tuple(c.execute(row).one())


@pytest.fixture
def scene(registry_url):
    made = SetClock(registry_url)
    yield made
    made.registry.close()


@pytest.mark.parametrize("shift", [YEAR_MS, -YEAR_MS, 0])
def test_a_lifetime_runs_whatever_the_clock_shows(scene, shift):
    node = scene.node()
    scene.shift = shift
    scene.send(node.update(0, CARE_OF))
    assert scene.kept() == (scene.now + shift, scene.now + shift + 400_000)
    scene.now += 399_999
    assert scene.cache.binding(node.home, scene.now)
    assert scene.responder.expire(scene.now) == []
    scene.shift = 0  # set right: what is in memory ends as before
    scene.now += 1
    assert [home for home, _ in scene.responder.expire(scene.now)] == [node.home]


def test_a_clock_that_was_ahead_leaves_no_binding_for_a_year(scene):
    node = scene.node()
    scene.shift = YEAR_MS
    scene.send(node.update(0, CARE_OF))
    scene.shift = 0
    (shown,) = scene.registry.current_bindings(scene.now)
    assert shown.expires_ms == scene.now + 400_000
    scene.reopen()
    binding = scene.cache.binding(node.home, scene.now)
    assert (binding.registered_ms, binding.expires_ms) == (scene.now, scene.now + 400_000)
    assert scene.kept() == (scene.now, scene.now + 400_000)
    scene.now += 400_000
    assert [home for home, _ in scene.responder.expire(scene.now)] == [node.home]
    scene.reopen()
    assert scene.cache.bound() == 0


def test_clocks_of_several_hosts_need_not_agree_to_the_second(scene):
    node = scene.node()
    scene.shift = 3_000  # another host's
    scene.send(node.update(0, CARE_OF))
    kept = scene.kept()
    scene.shift = 0
    scene.reopen()
    assert scene.kept() == kept
    assert scene.cache.binding(node.home, scene.now).expires_ms == scene.now + 400_000


def test_a_binding_read_anew_is_bounded_too(scene):
    node = scene.node()
    scene.send(node.update(0, CARE_OF))
    with scene.registry.writing() as c:
        c.execute(update(bindings).values(expires_ms=scene.now + YEAR_MS))
    scene.registry.refuse(node.home, False)  # a new revision: the pair is read again
    scene.send(node.update(0, CARE_OF))
    assert scene.cache.binding(node.home, scene.now).expires_ms == scene.now + 400_000


_SET = """
import sys, time
from pathlib import Path
real, told = time.time_ns, Path(sys.argv.pop(1))
time.time_ns = lambda: real() + 1_000_000_000 * int(told.read_text() or 0)
from roamkey.cli import main
main()
"""


@pytest.mark.lab
@pytest.mark.timeout(120)
def test_the_daemon_while_its_clock_is_set(lab_network, scene_in_a_file, tmp_path, monkeypatch):
    """Back by an hour, and by a year ahead: bindings end in time, troubles are told."""
    told = tmp_path / "clock"
    told.write_text("0")
    monkeypatch.setattr(
        "support.daemons.CLI", [sys.executable, "-c", _SET, str(told), "correspondent"]
    )
    scene = scene_in_a_file
    nodes = [scene.node(number) for number in (1, 2)]
    daemon = Daemon(lab_network, scene.path)
    daemon.ready()
    visitor = Visitor(lab_network, "visited1")
    for at, (node, seconds) in enumerate(zip(nodes, (-3600, 31_536_000), strict=True)):
        assert visitor.exchange(node, node.update(0, visitor.address, lifetime=1)).status == 0
        told.write_text(str(seconds))
        assert daemon.event("expired")["home_address"].endswith(f"::{at + 1}")
        assert visitor.exchange(node, node.update(1, visitor.address, lifetime=100)).status == 0
    told.write_text("0")
    code, out, _ = run_cli(lab_network, "bindings", "--json", "--registry", str(scene.path))
    assert code == 0
    left = [row["lifetime_left_s"] for row in json.loads(out)]
    assert left and max(left) <= 400
    assert daemon.end(signal.SIGTERM)[0] == 0


@pytest.fixture
def scene_in_a_file(tmp_path):
    made = Scene(tmp_path / "registry.sqlite")
    yield made
    made.registry.close()
