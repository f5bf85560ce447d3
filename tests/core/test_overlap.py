"""Two uplinks at a time: data go on by the old one until the correspondent accepted the new."""

import asyncio

from peer import CN, COA1, COA2, COA3, HOME, Correspondent, drain, keystore, receive
from test_bindings import bound, state
from test_node import Port, finish
from test_ways import IPV4, OUTSIDE, node

from mip6 import datagrams, packets
from mip6.bindings.uplinks import Uplinks
from mip6.node import Node

DATAGRAM = packets.udp(HOME, CN, 5005, 5005, b"21.5")


def moved(overlaps, to=COA2):
    """A node that was bound to COA1 and is elsewhere now, its update on its way."""
    bindings, cn, _ = bound()
    bindings.overlaps = overlaps
    bindings.attach(to, 10000)
    return bindings, cn, cn.read(drain(bindings, 10000)[0])


def source(bindings):
    """From which address data leave, or None: they wait."""
    return bindings.carry(CN, packets.UDP, DATAGRAM)[0] if bindings.reaches(CN) else None


def test_data_go_on_by_the_old_uplink_until_the_new_one_is_acknowledged():
    bindings, cn, update = moved(True)
    assert update.care_of == COA2 and state(bindings) == "registering"
    assert source(bindings) == COA1 and not bindings.settled(CN)
    receive(bindings, cn.answer(update), 10040)
    assert source(bindings) == COA2 and bindings.settled(CN)


def test_where_nothing_overlaps_data_wait():
    bindings, cn, update = moved(False)
    assert source(bindings) is None
    receive(bindings, cn.answer(update), 10040)
    assert source(bindings) == COA2


def test_no_data_leave_from_an_address_that_is_gone():
    bindings, _, _ = moved(True)
    bindings.left(COA3)
    assert source(bindings) == COA1
    bindings.left(COA1)
    assert source(bindings) is None


def test_no_longer_than_the_binding_of_before_lasts():
    bindings, cn, _ = moved(True)
    until = bindings.find(CN).expires_at
    assert until == 400000
    now = bindings.wakes_at()
    while now < until:
        drain(bindings, now)
        assert source(bindings) == COA1
        now = bindings.wakes_at()
    drain(bindings, until)
    assert source(bindings) is None and state(bindings) == "registering"


def test_a_correspondent_that_knows_no_binding_there_makes_data_wait_and_no_more():
    bindings, cn, update = moved(True)
    receive(bindings, cn.binding_error(COA1, 1), 10020)
    assert source(bindings) is None and state(bindings) == "registering"
    receive(bindings, cn.answer(update), 10040)
    assert source(bindings) == COA2


def test_a_refusal_ends_it():
    bindings, cn, update = moved(True)
    receive(bindings, cn.answer(update, status=130), 10040)
    assert state(bindings) == "refused" and source(bindings) is None


def test_a_third_uplink_and_back_again():
    bindings, cn, _ = moved(True)
    bindings.overlaps = True
    bindings.attach(COA3, 10100)
    assert source(bindings) == COA1
    bindings.attach(COA1, 10200)  # both of the others went before they were registered
    assert source(bindings) == COA1
    for packet in drain(bindings, bindings.wakes_at()):
        receive(bindings, cn.answer(cn.read(packet)), 11400)
    assert state(bindings) == "bound" and source(bindings) == COA1


def test_from_home_data_go_on_plainly():
    bindings, cn, update = moved(False, HOME)
    receive(bindings, cn.answer(update), 10040)
    assert state(bindings) == "home"
    bindings.overlaps = True
    bindings.attach(COA2, 20000)
    update = cn.read(drain(bindings, 20000)[0])
    assert bindings.carry(CN, packets.UDP, DATAGRAM) == (HOME, CN, packets.UDP, DATAGRAM)
    receive(bindings, cn.answer(update), 20040)
    assert source(bindings) == COA2


def test_an_uplink_that_overlapped_once_says_nothing_of_the_next_move():
    bindings, cn, update = moved(True)
    receive(bindings, cn.answer(update), 10040)
    bindings.attach(COA3, 20000)
    assert source(bindings) is None


def test_inside_udp_what_comes_by_the_old_way_is_still_taken():
    bindings, cn = node(native=False)
    bindings.attach(IPV4, 0, None, "net")
    receive(bindings, cn.answer(cn.read(drain(bindings, 0)[0]), nat=0), 40)
    bindings.overlaps = True
    bindings.ways.native = True
    bindings.attach(COA2, 10000, None, "other")
    update = cn.read(drain(bindings, 10000)[0])
    assert update.outer is None and bindings.carry(CN, packets.UDP, DATAGRAM)[0] == IPV4
    answer = packets.udp(CN, HOME, 5006, 5005, b"thanks")
    inside = packets.ipv6_header(CN, HOME, packets.UDP, len(answer)) + answer
    datagram = (OUTSIDE, b"", packets.ENCAPSULATED + 4191, inside)
    assert receive(bindings, datagram, 10010) is not None
    receive(bindings, cn.answer(update), 10040)
    assert receive(bindings, datagram, 10050) is not None  # under way when the node moved
    bindings.left(IPV4)
    assert receive(bindings, datagram, 10060) is None
    assert bindings.drops == {"endpoint": 1}


def test_which_uplinks_overlap():
    uplinks = Uplinks(HOME)
    uplinks.usable("wlan0", 1, COA1, 0)
    uplinks.usable("wlan0", 1, COA3, 0)
    uplinks.usable("eth0", 0, COA2, 5)
    assert uplinks.overlaps(COA1, "eth0", 5)
    assert not uplinks.overlaps(COA1, "wlan0", 5)  # a network that was left, maybe
    assert not uplinks.overlaps(HOME, "eth0", 5)
    uplinks.silent(COA1, 20000, 0)
    assert not uplinks.overlaps(COA1, "eth0", 20000)
    uplinks.gone("wlan0", COA1, 20000)
    assert not uplinks.overlaps(COA1, "eth0", 20000)


class Carrying(Port):
    """A port that takes data, too: `carried` has (from, what)."""

    def __init__(self):
        Port.__init__(self, delay=0.05)
        self.carried = []

    def send(self, source, destination, next_header, payload):
        packet = packets.parse_payload(next_header, bytes(payload), source, destination)
        if packet.protocol == packets.UDP:
            self.carried.append((source, bytes(packet.payload[8:])))
            return True
        return Port.send(self, source, destination, next_header, payload)


def test_no_datagram_waits_while_a_better_uplink_is_registered():
    async def story():
        port = Carrying()
        node = Node(keystore(), port)
        told = []
        node.emit = lambda *event: told.append(event)
        node.reload()
        running = asyncio.create_task(node.run())
        await asyncio.sleep(0)
        socket = datagrams.bind(node, 5005, waiting=0)
        node.address_usable("wlan0", 1, COA1)
        while not node.reaches(CN):
            await asyncio.sleep(0.01)
        socket.sendto(b"1", (CN, 5005))
        node.address_usable("eth0", 0, COA2)
        socket.sendto(b"2", (CN, 5005))  # no datagram may wait
        assert node.care_of_address == COA2 and node.bindings.bindings[0].state != 3
        while not node.bindings.settled(CN):
            await asyncio.sleep(0.01)
        socket.sendto(b"3", (CN, 5005))
        assert port.carried == [(COA1, b"1"), (COA1, b"2"), (COA2, b"3")]
        data = [at for at in range(len(told)) if told[at][0] == "data"]
        assert len(data) == 2  # the first by each: what went by the old one in between is none
        node.address_gone("eth0", COA2)  # without warning: nothing overlaps
        assert not node.reaches(CN)
        while not node.reaches(CN):
            await asyncio.sleep(0.01)
        socket.sendto(b"4", (CN, 5005))
        assert port.carried[-1] == (COA1, b"4")
        socket.close()
        await finish(running)

    assert isinstance(Correspondent(), Correspondent)
    asyncio.run(story())
