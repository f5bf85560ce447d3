"""Handovers as a user feels them: from the carrier's coming to the first datagram heard.

Everything is real: MicroPython on its flash, the kernel's duplicate address detection, the daemon
with its data plane, and a program on either end that speaks every ten milliseconds.
"""

import math
import socket
import statistics
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mip6 import addresses, packets
from mip6.errors import Violation
from roamkey.lab.background import Background, Collector
from roamkey.lab.network import CORRESPONDENT_ADDRESS, Network
from roamkey.lab.resources import Resources
from roamkey.lab.ring import Ring
from roamkey.lab.scene import BOARD, HOME_ADDRESS, UPLINK, Scene
from roamkey.lab.wire import records

ONE_WAY_MS = 20.0
PORT = 7001  # as in speaking_app.py
APP = Path(__file__).parents[1] / "lab" / "speaking_app.py"
NETWORKS = ("visited1", "visited2")
STAY_S = 1.1  # in each network, once bound: of updates there are three a second at most
SETTLING_S = 0.2  # until what is on its way has arrived

_EVERY_S = 0.01
_WITHIN_S = 30.0
_SO_TIMESTAMPNS = 35  # linux/socket.h
_STAMP = struct.Struct("@ll")
_RECEIVE_BUFFER = 1 << 20
_ETHERNET = 14
_ICMPV6_TYPE_AT = _ETHERNET + packets.IPV6_HEADER_OCTETS
_ROUTER_ADVERTISEMENT = b"\x86"
_FRAMES = 4096
_INSIDE = packets.ENCAPSULATION_PORT.to_bytes(2, "big")
_CORRESPONDENT = addresses.parse(CORRESPONDENT_ADDRESS)

Heard = tuple[float, int]


@dataclass(frozen=True)
class Join:
    """One network joined; seconds since the epoch.

    `link_up`: just before the laboratory gives the board's interface its carrier. `heard`: the
    kernel's time of the first Router Advertisement after it. `announced`: when this program was
    told of the address. `updated`, `bound`: the update on the link, and the acceptance of it,
    after the binding is on the disk, as it enters the link at the correspondent's end.
    `accepted`: the kernel's time of the first datagram from there at the program's socket.
    """

    link_up: float
    heard: float
    announced: float
    updated: float
    bound: float
    accepted: float = 0.0

    @property
    def usable(self) -> float:
        """The announcement has no time stamp of its own: the earlier of the two that stand for
        it, so that what follows is too long rather than too short."""
        return min(self.heard, self.announced)

    @property
    def signalling_ms(self) -> float:
        """From a usable address to a bound correspondent."""
        return (self.bound - self.usable) * 1000

    @property
    def bound_ms(self) -> float:
        """From link up to a bound correspondent."""
        return (self.bound - self.link_up) * 1000

    @property
    def datagram_ms(self) -> float:
        """From link up to the first datagram accepted: what a user feels."""
        return (self.accepted - self.link_up) * 1000


class Listener(Collector[Heard]):
    """The correspondent's program: (kernel's time, number) of every datagram that it hears."""

    def __init__(self, network: Network) -> None:
        super().__init__(self._hear, every_s=0.005)
        self._socket = network.namespace("correspondent").socket(
            socket.AF_INET6, socket.SOCK_DGRAM, 0
        )
        self._socket.bind((CORRESPONDENT_ADDRESS, PORT))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._socket.setblocking(False)
        self._owned.callback(self._socket.close)

    def wait_after(self, at: float) -> None:
        """Wait until something came after a time; raises TimeoutError."""
        self.wait_until(lambda heard: heard[0] > at, "no datagram", _WITHIN_S)

    def say(self, number: int) -> None:
        """A numbered datagram to the board, wherever it is."""
        self._socket.sendto(b"%d" % number, (HOME_ADDRESS, PORT))

    def _hear(self) -> list[Heard]:
        found: list[Heard] = []
        while True:
            try:
                data, ancillary, _, _ = self._socket.recvmsg(100, 64)
            except BlockingIOError:
                return found
            (stamp,) = [one for _, kind, one in ancillary if kind == _SO_TIMESTAMPNS]
            seconds, nanoseconds = _STAMP.unpack(stamp)
            found.append((seconds + nanoseconds / 1e9, int(data)))


class Speaker(Background):
    """The correspondent's program says numbers, too; `said`: when each."""

    def __init__(self, listener: Listener) -> None:
        super().__init__(self._speak, _EVERY_S)
        self._listener = listener
        self.said: list[float] = []

    def _speak(self) -> None:
        at = time.time()
        try:
            self._listener.say(len(self.said))
        except OSError:  # the node is bound nowhere
            return
        self.said.append(at)


class Travel(Resources):
    """Network, board and correspondent, each with a program that speaks; nothing is attached."""

    def __init__(
        self, folder: Path, *, loss_percent: float = 0.0, seed: int = 0, home_agent: bool = False
    ) -> None:
        super().__init__()
        self.network = Network(
            delay_ms=ONE_WAY_MS, loss_percent=loss_percent, seed=seed, home_agent=home_agent
        )
        self._folder = folder

    def _set_up(self, stack: ExitStack) -> None:
        stack.enter_context(self.network)
        self.scene = stack.enter_context(Scene(self._folder, self.network, {"/app.py": APP}))
        self.listener = stack.enter_context(Listener(self.network))

    def attach(self, interface: str, lan: str) -> tuple[float, float, float, float]:
        """Join a network; (link up, announced, updated, bound) of `Join`.

        Duplicate address detection is on, and the kernel's settings are its own.
        """
        scene, left = self.scene, time.time()
        self.network.attach(BOARD, interface, lan)
        link_up = self.network.carriers[BOARD, interface]
        usable = scene.watch.wait_for(self.network.lans[lan].start, left, _WITHIN_S)
        bound = scene.wire.wait_for(
            lambda signal: signal.is_acceptance and signal.care_of_address == usable.address,
            left, _WITHIN_S,
        )  # fmt: skip
        update = scene.wire.wait_for(
            lambda signal: signal.is_update and signal.care_of_address == usable.address,
            left, _WITHIN_S,
        )  # fmt: skip
        return link_up, usable.time, update.time, bound.time

    def wait_until_bound_to(self, lan: str, since: float) -> None:
        """Wait until a binding to an address there is accepted."""
        start = self.network.lans[lan].start
        self.scene.wire.wait_for(
            lambda signal: signal.is_acceptance and signal.care_of_address.startswith(start),
            since, _WITHIN_S,
        )  # fmt: skip

    def joins(self, moves: int) -> list[Join]:
        """Move to and fro between two networks, one uplink for both, so often."""
        self.attach(UPLINK, NETWORKS[1])
        with self.network.namespace(BOARD).entered():
            arrivals = Ring(UPLINK)
        found = []
        for number in range(moves):
            time.sleep(STAY_S)
            list(arrivals.frames(_FRAMES))  # forget what came unasked
            link_up, announced, updated, bound = self.attach(UPLINK, NETWORKS[number % 2])
            self.listener.wait_after(bound + 2 * ONE_WAY_MS / 1000)
            heard = first(advertisements(arrivals.frames(_FRAMES)), link_up)
            found.append(Join(link_up, heard, announced, updated, bound))
        time.sleep(SETTLING_S)
        return self._with_datagrams(found)

    def _with_datagrams(self, joins: list[Join]) -> list[Join]:
        """The capture says when a datagram left, and the socket when it was heard."""
        left = dict(_captured(self.scene.capture))
        heard = list(self.listener.seen)
        return [
            replace(join, accepted=min(at for at, number in heard if left[number] > join.bound))
            for join in joins
        ]

    def status(self) -> dict[str, Any]:
        """What the board's program tells."""
        found: dict[str, Any] = self.scene.status()["node"]["app"]
        return found


def advertisements(frames: Iterable[tuple[int, bytes]]) -> list[float]:
    """When the Router Advertisements among frames, with their times, arrived at the board."""
    return [
        arrival / 1e9
        for arrival, frame in frames
        if frame[_ICMPV6_TYPE_AT : _ICMPV6_TYPE_AT + 1] == _ROUTER_ADVERTISEMENT
    ]


def first(times: Iterable[float], since: float) -> float:
    """The first of some times behind another one."""
    return next(at for at in times if at > since)


def _captured(capture: Path) -> Iterator[tuple[int, float]]:
    """(number, when it came to the link) of the board's datagrams, native ones and inside UDP."""
    with capture.open("rb") as file:
        for at, frame in records(file):
            if frame[12:14] != b"\x86\xdd":
                continue
            try:
                packet = packets.parse(frame[_ETHERNET:])
                if packet.protocol == packets.UDP and packet.payload[2:4] == _INSIDE:
                    packet = packets.parse_encapsulated(packet.payload[8:])
            except Violation:
                continue
            if packet.protocol == packets.UDP and packet.destination == _CORRESPONDENT:
                yield int(bytes(packet.payload[8:])), at


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, 95th percentile (nearest rank) and worst of milliseconds."""
    ranked = sorted(values)
    return {
        "median": round(statistics.median(ranked), 1),
        "p95": round(ranked[math.ceil(0.95 * len(ranked)) - 1], 1),
        "worst": round(ranked[-1], 1),
    }


@dataclass(frozen=True)
class Losses:
    """Datagrams that a program on one end said and the other never heard: `up` from the board,
    `down` to it; while two uplinks overlapped, and at the other one's end, which nobody told."""

    moves: int
    up: int
    down: int
    cut_up: int
    cut_down: int
    said: int  # both ways, in all


def overlapping(folder: Path, moves: int) -> Losses:
    """Have a better uplink come beside the one in use, so often; it goes again meanwhile.

    Each comes with a new name, as another cable would: one that leaves soon after it came, again
    and again, has to wait before it is preferred.
    """
    with Travel(folder) as travel:
        network, listener = travel.network, travel.listener
        travel.attach(UPLINK, NETWORKS[1])
        listener.wait_after(time.time())
        windows = []
        with Speaker(listener) as speaker:
            time.sleep(STAY_S)
            since = time.time()
            for number in range(moves):
                began = time.time()
                interface = f"eth{number // 2}"
                *_, bound = travel.attach(interface, NETWORKS[0])
                listener.wait_after(bound + 2 * ONE_WAY_MS / 1000)
                time.sleep(SETTLING_S)
                windows.append((began, time.time()))
                time.sleep(SETTLING_S)  # what is heard of the window is heard before it is cut
                left = time.time()
                network.detach(BOARD, interface)
                travel.wait_until_bound_to(NETWORKS[1], left)
                time.sleep(STAY_S)
        time.sleep(SETTLING_S)
        return _losses(travel, speaker, windows, since)


def _losses(
    travel: Travel, speaker: Speaker, windows: list[tuple[float, float]], since: float
) -> Losses:
    told = travel.status()
    heard = {number: at for at, number in travel.listener.seen}
    first_heard = min(number for number, at in heard.items() if at > since)
    last_heard = max(heard)
    missing_up = [n for n in range(first_heard, last_heard) if n not in heard]
    times_up = [_about(heard, number) for number in missing_up]
    times_down = [
        speaker.said[number]
        for began, ended in told["missing"]
        for number in range(began, ended)
    ]  # fmt: skip
    times_down += speaker.said[told["heard"] + 1 :]

    def overlap(at: float) -> bool:
        return any(began <= at <= ended for began, ended in windows)

    up, down = sum(map(overlap, times_up)), sum(map(overlap, times_down))
    return Losses(
        len(windows), up, down, len(times_up) - up, len(times_down) - down,
        last_heard - first_heard + len(speaker.said),
    )  # fmt: skip


def _about(heard: dict[int, float], missing: int) -> float:
    """When a number that nobody heard was said: as the one before it was heard, less the way."""
    before = missing
    while before not in heard:
        before -= 1
    return heard[before] - ONE_WAY_MS / 1000
