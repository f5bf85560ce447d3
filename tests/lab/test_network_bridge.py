"""The way between router and correspondent: delay, loss, whole checksums, captures."""

import contextlib
import hashlib
import socket
import statistics
import threading
import time

import dpkt
import pytest
from scapy.layers.inet import TCP, UDP
from scapy.layers.l2 import Ether

from roamkey.lab.bridge import Direction
from roamkey.lab.network import CORRESPONDENT_ADDRESS, Network

ROUND_TRIPS = 20
IN_A_BURST = 150
ROOM_MS = 25  # for a machine that is busy with something else


class Pair:
    """A socket on the board and one on the correspondent."""

    def __init__(self, network: Network) -> None:
        network.attach("board", "wlan0", "visited1", dad=False)
        self.address = network.wait_for_address("board", "wlan0", "visited1")
        namespaces = network.namespace("board"), network.namespace("correspondent")
        self.board, self.correspondent = (
            namespace.socket(socket.AF_INET6, socket.SOCK_DGRAM) for namespace in namespaces
        )
        self.board.bind((self.address, 5000))
        self.correspondent.bind((CORRESPONDENT_ADDRESS, 5000))
        for end in (self.board, self.correspondent):
            end.settimeout(30)
        self.trip()
        self.trip(up=False)

    def trip(self, up: bool = True) -> float:
        """Milliseconds from one end to the other."""
        source, sink = self.board, self.correspondent
        target = (CORRESPONDENT_ADDRESS, 5000)
        if not up:
            source, sink, target = sink, source, (self.address, 5000)
        sent = time.monotonic()
        source.sendto(b"timed", target)
        assert sink.recv(100) == b"timed"
        return (time.monotonic() - sent) * 1000

    def trips(self, up: bool = True) -> float:
        """The median of several; no trip is ever shorter than the delay."""
        return statistics.median(self.trip(up) for _ in range(ROUND_TRIPS))

    def flood(self, count: int) -> list[bytes]:
        """Send numbered datagrams up, no more at once than a socket buffers; which arrive?"""
        arrived = []
        for start in range(0, count, IN_A_BURST):
            for number in range(start, min(count, start + IN_A_BURST)):
                self.board.sendto(str(number).encode(), (CORRESPONDENT_ADDRESS, 5000))
            last = start + IN_A_BURST >= count
            self.correspondent.settimeout(2.0 if last else 0.2)
            with contextlib.suppress(TimeoutError):
                while True:
                    arrived.append(self.correspondent.recv(100))
        return arrived


@pytest.mark.lab
def test_delay_is_added_each_way_and_can_change(lab_network):
    pair = Pair(lab_network)
    for delay in (20, 5, 40):
        lab_network.set_delay(delay)
        for up in (True, False):
            assert delay <= pair.trips(up) < delay + ROOM_MS


@pytest.mark.lab
def test_delay_of_one_direction(lab_network):
    pair = Pair(lab_network)
    lab_network.set_delay(30, direction="up")
    assert pair.trips(up=True) >= 30
    assert pair.trips(up=False) < ROOM_MS


@pytest.mark.lab
def test_a_cut_of_the_delay_reorders_nothing(lab_network):
    pair = Pair(lab_network)
    lab_network.set_delay(100)
    for number in range(10):
        if number == 5:
            lab_network.set_delay(0)
        pair.board.sendto(str(number).encode(), (CORRESPONDENT_ADDRESS, 5000))
    assert [int(pair.correspondent.recv(100)) for _ in range(10)] == list(range(10))


@pytest.mark.lab
def test_loss_is_counted(lab_network):
    pair = Pair(lab_network)
    before = lab_network.statistics()["up"]
    lab_network.set_loss(30)
    arrived = pair.flood(400)
    counts = lab_network.statistics()["up"]
    # The kernels have a word to say too (multicast listener reports), which may get lost.
    assert 400 <= len(arrived) + counts["lost"] - before["lost"] <= 405
    assert 80 < counts["lost"] < 160
    assert not any(counts[name] for name in ("unsent", "overflowed", "damaged", "waiting"))
    lab_network.set_loss(100)
    assert pair.flood(5) == []
    lab_network.set_loss(0)
    assert len(pair.flood(5)) == 5


@pytest.mark.lab
def test_a_burst_passes_whole(lab_network):
    pair = Pair(lab_network)
    lab_network.set_delay(20)
    assert len(pair.flood(IN_A_BURST)) == IN_A_BURST


@pytest.mark.lab
def test_tcp_passes_fast_and_whole(lab_network):
    pair = Pair(lab_network)
    lab_network.set_delay(5)
    data = bytes(range(256)) * 4096 * 20  # 20 MiB
    board, correspondent = (
        lab_network.namespace(name).socket(socket.AF_INET6, socket.SOCK_STREAM)
        for name in ("board", "correspondent")
    )
    correspondent.bind((CORRESPONDENT_ADDRESS, 80))
    correspondent.listen()
    board.bind((pair.address, 0))
    board.connect((CORRESPONDENT_ADDRESS, 80))
    server, _ = correspondent.accept()
    sender = threading.Thread(target=lambda: (server.sendall(data), server.close()))
    sender.start()
    digest = hashlib.sha256()
    board.settimeout(30)
    while received := board.recv(1 << 16):
        digest.update(received)
    sender.join()
    assert digest.digest() == hashlib.sha256(data).digest()
    assert lab_network.statistics()["down"]["damaged"] == 0


@pytest.mark.lab
def test_a_capture_holds_what_crossed_with_right_checksums(lab_network, tmp_path):
    pair = Pair(lab_network)
    path = tmp_path / "crossed.pcap"
    lab_network.start_capture(path)
    pair.trip()
    with pytest.raises(ConnectionRefusedError):  # a SYN up, a RST down
        lab_network.namespace("board").socket(socket.AF_INET6, socket.SOCK_STREAM).connect(
            (CORRESPONDENT_ADDRESS, 81)
        )
    while_open = len(list(dpkt.pcap.Reader(path.open("rb"))))
    lab_network.stop_capture()
    pair.trip()
    frames = [Ether(frame) for _, frame in dpkt.pcap.Reader(path.open("rb"))]
    assert while_open == len(frames)
    transports = [
        frame.getlayer(layer) for frame in frames for layer in (UDP, TCP) if layer in frame
    ]
    assert len(transports) == 3
    for frame in frames:
        again = Ether(bytes(frame))
        for layer in (UDP, TCP):
            if layer in again:
                del again[layer].chksum
                assert Ether(bytes(again))[layer].chksum == frame[layer].chksum


class Source:
    """In place of a ring: frames that have arrived, as (time in ns, octets)."""

    def __init__(self, count: int) -> None:
        self.waiting = [(number, bytes([number])) for number in range(count)]
        self.damaged = 0

    def frames(self, at_most: int) -> list[tuple[int, bytes]]:
        return self.waiting[:at_most]

    def overflowed(self) -> int:
        return 0


class Sink:
    def __init__(self) -> None:
        self.sent = []
        self.send = self.sent.append


def test_losses_are_the_same_for_the_same_seed():
    def passed(seed: str) -> list[bytes]:
        sink = Sink()
        direction = Direction(Source(200), sink, seed)
        direction.loss = 0.5
        direction.take(0, None)
        direction.give()
        return sink.sent

    assert passed("one") == passed("one") != passed("other")
    assert 60 < len(passed("one")) < 140


def test_frames_wait_until_they_are_due():
    sink = Sink()
    direction = Direction(Source(3), sink, "seed")
    direction.delay_ns = 10**9
    offset = time.monotonic_ns()
    direction.take(offset, None)
    assert direction.give() == offset + 10**9
    assert sink.sent == []
    assert direction.statistics()["waiting"] == 3


@pytest.mark.lab
@pytest.mark.lab
def test_the_home_link_has_its_own_delay(lab_network):
    lab_network.set_delay(25, link="home")
    lab_network.attach("home-agent", "eth0", "home", dad=False)
    address = lab_network.wait_for_address("home-agent", "eth0", "home")
    agent = lab_network.namespace("home-agent").socket(socket.AF_INET6, socket.SOCK_DGRAM)
    agent.bind((address, 5000))
    agent.settimeout(30)
    pair = Pair(lab_network)
    assert pair.trips() < ROOM_MS
    sent = time.monotonic()
    pair.board.sendto(b"home", (address, 5000))
    agent.recv(100)
    assert (time.monotonic() - sent) * 1000 >= 25
