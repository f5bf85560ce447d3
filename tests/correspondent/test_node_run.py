"""`roamkey node run`: a Linux machine as a node, provisioned like a board."""

import json
import signal
import socket
import subprocess
import sys
from ipaddress import IPv6Address

import pytest
from support.daemons import ADDRESS, CLI, Daemon
from support.roaming import HOME, need_tun

from mip6.ports.sockets import ask, open_family
from mip6.programs import xfrm
from roamkey.board.serial_client import SerialClient
from roamkey.enroll.deliver import provision
from roamkey.enroll.plan import Plan
from roamkey.errors import RoamkeyError
from roamkey.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(120)]

HOME_OCTETS, OURS = (IPv6Address(one).packed for one in (HOME, ADDRESS))
OTHER = "2001:db8:c::77"  # a correspondent that nobody is
ROAMKEY = [sys.executable, "-m", "roamkey"]


@pytest.fixture(params=["tun", pytest.param("kernel", marks=pytest.mark.kernel)])
def plane(request):
    """What is taken where nothing is asked for."""
    need_tun()
    return request.param


def devices(network):
    """Of ours, and routes of ours, in the node's namespace."""
    node = network.namespace("node1")
    routes = node._ask("get_routes", family=socket.AF_INET6)
    of_ours = [one for one in routes if one["proto"] == 114]
    return [name for name in node.interfaces() if name.startswith("roamkey")], len(of_ours)


def test_all_programs_of_a_machine_have_the_home_address(lab_network, scene, tmp_path, plane):
    """A connection outlives moves, both ends speak at once; afterwards nothing is left."""
    lab_network.add_node("node1")
    state = tmp_path / "node"
    command = [*ROAMKEY, "node", "run", "--state", str(state), "--uplink", "wlan0"]
    agent = lab_network.spawn("node1", command, stderr=subprocess.PIPE, text=True)
    assert until((state / "console").exists, 30), agent.stderr.read()
    port = str(state / "console")
    ends = [IPv6Address(one).packed for one in (HOME, ADDRESS)]
    held = provision(scene.registry, port, Plan(ends[0], (ends[1],)))
    assert held.home_address == HOME
    daemon = Daemon(lab_network, scene.path, data_plane=plane)
    daemon.ready()
    lab_network.attach("node1", "wlan0", "visited1", dad=False)
    daemon.event("accepted")

    def told():
        with SerialClient(port) as client:
            return client.ask("status")["node"]

    assert until(lambda: told()["bindings"][0]["state"] == "bound", 30)
    assert (told()["plane"], told().get("traceback")) == (plane, None)
    shown = subprocess.run([*ROAMKEY, "status", "--port", port], capture_output=True, text=True)
    assert f"by {plane} (" in shown.stdout
    there = lab_network.namespace("correspondent").socket(socket.AF_INET6, socket.SOCK_STREAM)
    there.bind((ADDRESS, 7000))
    there.listen()
    here = lab_network.namespace("node1").socket(socket.AF_INET6, socket.SOCK_STREAM)
    here.settimeout(60)
    here.connect((ADDRESS, 7000))
    taken, (source, *_) = there.accept()
    taken.settimeout(60)
    assert source == HOME
    for network in ("visited2", "visited1", "visited2"):
        lab_network.attach("node1", "wlan0", network, dad=False)
        for sender, receiver in ((here, taken), (taken, here)):
            sender.sendall(bytes(50_000))
            left = 50_000
            while left:
                left -= len(receiver.recv(left))
    ping = lab_network.namespace("node1").popen(
        [sys.executable, "-c", PING, ADDRESS], stdout=subprocess.PIPE, text=True
    )
    assert json.loads(ping.communicate(timeout=30)[0]) == HOME
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(30) == 0, agent.stderr.read()
    assert daemon.event("removed")["home_address"] == HOME
    assert devices(lab_network) == ([], 0)
    assert CLI and not (state / "console").is_symlink()


@pytest.fixture
def bound(lab_network, scene, tmp_path, plane):
    """The port of a machine's agent, which is bound."""
    need_tun()
    lab_network.add_node("node1")
    state = tmp_path / "node"
    command = [*ROAMKEY, "node", "run", "--state", str(state), "--data-plane", plane]
    agent = lab_network.spawn("node1", command, stderr=subprocess.PIPE, text=True)
    assert until((state / "console").exists, 30), agent.stderr.read()
    port = str(state / "console")
    provision(scene.registry, port, Plan(HOME_OCTETS, (OURS,)))
    daemon = Daemon(lab_network, scene.path, data_plane=plane)
    daemon.ready()
    lab_network.attach("node1", "wlan0", "visited1", dad=False)
    daemon.event("accepted")
    assert until(lambda: status(port)["bindings"][0]["state"] == "bound", 30)
    return port


def status(port):
    with SerialClient(port) as client:
        return client.ask("status")["node"]


def sources(network):
    """Of the node's routes that offer the home address: where to."""
    routes = network.namespace("node1")._ask("get_routes", family=socket.AF_INET6)
    return [one.get_attr("RTA_DST") for one in routes if one.get_attr("RTA_PREFSRC") == HOME]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["down", "deleted", "address", "route", "mtu"])
@pytest.mark.parametrize("plane", ["tun"])
def test_what_others_take_from_the_device_is_put_back(lab_network, bound, what):
    """The binding goes on, without a number more, and nothing counts as a fault."""
    namespace = lab_network.namespace("node1")
    index = namespace.index("roamkey0")
    before = status(bound)
    assert sources(lab_network) == [ADDRESS]
    if what == "down":
        namespace._ask("link", "set", index=index, state="down")
    elif what == "deleted":
        namespace._ask("link", "del", index=index)
    elif what == "address":
        namespace._ask("addr", "del", index=index, address=HOME, prefixlen=128)
    elif what == "route":
        namespace._ask("route", "del", dst=f"{ADDRESS}/128", oif=index, family=socket.AF_INET6)
    else:
        namespace._ask("link", "set", index=index, mtu=1300)

    def whole():
        try:
            (link,) = namespace._ask("get_links", namespace.index("roamkey0"))
        except KeyError:
            return False
        ready = link["state"] == "up" and link.get_attr("IFLA_MTU") == 1432
        return ready and sources(lab_network) == [ADDRESS]

    assert until(whole, 30)
    assert (namespace.index("roamkey0") != index) == (what == "deleted")
    ping = namespace.popen(
        [sys.executable, "-c", PING, ADDRESS], stdout=subprocess.PIPE, text=True
    )
    assert json.loads(ping.communicate(timeout=30)[0]) == HOME
    after = status(bound)
    assert (after["plane"], after["bindings"][0]["state"]) == ("tun", "bound")
    assert (after["faults"], after["bindings"][0]["sequence"]) == (
        before["faults"], before["bindings"][0]["sequence"],
    )  # fmt: skip


def test_a_correspondent_that_is_no_longer_one_is_reached_plainly(
    lab_network, scene, bound, plane
):
    assert until(lambda: sources(lab_network) == [ADDRESS], 30)
    plan = Plan(HOME_OCTETS, (IPv6Address(OTHER).packed,))
    provision(scene.registry, bound, plan, replace=True)
    wanted = [OTHER] if plane == "tun" else []
    assert until(lambda: sources(lab_network) == wanted, 30)
    namespace = lab_network.namespace("node1")
    ping = namespace.popen(
        [sys.executable, "-c", PING, ADDRESS], stdout=subprocess.PIPE, text=True
    )
    assert json.loads(ping.communicate(timeout=30)[0]) != HOME
    if plane == "kernel":
        with namespace._there(open_family, xfrm.PROTOCOL) as one:
            for kind in xfrm.KINDS:
                told = ask(one, xfrm.ask_state(kind, HOME_OCTETS, OURS))
                assert xfrm.is_ours(told) is None


def test_of_two_on_one_folder_the_second_is_refused(lab_network, tmp_path):
    """They would give out the same sequence numbers. What isn't ours stays."""
    lab_network.add_node("node1")
    state = tmp_path / "node"
    state.mkdir()
    command = [*ROAMKEY, "node", "run", "--state", str(state), "--data-plane", "none"]

    def refused():
        one = lab_network.spawn("node1", command, stderr=subprocess.PIPE, text=True)
        said = one.communicate(timeout=30)[1]
        assert one.returncode == 5 and said.count("\n") == 1, said
        return said

    (state / "console").write_text("a file of somebody's")
    assert f"{state / 'console'}: File exists" in refused()
    assert (state / "console").read_text() == "a file of somebody's"
    (state / "console").unlink()
    first = lab_network.spawn("node1", command, stderr=subprocess.PIPE, text=True)
    assert until((state / "console").exists, 30), first.stderr.read()
    assert "another agent runs on it" in refused()
    with SerialClient(str(state / "console")) as client:
        assert client.ask("status")["node"]["plane"] == "none"
    first.kill()
    first.wait()
    again = lab_network.spawn("node1", command, stderr=subprocess.PIPE, text=True)

    def answers():
        try:
            with SerialClient(str(state / "console")) as client:
                return client.ask("status")
        except (RoamkeyError, OSError):
            return None

    assert until(answers, 30)
    again.send_signal(signal.SIGINT)
    assert again.wait(30) == 0, again.stderr.read()


#: Where an answer comes from is not where it went to: the address that the kernel chose.
PING = """
import json, socket, sys
one = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
one.connect((sys.argv[1], 9))
print(json.dumps(one.getsockname()[0]))
"""
