"""What the kernel's netlink messages say: made here, cut short, and with flags of all kinds."""

import asyncio
import struct
import sys

from peer import COA1

from mip6.ports import netlink, posix

NATIVE = "<" if sys.byteorder == "little" else ">"


def attribute(kind, value):
    """One attribute, padded to four octets."""
    return struct.pack(NATIVE + "HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(kind, body):
    """One message with its header."""
    return struct.pack(NATIVE + "IHHII", 16 + len(body), kind, 0, 0, 0) + body


def address_message(kind=20, flags=0x80, address=COA1, scope=0, family=10, index=3):
    """RTM_NEWADDR or RTM_DELADDR."""
    body = struct.pack(NATIVE + "BBBBI", family, 64, flags & 255, scope, index)
    body += attribute(1, address) + attribute(8, struct.pack(NATIVE + "I", flags))
    return message(kind, body)


def link_message(kind=16, flags=0x10043, name=b"eth0", index=3, changes=2):
    """RTM_NEWLINK or RTM_DELLINK."""
    body = struct.pack(NATIVE + "BBHiII", 0, 0, 1, index, flags, 0)
    body += attribute(3, name + b"\0") + attribute(4, bytes(4))
    return message(kind, body + attribute(35, struct.pack(NATIVE + "I", changes)))


def test_addresses():
    read = list(netlink.read(address_message() + address_message(kind=21)))
    assert read == [(netlink.ADDRESS, 3, COA1, True), (netlink.NO_ADDRESS, 3, COA1)]


def test_addresses_that_are_not_usable():
    for flags in (0x40, 0x44, 0x08, 0x20, 0x01, 0x300 | 0x40):
        assert list(netlink.read(address_message(flags=flags))) == [
            (netlink.ADDRESS, 3, COA1, False)
        ]
    for flags in (0x80, 0x02 | 0x80, 0x100, 0x200, 0x800):
        ((_, _, _, usable),) = netlink.read(address_message(flags=flags))
        assert usable


def test_addresses_that_never_are_care_of_addresses():
    assert list(netlink.read(address_message(scope=253))) == []  # link-local
    assert list(netlink.read(address_message(scope=254))) == []  # loopback
    assert list(netlink.read(address_message(family=2, address=bytes(4)))) == []


def test_links():
    assert list(netlink.read(link_message())) == [(netlink.LINK, 3, "eth0", True, 2)]
    for flags in (0x43, 0x10042, 0x1004B):  # no carrier, switched off, loopback
        assert list(netlink.read(link_message(flags=flags))) == [
            (netlink.LINK, 3, "eth0", False, 2)
        ]
    assert list(netlink.read(link_message(kind=17))) == [(netlink.NO_LINK, 3)]


def test_done_and_others():
    assert list(netlink.read(message(3, bytes(4)))) == [(netlink.DONE, None)]
    assert list(netlink.read(message(2, bytes(20)))) == [(netlink.DONE, None)]
    assert list(netlink.read(message(24, bytes(40)))) == []


def test_every_truncation():
    whole = address_message() + link_message()
    for octets in range(len(whole)):
        for event in netlink.read(whole[:octets]):
            assert event == (netlink.ADDRESS, 3, COA1, True)
    inner = address_message()
    for octets in range(16, len(inner)):  # the length says so, the attributes are cut
        cut = struct.pack(NATIVE + "I", octets) + inner[4:octets]
        for event in netlink.read(cut):
            assert event[0] == netlink.ADDRESS


def test_requests():
    assert len(netlink.ask_links()) == 32
    assert len(netlink.ask_addresses()) == 24


class Sink:
    """Notes what the port tells."""

    def __init__(self):
        self.usable = []

    def address_usable(self, uplink, priority, address):
        self.usable.append((uplink, priority, address))


class Port(posix.Port):
    """A port of a machine that grants every socket, none of them real."""

    def _open_at(self, link, address):
        self._open[address] = (link.name, {}, [])
        return True


def test_a_carrier_whose_short_failure_only_its_count_tells():
    """Routers are asked, and an address that is advertised again counts as new."""
    asked = []

    async def work():
        port = Port(["eth0"])
        port._sink, port._seen = Sink(), set()
        sink = port._sink

        def hear(octets):
            for event in netlink.read(octets):
                port._take(event)
            return asyncio.sleep(0)

        await hear(link_message() + address_message())
        await hear(link_message() + address_message())  # nothing new
        assert sink.usable == [("eth0", 0, COA1)] and not asked
        sink.usable.clear()
        await hear(link_message(changes=4))
        assert asked == ["eth0"] and not sink.usable
        await hear(address_message())
        assert sink.usable == [("eth0", 0, COA1)]
        port._links[3].asking.cancel()

    solicit, posix.solicit = posix.solicit, asked.append
    try:
        asyncio.run(work())
    finally:
        posix.solicit = solicit
