"""What the kernel's netlink messages say: made here, cut short, and with flags of all kinds."""

import struct
import sys

from peer import COA1

from mip6.ports import netlink

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


def link_message(kind=16, flags=0x10043, name=b"eth0", index=3):
    """RTM_NEWLINK or RTM_DELLINK."""
    body = struct.pack(NATIVE + "BBHiII", 0, 0, 1, index, flags, 0)
    return message(kind, body + attribute(3, name + b"\0") + attribute(4, bytes(4)))


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
    assert list(netlink.read(link_message())) == [(netlink.LINK, 3, "eth0", True)]
    for flags in (0x43, 0x10042, 0x1004B):  # no carrier, switched off, loopback
        assert list(netlink.read(link_message(flags=flags))) == [(netlink.LINK, 3, "eth0", False)]
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
