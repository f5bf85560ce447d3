"""The daemon over real raw sockets, in the laboratory network."""

import json
import signal
import subprocess
import sys
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from json_output import checked
from support.daemons import ADDRESS, CLI, Daemon, Visitor, run_cli

from mip6 import packets
from roamkey.waiting import until


def bindings(network, path):
    code, out, err = run_cli(network, "bindings", "--json", "--registry", str(path))
    assert (code, err) == (0, "")
    return checked("correspondent-bindings", out)


@pytest.mark.lab
def test_registration_move_replay_restart_and_return(lab_network, scene):
    node = scene.node(0x100)
    daemon = Daemon(lab_network, scene.path)
    ready = daemon.ready()
    assert (ready["address"], ready["nodes"], ready["bindings"]) == (ADDRESS, 1, 0)

    first = Visitor(lab_network, "visited1")
    captured = node.update(0, first.address)
    assert first.exchange(node, captured).status == 0
    event = daemon.event("accepted")
    assert (event["care_of_address"], event["sequence"]) == (first.text, 0)

    second = Visitor(lab_network, "visited2")
    assert second.exchange(node, node.update(1, second.address)).status == 0
    (row,) = bindings(lab_network, scene.path)
    assert row["home_address"] == "2001:db8:a::100"
    assert row["care_of_address"] == second.text
    assert row["correspondent"] == ADDRESS
    assert (row["sequence"], row["generation"], row["uses_left"]) == (1, 0, 65534)
    assert 380 <= row["lifetime_left_s"] <= 400

    code, out, err = daemon.end()
    assert (code, err) == (0, "")
    assert json.loads(out.splitlines()[-1])["event"] == "stopped"

    daemon = Daemon(lab_network, scene.path)
    assert daemon.ready()["bindings"] == 1
    first = Visitor(lab_network, "visited1")
    answer = first.exchange(node, captured)
    assert (answer.status, answer.sequence) == (135, 1)
    assert daemon.event("refused")["reason"] == "sequence"

    home = Visitor(lab_network, "home", str(IPv6Address(node.home)))
    answer = home.exchange(node, node.update(2, home.address, lifetime=0, away=False), True)
    assert (answer.status, answer.lifetime) == (0, 0)
    daemon.event("removed")
    assert bindings(lab_network, scene.path) == []
    assert daemon.end(signal.SIGINT)[0] == 130


@pytest.mark.lab
def test_drops_are_silent_and_only_our_address_counts(lab_network, scene):
    node, late = scene.node(0x100), scene.node_type(0x200)
    lab_network.namespace("correspondent").add_address("eth0", "2001:db8:c::3/64")
    daemon = Daemon(lab_network, scene.path)
    daemon.ready()
    visitor = Visitor(lab_network, "visited1")
    forged = node.update(0, visitor.address)
    forged = forged._replace(payload=forged.payload[:-1] + bytes((forged.payload[-1] ^ 1,)))
    visitor.send(forged)
    visitor.send(node.update(0, visitor.address), "2001:db8:c::3")
    visitor.send(late.update(0, visitor.address))
    with pytest.raises(TimeoutError):
        visitor.receive(packets.ROUTING, 0.5)

    # A key that comes while the daemon runs is good at once.
    scene.provision(late)
    assert visitor.exchange(late, late.update(0, visitor.address)).status == 0
    assert visitor.exchange(node, node.update(0, visitor.address)).status == 0
    code, out, _ = daemon.end()
    events = [json.loads(line) for line in out.splitlines()]
    counted = [event["reasons"] for event in events if event["event"] == "dropped"]
    total = {reason: sum(c.get(reason, 0) for c in counted) for c in counted for reason in c}
    assert total == {"checksum": 1, "no key": 1}
    assert code == 0


@pytest.mark.lab
def test_a_message_behind_destination_options_is_processed_once(lab_network, scene):
    """Such a packet reaches the sockets of both protocols."""
    node = scene.node(0x100)
    daemon = Daemon(lab_network, scene.path)
    daemon.ready()
    visitor = Visitor(lab_network, "home", str(IPv6Address(node.home)))
    update = node.update(0, visitor.address, lifetime=0, away=False)
    padding = bytes((packets.MOBILITY, 0, 1, 4, 0, 0, 0, 0))
    visitor.send(update._replace(next_header=60, payload=padding + update.payload))
    assert daemon.event("removed")["sequence"] == 0
    visitor.receive(packets.MOBILITY)
    with pytest.raises(TimeoutError):
        visitor.receive(packets.MOBILITY, 0.5)
    code, out, _ = daemon.end()
    assert code == 0
    stopped = json.loads(out.splitlines()[-1])
    assert stopped["counters"] == [["removed", "", 1]]


@pytest.mark.lab
def test_data_without_a_binding_gets_a_binding_error(lab_network, scene):
    node = scene.node(0x100)
    daemon = Daemon(lab_network, scene.path)
    daemon.ready()
    visitor = Visitor(lab_network, "visited1")
    option = packets.home_address_option(node.home, packets.UDP)
    datagram = packets.udp(node.home, node.correspondent, 5, 7, b"data")
    visitor.sockets[60].sendto(option + datagram, (ADDRESS, 0))
    source, payload = visitor.receive(packets.MOBILITY)
    assert source == ADDRESS
    packet = packets.parse_payload(packets.MOBILITY, payload, node.correspondent, visitor.address)
    assert packet.checksum_ok() and payload[2] == 7 and payload[6] == 1
    assert payload[8:24] == node.home
    daemon.end()


def wait_until_queued(pid, least):
    """Wait until a stopped daemon's socket of protocol 60 holds so many packets."""

    def arrived():
        lines = Path(f"/proc/{pid}/net/raw6").read_text().splitlines()[1:]
        sockets = (line.split() for line in lines)
        queued = [int(f[4].partition(":")[2], 16) for f in sockets if f[1].endswith(":003C")]
        return sum(queued) >= least * 512  # a packet takes at least that much of the buffer

    assert until(arrived, 10), "the packets didn't arrive"


@pytest.mark.lab
def test_a_signal_drains_what_waits(lab_network, scene):
    node = scene.node(0x100)
    daemon = Daemon(lab_network, scene.path)
    daemon.ready()
    visitor = Visitor(lab_network, "visited1")
    daemon.process.send_signal(signal.SIGSTOP)
    for sequence in range(20):
        visitor.send(node.update(sequence, visitor.address))
    wait_until_queued(daemon.process.pid, 20)
    daemon.process.send_signal(signal.SIGTERM)
    daemon.process.send_signal(signal.SIGCONT)
    assert daemon.process.wait(30) == 0
    for _ in range(20):
        visitor.receive(packets.ROUTING)


@pytest.mark.lab
def test_what_is_wrong_is_one_line(lab_network, scene, tmp_path):
    def fails(code, text, *arguments, address=ADDRESS, path=scene.path):
        found, out, err = run_cli(
            lab_network, "run", "--address", address, "--registry", str(path), *arguments
        )
        assert (found, out) == (code, "")
        assert text in err.splitlines()[-1] or code == 2
        assert "Traceback" not in err
        if code != 2:
            assert len(err.splitlines()) == 1

    daemon = Daemon(lab_network, scene.path)
    daemon.ready()
    fails(5, "another daemon serves")
    fails(5, "not an address of this host", address="2001:db8:c::99")
    fails(2, "", address="fe80::1")
    fails(2, "", address="not-an-address")
    fails(2, "", "--log", "xml")
    garbage = tmp_path / "garbage.sqlite"
    garbage.write_bytes(b"garbage " * 2000)
    garbage.chmod(0o600)
    fails(1, "damaged", path=garbage)
    garbage.chmod(0o644)
    fails(1, "chmod 600", path=garbage)
    fails(5, "No such file", path=tmp_path / "missing" / "registry.sqlite")
    assert daemon.end()[0] == 0
    # The lock goes with the process, however that ends.
    daemon = Daemon(lab_network, scene.path)
    daemon.ready()
    daemon.process.kill()
    daemon.process.wait(30)
    daemon = Daemon(lab_network, scene.path)
    daemon.ready()
    daemon.end()


@pytest.mark.lab
def test_without_the_right_to_raw_sockets(lab_network, scene):
    program = (
        "import ctypes, sys; ctypes.CDLL(None).prctl(24, 13, 0, 0, 0); "  # PR_CAPBSET_DROP
        "import os; os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    command = [*CLI[1:], "run", "--address", ADDRESS, "--registry", str(scene.path)]
    process = lab_network.spawn(
        "correspondent",
        [sys.executable, "-c", program, *command],
        stderr=subprocess.PIPE,
        text=True,
    )
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err.splitlines()) == (
        5,
        ["roamkey: raw sockets need root, or CAP_NET_RAW"],
    )


@pytest.mark.lab
def test_the_human_log_and_the_table(lab_network, scene):
    node = scene.node(0x100)
    daemon = Daemon(lab_network, scene.path, log="human")
    assert "ready correspondent 2001:db8:c::2, 1 nodes, 0 bindings" in (
        daemon.process.stdout.readline()
    )
    visitor = Visitor(lab_network, "visited1")
    visitor.exchange(node, node.update(0, visitor.address))
    line = daemon.process.stdout.readline()
    assert f"accepted 2001:db8:a::100 at {visitor.text}, sequence 0, key 0, for 400 s" in line
    code, out, err = run_cli(lab_network, "bindings", "--registry", str(scene.path))
    assert (code, err) == (0, "")
    assert "uses left" in out and visitor.text in out
    daemon.process.stdout.close()  # a reader that goes away takes only the log with it
    visitor.exchange(node, node.update(1, visitor.address))
    daemon.process.send_signal(signal.SIGTERM)
    assert daemon.process.wait(30) == 0
    assert daemon.process.stderr.read() == ""


def test_bindings_of_no_registry(tmp_path):
    command = [*CLI, "bindings", "--registry", str(tmp_path / "none.sqlite")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith("roamkey: no registry at ")
    assert not list(tmp_path.iterdir())
