"""A router: the real unix port as a plain process, as procd runs it: no terminal, no littlefs.

The files of boards/OPENWRT are run as they are, procd apart: state in a folder, the console a
local socket that `roamkey-console` joins to what is here a pty and there ssh.
"""

import contextlib
import os
import socket
import subprocess
import time
import tty
from pathlib import Path

import pytest

from roamkey.board.serial_client import SerialClient
from roamkey.enroll.deliver import provision
from roamkey.enroll.plan import Plan
from roamkey.errors import RefusedError
from roamkey.lab.demo.correspondent import Correspondent
from roamkey.lab.interpreter import micropython
from roamkey.lab.network import CORRESPONDENT_ADDRESS
from roamkey.registry import Registry
from roamkey.waiting import until

REPOSITORY = Path(__file__).parents[2]
FILES = REPOSITORY / "boards" / "OPENWRT" / "files"
FIRMWARE = REPOSITORY / "firmware"
CONSOLE = FILES / "usr/bin/roamkey-console"
HOME = "2001:db8:a::1"
ENVIRONMENT = {**os.environ, "MICROPYPATH": f".frozen:{FIRMWARE}:{FIRMWARE}/lib"}
# What a service of root keeps of its rights: raw sockets.
RIGHTS = ["setpriv", "--bounding-set=-all,+net_raw"]
RIGHTS_OF_KERNEL = ["setpriv", "--bounding-set=-all,+net_raw,+net_admin"]


class Router:
    """The service in the network's node "router1"; `path`: the folder of state and socket."""

    def __init__(self, network, path, rights=RIGHTS):
        self._rights = rights
        self.state = path / "state"
        self.socket = path / "console"
        self._log = path / "log"
        self._namespace = network.add_node("router1")
        self._process = None

    def start(self):
        service = [micropython(), FILES / "usr/lib/roamkey/service.py", self.state, self.socket]
        with self._log.open("ab") as log:
            self._process = self._namespace.popen(
                [str(word) for word in [*self._rights, *service, "auto", "wlan0"]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=ENVIRONMENT,
            )
        wait_for(self.socket.exists, self.text)

    def text(self):
        return self._log.read_text()

    def kill(self):
        self._process.kill()
        self._process.wait()

    def stop(self):
        """As the init script does; the exit codes of roamkey-console and of the service."""
        asked = console("--stop", self.socket, timeout=20)
        return asked.returncode, self._process.wait(30)

    def running(self):
        return self._process.poll() is None

    def seconds_used(self):
        return processor_seconds(self._process.pid)


def processor_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def console(*words, **how):
    command = [micropython(), str(CONSOLE), *(str(word) for word in words)]
    return subprocess.run(command, capture_output=True, check=False, **how)


@contextlib.contextmanager
def serial_port(path):
    """A pty that reaches the service through `roamkey-console`; as socat makes one over ssh."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    command = [micropython(), str(CONSOLE), str(path)]
    joining = subprocess.Popen(command, stdin=ours, stdout=ours)
    try:
        yield os.ttyname(theirs)
    finally:
        joining.kill()
        joining.wait()
        os.close(ours)
        os.close(theirs)


def wait_for(condition, told, seconds=30.0):
    assert until(condition, seconds, 0.05), told()


@pytest.mark.lab
@pytest.mark.slow
def test_a_router_registers_moves_crashes_and_stops(lab_network, tmp_path):
    router = Router(lab_network, tmp_path)
    correspondent = Correspondent(lab_network, tmp_path / "registry", tmp_path / "correspondent")
    router.start()
    with Registry.open(tmp_path / "registry") as registry, serial_port(router.socket) as port:
        held = provision(
            registry,
            port,
            Plan(
                socket.inet_pton(socket.AF_INET6, HOME),
                (socket.inet_pton(socket.AF_INET6, CORRESPONDENT_ADDRESS),),
            ),
        )
        assert held.home_address == HOME
        with SerialClient(port) as client:
            assert client.identify().platform == "linux"
            assert client.ask("time")["unix_s"] > 1_600_000_000
            with pytest.raises(RefusedError, match="not this agent's business"):
                client.ask("networks")
            with pytest.raises(RefusedError, match="no such method"):
                client.ask("seal", {"seal_id": "00" * 8, "key": "00" * 32})
    correspondent.start()

    def bound_in(prefix):
        address = correspondent.bound_to(HOME)
        return address is not None and address.startswith(prefix)

    lab_network.move("router1", "wlan0", "visited1")
    wait_for(lambda: bound_in("2001:db8:1:"), router.text)
    used, since = router.seconds_used(), time.monotonic()
    time.sleep(1.5)
    assert router.seconds_used() - used < 0.5 * (time.monotonic() - since)

    router.kill()  # its socket stays behind
    router.start()
    lab_network.move("router1", "wlan0", "visited2")
    wait_for(lambda: bound_in("2001:db8:2:"), router.text)
    assert router.running()
    with serial_port(router.socket) as port, SerialClient(port) as client:
        log = client.ask("log")["text"]
        assert f" state {CORRESPONDENT_ADDRESS} bound" in log
        assert " link wlan0 up" in log and " router wlan0" in log

    assert router.stop() == (0, 0)
    wait_for(lambda: correspondent.bound_to(HOME) is None, router.text)
    assert not router.socket.exists()
    assert router.text() == ""
    (block,) = (router.state / "log").iterdir()  # it is saved at an end in good order
    assert f" state {CORRESPONDENT_ADDRESS} bound" in block.read_text()


@pytest.mark.kernel
@pytest.mark.lab
def test_all_programs_of_a_router_have_the_home_address(lab_network, tmp_path):
    """By its kernel's Mobile IPv6: a connection outlives moves, pings come back, nothing stays."""
    router = Router(lab_network, tmp_path, RIGHTS_OF_KERNEL)
    correspondent = Correspondent(lab_network, tmp_path / "registry", tmp_path / "correspondent")
    router.start()
    ends = [socket.inet_pton(socket.AF_INET6, one) for one in (HOME, CORRESPONDENT_ADDRESS)]
    with Registry.open(tmp_path / "registry") as registry, serial_port(router.socket) as port:
        provision(registry, port, Plan(ends[0], (ends[1],)))
    correspondent.start()
    lab_network.move("router1", "wlan0", "visited1")
    wait_for(lambda: correspondent.bound_to(HOME) is not None, router.text)

    there = lab_network.namespace("correspondent").socket(socket.AF_INET6, socket.SOCK_STREAM)
    there.bind((CORRESPONDENT_ADDRESS, 7000))
    there.listen()
    here = lab_network.namespace("router1").socket(socket.AF_INET6, socket.SOCK_STREAM)
    here.settimeout(60)
    wait_for(lambda: routed(lab_network), router.text)
    here.connect((CORRESPONDENT_ADDRESS, 7000))
    taken, (source, *_) = there.accept()
    taken.settimeout(60)
    assert source == HOME
    for number in range(4):
        network = f"visited{2 - number % 2}"
        lab_network.move("router1", "wlan0", network)
        here.sendall(b"from")
        assert taken.recv(4) == b"from"
        taken.sendall(b"back")
        assert here.recv(4) == b"back"
    with serial_port(router.socket) as port, SerialClient(port) as client:
        told = client.ask("status")["node"]
        assert (told["plane"], told["plane_text"]) == ("kernel", "the kernel has Mobile IPv6")
        assert told["faults"] == {}
    assert router.stop() == (0, 0)
    assert not routed(lab_network)
    assert router.text() == ""


def routed(network):
    routes = network.namespace("router1")._ask("get_routes", family=socket.AF_INET6)
    return any(one["proto"] == 114 for one in routes)


@pytest.mark.lab
def test_main_without_a_terminal_neither_ends_nor_spins(tmp_path):
    program = f"from mip6 import agent\nagent.ROOT = {str(tmp_path)!r}\nagent.main()"
    process = subprocess.Popen(
        [micropython(), "-c", program],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=ENVIRONMENT,
    )
    try:
        wait_for((tmp_path / "board-id").exists, lambda: "the agent did not start")
        used = processor_seconds(process.pid)
        time.sleep(1.0)
        assert process.poll() is None
        assert processor_seconds(process.pid) - used < 0.5
    finally:
        process.kill()
        process.communicate()


#: The service with a port that fails in each start, or never, and pauses that take no time.
_SERVICE = """
import asyncio, sys
from mip6 import supervise
from mip6.ports import posix

class Hasty:
    def __getattr__(self, name):
        return getattr(asyncio, name)

    async def sleep(self, seconds):
        await asyncio.sleep(0.01)

def start(port, sink):
    if {fails}:
        raise OSError(1)

supervise.asyncio = Hasty()
posix.Port.start = start
sys.argv[:] = {words!r}
with open(sys.argv[0]) as file:
    exec(file.read(), {{"__name__": "__main__"}})
"""


def service(path, fails):
    words = [
        str(FILES / "usr/lib/roamkey/service.py"),
        str(path / "state"),
        str(path / "console"),
        "none",
    ]
    return subprocess.Popen(
        [micropython(), "-c", _SERVICE.format(fails=fails, words=words)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=ENVIRONMENT,
    )


def test_a_node_that_cant_recover_ends_the_service_with_1_so_that_procd_starts_it(tmp_path):
    process = service(tmp_path, True)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1, said
    assert not (tmp_path / "console").exists()
    log = b"".join(file.read_bytes() for file in (tmp_path / "state" / "log").iterdir())
    assert b"fault node:" in log and b"OSError" in log


def test_an_end_in_good_order_is_0(tmp_path):
    process = service(tmp_path, False)
    try:
        wait_for((tmp_path / "console").exists, lambda: "no console")
        assert console("--stop", tmp_path / "console", timeout=60).returncode == 0
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()


def test_a_second_agent_is_refused_and_the_first_one_goes_on(tmp_path):
    first = service(tmp_path, False)
    try:
        wait_for((tmp_path / "console").exists, lambda: "no console")
        second = service(tmp_path, False)
        said, _ = second.communicate(timeout=60)
        assert second.returncode == 1 and said.count(b"\n") == 1 and b"EADDRINUSE" in said
        first.kill()  # its socket stays behind
        first.wait()
        third = service(tmp_path, False)
        wait_for(lambda: console("--stop", tmp_path / "console").returncode == 0, lambda: "none")
        assert third.wait(60) == 0
    finally:
        first.kill()
        first.communicate()


def test_console_without_an_agent_is_one_line(tmp_path):
    answer = console(tmp_path / "none")
    assert answer.returncode == 1
    assert (answer.stdout + answer.stderr).count(b"\n") == 1


def test_the_init_script_is_a_shell_script():
    script = FILES / "etc/init.d/roamkey"
    assert os.access(script, os.X_OK) and os.access(CONSOLE, os.X_OK)
    assert subprocess.run(["sh", "-n", str(script)], check=False).returncode == 0
