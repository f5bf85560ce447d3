"""Watching a daemon that runs: status, drops, metrics, signals, a service's rights."""

import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import tempfile
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from json_output import checked
from support.daemons import ADDRESS, Daemon, Visitor, run_cli

import roamkey
from mip6 import packets
from roamkey.correspondent import control
from roamkey.correspondent.control import Control
from roamkey.correspondent.metrics import parse_address
from roamkey.errors import BadInputError, SystemRefusedError
from roamkey.waiting import until

METRICS = "[::1]:9464"
ROOTS = [Path(roamkey.__file__).parents[1], Path(packets.__file__).parents[1]]


def told(network, command, *arguments):
    code, out, err = run_cli(network, command, "--json", *arguments)
    assert (code, err) == (0, "")
    return checked(f"correspondent-{command}", out)


def scrape(network, path="/metrics"):
    one = network.namespace("correspondent").socket(socket.AF_INET6, socket.SOCK_STREAM)
    with one:
        one.settimeout(30)
        one.connect(("::1", 9464))
        one.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        text = b"".join(iter(lambda: one.recv(65536), b"")).decode()
    assert " 200 " in text.splitlines()[0]
    return dict(re.findall(r"^(roamkey_.+) (\S+)$", text, re.MULTILINE))


@pytest.mark.lab
def test_status_drops_and_metrics(lab_network, scene):
    node = scene.node(0x100)
    data_plane = os.access("/dev/net/tun", os.R_OK | os.W_OK)
    daemon = Daemon(lab_network, scene.path, data_plane=data_plane)
    daemon.ready()
    visitor = Visitor(lab_network, "visited1")
    visitor.exchange(node, node.update(0, visitor.address))
    visitor.exchange(node, node.update(0, visitor.address))  # refused: 135
    visitor.send(scene.node_type(9).update(0, visitor.address))
    forged = node.update(1, visitor.address)
    visitor.send(forged._replace(payload=forged.payload[:-1] + b"?"))
    visitor.exchange(node, node.update(2, visitor.address))

    (facts,) = told(lab_network, "status")
    assert (facts["address"], facts["nodes"], facts["bindings"]) == (ADDRESS, 1, 1)
    assert facts["packets"] == {
        "accepted": 2, "removed": 0, "refused": 1, "dropped": 2, "data": 0, "keepalive": 0,
        "tested": 0,
    }  # fmt: skip
    assert facts["pid"] == daemon.process.pid
    assert told(lab_network, "status", "--address", "2001:0db8:c::0002")[0]["address"] == ADDRESS
    rows = [row for row in told(lab_network, "drops") if row["outcome"] != "data plane"]
    assert {(r["outcome"], r["reason"], r["count"]) for r in rows} == {
        ("dropped", "checksum", 1), ("dropped", "no key", 1), ("refused", "sequence", 1),
    }  # fmt: skip
    assert all(row["advice"].endswith(".") for row in rows)
    _, out, _ = run_cli(lab_network, "drops")
    assert "no key" in out and "Provision the board for this" in out
    _, out, _ = run_cli(lab_network, "status")
    assert "1 with a key, 1 bound" in out and f"http://{METRICS}/metrics" in out

    found = scrape(lab_network)
    of = f'correspondent="{ADDRESS}"'
    assert found[f'roamkey_packets_total{{{of},outcome="dropped",reason="no key"}}'] == "1.0"
    assert found[f'roamkey_packets_total{{{of},outcome="accepted",reason=""}}'] == "2.0"
    assert found[f"roamkey_bindings{{{of}}}"] == found[f"roamkey_nodes{{{of}}}"] == "1.0"
    sent = f'roamkey_data_plane_packets_total{{{of},outcome="sent"}}'
    if data_plane:  # which reports once a second
        assert until(lambda: sent in scrape(lab_network), 10, 0.1)
    assert found[f'roamkey_way_bindings{{{of},way="native"}}'] == "1.0"
    assert float(found[f'roamkey_way_packets_total{{{of},way="native"}}']) >= 5
    assert float(found[f"roamkey_burst_duration_seconds_sum{{{of}}}"]) > 0

    code, out, err = run_cli(
        lab_network, "run", "--address", "2001:db8:c::3", "--registry", str(scene.path),
        "--no-data-plane",
    )  # fmt: skip
    assert code == 5 and "not an address" in err and "a data plane" in err
    lab_network.namespace("correspondent").add_address("eth0", "2001:db8:c::3/64")
    busy = ("run", "--address", "2001:db8:c::3", "--registry", str(scene.path))
    code, out, err = run_cli(lab_network, *busy, "--no-data-plane", "--metrics", METRICS)
    assert (code, err) == (5, f"roamkey: metrics at {METRICS}: Address already in use\n")
    second = Daemon(lab_network, scene.path, address="2001:db8:c::3")  # by default, without
    second.ready()
    assert [one["metrics"] for one in told(lab_network, "status")] == [METRICS, None]
    for one in (daemon, second):
        assert one.end()[::2] == (0, "")
    for command in ("status", "drops"):
        code, out, err = run_cli(lab_network, command)
        assert (code, out) == (5, "")
        assert err == "roamkey: no correspondent daemon runs on this host\n"


@pytest.mark.lab
def test_only_the_daemons_user_and_root_are_told(lab_network):
    with socket.socket(socket.AF_UNIX) as caller:
        one = Control(IPv6Address(ADDRESS))
        assert one._path.parent.stat().st_mode & 0o777 == 0o700
        assert control.running() == [ADDRESS]
        real = control._uid
        control._uid = lambda _: 12345
        caller.connect(str(one._path))
        one.answer(lambda: {"never": "told"})
        assert caller.recv(100) == b""
        control._uid = real
        one.close()
    assert control.running() == []
    with pytest.raises(SystemRefusedError, match="no daemon serves"):
        control.ask(ADDRESS)


@pytest.mark.lab
def test_nobody_can_take_the_daemons_name(lab_network, scene):
    """Neither the abstract name of old nor a folder of somebody else's, nor a false answer."""
    with socket.socket(socket.AF_UNIX) as squatter:
        squatter.bind(f"\0roamkey/correspondent/{ADDRESS}")
        squatter.listen()
        daemon = Daemon(lab_network, scene.path)
        daemon.ready()
        assert told(lab_network, "status")[0]["pid"] == daemon.process.pid
        daemon.end()
    one = Control(IPv6Address(ADDRESS))
    one.close()
    with socket.socket(socket.AF_UNIX) as liar:  # its folder became another's
        liar.bind(str(one._path))
        liar.listen()
        real, control._uid = control._uid, lambda _: 12345
        with pytest.raises(SystemRefusedError, match="no daemon serves"):
            control.ask(ADDRESS)
        control._uid = real
        one._path.unlink()


def test_a_folder_of_another_user_is_not_ours(tmp_path, monkeypatch):
    monkeypatch.setattr(
        control, "_own_folders", lambda uid: [tmp_path / "link", tmp_path / "open"]
    )
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    monkeypatch.setattr(control, "make_folder_for", lambda *_: None)
    with pytest.raises(SystemRefusedError, match="no folder for the control socket"):
        Control(IPv6Address(ADDRESS))


@pytest.mark.lab
@pytest.mark.parametrize("answer", [b"", b"nonsense", b"{}", b"[" * 100_000])
def test_an_answer_that_is_none(lab_network, answer):
    one = Control(IPv6Address(ADDRESS))
    one._socket.close()
    one._path.unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(one._path))
        listening.listen()
        if not os.fork():
            caller, _ = listening.accept()
            caller.sendall(answer)
            os._exit(0)
        with pytest.raises(SystemRefusedError, match=r"tells only root|nonsense"):
            control.ask(ADDRESS)
    one.close()


@pytest.mark.lab
def test_a_reload_reads_keys_anew_and_reopens_the_log(lab_network, scene, tmp_path):
    node, log = scene.node(0x100), tmp_path / "events.log"
    daemon = Daemon(lab_network, scene.path, more=["--log-file", str(log)])
    wait_for(lambda: log.exists() and "ready" in log.read_text())
    visitor = Visitor(lab_network, "visited1")
    visitor.exchange(node, node.update(0, visitor.address))

    log.rename(tmp_path / "events.log.1")
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: log.exists() and "reloaded" in log.read_text())
    assert visitor.exchange(node, node.update(1, visitor.address)).status == 0
    wait_for(lambda: "accepted" in log.read_text())
    assert "accepted" in (tmp_path / "events.log.1").read_text()

    # The registry is gone: what was read still serves. It is back, with other keys: those count.
    away = tmp_path / "away.sqlite"
    scene.registry.close()
    scene.path.rename(away)
    wait_for(lambda: "was moved away" in log.read_text())  # and is not made anew by whoever looks
    assert not scene.path.exists()
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "not reloaded" in log.read_text())
    away.rename(scene.path)
    late = scene.node_type(0x200)
    scene.provision(late)
    scene.registry.retire(node.home)
    daemon.process.send_signal(signal.SIGHUP)
    wait_for(lambda: log.read_text().count("reloaded") == 3)
    assert visitor.exchange(late, late.update(0, visitor.address)).status == 0
    (facts,) = told(lab_network, "status")
    assert (facts["nodes"], facts["reloads"]) == (1, 2)
    assert facts["troubles"] >= 2
    assert daemon.end() == (0, "", "")
    assert json.loads(log.read_text().splitlines()[-1])["event"] == "stopped"


@pytest.mark.lab
def test_a_used_binding_is_asked_for_before_it_ends(lab_network, scene):
    node = scene.node(0x100)
    daemon = Daemon(lab_network, scene.path)
    daemon.ready()
    visitor = Visitor(lab_network, "visited1")
    visitor.exchange(node, node.update(0, visitor.address, lifetime=1))
    option = packets.home_address_option(node.home, packets.UDP)
    datagram = packets.udp(node.home, node.correspondent, 5, 7, b"data")
    visitor.sockets[60].sendto(option + datagram, (ADDRESS, 0))
    source, payload = visitor.receive(packets.ROUTING)
    packet = packets.parse_payload(packets.ROUTING, payload, node.correspondent, visitor.address)
    assert source == ADDRESS and packet.checksum_ok()
    assert packet.route == node.home and packet.payload[2] == 0
    assert told(lab_network, "status")[0]["refresh_requests"] >= 1
    daemon.end()


@pytest.mark.parametrize(
    "text", ["::1:9464", "[::1]", "[::1]:0", "[::1]:66000", "localhost:1", ""]
)
def test_where_to_serve_metrics_is_an_address_and_a_port(text):
    with pytest.raises(BadInputError):
        parse_address(text)
    assert parse_address("127.0.0.1:9464") == ("127.0.0.1", 9464)
    assert parse_address(METRICS) == ("::1", 9464)


def wait_for(condition):
    assert until(condition, 20), "it doesn't come"


# The service


def unit_text():
    done = subprocess.run(
        [sys.executable, "-m", "roamkey", "correspondent", "unit"], capture_output=True, text=True
    )
    assert done.returncode == 0
    return done.stdout


def rights():
    """The capabilities of the unit, as setpriv names them."""
    (line,) = re.findall(r"^CapabilityBoundingSet=(.*)$", unit_text(), re.MULTILINE)
    return [name.removeprefix("CAP_").lower() for name in line.split()]


def test_the_unit_is_what_systemd_understands(tmp_path):
    text = unit_text()
    assert "@ROAMKEY@" not in text
    assert re.search(r"^ExecStart=/\S+ correspondent run --address %i ", text, re.MULTILINE)
    assert rights() == ["net_raw", "net_admin"]
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "roamkey-correspondent@.service"
    unit.write_text(text)
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def python_for_all():
    """An interpreter that every user may run the packages of this one with, or None."""
    version = f"python3.{sys.version_info.minor}"
    for path in (sys.executable, f"/usr/bin/{version}"):
        real = Path(path).resolve()
        if real.exists() and all(parent.stat().st_mode & 0o005 == 5 for parent in real.parents):
            return str(real)
    return None


def open_tun(node):
    """Give the device of TUN devices the mode that it has where systemd runs: 0666."""
    os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(10, 200))
    node.chmod(0o666)
    subprocess.run(["mount", "--bind", node, "/dev/net/tun"], check=True)  # the sandbox's own


@pytest.mark.lab
def test_the_units_rights_suffice(lab_network, scene):
    """As an ordinary user with the two capabilities, in the namespaces of the laboratory."""
    user = 61234
    python = python_for_all()
    if shutil.which("setpriv") is None or python is None:
        pytest.skip("needs setpriv and an interpreter that other users may run")
    if Path("/proc/self/uid_map").read_text().split()[2] == "1":
        pytest.skip("has no other user here: not run by root")
    node = scene.node(0x100)
    scene.registry.close()
    state = Path(tempfile.mkdtemp())  # pytest's own folders are root's alone
    shutil.copy(scene.path, state / "registry.sqlite")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(str(state / "notify"))
    listening.settimeout(30)
    for path in (state, *state.iterdir()):
        os.chown(path, user, user)
    open_tun(state / "tun")
    runtime = Path("/run/roamkey-correspondent")  # as systemd makes it
    runtime.mkdir(mode=0o700, exist_ok=True)
    os.chown(runtime, user, user)
    some = ",".join(f"+{name}" for name in rights())
    paths = os.pathsep.join([*map(str, ROOTS), sysconfig.get_paths()["purelib"]])
    process = lab_network.spawn(
        "correspondent",
        [
            "setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs",
            f"--bounding-set=-all,{some}", f"--inh-caps=-all,{some}",
            f"--ambient-caps=-all,{some}",
            "--securebits=+noroot,+noroot_locked",
            "env", f"PYTHONPATH={paths}", f"NOTIFY_SOCKET={state}/notify",
            f"RUNTIME_DIRECTORY={runtime}",
            python, "-m", "roamkey", "correspondent", "run", "--address", ADDRESS,
            "--registry", str(state / "registry.sqlite"), "--log", "json",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    line = process.stdout.readline()
    assert '"ready"' in line, line + process.stderr.read()
    status = Path(f"/proc/{process.pid}/status").read_text()
    assert int(re.search(r"CapBnd:\s*(\w+)", status)[1], 16) == 1 << 13 | 1 << 12
    assert int(re.search(r"CapEff:\s*(\w+)", status)[1], 16) == 1 << 13 | 1 << 12
    assert re.search(r"Uid:\s*(\d+)", status)[1] == str(user)
    visitor = Visitor(lab_network, "visited1")
    assert visitor.exchange(node, node.update(0, visitor.address)).status == 0
    (facts,) = told(lab_network, "status")
    assert facts["packets"]["accepted"] == 1 and facts["data_plane"]["interface"]
    assert scrape(lab_network)
    assert listening.recv(4096).startswith(b"READY=1\nSTATUS=correspondent 2001:db8:c::2, 1 nodes")
    process.terminate()
    assert process.wait(30) == 0 and process.stderr.read() == ""
    shutil.rmtree(state)
    shutil.rmtree(runtime)
