"""Floods of every kind, a process each, and honest nodes that move meanwhile.

A flood is packets made beforehand, sent round and round as fast as one processor does, each from
a source of its own; none of them holds a key but those that play recorded updates.
"""

import os
import random
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from daemons import CARE_OF, Site
from fleet import CORRESPONDENT, LATER, Node

from mip6 import messages, packets
from roamkey.correspondent.core.entries import Inbound

_MADE = 2000
_NETWORK = 0x20010DB8_0077 << 80
_AT_ONCE = 64
_LATE_S = 1.0  # a node sends again after this, under its next number
_GIVE_UP_S = 20.0
_NICE = 5  # those who measure have their turn


def _somewhere(chance: random.Random) -> bytes:
    return (_NETWORK | chance.getrandbits(64)).to_bytes(16, "big")


def _forged(node: Node, chance: random.Random, number: int | None = None) -> Inbound:
    number = chance.getrandbits(16) if number is None else number
    payload = node.update(number, CARE_OF[0]).payload
    header = bytearray(payload[24:])
    header[-12:] = chance.randbytes(12)
    whole = messages.with_checksum(bytes(header), node.home_address, CORRESPONDENT.packed)
    return Inbound(packets.DESTINATION_OPTIONS, payload[:24] + whole, _somewhere(chance))


def _strangers(fleet: list[Node], chance: random.Random) -> Inbound:
    return _forged(Node(1_000_000 + chance.getrandbits(16)), chance)


def _guesses(fleet: list[Node], chance: random.Random) -> Inbound:
    return _forged(fleet[0], chance)


def _everybody(fleet: list[Node], chance: random.Random) -> Inbound:
    return _forged(chance.choice(fleet), chance)


def _recorded(fleet: list[Node], chance: random.Random) -> Inbound:
    return chance.choice(fleet).update(0, CARE_OF[chance.getrandbits(1)])


def _noise(fleet: list[Node], chance: random.Random) -> Inbound:
    header = chance.choice((packets.DESTINATION_OPTIONS, packets.MOBILITY))
    octets = 8 * chance.randrange(1, 12)
    return Inbound(header, chance.randbytes(octets), _somewhere(chance))


def _data(fleet: list[Node], chance: random.Random) -> Inbound:
    home = chance.choice(fleet).home_address
    option = packets.home_address_option(home, packets.UDP)
    datagram = packets.udp(home, CORRESPONDENT.packed, 5, 7, bytes(8))
    return Inbound(packets.DESTINATION_OPTIONS, option + datagram, _somewhere(chance))


def _at_home(fleet: list[Node], chance: random.Random) -> Inbound:
    node = chance.choice(fleet)
    payload = _forged(node, chance).payload[24:]
    return Inbound(packets.MOBILITY, payload, node.home_address)


def _inside_udp(fleet: list[Node], chance: random.Random) -> Inbound:
    """An update with the right layout from an endpoint of its own, or a keepalive."""
    home, source = chance.choice(fleet).home_address, _somewhere(chance)
    inner = packets.keepalive(home, CORRESPONDENT.packed)
    if chance.getrandbits(1):
        update = messages.Message(
            messages.BINDING_UPDATE,
            [
                (messages.ALTERNATE_CARE_OF_ADDRESS, source),
                (messages.BINDING_AUTHORIZATION_DATA, chance.randbytes(12)),
            ],
            sequence=chance.getrandbits(16),
            flags=messages.FLAG_ACKNOWLEDGE | messages.FLAG_UDP_ENCAPSULATION,
            lifetime=100,
        ).encode()
        update = messages.with_checksum(update, home, CORRESPONDENT.packed)
        inner = (
            packets.ipv6_header(home, CORRESPONDENT.packed, packets.MOBILITY, len(update)) + update
        )
    port = packets.ENCAPSULATION_PORT
    datagram = packets.udp(source, CORRESPONDENT.packed, 1 + chance.getrandbits(15), port, inner)
    return Inbound(packets.UDP, datagram, source)


#: kind -> a packet of it
KINDS: dict[str, Callable[[list[Node], random.Random], Inbound]] = {
    "strangers": _strangers,
    f"guesses, {LATER} later keys": _guesses,
    "guesses for everybody": _everybody,
    "recorded updates": _recorded,
    "noise": _noise,
    "data without a binding": _data,
    "guesses at home": _at_home,
    "inside UDP": _inside_udp,
}


class Flood:
    """A process that sends; a context manager. `sent` after its end."""

    def __init__(self, site: Site, kind: str, fleet: list[Node], seed: int = 1) -> None:
        chance = random.Random(seed)
        made = [KINDS[kind](fleet, chance) for _ in range(_MADE)]
        self._octets = [_whole(packet) for packet in made]
        self._out = site.visitors.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.sent = 0

    def __enter__(self) -> "Flood":
        self._from, to = os.pipe()
        self._child = os.fork()
        if not self._child:
            os._exit(self._send(to))
        os.close(to)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._child, signal.SIGTERM)
        with os.fdopen(self._from) as pipe:
            self.sent = int(pipe.read() or 0)
        os.waitpid(self._child, 0)
        self._out.close()

    def _send(self, to: int) -> int:
        stop = []
        signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.nice(_NICE)
        target = (str(CORRESPONDENT), 0)
        send, octets, sent, parent = self._out.sendto, self._octets, 0, os.getppid()
        while not stop and os.getppid() == parent:
            for at in range(sent % _MADE, min(sent % _MADE + _AT_ONCE, _MADE)):
                with suppress(OSError):  # full, for once
                    send(octets[at], target)
                sent += 1
        os.write(to, str(sent).encode())
        return 0


def _whole(packet: Inbound) -> bytes:
    header = packets.ipv6_header(
        packet.source, CORRESPONDENT.packed, packet.next_header, len(packet.payload)
    )
    return bytes(header + packet.payload)


@dataclass
class Move:
    """What a node waits for: when it moved, when it last sent, its numbers since then."""

    moved: float
    sent: float
    numbers: list[int] = field(default_factory=list)


class Honest:
    """Nodes that move, each when it likes, and send again until they are acknowledged.

    `inside`: whether half of the networks that they come to have them speak inside UDP.
    `latencies`: of each move, in seconds, with when it was made; `accepted`: (node, number) that
    were, and how often.
    """

    def __init__(
        self, site: Site, fleet: list[Node], pause_s: float, seed: int = 1, inside: bool = False
    ) -> None:
        self._inside = inside
        self._site, self._fleet, self._pause_s = site, fleet, pause_s
        self._by_home = {node.home_address: node for node in fleet}
        self._chance = random.Random(seed)
        now = time.monotonic()
        self.next_number = dict.fromkeys(self._by_home, 0)
        self._move_at = {home: now + self._pause() for home in self._by_home}
        self._waiting: dict[bytes, Move] = {}
        self.latencies: list[tuple[float, float]] = []
        self.unanswered: list[float] = []  # moves given up: when they were made
        self.accepted: dict[tuple[bytes, int], int] = {}
        self.acknowledged = dict.fromkeys(self._by_home, -1)

    def run(self, seconds: float, each: Callable[[], None] = lambda: None) -> None:
        """Move for so long; `each` is called now and then."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            for home, at in self._move_at.items():
                if at <= now and home not in self._waiting:
                    self._waiting[home] = Move(now, 0.0)
            self._send(now)
            self.hear(0.005)
            each()

    def settle(self, seconds: float) -> None:
        """Let those who wait have their answers."""
        end = time.monotonic() + seconds
        while self._waiting and time.monotonic() < end:
            self._send(time.monotonic())
            self.hear(0.005)

    def _send(self, now: float) -> None:
        for home, move in list(self._waiting.items()):
            if now - move.moved > _GIVE_UP_S:
                self.unanswered.append(move.moved)
                self._rest(home)
            elif now - move.sent >= _LATE_S:
                number = self.next_number[home]
                self.next_number[home] += 1
                move.sent = now
                move.numbers.append(number)
                with suppress(OSError):  # a link that is down
                    self._site.send(self.update(self._by_home[home], number))

    def update(self, node: Node, number: int) -> Inbound:
        """A node's update with this number, by the way that goes with it."""
        return node.update(number, care_of(number), self._inside and bool(number & 2))

    def hear(self, timeout_s: float) -> None:
        """Take the answers that have come; waits so long for the first."""
        for payload, to in self._site.received(timeout_s):
            now = time.monotonic()
            header = payload[packets.EXTENSION_OCTETS :]
            if payload[0] != packets.MOBILITY or header[2] != messages.BINDING_ACKNOWLEDGEMENT:
                continue  # data, as the kernel's answers to what a flood's home address sent
            node = self._by_home.get(payload[8:24])
            answer = node and node.read(payload, to)
            if answer is None or node is None:
                sys.exit("an acknowledgement that isn't authentic")
            status, number = answer
            if status:
                continue
            key = node.home_address, number
            self.accepted[key] = self.accepted.get(key, 0) + 1
            self.acknowledged[key[0]] = max(number, self.acknowledged[key[0]])
            move = self._waiting.get(key[0])
            if move is not None and number in move.numbers:
                self.latencies.append((move.moved, now - move.moved))
                self._rest(key[0])

    def _rest(self, home: bytes) -> None:
        del self._waiting[home]
        self._move_at[home] = time.monotonic() + self._pause()

    def _pause(self) -> float:
        return self._chance.uniform(0.5, 1.5) * self._pause_s


def care_of(number: int) -> bytes:
    """Each number from the other address than the one before."""
    return CARE_OF[number & 1]


def drained(site: Site) -> None:
    """Take what is still on its way."""
    while select.select(site.inward(), [], [], 0.2)[0]:
        for _ in site.received(0):
            pass
