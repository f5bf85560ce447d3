"""Hostile campaigns: mutated packets against the judging parts, and against the whole daemon.

Each returns a tally: packets by outcome, `believed` (what was taken for a key holder's: must be
none), `crashes`, and resident memory after a tenth and at the end. The originals would all be
accepted or refused with a signed answer; that they still are is the last thing to be tested.
"""

import json
import os
import random
import signal
import socket
import time
from collections import Counter
from ipaddress import IPv6Address
from pathlib import Path

from mip6 import addresses, messages, packets
from roamkey.correspondent.core import entries
from roamkey.correspondent.core.endpoints import Endpoint, unpack
from roamkey.correspondent.core.entries import Inbound
from support.daemons import ADDRESS, Daemon
from support.homes import FLAGS, HomeScene
from support.mutations import ENCAPSULATED, VECTORS, Mutator, cache_of, inbound_of
from support.nodes import CORRESPONDENT, Scene
from support.strangers import CARE_OF as ELSEWHERE
from support.strangers import HOME, NOW, Stranger, serving

NAT = Endpoint(addresses.parse("198.51.100.7"), 40001, addresses.parse("192.0.2.1"))
SIX = Endpoint(addresses.parse("2001:db8:5::5"), 5000, addresses.parse(ADDRESS))
CARE_OF = IPv6Address("2001:db8:1::1").packed
BELIEVED = (entries.ACCEPTED, entries.REMOVED, entries.REFUSED, entries.WAITING)
_BURST = 512
_QUEUE_OCTETS = 1 << 20  # of the daemon's receive buffer: nothing is to be lost there


def resident(pid="self"):
    """Octets of memory that a process has."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def originals(scene):
    """Good packets of nodes of a scene, of each kind that a daemon may see; none sent yet."""
    found = []
    alternate = IPv6Address("2001:db8:2::9").packed
    shapes = [
        {}, {"flags": 0}, {"lifetime": 0}, {"alternate": alternate}, {"generation": 1},
        {"flags": messages.FLAG_ACKNOWLEDGE | messages.FLAG_HOME_REGISTRATION},
        {"options": [(messages.NONCE_INDICES, b"\x00\x05\x00\x06")]},
        {"options": [(200, b"unknown option")]},
    ]  # fmt: skip
    for number, shape in enumerate(shapes, 1):
        node = scene.node(number, generations=2)
        found.append(node.update(7, CARE_OF, **shape))
    node = scene.node(len(shapes) + 1)
    found.append(node.update(7, node.home, lifetime=0, away=False))
    return found


def inside(scene, first=200):
    """The same inside UDP, over IPv4 and IPv6; and what an endpoint that is bound may send."""
    encapsulated = messages.FLAG_UDP_ENCAPSULATION
    private = addresses.parse("192.168.1.5")
    unknown = [(messages.IPV4_CARE_OF_ADDRESS, bytes(2) + private[12:]), (200, b"unknown option")]
    shapes = [
        (NAT, {"care_of": private}), (SIX, {}), (NAT, {"flags": encapsulated}),
        (SIX, {"lifetime": 0}), (NAT, {"generation": 1}), (SIX, {"generation": 1}),
        (NAT, {"care_of": private, "options": unknown}),
    ]  # fmt: skip
    found = [
        scene.node(number, generations=2).inside(7, endpoint, **shape)
        for number, (endpoint, shape) in enumerate(shapes, first)
    ]
    bound = scene.node(first + len(shapes))
    scene.send(bound.inside(0, NAT))
    datagram = packets.udp(bound.home, bound.correspondent, 5, 7, b"data")
    return found, [bound.keepalive(NAT), bound.carried(NAT, packets.UDP, datagram)]


def data_of(scene, number=99):
    """Data packets of a node that is bound: their source can't be proven, but they are no news."""
    node = scene.node(number)
    option = packets.home_address_option(node.home, packets.UDP)
    datagram = packets.udp(node.home, node.correspondent, 5, 7, b"data")
    scene.send(node.update(0, CARE_OF))
    return Inbound(packets.DESTINATION_OPTIONS, option + datagram, CARE_OF)


class Tally:
    """Counts what became of packets."""

    def __init__(self):
        self.outcomes, self.reasons = Counter(), Counter()
        self.crashes, self.first_crash = 0, None

    def count(self, verdicts):
        for verdict in verdicts:
            self.outcomes[verdict.outcome] += 1
            self.reasons[verdict.reason] += 1
            assert verdict.outcome in BELIEVED or verdict.change is None

    def crash(self, error, packet):
        self.crashes += 1
        self.first_crash = self.first_crash or f"{error!r}: {packet}"

    def result(self, memory):
        return {
            "packets": self.outcomes.total() + self.crashes,
            "crashes": self.crashes,
            "first_crash": self.first_crash,
            "believed": sum(self.outcomes[one] for one in BELIEVED),
            "outcomes": dict(self.outcomes.most_common()),
            "reasons": dict(self.reasons.most_common()),
            "resident_octets": memory,
        }


def against_vectors(total, seed=4449):
    """`total` mutations of the third-party packets, against caches with their keys."""
    chance, tally, memory = random.Random(seed), Tally(), []
    targets = []
    for v in (*VECTORS, *ENCAPSULATED):
        cache, original = cache_of(v), inbound_of(v)
        targets.append((cache, original, Mutator(chance, [original], cache.correspondent)))
    now = 1_700_000_000_000
    for number in range(total):
        cache, _, mutator = targets[number % len(targets)]
        packet = mutator.packet()
        try:
            tally.count([cache.judge(packet, now + number)])
        except Exception as error:
            tally.crash(error, packet)
        if number in (total // 10, total - 1):
            memory.append(resident())
    for (cache, original, _), v in zip(targets, (*VECTORS, *ENCAPSULATED), strict=True):
        assert v.get("kind") == "ba" or cache.judge(original, now).outcome in BELIEVED, v["name"]
    return tally.result(memory)


def against_responder(total, path, seed=6275, through_udp=False):
    """`total` mutations in bursts, against cache, responder and a registry at `path`; of what
    comes inside UDP, or of native packets."""
    scene = Scene(path)
    good, use = inside(scene) if through_udp else (originals(scene), [data_of(scene)])
    return _against(scene, total, seed, good, use)


def against_home_agent(total, path, seed=4285):
    """The same of home registrations, both ways: first ones, later ones and the last."""
    scene = HomeScene(path)
    encapsulated = FLAGS | messages.FLAG_UDP_ENCAPSULATION
    shapes = [
        {}, {"lifetime": 0}, {"generation": 1}, {"flags": FLAGS | messages.FLAG_LINK_LOCAL},
        {"alternate": IPv6Address("2001:db8:2::9").packed}, {"flags": messages.FLAG_ACKNOWLEDGE},
        {"options": [(200, b"unknown option")]},
    ]  # fmt: skip
    good, use = [], []
    for number, shape in enumerate(shapes, 1):
        node = scene.node(number, generations=2)
        good.append(node.update(7, CARE_OF, **shape))
    for number, endpoint in enumerate((NAT, SIX), 50):
        node = scene.node(number)
        good.append(node.inside(7, endpoint, flags=encapsulated))
        scene.send(node.inside(0, endpoint, flags=encapsulated))
        use.append(node.keepalive(endpoint))
    bound = scene.node(60)
    scene.send(bound.update(0, CARE_OF))
    good += [bound.update(7, bound.home, lifetime=0, away=False)]
    scene.detect()
    return _against(scene, total, seed, good, use)


def _against(scene, total, seed, good, use):
    chance, tally, memory = random.Random(seed), Tally(), []
    mutator = Mutator(chance, [*good, *use], scene.correspondent)
    while (done := tally.outcomes.total() + tally.crashes) < total:
        scene.now += 10
        burst = [mutator.packet() for _ in range(min(_BURST, total - done))]
        try:
            tally.count(scene.responder.process(burst, scene.now))
        except Exception as error:
            tally.crash(error, burst)
        if not memory and done >= total // 10:
            memory.append(resident())
    memory.append(resident())
    scene.now += 60_000  # for later keys to be tried again
    assert all(scene.send(one).outcome in BELIEVED for one in good)
    assert not scene.troubles
    scene.registry.close()
    return tally.result(memory)


def strangers():
    """A correspondent with return routability on, and good packets of nodes without a key that
    went through it; and what others send that is of it: tests, and those of a correspondent."""
    cache = serving()
    shapes = [{}, {"flags": 0}, {"lifetime": 0}, {"alternate": True, "source": CARE_OF}]
    found = []
    for number, shape in enumerate(shapes):
        node = Stranger(home=HOME[:-1] + bytes((number,)))
        node.prove(cache, ELSEWHERE, now=NOW)
        found.append(node.update(7, ELSEWHERE, **shape))
    tests = [node.init(node.home), node.init(ELSEWHERE)]
    token = {"home_init_cookie": bytes(8), "home_keygen_token": node.tests[node.home][1]}
    home_test = messages.Message(messages.HOME_TEST, **token).encode()
    header = messages.with_checksum(home_test, node.home, CORRESPONDENT)
    tests.append(Inbound(packets.MOBILITY, header, node.home))
    return cache, node, found, tests


def against_routability(total, seed=4225):
    """`total` packets of nodes without a key: mutated ones, and updates with indices that are good
    and tokens that were guessed."""
    cache, node, good, tests = strangers()
    chance, tally, memory = random.Random(seed), Tally(), []
    mutator = Mutator(chance, [*good, *tests], CORRESPONDENT)
    index, _ = node.tests[ELSEWHERE]
    for number in range(total):
        packet = mutator.packet()
        if number % 4 == 0:
            guesses = {one: (index, chance.randbytes(8)) for one in (node.home, ELSEWHERE)}
            forged = Stranger(home=node.home)
            forged.tests = guesses
            packet = forged.update(chance.getrandbits(16), ELSEWHERE)
        try:
            tally.count([cache.judge(packet, NOW + number // 10)])
        except Exception as error:
            tally.crash(error, packet)
        if number in (total // 10, total - 1):
            memory.append(resident())
    assert cache.bound() == 0
    assert all(cache.judge(one, NOW + total // 10).outcome in BELIEVED for one in good)
    return tally.result(memory)


def against_daemon(network, path, seconds, seed=8200):
    """As many as `seconds` give, as whole IPv6 packets with any source, to the daemon at work."""
    scene = Scene(path)
    good = [*originals(scene), *inside(scene)[0]]
    node = scene.node(100)
    mutator = Mutator(random.Random(seed), good, CORRESPONDENT)
    data_plane = os.access("/dev/net/tun", os.R_OK | os.W_OK)
    daemon = Daemon(network, path, data_plane=data_plane)
    daemon.ready()
    pid, sent, memory = daemon.process.pid, 0, []
    namespace = network.namespace("correspondent")
    start = time.monotonic()
    with namespace.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as out:
        while (spent := time.monotonic() - start) < seconds:
            for _ in range(_BURST):
                sent += _send(out, mutator.packet())
            _wait_for_room(pid)
            if not memory and spent >= seconds / 10:
                memory.append(resident(pid))
        _wait_for_room(pid, 0)
        memory.append(resident(pid))
        _send(out, node.update(0, CARE_OF))
        _wait_for_room(pid, 0)
    events = [json.loads(line) for line in daemon.end(signal.SIGTERM)[1].splitlines()]
    counters = {(outcome, reason): n for outcome, reason, n in events[-1]["counters"]}
    believed = sum(n for (outcome, _), n in counters.items() if outcome in BELIEVED)
    scene.registry.close()
    return {
        "packets": sent,
        "seconds": round(time.monotonic() - start, 1),
        "crashes": int(daemon.process.returncode != 0),
        "believed": believed - counters.get((entries.ACCEPTED, ""), 0),
        "good_one_accepted": counters.get((entries.ACCEPTED, ""), 0) == 1,
        "data_plane": data_plane,
        "judged": sum(counters.values()),
        "reasons": {reason: n for (_, reason), n in sorted(counters.items()) if reason},
        "resident_octets": memory,
    }


def _send(out, packet):
    """Whether the kernel took it: it refuses some sources. There is IPv6 alone here."""
    if packet.endpoint:
        source, port, _ = unpack(
            SIX.packed if addresses.is_ipv4(packet.source) else packet.endpoint
        )
        datagram = packets.udp(
            source, CORRESPONDENT, port, packets.ENCAPSULATION_PORT, packet.payload
        )
        packet = Inbound(packets.UDP, datagram, source)
    whole = packets.ipv6_header(
        packet.source, CORRESPONDENT, packet.next_header, len(packet.payload)
    )
    try:
        out.sendto(whole + packet.payload, (ADDRESS, 0))
    except OSError:
        return False
    return True


def _wait_for_room(pid, most=_QUEUE_OCTETS):
    """Until the daemon's raw sockets hold no more than this."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        folder = Path(f"/proc/{pid}/net")
        lines = [line for name in ("raw6", "udp6") for line in (folder / name).open()]
        fields = (line.split() for line in lines)
        read = [f for f in fields if f[1].endswith((":003C", ":0087", ":105F"))]
        if sum(int(f[4].partition(":")[2], 16) for f in read) <= most:
            return
        time.sleep(0.001)
    state = Path(f"/proc/{pid}/stat").read_text().split()[2]
    waits = Path(f"/proc/{pid}/wchan").read_text()
    raise AssertionError(f"the daemon ({state}, in {waits}) doesn't read any more: {read}")
