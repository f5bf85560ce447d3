"""The operator's journey: docs/LIFECYCLE.md from top to bottom, its lines as they stand, from an
empty account on, with real boards, a real daemon and a network with IPv4 alone."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url
from support.account import Account
from support.nft import NEEDS_NFT
from support.roaming import need_tun

from roamkey.lab.conditions import Conditions
from roamkey.lab.network import Network
from roamkey.lab.postgresql import programs
from roamkey.registry import GenerationKey, PairKeys, Registry, marks
from roamkey.waiting import until

PAGE = Path(__file__).parents[2] / "docs" / "LIFECYCLE.md"
DAEMON = "sudo roamkey correspondent run --log json"
PORT = "/dev/ttyACM0"
SECTIONS = (
    "Set up", "Name", "Watch", "Update", "Rekey", "A lost board", "Backup and restore",
    "A broken server", "A registry on PostgreSQL", "The last day",
)  # fmt: skip


def lines(section):
    """The lines of a section that are to be typed."""
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return [line.strip() for line in text.splitlines() if line.startswith("    ")]


def test_no_line_is_left_out():
    typed = [line for line in PAGE.read_text().splitlines() if line.startswith("    ")]
    assert sum(len(lines(section)) for section in SECTIONS) == len(typed)
    assert all(lines(section) for section in SECTIONS)


class Site:
    """A host on a network, its operator, and boards on the same network, each with a port."""

    def __init__(self, network, folder, stack):
        self._network, self._folder = network, folder
        for name in ("host", "board1", "board2"):
            network.add_node(name)
            network.attach(name, "eth0", "office")
            network.wait_for_address(name, "eth0", "office")
            for scope in ("all", "default", "eth0", "lo"):
                network.namespace(name).set_ipv6(scope, disable_ipv6=1)
        self.account = stack(Account(folder, spawn=partial(network.spawn, "host")))
        self.port = ""

    def plug(self, name):
        """A board with MicroPython alone in the place of the one before."""
        line = [str(Path(sys.prefix) / "bin" / "roamkey"), "lab", "board"]
        board = self._network.spawn(
            name, [*line, str(self._folder / f"{name}.img")], stdout=subprocess.PIPE, text=True
        )
        self.port = board.stdout.readline().strip()
        return board

    def type(self, line, code=0):
        """Run one of the page's lines."""
        return self.account.run(line.replace(PORT, self.port)).ended(code)

    def section(self, name):
        """Run all of a section's lines; what the last one printed."""
        return [self.type(line) for line in lines(name)][-1]

    def serve(self):
        daemon = self.account.start(DAEMON)
        daemon.wait_for('"ready"')
        return daemon

    def nodes(self, *words):
        return json.loads(self.type(f"roamkey nodes --json {' '.join(words)}").output)

    def bound(self, name, generation=0):
        """Wait until a node is bound by a key of this generation, or a later one."""
        with Registry.open(self.account.registry, create=False) as registry:

            def is_bound():
                now = time.time_ns() // 1_000_000
                return any(
                    one.name == name and one.generation >= generation
                    for one in registry.current_bindings(now)
                )

            assert until(is_bound, 40, 0.1), self.nodes(name)

    def scrape(self):
        with self._network.namespace("host").socket(socket.AF_INET, socket.SOCK_STREAM) as one:
            one.settimeout(30)
            one.connect(("127.0.0.1", 9464))
            one.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            text = b"".join(iter(lambda: one.recv(65536), b"")).decode()
        return dict(re.findall(r"^(roamkey_\w+(?:\{.*\})?) (\S+)$", text, re.MULTILINE))


@pytest.fixture
def site(tmp_path):
    with ExitStack() as stack:
        network = stack.enter_context(Network(networks={"office": Conditions("ipv4")}))
        yield Site(network, tmp_path, stack.enter_context)


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.timeout(600)
@NEEDS_NFT
def test_from_the_first_day_to_the_last(site):
    need_tun()
    account = site.account
    first = site.plug("board1")
    said = site.section("Set up").output
    assert re.search(r"^name +boiler-3$", said, re.MULTILINE)
    (node,) = site.nodes()
    assert (node["name"], node["state"], node["last_seen"]) == ("boiler-3", "never seen", None)
    daemon = site.serve()
    site.bound("boiler-3")

    home = node["home_address"]
    assert site.section("Name").output == f"{home}: boiler-north\n"
    site.type("roamkey nodes boiler-3", code=4)
    account.variables["ROAMKEY_PORTS"] = site.port
    assert site.type("roamkey status --board boiler-north --json").json()["name"] == "boiler-north"
    assert site.type("roamkey boards --json").json()[0]["name"] == "boiler-north"
    (binding,) = site.type("roamkey correspondent bindings --json").json()
    assert binding["name"] == "boiler-north"
    assert binding["registry"] == str(account.registry)

    said = {line: site.type(line) for line in lines("Watch")}
    shown = said["roamkey nodes"].output
    assert re.search(rf"boiler-north +{home} .* ago ", shown) and str(account.registry) in shown
    assert home not in said["roamkey nodes --quiet-for 1d"].output
    events = [line for line in said if "events" in line]
    assert f"bound {home} (boiler-north) at " in said[events[0]].output
    assert "RoamkeyNodeQuiet" in (account.clone / "roamkey-alerts.yml").read_text()
    assert json.loads((account.clone / "roamkey-dashboard.json").read_text())["panels"]
    assert [value for name, value in site.scrape().items() if "nodes_never_seen" in name] == [
        "0.0"
    ]

    site.section("Update")
    site.bound("boiler-north")
    site.section("Rekey")
    site.bound("boiler-north", generation=4)
    assert any('"name": "boiler-north"' in line for line in daemon.lines)

    assert site.type(lines("Backup and restore")[0]).output
    site.type(lines("A lost board")[0])
    assert site.type("roamkey correspondent bindings").output.startswith("no bindings; registry ")
    first.send_signal(signal.SIGINT)
    first.wait(30)
    second = site.plug("board2")
    for line in lines("A lost board")[1:]:
        site.type(line)
    site.bound("boiler-north")
    (node,) = site.nodes("boiler-north")
    assert node["home_address"] != home

    # The backup knows nothing of the second board, and not that the first one's keys are retired.
    daemon.end(signal.SIGTERM)
    told = site.type(lines("Backup and restore")[1]).output
    assert told == "0 key(s) raised, 4 retired\n"
    assert site.nodes() == []
    replace = "--replace --name boiler-north"
    site.type(f"roamkey provision --port {PORT} {replace}")
    daemon = site.serve()
    site.bound("boiler-north")

    # The disk is lost, and with it the marks.
    site.type("roamkey registry backup --json later.sqlite")
    daemon.end(signal.SIGTERM)
    for line, expected in zip(
        lines("A broken server"), ("4 key(s) raised, 0 retired\n", "0 key(s) raised, 4 retired\n"),
        strict=True,
    ):  # fmt: skip
        shutil.rmtree(account.registry.parent)
        line = line.replace("nightly", "later")
        refused = site.type(line.partition(" --")[0], code=4)
        assert "since the backup" in refused.errors
        assert not account.registry.exists()
        assert site.type(line).output == expected
        if "--advance" in line:
            daemon = site.serve()
            site.bound("boiler-north")
            (node,) = site.nodes()
            assert node["uses_left"] < 4 * 65_536 - 5000
            daemon.end(signal.SIGTERM)
    site.section("The last day")
    assert site.nodes() == []
    second.send_signal(signal.SIGINT)


def test_a_registry_on_a_server_is_put_back_by_its_own_tools(postgresql, tmp_path):
    """Lines of the page, by a real server's tools, which know it by the environment."""
    url = make_url(postgresql.url())
    programs_of_it = programs()
    host = url.query["host"]
    variables = {
        "PGHOST": host, "PGUSER": str(url.username),
        "ROAMKEY_REGISTRY": f"postgresql+psycopg://{url.username}@/roamkey?host={host}",
    }  # fmt: skip
    with Account(tmp_path, variables=variables) as somebody:
        somebody.variables["PATH"] = f"{programs_of_it}:{somebody.variables['PATH']}"
        somebody.run("createdb roamkey").ok()
        try:
            with Registry.open(variables["ROAMKEY_REGISTRY"]) as registry:
                key = GenerationKey(0, b"secret-key-material-001")
                home, peer = b"\xfd" + bytes(14) + b"\1", b"\xfd" + bytes(14) + b"\2"
                pair = PairKeys(home, peer, b"home-non", b"careof-n", (key,))
                registry.add_sent(bytes(8), "board", [pair], 600, name="boiler")
                identity = registry.identity()
            dump, put_back, restore = lines("A registry on PostgreSQL")
            somebody.run(dump).ok()
            with Registry.open(variables["ROAMKEY_REGISTRY"]) as registry:
                registry.rename(home, "other")
                known = registry.pairs_for_correspondent(peer)
            folder = somebody.home / ".local" / "share" / "roamkey" / "marks"
            kept = marks.Marks(folder, identity, peer)
            kept.check(known, ())
            kept.used([(known[0].keys[0].key_id, 700)])
            kept.close()
            somebody.run(put_back).ok()
            assert somebody.run(restore).ok().output == "1 key(s) raised, 0 retired\n"
            with Registry.open(variables["ROAMKEY_REGISTRY"]) as registry:
                assert registry.names() == {home: "boiler"}
                (pair,) = registry.pairs_for_correspondent(peer)
                assert pair.keys[0].last_sequence == 700 + marks.MARGIN
        finally:
            somebody.run("dropdb --force roamkey").ok()
