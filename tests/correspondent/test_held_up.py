"""Nothing holds signalling up: not a reader, a database that hangs, another writer, a visitor."""

import json
import os
import signal
import socket
import time

import pytest
from sqlalchemy import text
from support.daemons import Daemon, Visitor, run_cli
from support.nodes import Scene
from support.stopped import stopped

from mip6 import packets
from roamkey.correspondent.log import Log, _Writer
from roamkey.errors import SystemRefusedError
from roamkey.lab.postgresql import Server, programs
from roamkey.registry import Registry
from roamkey.waiting import until

BACKENDS = (
    "SELECT pid FROM pg_stat_activity "
    "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


@pytest.fixture
def own_server(lab_network):
    """A PostgreSQL whose processes are here, to be stopped."""
    if programs() is None and not os.environ.get("CI"):
        pytest.skip("PostgreSQL is not installed (Debian, Ubuntu: apt install postgresql)")
    try:
        server = Server()
    except SystemRefusedError as error:
        pytest.skip(str(error))
    with server:
        yield server


def status(network):
    code, out, err = run_cli(network, "status", "--json")
    assert code == 0, err
    return json.loads(out)[0]


def answered(visitor, node, sequence, timeout=10):
    """Whether an update is acknowledged."""
    visitor.send(node.update(sequence, visitor.address))
    try:
        return visitor.receive(packets.ROUTING, timeout) is not None
    except TimeoutError:
        return False


@pytest.mark.lab
def test_a_reader_of_the_log_that_stops_reading(lab_network, scene):
    node = scene.node(0x100)
    daemon = Daemon(lab_network, scene.path)
    daemon.ready()
    visitor = Visitor(lab_network, "visited1")
    for sequence in range(1000):
        assert answered(visitor, node, sequence)
    assert status(lab_network)["packets"]["accepted"] == 1000
    daemon.process.terminate()
    assert daemon.process.wait(20) == 0


def test_what_a_reader_does_not_take_is_counted_and_told():
    reader, pipe = os.pipe()
    writer = _Writer(pipe, lambda count: f"lost {count}")
    line = "x" * 99_999
    for _ in range(200):  # 20 MB
        writer.put([line])
    assert until(lambda: writer.lost > 100, 10)
    assert writer._octets <= 5 << 20
    with os.fdopen(reader, "rb") as file:
        for _ in range(200 - writer.lost):
            assert file.readline() == line.encode() + b"\n"
        writer.put(["last"])
        rest = [file.readline(), file.readline()]
        assert sorted(rest) == [b"last\n", f"lost {writer.lost}\n".encode()]
        started = time.monotonic()
        writer.close()
        assert time.monotonic() - started < 5


def test_a_writer_with_a_stuck_reader_ends_all_the_same():
    reader, pipe = os.pipe()
    writer = _Writer(pipe, str)
    writer.put(["x" * 1_000_000])
    started = time.monotonic()
    writer.close()
    assert time.monotonic() - started < 15
    os.close(reader)


def test_a_disk_without_room_loses_lines_until_it_has_room():
    full = os.open("/dev/full", os.O_WRONLY)
    writer = _Writer(full, str)
    writer.put(["one", "two"])
    assert until(lambda: writer.lost == 2, 10)
    assert writer.last_error == "No space left on device"
    reader, pipe = os.pipe()
    writer.go_on_in(pipe)
    with os.fdopen(reader, "rb") as file:
        writer.put(["three"])
        assert {file.readline(), file.readline()} == {b"2\n", b"three\n"}
        writer.close()


def test_log_files_are_their_owners_alone(tmp_path):
    before = os.umask(0)
    try:
        log = Log("human", tmp_path / "log")
        log.event(0, "ready", "here")
        log.close()
    finally:
        os.umask(before)
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SystemRefusedError):  # nobody reads it, and nobody is waited for
        Log("human", tmp_path / "pipe")


@pytest.mark.lab
def test_a_database_that_hangs(lab_network, own_server):
    url = own_server.url()
    scene = Scene(url)
    node = scene.node(0x100)
    daemon = Daemon(lab_network, url)
    daemon.ready()
    visitor = Visitor(lab_network, "visited1")
    assert answered(visitor, node, 0)
    scene.registry.close()
    with Registry.open(url) as registry, registry.reading() as c:
        backends = c.scalars(text(BACKENDS)).all()
    assert backends
    with stopped(backends):
        assert not answered(visitor, node, 1, 0.5)
        started = time.monotonic()
        assert status(lab_network)["pid"] == daemon.process.pid
        assert time.monotonic() - started < 4, "it was waiting for its database"
        # It is cut off, said so, and another connection serves.
        assert "no answer" in daemon.event("trouble")["detail"]
        assert until(lambda: answered(visitor, node, 1000 + int(time.monotonic()) % 1000, 1), 20)
        assert status(lab_network)["troubles"] >= 1
    assert daemon.end()[0] == 0


@pytest.mark.lab
def test_sigterm_beside_a_database_that_hangs_for_good(lab_network, own_server):
    url = own_server.url()
    scene = Scene(url)
    node = scene.node(0x100)
    scene.registry.close()
    daemon = Daemon(lab_network, url)
    daemon.ready()
    visitor = Visitor(lab_network, "visited1")
    assert answered(visitor, node, 0)
    with stopped(own_server.processes()):
        assert not answered(visitor, node, 1, 0.5)
        started = time.monotonic()
        daemon.process.terminate()
        daemon.process.wait(30)
        assert time.monotonic() - started < 28


@pytest.mark.lab
def test_another_writer_of_a_file(lab_network, scene):
    node = scene.node(0x100)
    daemon = Daemon(lab_network, scene.path)
    daemon.ready()
    visitor = Visitor(lab_network, "visited1")
    with scene.registry.writing():
        assert not answered(visitor, node, 0, 0.5)
        assert status(lab_network)["packets"]["accepted"] == 0
        assert "locked" in daemon.event("trouble")["detail"]
    assert until(lambda: answered(visitor, node, int(10 * time.monotonic()) % 60000, 1), 20)
    assert daemon.end()[0] == 0


@pytest.mark.lab
def test_silent_visitors_of_metrics(lab_network, scene):
    node = scene.node(0x100)
    daemon = Daemon(lab_network, scene.path)
    daemon.ready()
    visitor = Visitor(lab_network, "visited1")
    namespace = lab_network.namespace("correspondent")
    silent = []
    for _ in range(300):
        one = namespace.socket(socket.AF_INET6, socket.SOCK_STREAM)
        one.setblocking(False)
        one.connect_ex(("::1", 9464))
        silent.append(one)
    time.sleep(0.5)
    assert len(os.listdir(f"/proc/{daemon.process.pid}/fd")) < 100
    assert answered(visitor, node, 0)
    with namespace.socket(socket.AF_INET6, socket.SOCK_STREAM) as one:
        one.settimeout(30)
        one.connect(("::1", 9464))
        one.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert b" 200 " in one.recv(100)
    for one in silent:
        one.close()
    assert daemon.end()[0] == 0


@pytest.mark.lab
def test_systemd_is_told_while_bursts_are_served(lab_network, scene, tmp_path, monkeypatch):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(path)
        listening.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        monkeypatch.setenv("WATCHDOG_USEC", "30000000")
        daemon = Daemon(lab_network, scene.path)
        daemon.ready()
        while listening.recv(4096) != b"WATCHDOG=1":
            pass
    assert daemon.end()[0] == 0


@pytest.mark.lab
def test_a_reload_from_a_database_that_hangs(lab_network, own_server):
    """The old keys serve again once it answers, and it is told that there are no new ones."""
    url = own_server.url()
    scene = Scene(url)
    node = scene.node(0x100)
    scene.registry.close()
    daemon = Daemon(lab_network, url)
    daemon.ready()
    visitor = Visitor(lab_network, "visited1")
    assert answered(visitor, node, 0)
    with stopped(own_server.processes()):
        daemon.process.send_signal(signal.SIGHUP)
        assert "not reloaded" in daemon.event("trouble")["detail"]
        assert status(lab_network)["reloads"] == 0
    assert until(lambda: answered(visitor, node, 1000 + int(time.monotonic()) % 1000, 1), 20)
    assert daemon.end()[0] == 0


@pytest.mark.lab
def test_a_reader_of_the_registry_that_stands_still_is_told(lab_network, scene):
    """Its log can't be reused meanwhile; afterwards it is small again."""
    node = scene.node(0x100)
    daemon = Daemon(lab_network, scene.path)
    daemon.ready()
    log = scene.path.with_name(scene.path.name + "-wal")
    with scene.registry.reading() as c:
        c.execute(text("SELECT * FROM nodes")).all()
        with Registry.open(scene.path) as other, other.writing() as w:
            w.execute(text("CREATE TABLE much (octets BLOB)"))
            w.execute(text("INSERT INTO much VALUES (zeroblob(300 << 20))"))
        assert "its log has grown to " in daemon.event("trouble")["detail"]  # 256 MB and more
        visitor = Visitor(lab_network, "visited1")
        assert answered(visitor, node, 0)
    with Registry.open(scene.path) as other, other.writing() as w:
        w.execute(text("DROP TABLE much"))
    numbers = iter(range(1, 1000))
    assert until(
        lambda: answered(visitor, node, next(numbers)) and log.stat().st_size < 100 << 20, 20
    )
    assert daemon.end()[0] == 0
