"""Datagrams and echo over the optimized route: on the wire, waiting, refused, counted."""

import asyncio
import errno

from harness import raises
from peer import CN, CN2, COA1, COA2, HOME, keystore
from test_node import Port as SignallingPort
from test_node import play

from mip6 import datagrams, packets
from mip6.errors import Misuse

PLACE = ("2001:db8:c::2", 5005)


class Port(SignallingPort):
    """Tells data from signalling; `data`: what was sent, as packets.Packet with its octets."""

    def __init__(self, answering=True, delay=0.0):
        super().__init__(answering, delay)
        self.data = []
        self.listening = []

    def send(self, source, destination, next_header, payload):
        packet = packets.parse_payload(next_header, bytes(payload), source, destination)
        if packet.protocol == packets.MOBILITY:
            return super().send(source, destination, next_header, payload)
        if self.broken:
            return False
        assert packet.checksum_ok()
        self.data.append(packet)
        return True

    def listen(self, address, port):
        self.listening.append((address, port))


def datagram(data, source=CN, home=HOME, port=5005, source_port=7):
    """(next header, payload) of a datagram that comes through a routing header."""
    header = packets.udp(source, home, source_port, port, data)
    return packets.ROUTING, packets.routing_header(home, packets.UDP) + header


def receive(node, data, **how):
    next_header, payload = datagram(data, **how)
    node.received(how.get("source", CN), COA1, next_header, payload)


def test_home_address_option_out_and_routing_header_in():
    async def scene(node, port):
        node.address_usable("eth0", 0, COA1)
        await asyncio.sleep(0.01)
        socket = datagrams.bind(node, 5005)
        socket.sendto(b"21.5", PLACE)
        (packet,) = port.data
        assert packet.source == COA1
        assert packet.home_address == packet.logical_source == HOME
        assert packet.destination == CN
        assert bytes(packet.payload[8:]) == b"21.5"
        assert bytes(packet.payload[:4]) == b"\x13\x8d\x13\x8d"
        raises(OSError, socket.recvfrom)
        receive(node, b"answer")
        assert socket.recvfrom() == (b"answer", ("2001:db8:c::2", 7))
        assert socket.counts["sent"] == socket.counts["received"] == 1

    play(scene, Port())


def test_the_log_says_whether_the_first_datagram_from_a_place_had_to_wait():
    async def scene(node, port):
        told = []
        node.bindings.emit = lambda *event: told.append(event) if event[0] == "data" else None
        socket = datagrams.bind(node, 5005)
        socket.sendto(b"waits", PLACE)
        node.address_usable("eth0", 0, COA1)
        await asyncio.sleep(0.05)
        socket.sendto(b"second", PLACE)
        node.address_gone("eth0", COA1)
        sending = asyncio.create_task(socket.send(b"waits too", PLACE))
        await asyncio.sleep(0.01)
        node.address_usable("eth0", 0, COA2)
        await sending
        node.address_gone("eth0", COA2)
        node.address_usable("eth0", 0, COA1)
        await asyncio.sleep(0.05)
        socket.sendto(b"at once", PLACE)
        assert told == [("data", CN, "waited"), ("data", CN, "waited"), ("data", CN, "new")]

    play(scene, Port())


def test_waits_for_the_binding_and_follows_moves():
    async def scene(node, port):
        socket = datagrams.bind(node, 5005, waiting=3)
        for i in range(3):
            socket.sendto(b"%d" % i, PLACE)
        assert raises(OSError, socket.sendto, b"3", PLACE).args[0] == errno.EAGAIN
        assert socket.counts["refused"] == 1
        node.address_usable("eth0", 0, COA1)
        assert port.data == []
        await asyncio.sleep(0.05)
        assert [bytes(packet.payload[8:]) for packet in port.data] == [b"0", b"1", b"2"]
        node.address_usable("eth0", 0, COA2)
        node.address_gone("eth0", COA1)
        socket.sendto(b"4", PLACE)
        assert len(port.data) == 3
        await asyncio.sleep(0.05)
        assert port.data[3].source == COA2
        assert port.data[3].home_address == HOME

    play(scene, Port(delay=0.02))


def test_refuses_where_nothing_may_wait():
    async def scene(node, port):
        socket = datagrams.bind(node, 5005, waiting=0)
        raises(OSError, socket.sendto, b"old", PLACE)
        node.address_usable("eth0", 0, COA1)
        await asyncio.sleep(0.01)
        socket.sendto(b"fresh", PLACE)
        assert [bytes(packet.payload[8:]) for packet in port.data] == [b"fresh"]

    play(scene, Port())


def test_send_and_recv_wait():
    async def scene(node, port):
        socket = datagrams.bind(node, 5005, waiting=0)
        sending = asyncio.create_task(socket.send(b"patient", PLACE))
        receiving = asyncio.create_task(socket.recv())
        await asyncio.sleep(0.01)
        assert port.data == []
        node.address_usable("eth0", 0, COA1)
        await asyncio.sleep(0.01)
        await sending
        assert len(port.data) == 1
        receive(node, b"reply")
        data, (address, number) = await receiving
        assert (data, address, number) == (b"reply", "2001:db8:c::2", 7)

    play(scene, Port())


def test_bounded_and_counted():
    async def scene(node, port):
        node.address_usable("eth0", 0, COA1)
        await asyncio.sleep(0.01)
        socket = datagrams.bind(node, 5005, receiving=2)
        for i in range(5):
            receive(node, b"%d" % i)
        assert socket.counts["overflowed"] == 3
        assert socket.recvfrom()[0] == b"0"
        port.broken = True
        socket.sendto(b"lost", PLACE)
        port.broken = False
        assert socket.counts["unsent"] == 1
        assert node.status()["unsent"] == 1

    play(scene, Port())


def test_what_is_not_ours_is_dropped_by_reason():
    async def scene(node, port):
        node.address_usable("eth0", 0, COA1)
        await asyncio.sleep(0.01)
        datagrams.bind(node, 5005)
        receive(node, b"", port=5006)
        next_header, payload = datagram(b"data")
        node.received(CN, COA1, next_header, payload[:-1] + b"b")
        short = packets.routing_header(HOME, packets.UDP) + payload[24:28]
        node.received(CN, COA1, next_header, short)
        node.received(CN, COA1, next_header, packets.routing_header(HOME, 6) + bytes(20))
        drops = node.status()["drops"]
        assert drops["no socket"] == 1
        assert drops["checksum"] == 3

    play(scene, Port())


def test_at_home_data_go_plainly():
    async def scene(node, port):
        socket = datagrams.bind(node, 5005)
        node.address_usable("eth0", 0, HOME)
        await asyncio.sleep(0.01)
        assert port.listening == [(HOME, 5005)]
        socket.sendto(b"plain", PLACE)
        (packet,) = port.data
        assert packet.source == HOME and packet.home_address is None
        header = packets.udp(CN, HOME, 7, 5005, b"back")
        node.received(CN, HOME, packets.UDP, header)
        assert socket.recvfrom()[0] == b"back"
        datagrams.bind(node, 5006)
        assert port.listening[-1] == (HOME, 5006)

    play(scene, Port())


def test_echo():
    async def scene(node, port):
        node.address_usable("eth0", 0, COA1)
        await asyncio.sleep(0.01)
        for kind in (128, 129, 135):
            body = bytes((kind, 0, 0, 0, 0, 1, 0, 2)) + b"ping"
            value = packets.checksum(CN, HOME, packets.ICMPV6, body)
            body = body[:2] + bytes((value >> 8, value & 255)) + body[4:]
            route = packets.routing_header(HOME, packets.ICMPV6)
            node.received(CN, COA1, packets.ROUTING, route + body)
        (packet,) = port.data
        assert packet.protocol == packets.ICMPV6
        assert packet.home_address == HOME and packet.destination == CN
        assert bytes(packet.payload[:2]) == b"\x81\x00"
        assert bytes(packet.payload[4:]) == b"\x00\x01\x00\x02ping"
        assert node.status()["drops"] == {"icmpv6": 2}

    play(scene, Port())


def test_misuse():
    async def scene(node, port):
        node.address_usable("eth0", 0, COA1)
        await asyncio.sleep(0.01)
        socket = datagrams.bind(node, 5005)
        assert raises(OSError, datagrams.bind, node, 5005).args[0] == errno.EADDRINUSE
        raises(Misuse, datagrams.bind, node, 65536)
        raises(Misuse, socket.sendto, bytes(1209), PLACE)
        raises(ValueError, socket.sendto, b"", ("elsewhere", 1))
        for port in (-1, 65536, 70000, "5005", 1.0, None, True):
            raises(Misuse, socket.sendto, b"", (CN, port))
            raises(Misuse, datagrams.bind, node, port)
        for data in ("21.5", 21, None, [1]):
            raises(Misuse, socket.sendto, data, PLACE)
        for address in (CN[:15], bytearray(CN), 1, None):
            raises(Misuse, socket.sendto, b"", (address, 5005))
        error = raises(OSError, socket.sendto, b"", (CN2, 1))
        assert error.args[0] == errno.EHOSTUNREACH
        socket.sendto(bytes(1184), (CN, 1))
        assert datagrams.bind(node).port == 49152
        assert datagrams.bind(node).port == 49153

    play(scene, Port())


def test_what_waits_for_a_correspondent_that_is_no_more():
    async def scene(node, port):
        socket = datagrams.bind(node, 5005)
        socket.sendto(b"waits", PLACE)
        assert store.provision(keystore((CN2,), set_id=b"set-id-9").credentials)
        node.reload()
        assert socket.counts["refused"] == 1

    store = keystore()
    play(scene, Port(), keystore=store)


def test_close():
    async def scene(node, port):
        socket = datagrams.bind(node, 5005)
        socket.sendto(b"never", PLACE)
        sending = asyncio.create_task(socket.send(b"never", PLACE))
        receiving = asyncio.create_task(socket.recv())
        await asyncio.sleep(0.01)
        socket.close()
        socket.close()
        for waiting in (sending, receiving):
            try:
                await waiting
            except OSError as error:
                assert error.args[0] == errno.EBADF
            else:
                raise AssertionError("still open")
        assert socket.counts["refused"] == 1
        raises(OSError, socket.sendto, b"", PLACE)
        datagrams.bind(node, 5005)

    play(scene, Port())
