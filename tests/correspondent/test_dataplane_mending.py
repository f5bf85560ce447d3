"""Others change what the data plane rests on: it is put back, or told in `status` and the log."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from ipaddress import IPv6Address
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest
from json_output import checked
from support.daemons import ADDRESS, Daemon, Reply, Visitor, plane_of, run_cli
from support.roaming import HOME, Roaming, need_tun, result

from mip6 import packets
from roamkey.correspondent import localaddress, sockets
from roamkey.correspondent.dataplane import firewall, lasting
from roamkey.errors import SystemRefusedError
from roamkey.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

NFT = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin")


IN_KERNEL = pytest.param("kernel", marks=[pytest.mark.kernel, pytest.mark.long])


@pytest.fixture(params=["tun", IN_KERNEL])
def roaming(lab_network, scene, tmp_path, request):
    need_tun()
    with Roaming(lab_network, scene, tmp_path, request.param) as made:
        made.serve("udp_echo", HOME, 7)
        assert echoes(made)
        yield made


def echoes(roaming, octets=16, port=7):
    """Whether data flow, both ways."""
    told = result(roaming.start("correspondent", "udp", HOME, port, 10, 0.05, octets))
    return told["received"] >= 8


def plane(network):
    """What `status` says of the data plane."""
    code, out, _ = run_cli(network, "status", "--json")
    assert code == 0
    (facts,) = checked("correspondent-status", out)
    return facts


def mended(network, what):
    return lambda: plane(network)["data_plane"].get("mended", {}).get(what)


def ours(namespace):
    found = namespace._ask("get_routes", family=socket.AF_INET6)
    return [route for route in found if route["proto"] == 107]


def destinations(namespace):
    return sorted(route.get_attr("RTA_DST") for route in ours(namespace))


def sources(namespace):
    return {route.get_attr("RTA_PREFSRC") for route in ours(namespace)}


@pytest.mark.slow
@pytest.mark.parametrize("what", ["flushed", "down and up", "deleted", "renamed"])
def test_routes_and_device_are_put_back(roaming, what):
    namespace = roaming.network.namespace("correspondent")
    index = namespace.index("roamkey0")
    if what == "flushed":
        for route in ours(namespace):
            namespace._ask("route", "del", family=socket.AF_INET6, dst=f"{HOME}/128", oif=index)
            assert route
    elif what == "down and up":
        namespace._ask("link", "set", index=index, state="down")
        namespace._ask("link", "set", index=index, state="up")
    elif what == "deleted":
        namespace._ask("link", "del", index=index)
    else:
        namespace._ask("link", "set", index=index, state="down")
        namespace._ask("link", "set", index=index, ifname="other0")
    assert until(lambda: destinations(namespace) == [HOME], 30)
    assert echoes(roaming)
    facts = plane(roaming.network)
    kind = {"deleted": "device", "renamed": "link"}.get(what, "routes")
    assert until(mended(roaming.network, kind), 30)
    assert until(lambda: "put back" in (plane(roaming.network)["last_trouble"] or ""), 30)
    assert facts["data_plane"]["address"] == "here"
    assert roaming.daemon.end()[0] == 0


def test_a_renewed_address_is_used_again(roaming):
    """Removed and added: the kernel has taken it from the routes."""
    namespace = roaming.network.namespace("correspondent")
    (found,) = namespace._ask("get_addr", family=socket.AF_INET6, address=ADDRESS)
    given = {"index": found["index"], "address": ADDRESS, "prefixlen": found["prefixlen"]}
    namespace._ask("addr", "del", **given)
    assert until(lambda: plane(roaming.network)["data_plane"]["address"] == "gone", 30)
    assert until(
        lambda: "is not an address of this host" in plane(roaming.network)["last_trouble"], 30
    )
    namespace._ask("addr", "add", **given, flags=0x02)
    assert until(lambda: sources(namespace) == {ADDRESS}, 30)
    assert until(lambda: echoes(roaming), 30)
    assert until(lambda: plane(roaming.network)["data_plane"]["address"] == "here", 30)
    assert roaming.daemon.end()[0] == 0


def test_no_node_is_at_an_address_of_this_host(roaming):
    """Data for it would come back: the route goes as the address comes, and the other way."""
    network = roaming.network
    namespace = network.namespace("correspondent")
    (found,) = namespace._ask("get_addr", family=socket.AF_INET6, address=ADDRESS)
    care_of = roaming.move()
    given = {"index": found["index"], "address": care_of, "prefixlen": 128}
    namespace._ask("addr", "add", **given, flags=0x02)
    assert until(lambda: destinations(namespace) == [], 5)
    namespace._ask("addr", "del", **given)
    assert until(lambda: destinations(namespace) == [HOME], 5)
    assert until(lambda: echoes(roaming), 30)
    assert roaming.daemon.end()[0] == 0


@pytest.mark.parametrize("index", ["eth0", "lo"])
def test_an_update_from_an_address_of_this_host_is_refused(lab_network, scene, index):
    namespace = lab_network.namespace("correspondent")
    node, alternate = scene.node(0x100), IPv6Address("2001:db8:5::5")
    namespace.add_address(index, f"{alternate}/128")
    daemon = Daemon(lab_network, scene.path)
    daemon.ready()
    visitor = Visitor(lab_network, "visited1")

    def status(number):
        visitor.send(node.update(number, visitor.address, alternate=alternate.packed))
        _, payload = visitor.receive(packets.ROUTING)
        answer = Reply(visitor.address, packets.ROUTING, payload)
        return node.read(answer, alternate.packed).status

    assert status(0) == 174
    given = {"index": namespace.index(index), "address": str(alternate), "prefixlen": 128}
    namespace._ask("addr", "del", **given)
    numbers = iter(range(1, 100))
    assert until(lambda: status(next(numbers)) == 0, 5)
    namespace._ask("addr", "add", **given, flags=0x02)
    assert until(lambda: status(next(numbers)) == 174, 5)
    assert daemon.end()[0] == 0


def test_a_lowered_mtu_is_followed(roaming):
    network = roaming.network
    namespace = network.namespace("correspondent")
    (found,) = namespace._ask("get_addr", family=socket.AF_INET6, address=ADDRESS)
    roaming.serve("udp_echo", HOME, 8, 16)  # what comes back is short: the way here is as it was
    assert echoes(roaming, 3000, 8)
    namespace._ask("link", "set", index=found["index"], mtu=1400)
    assert until(lambda: plane(network)["data_plane"]["mtu"] == 1376, 30)
    (link,) = namespace._ask("get_links", namespace.index("roamkey0"))
    assert link.get_attr("IFLA_MTU") == 1376
    assert echoes(roaming, 3000, 8)
    namespace._ask("link", "set", index=namespace.index("roamkey0"), mtu=1300)
    assert until(mended(network, "mtu"), 30)
    assert roaming.daemon.end()[0] == 0


@pytest.mark.skipif(NFT is None, reason="needs nft (Debian, Ubuntu: apt install nftables)")
def test_a_flushed_ruleset_gets_our_table_back(lab_network, scene):
    need_tun()
    daemon = Daemon(lab_network, scene.path, data_plane=True)
    daemon.ready()

    def nft(*words):
        process = lab_network.spawn(
            "correspondent", [NFT, *words], stdout=subprocess.PIPE, text=True
        )
        return process.communicate(timeout=30)[0]

    for words in (["flush", "ruleset"], ["flush", "ruleset"]):
        before = plane(lab_network)["data_plane"].get("mended", {}).get("firewall", 0)
        nft(*words)
        assert until(lambda: "parameter-problem" in nft("list", "ruleset"), 30)
        assert until(lambda b=before: mended(lab_network, "firewall")() == b + 1, 30)
    nft("add", "table", "ip6", "another")
    nft("delete", "table", "ip6", "another")
    assert daemon.end()[0] == 0
    assert nft("list", "tables") == ""


def test_a_data_plane_that_stands_still_is_noticed(lab_network, scene):
    need_tun()
    daemon = Daemon(lab_network, scene.path, data_plane=True)
    daemon.ready()
    child = plane_of(daemon)
    os.kill(child, signal.SIGSTOP)
    try:
        assert until(lambda: "doesn't answer" in (plane(lab_network)["last_trouble"] or ""), 30)
        assert plane(lab_network)["data_plane"]["silent_s"] >= 5
        visitor = Visitor(lab_network, "visited1")
        node = scene.node(0x100)
        assert visitor.exchange(node, node.update(0, visitor.address)).status == 0
    finally:
        os.kill(child, signal.SIGCONT)
    assert until(lambda: plane(lab_network)["data_plane"]["silent_s"] < 3, 30)
    assert daemon.end()[0] == 0


def test_a_table_that_could_not_be_made_is_tried_again(monkeypatch):
    """nft was locked, out of memory, or comes with the next package."""
    made = []
    monkeypatch.setattr(firewall, "_AGAIN_S", 0.05)
    monkeypatch.setattr(firewall, "_REST_S", 0.0)

    def set_up():
        made.append(None)
        return None if len(made) == 3 else "nft: no"

    table = SimpleNamespace(set_up=set_up, name="nobody's")
    keeper = firewall.Keeper(table, "nft: not yet")
    assert until(lambda: keeper.failed is None, 10)
    assert (len(made), keeper.repaired) == (3, 1)
    time.sleep(0.3)
    assert len(made) == 3


def metric(network, name):
    """What Prometheus is told."""
    namespace = network.namespace("correspondent")
    with namespace.socket(socket.AF_INET6, socket.SOCK_STREAM) as one:
        one.settimeout(30)
        one.connect(("::1", 9464))
        one.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        told = b"".join(iter(lambda: one.recv(65536), b"")).decode()
    return re.search(rf"^{name}{{.*}} (\S+)$", told, re.MULTILINE)[1]


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV], ids=["killed", "crashed"])
def test_a_process_that_ends_is_followed_by_another(roaming, how):
    network, daemon = roaming.network, roaming.daemon
    for times in (1, 2):
        before = plane_of(daemon)
        os.kill(before, how)
        trouble = "" if times > 1 else daemon.event("trouble")["detail"]
        # What a crash leaves takes a machine with much to do its time; then it isn't over yet.
        crashed = how == signal.SIGSEGV and "it hung up" in trouble
        known = f"signal {how.value}" in trouble or crashed
        assert times > 1 or ("no data plane" in trouble and known)
        facts = plane(network)
        assert "data_plane" in facts and facts["pid"] == daemon.process.pid
        assert "no data plane" in facts["last_trouble"] or facts["data_plane"]["running"]
        care_of = roaming.move()  # signalling goes on
        assert until(lambda n=times: plane(network)["data_plane"]["restarts"] == n, 30)
        assert until(lambda: plane(network)["data_plane"]["running"], 30)
        assert plane_of(daemon) != before
        assert until(
            lambda: destinations(roaming.network.namespace("correspondent")) == [HOME], 30
        )
        assert until(lambda: echoes(roaming), 30), care_of
    interfaces = network.namespace("correspondent").interfaces()
    assert [name for name in interfaces if name.startswith("roamkey")] == ["roamkey0"]
    assert until(lambda: "there again" in plane(network)["last_trouble"], 30)
    assert (metric(network, "roamkey_data_plane_up"), daemon.process.poll()) == ("1.0", None)
    assert metric(network, "roamkey_data_plane_restarts_total") == "2.0"
    if NFT is not None:
        listed = network.spawn(
            "correspondent", [NFT, "list", "tables"], stdout=subprocess.PIPE, text=True
        ).communicate(timeout=30)[0]
        has_table = plane(network)["data_plane"]["plane"] == "tun"
        assert len(listed.splitlines()) == has_table
    assert daemon.end()[0] == 0
    assert "roamkey0" not in network.namespace("correspondent").interfaces()


class Fake:
    """A data plane's process as the daemon sees it."""

    made: ClassVar[list] = []

    def __init__(self, address, wait=True, place=None, kind=None):
        self.made.append(self)
        self.ready, self.silent, self.ends, self.gone = wait, 0.0, False, False
        self.heard = set()
        self.used, self.interface, self.bound, self._pipe = set(), "roamkey0", [], os.pipe()
        self.said = []

    def fileno(self):
        return self._pipe[0]

    def facts(self):
        return {"interface": self.interface, "silent_s": int(self.silent)}

    def silent_s(self):
        return self.silent

    def bind(self, changed):
        self.bound += changed

    def receive(self):
        if self.ends:
            raise SystemRefusedError("it ended with exit code 1")
        return []

    def news(self):
        return []

    def hang_up(self):
        pass

    def is_gone(self):
        return self.gone

    def close(self):
        return True


def test_the_pause_before_the_next_one_doubles_and_nothing_is_waited_for(monkeypatch):
    now = 1000.0
    monkeypatch.setattr(lasting, "DataPlane", Fake)
    monkeypatch.setattr(lasting, "Firewall", lambda _: SimpleNamespace(remove=lambda: None))
    monkeypatch.setattr(lasting.time, "monotonic", lambda: now)
    monkeypatch.setattr(Fake, "made", [])
    kept = lasting.LastingPlane(IPv6Address(ADDRESS))
    pauses = []
    for pause in (1, 2, 4, 8, 16, 32, 60, 60):
        one = Fake.made[-1]
        one.ends = True
        assert kept.receive() == []
        assert not kept.facts()["running"]
        (line,) = kept.news()
        pauses.append(int(line.partition("next try in ")[2].split()[0]))
        kept.bind([1])  # nobody takes it; the next one is told of all
        now += pause
        assert kept.news() == [] and Fake.made[-1] is one, "the one before isn't gone"
        one.gone = True
        assert kept.news() == [] and Fake.made[-1] is not one
        assert kept.is_fresh and not kept.facts()["running"]
        Fake.made[-1].ready = True
        assert kept.news() == ["the data plane is there again: roamkey0"]
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    now += 61
    assert kept.news() == []
    Fake.made[-1].silent = 31.0  # it hangs
    (line,) = kept.news()
    assert "doesn't answer; the next try in 1 s" in line
    assert kept.facts() == {
        "running": False, "restarts": 8, "interface": "roamkey0", "silent_s": 31,
    }  # fmt: skip
    kept.close()


def test_many_routes_are_put_back(lab_network, scene):
    """More than one answer of the kernel holds."""
    need_tun()
    nodes = [scene.node(number) for number in range(1, 600)]
    burst = [node.update(0, b"\x20\x01\x0d\xb8" + bytes(11) + b"\x09") for node in nodes]
    scene.now = int(time.time() * 1000)
    scene.responder.process(burst, scene.now)
    daemon = Daemon(lab_network, scene.path, data_plane=True)
    assert daemon.ready()["bindings"] == len(nodes)
    namespace = lab_network.namespace("correspondent")
    assert until(lambda: len(ours(namespace)) == len(nodes), 30)
    namespace._ask("link", "set", index=namespace.index("roamkey0"), state="down")
    assert until(lambda: "mended" in plane(lab_network)["data_plane"], 30)
    assert until(lambda: len(ours(namespace)) == len(nodes), 60)
    assert until(lambda: mended(lab_network, "routes")() >= len(nodes), 30)
    assert daemon.end()[0] == 0


@pytest.mark.skipif(NFT is None, reason="needs nft (Debian, Ubuntu: apt install nftables)")
def test_what_the_manual_lets_in_is_enough(lab_network, scene, tmp_path):
    """docs/OPERATING.md: its rules, in a firewall that drops everything else."""
    need_tun()
    manual = (Path(__file__).parents[2] / "docs" / "OPERATING.md").read_text()
    added = [line.split()[1:] for line in manual.splitlines() if "    nft add rule" in line]
    assert len(added) == 5
    chain = "{ type filter hook input priority 0 ; policy drop ; }"
    icmp = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept"
    for words in (
        ["add", "table", "inet", "filter"],
        ["add", "chain", "inet", "filter", "input", chain],
        ["add", "rule", "inet", "filter", "input", icmp],
        *added,
    ):
        process = lab_network.spawn(
            "correspondent", [NFT, *words], stderr=subprocess.PIPE, text=True
        )
        assert process.communicate(timeout=30)[1] == "", words
    with Roaming(lab_network, scene, tmp_path) as roaming:
        roaming.serve("udp_echo", HOME, 7)
        assert echoes(roaming)
        roaming.move()
        assert until(lambda: echoes(roaming, 3000), 30)


@pytest.mark.parametrize("flags", [0x08, 0x40], ids=["duplicate", "tentative"])
def test_an_address_that_cannot_be_used_is_told_as_what_it_is(monkeypatch, flags):
    line = f"{IPv6Address('2001:db8:77::1').packed.hex()} 01 40 00 {flags:02x} lo\n"
    monkeypatch.setattr(Path, "read_text", lambda *_: line)
    monkeypatch.setattr(sockets, "_COMES_S", 0.2)
    word = {0x08: "dadfailed", 0x40: "tentative"}[flags]
    with pytest.raises(SystemRefusedError, match=f"2001:db8:77::1 is .*{word}"):
        sockets.RawSockets(IPv6Address("2001:db8:77::1"))
    monkeypatch.setattr(Path, "read_text", lambda *_: "")
    assert localaddress.look(IPv6Address("::2"))[0] is localaddress.State.GONE
