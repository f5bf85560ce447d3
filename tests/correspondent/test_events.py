"""What happened, as the daemon records it: complete, bounded, and never in the way of packets."""

import sqlite3
import stat
import time
from contextlib import closing
from ipaddress import IPv6Address

import pytest
from json_output import checked
from support.daemons import ADDRESS, Daemon, Visitor, run_cli

from mip6 import addresses, messages
from roamkey.cli.durations import instant
from roamkey.correspondent.core.endpoints import Endpoint
from roamkey.correspondent.core.entries import Verdict
from roamkey.correspondent.events import kinds
from roamkey.correspondent.events.file import Reader, Writer, place
from roamkey.correspondent.events.gaps import Gaps
from roamkey.correspondent.events.recorder import Recorder
from roamkey.errors import BadInputError, SystemRefusedError
from roamkey.registry import Registry
from roamkey.registry.records import Binding
from roamkey.waiting import until

CN = IPv6Address(ADDRESS).packed
HOME = IPv6Address("2001:db8:a::100").packed
COA1, COA2 = (IPv6Address(f"2001:db8:{n}::100").packed for n in (1, 2))
NOW = time.time_ns() // 1_000_000


def accepted(sequence=0, care_of=COA1, previous=b"", home=HOME):
    return Verdict(
        "accepted", home_address=home, care_of_address=care_of, previous=previous,
        sequence=sequence, lifetime=400,
    )  # fmt: skip


def recorded(path, tell, **how):
    recorder = Recorder(path, CN, **how)
    tell(recorder)
    recorder.flush()
    recorder.close()
    with closing(Reader(path)) as reader:
        return recorder, reader.after(0, 10**6), reader.nodes(10**6)


def test_bound_refreshed_moved_removed_expired(tmp_path):
    def tell(recorder):
        recorder.verdict(NOW, accepted(0))
        recorder.verdict(NOW + 1, accepted(1, COA1, COA1))
        recorder.verdict(NOW + 2, accepted(2, COA2, COA1))
        removed = accepted(3, HOME, COA2)
        removed.outcome, removed.lifetime = "removed", 0
        recorder.verdict(NOW + 3, removed)
        recorder.verdict(NOW + 4, accepted(4))
        recorder.expired(NOW + 5, HOME, Binding(COA1, 400, NOW, NOW + 5, 1))

    recorder, events, nodes = recorded(tmp_path / "e.sqlite", tell)
    assert ",".join(e["kind"] for e in events) == "bound,refreshed,moved,removed,bound,expired"
    assert events[2] == {
        "id": 3, "at_ms": NOW + 2, "correspondent": ADDRESS, "kind": "moved",
        "home_address": "2001:db8:a::100", "care_of_address": "2001:db8:2::100",
        "previous": "2001:db8:1::100", "sequence": 2, "generation": 0, "lifetime_s": 400,
        "way": "native",
    }  # fmt: skip
    assert events[3]["care_of_address"] == "2001:db8:a::100"  # at home; elsewhere it says farewell
    assert events[3]["previous"] == "2001:db8:2::100"
    (node,) = nodes
    assert (node["state"], node["sequence"], node["updates"], node["moves"]) == (
        "expired",
        4,
        5,
        1,
    )
    assert recorder.facts()["recorded"] == 6 and recorder.lost == 0
    assert all(kinds.text(event) for event in events)
    assert stat.S_IMODE((tmp_path / "e.sqlite").stat().st_mode) == 0o600


def test_a_later_key_that_is_used_is_the_last_one(tmp_path):
    """The registry needn't be read again for it: who watches is to know when keys run out."""
    path = tmp_path / "e.sqlite"
    with closing(Writer(path, CN)) as writer, closing(Reader(path)) as reader:
        known = (HOME, "board", 2, "never", None, None, 0, None, None, None, None, None)
        writer.know([known], None)
        found = []
        for generation in (0, 1, 1, 2, 7):
            row = (HOME, "bound", COA1, 5, generation, NOW, NOW, 1, 0, "native", None)
            writer.add([], [row])
            found += [node["later_keys"] for node in reader.nodes(1)]
        assert found == [2, 1, 1, 0, 0]


def test_by_which_way_is_told(tmp_path):
    at = Endpoint(addresses.parse("198.51.100.7"), 40001, addresses.parse("192.0.2.1")).packed
    private = addresses.parse("192.168.1.5")

    def tell(recorder):
        made = accepted(0, private)
        made.endpoint = at
        recorder.verdict(NOW, made)
        recorder.verdict(NOW, Verdict("keepalive", home_address=HOME))  # is no news
        recorder.expired(NOW + 5, HOME, Binding(private, 400, NOW, NOW + 5, 1, at))
        recorder.tick(NOW + 1000)

    _, events, (node,) = recorded(tmp_path / "e.sqlite", tell)
    assert [event["kind"] for event in events] == ["bound", "expired"]
    for one in (*events, node):
        assert (one["way"], one["endpoint"]) == ("udp4", "198.51.100.7:40001")
        assert one["care_of_address"] == "192.168.1.5"
    assert kinds.text(events[0]).startswith("at 192.168.1.5 by udp4 from 198.51.100.7:40001, ")
    assert kinds.network("192.168.1.5") == "192.168.1.0/24"


_VERSION_1 = """
CREATE TABLE events (
  id INTEGER PRIMARY KEY AUTOINCREMENT, correspondent BLOB NOT NULL, at_ms INTEGER NOT NULL,
  kind TEXT NOT NULL, home_address BLOB, care_of_address BLOB, previous BLOB, sequence INTEGER,
  generation INTEGER, lifetime_s INTEGER, count INTEGER, reason TEXT, gap_ms INTEGER
);
CREATE INDEX events_by_node ON events (home_address) WHERE home_address IS NOT NULL;
CREATE TABLE nodes (
  home_address BLOB NOT NULL, correspondent BLOB NOT NULL, board TEXT,
  later_keys INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL, care_of_address BLOB,
  sequence INTEGER, generation INTEGER, seen_ms INTEGER, expires_ms INTEGER,
  updates INTEGER NOT NULL DEFAULT 0, moves INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (home_address, correspondent)
) WITHOUT ROWID;
PRAGMA user_version = 1;
"""


def test_a_file_of_the_version_before_is_read_and_goes_on(tmp_path):
    path = tmp_path / "e.sqlite"
    path.touch(0o600)
    with closing(sqlite3.connect(path)) as old:
        old.executescript(_VERSION_1)
        old.execute(
            "INSERT INTO events (correspondent, at_ms, kind, home_address) VALUES (?, ?, ?, ?)",
            (CN, NOW, "removed", HOME),
        )
        old.commit()
    with closing(Reader(path)) as reader:
        (before,) = reader.after(0, 10)
    assert before["kind"] == "removed" and "way" not in before
    _, events, (node,) = recorded(path, lambda recorder: recorder.verdict(NOW, accepted()))
    assert events[0] == before
    assert (events[1]["way"], node["way"]) == ("native", "native")


def test_drops_are_gathered_and_few_are_named(tmp_path):
    def tell(recorder):
        for n in range(1000):
            home = (n % 100).to_bytes(16, "big")
            recorder.verdict(NOW, Verdict("dropped", "no key", home_address=home))
        recorder.verdict(NOW, Verdict("dropped", "checksum"))
        recorder.verdict(NOW, Verdict("refused", "sequence", home_address=HOME))
        recorder.tick(NOW)
        recorder.tick(NOW + 1000)

    _, events, nodes = recorded(tmp_path / "e.sqlite", tell)
    assert not nodes and len(events) <= 16 + 3
    by_reason = {"no key": 0, "checksum": 0, "sequence": 0}
    for event in events:
        by_reason[event["reason"]] += event["count"]
    assert by_reason == {"no key": 1000, "checksum": 1, "sequence": 1}


def test_a_full_queue_counts_and_says_so(tmp_path):
    path = tmp_path / "e.sqlite"
    Writer(path, CN).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # nobody can write
        recorder = Recorder(path, CN, queue_max=10)
        started = time.monotonic()
        for n in range(100):
            recorder.verdict(NOW, accepted(n))
            recorder.flush()
        assert time.monotonic() - started < 10  # the file's trouble is not the loop's
        other.execute("ROLLBACK")
    recorder.close()
    with closing(Reader(path)) as reader:
        events = reader.after(0, 1000)
    lost = sum(event["count"] for event in events if event["kind"] == "lost")
    kept = [event for event in events if event["kind"] == "bound"]
    assert lost == recorder.lost >= 80 and lost + len(kept) == 100


def test_retention_by_age_and_number(tmp_path):
    path = tmp_path / "e.sqlite"
    rows = [(at, "bound", HOME, COA1, *[None] * 9) for at in range(20_000)]
    with closing(Writer(path, CN)) as writer, closing(Reader(path)) as reader:
        writer.add(rows, [])
        while writer.forget(12_000, 10**6):
            pass
        assert [reader.first_id(), reader.last_id()] == [12_001, 20_000]
        while writer.forget(0, 100):
            pass
        assert len(reader.after(0, 10**6)) == 100 and reader.last_id() == 20_000


def test_files_that_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "e.sqlite"
    with pytest.raises(BadInputError, match="no daemon has recorded"):
        Reader(path)
    path.write_bytes(b"nonsense" * 1000)
    path.chmod(0o600)
    with pytest.raises((BadInputError, SystemRefusedError), match="not a database"):
        Recorder(path, CN)
    path.chmod(0o644)
    with pytest.raises(BadInputError, match="chmod 600"):
        Recorder(path, CN)
    assert place("/a/b.sqlite").name == "b.events.sqlite"
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/roamkey")
    assert str(place("postgresql+psycopg://x@y/z")) == "/var/lib/roamkey/events.sqlite"


@pytest.mark.parametrize("how", ["moved", "removed", "replaced"])
def test_a_file_that_is_taken_away_is_made_anew(tmp_path, how):
    """As somebody does who wants to begin anew: what comes is found in its place."""
    path, away = tmp_path / "e.sqlite", tmp_path / "away.sqlite"
    recorder = Recorder(path, CN)
    recorder.verdict(NOW, accepted(0))
    recorder.flush()
    assert until(lambda: recorder.recorded == 1, 10)
    if how == "replaced":
        Recorder(away, CN).close()
        away.rename(path)
    elif how == "moved":
        path.rename(away)
    else:
        path.unlink()
    recorder.verdict(NOW + 1, accepted(1, COA1, COA1))
    recorder.flush()
    assert until(lambda: recorder.recorded == 2, 10)
    assert "events" in recorder.last_error and "while it was open" in recorder.last_error
    recorder.verdict(NOW + 2, accepted(2, COA1, COA1))
    recorder.close()
    assert (recorder.recorded, recorder.lost) == (3, 0)
    with closing(Reader(path)) as reader:
        assert [event["sequence"] for event in reader.after(0, 10)] == [1, 2]
    if how == "moved":
        with closing(Reader(away)) as reader:
            assert [event["sequence"] for event in reader.after(0, 10)] == [0]


def test_gaps():
    gaps = Gaps()
    gaps.registered(HOME, 0, True)
    assert gaps.data(HOME, 1_000) is None  # nothing before: no gap
    gaps.registered(HOME, 1_050, True)
    gaps.registered(HOME, 1_100, False)
    assert gaps.data(HOME, 1_300) == 300
    assert gaps.data(HOME, 1_400) is None
    gaps.registered(HOME, 1_500, False)  # a refresh in a flow
    assert gaps.data(HOME, 1_600) is None
    gaps.registered(HOME, 9_000, False)  # back after a power cut
    assert gaps.data(HOME, 9_500) == 7_900
    gaps.removed(HOME)  # at home data flow, unseen here
    gaps.registered(HOME, 90_000, False)
    assert gaps.data(HOME, 90_100) is None


def test_instants():
    assert abs(instant("10m") - (time.time() - 600) * 1000) < 5000
    assert instant("1970-01-01T00:01:00Z") == 60_000


@pytest.mark.lab
def test_the_daemon_records(lab_network, scene):
    node, registry = scene.node(0x100), str(scene.path)
    daemon = Daemon(lab_network, scene.path)
    daemon.ready()
    visitor = Visitor(lab_network, "visited1")
    for sequence in range(3):
        visitor.exchange(node, node.update(sequence, visitor.address))
    visitor.exchange(node, node.update(2, visitor.address))  # a replay: 135
    visitor.send(scene.node_type(9).update(0, visitor.address))
    scene.node(0x101)  # provisioned while it runs
    with Registry.open(scene.path) as opened:
        opened.rename(node.home, "boiler-3")
    visitor.exchange(node, node.update(3, visitor.address, lifetime=0), removes=True)
    flags = messages.FLAG_ACKNOWLEDGE
    visitor.exchange(node, node.update(4, visitor.address, lifetime=1, flags=flags))

    def recorded():
        code, out, err = run_cli(
            lab_network, "events", "--registry", registry, "--json", "--since", "1h"
        )
        assert (code, err) == (0, "")
        return checked("correspondent-events", out)

    assert until(lambda: recorded()[-1]["kind"] == "expired", 20, 0.2), recorded()
    found = recorded()
    kinds_seen = [event["kind"] for event in found]
    assert sorted(kinds_seen) == sorted(
        ["started", "bound", "refreshed", "refreshed", "refused", "dropped", "removed", "bound",
         "expired"]
    )  # fmt: skip
    _, out, _ = run_cli(lab_network, "events", "--registry", registry, "--node", "board-256")
    assert "no longer at" in out and "started" not in out
    _, named, _ = run_cli(lab_network, "events", "--registry", registry, "--node", "boiler-3")
    assert named == out and f"{addresses.text(node.home)} (boiler-3) " in out
    code, _, err = run_cli(lab_network, "events", "--registry", registry, "--node", "nobody")
    assert code == 1 and err == (
        "roamkey: no node nobody: neither an address nor a known name or board\n"
    )
    with closing(Reader(place(registry))) as reader:
        first, second = reader.nodes(10)
    assert (first["board"], first["state"], first["updates"]) == ("board-256", "expired", 5)
    assert first["name"] == "boiler-3" and "name" not in second
    assert (second["board"], second["state"]) == ("board-257", "never")
    code, out, err = daemon.end()
    assert (code, err) == (0, "")
    with closing(Reader(place(registry))) as reader:
        assert reader.latest(1)[0]["kind"] == "stopped"
    octets = place(registry).read_bytes()
    assert not any(secret in octets for secret in (*node.kcns, node.home_nonce))
