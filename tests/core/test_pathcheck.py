"""The path check, in time that passes when it is told to: ways that pass, ports that are kept."""

import asyncio

from harness import raises
from peer import CN, COA1, HOME, Correspondent, keystore

from mip6 import addresses, messages, packets
from mip6.console.jsonrpc import Refusal
from mip6.node import Node
from mip6.pathcheck import PathCheck

IPV4 = addresses.parse("10.0.0.5")
OUTSIDE6 = addresses.parse("2001:db8:99::1")
REACH = [("2001:db8:99::1", 4191), ("192.0.2.1", 4191)]
TURNS = 6  # of the loop, so that every task has had its own


class Path:
    """The port, and what is behind it: a correspondent, a NAT that forgets. Times in ms.

    `dropped`: kinds of ways that lead nowhere; `round_trip`; `kept`: how long the NAT keeps a
    port; `asks`: whether the correspondent asks for new bindings of nodes whose data flow.
    """

    native = True
    why = ""

    udp = True

    def __init__(self, dropped=(), kept=10**9, asks=True, round_trip=50):
        self.faults = {}
        self.dropped = dropped
        self.kept = kept
        self.asks = asks
        self.round_trip = round_trip
        self.unreachable = ()
        self.now = 0
        self.updates = []  # (time, kind, sequence, lifetime in s)
        self.due = []  # (time, packet, whether a NAT has to let it in)
        self.cn = Correspondent()
        self.heard_at = 0  # by the NAT, last
        self.ask_at = []
        self.used = False

    def start(self, sink):
        self.sink = sink

    def stop(self):
        pass

    def use(self, native, ipv4, home):
        pass

    def resolve(self, name, ipv6, ipv4, feed):
        return []

    def send(self, source, destination, next_header, payload):
        kind = "native"
        if next_header >= packets.ENCAPSULATED:
            kind = "udp4" if addresses.is_ipv4(destination) else "udp6"
        if kind in self.unreachable:
            return False
        sent = source, destination, next_header, bytes(payload)
        self.heard_at = self.now
        if kind not in self.dropped:
            self._take(kind, sent)
        return True

    def _take(self, kind, sent):
        if kind != "native":
            inner = packets.parse_encapsulated(sent[3])
            if inner.protocol != packets.MOBILITY:
                if inner.protocol == packets.ICMPV6:
                    self._echo(inner, sent[1])
                return
        update = self.cn.read(sent)
        lifetime = 4 * update.lifetime
        self.updates.append((self.now, kind, update.sequence, lifetime))
        self.due.append((self.now + self.round_trip, self.cn.answer(update, nat=0)))
        self.ask_at = []
        self.used = False
        if kind != "native" and lifetime:
            margin = max(lifetime * 50, min(lifetime * 200, 2000))
            end = self.now + 1000 * lifetime
            self.ask_at = [end - margin + later for later in (0, 1000) if later < margin]
            self.outer = sent[1]

    def _echo(self, inner, outer):
        assert inner.checksum_ok() and inner.payload[0] == 128
        self.used = True
        reply = bytearray(inner.payload)
        reply[0] = 129
        reply[2] = reply[3] = 0
        value = packets.checksum(CN, HOME, packets.ICMPV6, reply)
        reply[2] = value >> 8
        reply[3] = value & 255
        whole = packets.ipv6_header(CN, HOME, packets.ICMPV6, len(reply)) + bytes(reply)
        self.due.append(
            (self.now + self.round_trip, (outer, b"", packets.ENCAPSULATED + 4191, whole))
        )

    def pass_time(self, milliseconds):
        """Whatever arrives until then."""
        self.now += milliseconds
        while self.ask_at and self.ask_at[0] <= self.now:
            self.ask_at.pop(0)
            if self.asks and self.used and self.now - self.heard_at <= self.kept:
                request = messages.Message(messages.BINDING_REFRESH_REQUEST).encode()
                self.due.append((self.now, self.cn.inside(request, self.outer)))
        for one in [one for one in self.due if one[0] <= self.now]:
            self.due.remove(one)
            self.sink.received(*one[1])


def check(path, scene, ipv6=COA1, reach=REACH, **how):
    """Run `scene(ask, wait, node)` beside a node that is on this path."""

    async def main():
        node = Node(keystore(reach=reach, **how), path, now=lambda: path.now)
        running = asyncio.create_task(node.run())
        for _ in range(TURNS):
            await asyncio.sleep(0)

        async def sleep(seconds):
            path.pass_time(int(1000 * seconds))
            node.attend()
            for _ in range(TURNS):
                await asyncio.sleep(0)

        async def wait(seconds=None):
            """Until the check is over, or for a while."""
            rounds = 100000 if seconds is None else int(20 * seconds)
            for _ in range(rounds):
                if seconds is None and not checking.running:
                    return
                if checking.running:
                    await asyncio.sleep(0)  # it passes the time
                else:
                    await sleep(0.05)

        checking = PathCheck(node, sleep)
        try:
            if ipv6 is not None:
                node.address_usable("wlan0", 0, ipv6)
            if ipv6 != HOME:
                node.address_usable("wlan0", 0, IPV4)
            await wait(3)
            await scene(checking.method, wait, node)
        finally:
            node.bindings = None  # no goodbye, in time that stands still
            running.cancel()
            try:
                await running
            except asyncio.CancelledError:
                pass

    asyncio.run(main())


def outcomes(told):
    return [(one["way"], one["answered"]) for one in told["ways"]]


def test_every_way_is_tried_and_the_best_that_passed_is_in_use():
    path = Path(dropped=("native",))

    async def scene(ask, wait, node):
        assert node.status()["bindings"][0]["way"] == "udp4"
        before = len(path.updates)
        told = ask({"check": "ways"})
        assert told["running"] and [one["answered"] for one in told["ways"]] in ([], [None] * 3)
        raises(Refusal, ask, {"check": "ways"})
        began = path.now
        await wait()
        told = ask(None)
        assert not told["running"] and told["problem"] == ""
        assert outcomes(told) == [("native", False), ("udp6", True), ("udp4", True)]
        assert [one["place"] for one in told["ways"]] == [
            None, "[2001:db8:99::1]:4191", "192.0.2.1:4191",
        ]  # fmt: skip
        assert told["ways"][1]["round_trip_ms"] == 50 and told["ways"][2]["nat"] is True
        assert told["ways"][0]["updates"] == 2 and told["way"] == "udp6"
        assert (told["ipv6"], told["ipv4"]) == (addresses.text(COA1), addresses.text(IPV4))
        assert [kind for _, kind, _, _ in path.updates[before:]] == ["udp6", "udp4", "udp6"]
        assert path.now - began < 3000
        assert node.reaches(CN) and node.bindings.find(CN).lifetime == 400

    check(path, scene)


def test_numbers_are_told_and_never_used_twice():
    path = Path(dropped=("native",))

    async def scene(ask, wait, node):
        ask({"check": "ways"})
        await wait()
        told = ask(None)["ways"]
        first = told[0]["sequence"] - told[0]["updates"] + 1
        assert first > path.updates[0][2]
        assert told[1]["sequence"] == told[0]["sequence"] + 1
        sequences = [sequence for _, _, sequence, _ in path.updates]
        assert sequences == sorted(set(sequences))

    check(path, scene)


def test_where_nothing_passes_it_ends_and_the_node_goes_on():
    path = Path(dropped=("native", "udp6", "udp4"))

    async def scene(ask, wait, node):
        ask({"check": "ways"})
        await wait()
        told = ask(None)
        assert outcomes(told) == [("native", False), ("udp6", False), ("udp4", False)]
        assert told["state"] == "registering"
        path.dropped = ("native", "udp6")
        await wait(10)
        assert ask(None)["way"] == "udp4" and node.reaches(CN)

    check(path, scene)


def test_what_the_platform_refuses_never_left():
    path = Path()
    path.unreachable = ("native",)

    async def scene(ask, wait, node):
        ask({"check": "ways"})
        await wait()
        told = ask(None)["ways"]
        assert told[0]["refused"] is True and told[0]["answered"] is False
        assert told[1]["refused"] is False and told[1]["answered"] is True
        assert told[1]["sequence"] == told[0]["sequence"], "nobody has seen that number"

    check(path, scene)


def test_it_ends_where_there_is_nothing_to_find_out():
    async def at_home(ask, wait, node):
        ask({"check": "ways"})
        await wait()
        assert ask(None)["problem"] == "at home: data go plainly" and ask(None)["at_home"]

    check(Path(), at_home, ipv6=HOME)

    async def left(ask, wait, node):
        ask({"check": "ways"})
        node.address_gone("wlan0", COA1)
        node.address_gone("wlan0", IPV4)
        await wait()
        assert ask(None)["problem"] == "no address here"

    check(Path(dropped=("native",)), left)

    async def changed(ask, wait, node):
        ask({"check": "ways"})
        node.reload()
        await wait()
        assert ask(None)["problem"] == "the keys were changed"

    check(Path(dropped=("native",)), changed)


def test_bad_requests_begin_nothing():
    async def scene(ask, wait, node):
        for bad in (
            {"check": "all"},
            {"check": "nat"},
            {"check": "nat", "seconds": "9"},
            {"check": "ways", "seconds": 9},
            {"check": "ways", "correspondent": "2001:db8::99"},
            {"check": "ways", "correspondent": 3},
            {"more": 1},
        ):
            raises(Refusal, ask, bad)
        assert ask(None) == {"running": False, "problem": ""}
        assert ask({"check": "none"})["running"] is False

    check(Path(), scene)


def silences(told):
    return [(one["lifetime_s"], one["heard"]) for one in told["silences"]]


def test_a_port_is_kept_as_long_as_the_correspondents_request_comes_in():
    path = Path(dropped=("native", "udp6"), kept=45000)

    async def scene(ask, wait, node):
        before = len(path.updates)
        ask({"check": "nat", "seconds": 300})
        await wait()
        told = ask(None)
        assert told["problem"] == "", told
        assert silences(told) == [(8, True), (20, True), (32, True), (64, False)]
        assert [one["data"] for one in told["silences"]] == [True] * 4
        for at, expected in enumerate((6350, 17950, 29950)):
            assert abs(told["silences"][at]["silence_ms"] - expected) <= 150
        await wait(2)
        # two numbers a silence, and one more for the usual lifetime
        assert len(path.updates) - before <= 2 * 4 + 1
        assert path.updates[-1][3] == 400 and node.reaches(CN)
        assert node.bindings.find(CN).keepalive_at is not None

    check(path, scene, ipv6=None)


def test_it_ends_at_the_silence_that_was_asked_for():
    async def scene(ask, wait, node):
        ask({"check": "nat", "seconds": 20})
        await wait()
        assert silences(ask(None)) == [(8, True), (20, True)]
        await wait(5)
        assert node.bindings.find(CN).granted == 400000

    check(Path(), scene, ipv6=None)


def test_who_never_asks_is_no_nat_that_forgets():
    async def scene(ask, wait, node):
        ask({"check": "nat", "seconds": 300})
        await wait()
        (one,) = ask(None)["silences"]
        assert one["heard"] is False and one["data"] is True

    check(Path(asks=False), scene, ipv6=None)


def test_where_an_answer_takes_longer_than_a_retransmission_the_silence_begins_behind_both():
    for trip in (1100, 1300, 1900):

        async def scene(ask, wait, node):
            await wait(5)
            ask({"check": "nat", "seconds": 20})
            await wait()
            told = ask(None)
            assert told["problem"] == "", told
            assert silences(told) == [(8, True), (20, True)], told
            await wait(8)
            assert node.bindings.find(CN).granted == 400000

        check(Path(dropped=("native", "udp6"), round_trip=trip), scene, ipv6=None)


def test_data_meanwhile_end_a_silence():
    async def scene(ask, wait, node):
        ask({"check": "nat", "seconds": 300})
        for _ in range(40):
            await asyncio.sleep(0)
        datagram = packets.udp(HOME, CN, 5005, 5005, b"a reading of a sensor")
        node.send_data(node.bindings.carry(CN, packets.UDP, datagram))
        await wait()
        assert ask(None)["problem"] == "data went by the port meanwhile"

    check(Path(), scene, ipv6=None)


def test_natively_there_is_no_port():
    async def scene(ask, wait, node):
        ask({"check": "nat", "seconds": 300})
        await wait()
        assert ask(None)["problem"] == "not bound inside UDP"

    check(Path(), scene)


def test_a_check_that_is_ended_leaves_no_trace():
    path = Path()

    async def scene(ask, wait, node):
        ask({"check": "nat", "seconds": 300})
        for _ in range(60):
            await asyncio.sleep(0)
        assert ask({"check": "none"})["running"] is False
        await wait(3)
        assert node.bindings.find(CN).granted == 400000
        assert node.bindings.find(CN).keepalive_at is not None
        assert path.updates[-1][3] == 400

    check(path, scene, ipv6=None)
