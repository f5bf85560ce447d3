"""What others change in the registry reaches a daemon within a second: commands, other daemons."""

import select
import signal
import socket
import time
from ipaddress import IPv6Address

import pytest
from sqlalchemy import text
from support.daemons import Daemon, Visitor
from support.nodes import Scene
from support.roaming import need_tun

from mip6 import addresses
from roamkey.correspondent.core.cache import BindingCache
from roamkey.correspondent.core.endpoints import Endpoint
from roamkey.correspondent.core.responder import Responder
from roamkey.correspondent.following import Following
from roamkey.correspondent.store import Store
from roamkey.registry import Registry
from roamkey.waiting import until

CARE_OF = IPv6Address("2001:db8:1::1").packed
CARE_OF_2 = IPv6Address("2001:db8:2::2").packed
NAT = Endpoint(addresses.parse("198.51.100.7"), 40001, addresses.parse("192.0.2.1"))
PRIVATE = addresses.parse("192.168.1.5")


class Other(Scene):
    """Another daemon over the same registry, which follows."""

    def __init__(self, path, clock=Scene.now):
        super().__init__(path)
        self.now = clock
        self.cache.changed = set()
        self.following = Following(self.responder)
        self.following.attach(self.registry)

    def close(self):
        self.following.close()
        self.registry.close()


@pytest.fixture
def scene(registry_url):
    made = Scene(registry_url)
    yield made
    made.registry.close()


@pytest.fixture
def other(registry_url, scene, monkeypatch):
    made = Other(registry_url)
    monkeypatch.setattr("roamkey.correspondent.following.now_ms", lambda: made.now)
    yield made
    made.close()


def followed(other, true):
    """Whether it comes to be true, as the daemon's loop follows; the limit has room."""

    def step():
        follow(other)
        return true()

    return until(step, 10, 0.02)


def follow(other):
    """As the daemon's loop does."""
    if select.select([other.following], [], [], 0)[0]:
        other.following.hear()
    if other.following.due:
        other.following.follow()


def at(other, node):
    binding = other.cache.binding(node.home, other.now)
    return binding and binding.care_of_address


def test_anothers_bindings_are_followed(scene, other):
    nodes = [scene.node(number) for number in range(1, 30)]
    scene.send(*[node.update(0, CARE_OF) for node in nodes])
    assert followed(other, lambda: all(at(other, node) == CARE_OF for node in nodes))
    scene.send(nodes[0].update(1, CARE_OF_2))
    assert followed(other, lambda: at(other, nodes[0]) == CARE_OF_2)
    assert at(other, nodes[1]) == CARE_OF
    scene.send(nodes[1].update(1, CARE_OF, lifetime=0))
    assert followed(other, lambda: at(other, nodes[1]) is None)
    assert other.cache.bound() == 28
    scene.send(nodes[2].inside(1, NAT, PRIVATE))
    assert followed(other, lambda: at(other, nodes[2]) == PRIVATE)
    assert other.cache.binding(nodes[2].home, other.now).endpoint == NAT.packed
    assert other.send(nodes[2].keepalive(NAT)).outcome == "keepalive"
    scene.send(nodes[2].update(2, CARE_OF))
    assert followed(other, lambda: at(other, nodes[2]) == CARE_OF)
    assert other.cache.bound_by_way() == {"native": 28, "udp6": 0, "udp4": 0}
    changed = dict(other.responder.take_changed(other.now))
    assert changed[nodes[0].home].care_of_address == CARE_OF_2 and changed[nodes[1].home] is None
    # What is followed counts: the number is known without asking the registry again.
    assert other.send(nodes[0].update(1, CARE_OF)).status == 135
    assert other.send(nodes[0].update(2, CARE_OF)).status == 0
    assert other.troubles == []


def test_a_new_generation_is_followed(scene, other):
    node = scene.node(generations=2)
    scene.send(node.update(5, CARE_OF))
    assert followed(other, lambda: at(other, node) == CARE_OF)
    scene.send(node.update(0, CARE_OF_2, generation=1))
    assert followed(other, lambda: at(other, node) == CARE_OF_2)
    assert other.send(node.update(6, CARE_OF)).reason == "authenticator"
    assert other.send(node.update(0, CARE_OF, generation=1)).status == 135


def test_commands_are_followed(scene, other):
    node, refused = scene.node(1), scene.node(2)
    scene.send(node.update(0, CARE_OF), refused.update(0, CARE_OF))
    assert followed(other, lambda: at(other, node) and at(other, refused))
    scene.registry.retire(node.home)
    assert followed(other, lambda: at(other, node) is None and other.cache.nodes() == 1)
    scene.registry.refuse(refused.home)
    assert followed(other, lambda: at(other, refused) is None)
    late = scene.node(3)
    assert followed(other, lambda: late.home in other.cache.home_addresses())


def test_ones_own_changes_are_no_news(scene, other, monkeypatch):
    node = scene.node()
    assert followed(other, lambda: other.cache.nodes() == 1)
    read = []
    real = other.store.followed
    monkeypatch.setattr(other.store, "followed", lambda *given: read.append(given) or real(*given))
    end = time.monotonic() + 1.5
    for sequence in range(50):
        assert other.send(node.update(sequence, CARE_OF)).status == 0
        follow(other)
    while time.monotonic() < end:
        follow(other)
        time.sleep(0.02)
    assert read == []


def test_a_server_that_was_away_is_asked_for_all(postgresql, monkeypatch):
    scene = Scene(postgresql.url())
    other = Other(scene.path)
    monkeypatch.setattr("roamkey.correspondent.following.now_ms", lambda: other.now)
    node = scene.node()
    assert followed(other, lambda: other.cache.nodes() == 1)
    postgresql.stop(signal.SIGQUIT)
    postgresql.start()
    assert until(lambda: scene.send(node.update(0, CARE_OF)).outcome == "accepted", 10)
    assert followed(other, lambda: at(other, node))
    other.close()
    scene.registry.close()


@pytest.mark.parametrize("told", ["", "x", "x garbage", "x 1,,two", f"x {'9' * 300}", "x -1"])
def test_what_others_send_on_the_channel_ends_nothing(postgresql, monkeypatch, told):
    """Whoever may connect to the database can notify."""
    scene = Scene(postgresql.url())
    other = Other(scene.path)
    monkeypatch.setattr("roamkey.correspondent.following.now_ms", lambda: other.now)
    node = scene.node()
    assert followed(other, lambda: other.cache.nodes() == 1)
    with scene.registry.writing() as c:
        c.execute(text("SELECT pg_notify('roamkey', :told)"), {"told": told})
    for sequence, care_of in enumerate((CARE_OF, CARE_OF_2)):
        assert scene.send(node.update(sequence, care_of)).outcome == "accepted"
        assert followed(other, lambda care_of=care_of: at(other, node) == care_of)
    assert other.troubles == []
    other.close()
    scene.registry.close()


def test_an_older_set_of_rows_changes_nothing(scene):
    """A responder of its own, without a thread: who follows twice has the same."""
    node = scene.node()
    scene.send(node.update(0, CARE_OF))
    cache = BindingCache(scene.correspondent)
    with Registry.open(scene.path) as registry:
        made = Responder(cache, Store(registry, scene.correspondent), scene.troubles.append)
        made.start(scene.now)
        before = cache.binding(node.home, scene.now)
        for _ in range(3):
            assert made.follow(scene.now, None)
            assert cache.binding(node.home, scene.now) == before
        assert scene.troubles == []


@pytest.mark.lab
@pytest.mark.timeout(120)
def test_the_route_of_a_retired_board_is_gone_at_once(lab_network, tmp_path):
    """Without any packet that would have the daemon look."""
    need_tun()
    scene = Scene(tmp_path / "registry.sqlite")
    node = scene.node(0x100)
    daemon = Daemon(lab_network, scene.path, data_plane=True)
    daemon.ready()
    visitor = Visitor(lab_network, "visited1")
    visitor.exchange(node, node.update(0, visitor.address))
    namespace = lab_network.namespace("correspondent")

    def routed():
        found = namespace._ask("get_routes", family=socket.AF_INET6)
        return any(route.get_attr("RTA_DST") == "2001:db8:a::100" for route in found)

    assert until(routed, 30)
    scene.registry.retire(node.home)
    retired = time.monotonic()
    assert until(lambda: not routed(), 30, 0.05)
    took = time.monotonic() - retired
    assert took < 5, "a second, with room for a busy machine"
    assert daemon.end()[0] == 0
    scene.registry.close()
