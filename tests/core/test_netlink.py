"""What the kernel's netlink messages say: made here, cut short, and with flags of all kinds."""

# ruff: noqa: RUF005 (MicroPython has no stars in displays)

import asyncio
import struct
import sys

from peer import COA1

from mip6 import addresses
from mip6.ports import kernel, netlink, posix

NATIVE = "<" if sys.byteorder == "little" else ">"


def attribute(kind, value):
    """One attribute, padded to four octets."""
    return struct.pack(NATIVE + "HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(kind, body, flags=0):
    """One message with its header."""
    return struct.pack(NATIVE + "IHHII", 16 + len(body), kind, flags, 0, 0) + body


FOR_EVER = 0xFFFFFFFF
MAC = b"\2\0\0\0\0\7"


def address_message(
    kind=20,
    flags=0,
    address=COA1,
    scope=0,
    family=10,
    index=3,
    preferred=FOR_EVER,
    valid=FOR_EVER,
    multi=0,
):
    """RTM_NEWADDR or RTM_DELADDR."""
    body = struct.pack(NATIVE + "BBBBI", family, 64, flags & 255, scope, index)
    body += attribute(1, address) + attribute(8, struct.pack(NATIVE + "I", flags))
    body += attribute(6, struct.pack(NATIVE + "IIII", preferred, valid, 0, 0))
    return message(kind, body, multi)


def link_message(kind=16, flags=0x10043, name=b"eth0", index=3, changes=2):
    """RTM_NEWLINK or RTM_DELLINK."""
    body = struct.pack(NATIVE + "BBHiII", 0, 0, 1, index, flags, 0)
    body += attribute(1, MAC) + attribute(3, name + b"\0") + attribute(4, bytes(4))
    return message(kind, body + attribute(35, struct.pack(NATIVE + "I", changes)))


def test_addresses():
    read = list(netlink.read(address_message() + address_message(kind=21)))
    assert read == [
        (netlink.ADDRESS, 3, COA1, True, True, None, True),
        (netlink.NO_ADDRESS, 3, COA1),
    ]


def test_lifetimes():
    for preferred, valid, flags, multi, expected in (
        (300, 600, 0, 0, (True, True, 600, True)),
        (0, 600, 0x20, 2, (True, False, 600, False)),  # RFC 4862 5.5.4: valid is usable
        (0, 600, 0, 0, (True, False, 600, True)),
        (0, 0, 0x20, 0, (False, False, 0, True)),
        (FOR_EVER, FOR_EVER, 0x80, 2, (True, True, None, False)),
    ):
        octets = address_message(preferred=preferred, valid=valid, flags=flags, multi=multi)
        assert list(netlink.read(octets)) == [(netlink.ADDRESS, 3, COA1) + expected]


def test_addresses_that_are_not_usable():
    for flags in (0x40, 0x08, 0x4C, 0x45, 0x21, 0x01, 0x300 | 0x40):
        ((_, _, _, usable, _, _, _),) = netlink.read(address_message(flags=flags))
        assert usable == netlink.UNUSABLE
    for flags in (0x80, 0x02 | 0x80, 0x20, 0x100, 0x200, 0x800):
        ((_, _, _, usable, preferred, _, _),) = netlink.read(address_message(flags=flags))
        assert usable == netlink.USABLE and preferred == (flags != 0x20)


def test_addresses_that_are_still_asked_about():
    for flags in (0x44, 0x44 | 0x100):
        ((_, _, _, usable, _, _, _),) = netlink.read(address_message(flags=flags))
        assert usable == netlink.OPTIMISTIC


def test_a_link_local_address_is_a_source_for_solicitations():
    for flags, expected in (
        (0x80, [(netlink.LOCAL, 3)]),
        (0xC4, [(netlink.LOCAL, 3)]),
        (0xC0, []),
    ):
        assert list(netlink.read(address_message(scope=253, flags=flags))) == expected
    assert list(netlink.read(address_message(kind=21, scope=253))) == []


def test_a_prefix_that_is_advertised():
    head = struct.pack(NATIVE + "BBHiBBBB", 10, 0, 0, 3, 3, 64, 3, 0)
    prefix = b"\x20\x01\x0d\xb8" + bytes(12)
    body = head + struct.pack(NATIVE + "HH", 20, 1) + prefix
    assert list(netlink.read(message(52, body))) == [(netlink.PREFIX, 3, prefix)]
    assert list(netlink.read(message(52, head))) == []
    assert list(netlink.read(message(52, body[:8]))) == []


def test_addresses_that_never_are_care_of_addresses():
    assert list(netlink.read(address_message(scope=254))) == []  # loopback
    assert list(netlink.read(address_message(family=7, address=bytes(4)))) == []
    assert list(netlink.read(address_message(family=2, address=b"\xa9\xfe\1\2"))) == []  # AutoIP


def test_links():
    assert list(netlink.read(link_message())) == [(netlink.LINK, 3, "eth0", True, 2, MAC)]
    for flags in (0x43, 0x10042, 0x1004B):  # no carrier, switched off, loopback
        assert list(netlink.read(link_message(flags=flags))) == [
            (netlink.LINK, 3, "eth0", False, 2, MAC)
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
            assert event == (netlink.ADDRESS, 3, COA1, True, True, None, True)
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
        self.told = []

    def address_usable(self, uplink, priority, address, preferred=True, valid_s=None):
        assert priority is not None
        self.told.append((uplink, address[-1], preferred, valid_s))

    def address_gone(self, uplink, address):
        self.told.append((uplink, address[-1]))


class Settings:
    """The kernel's, left alone."""

    def take(self, name):
        return True

    def give_back(self, name):
        return True

    def renamed(self, before, name):
        pass

    def forget(self, name):
        pass


class Routers:
    """Nobody is asked."""

    def ask(self, interface, index):
        return True


class Port(posix.Port):
    """A port of a machine that grants every socket, none of them real."""

    def __init__(self, *uplinks):
        posix.Port.__init__(self, list(uplinks))
        self._settings = Settings()
        self._solicitor = Routers()
        self._sink = Sink()
        self.lines = []

    def note(self, kind, text):
        self.lines.append(text if kind == "link" else kind + ": " + text)

    def _open_at(self, link, address):
        self._open[address] = posix._Open(link.name, {}, [])
        return True

    def hear(self, *messages):
        """Takes messages of the kernel; what the port told."""
        self._sink.told = []
        for octets in messages:
            for event in netlink.read(octets):
                self._take(event)
        return self._sink.told


def place(number):
    """An address told by its last octet."""
    return COA1[:15] + bytes((number,))


def advertised(number, preferred=3600, valid=7200, **more):
    """What the kernel says when a prefix is advertised."""
    return address_message(address=place(number), preferred=preferred, valid=valid, **more)


def test_what_is_advertised_again_is_no_news_until_it_changes():
    port = Port("eth0")
    assert port.hear(link_message(), advertised(1)) == [("eth0", 1, True, 7200)]
    assert port.hear(advertised(1), advertised(1, valid=7300)) == []
    assert port.hear(advertised(1, 0, flags=0x20)) == [("eth0", 1, False, 7200)]
    assert port.hear(advertised(1, 0, flags=0x20)) == []
    assert port.hear(advertised(1)) == [("eth0", 1, True, 7200)]
    assert port.hear(advertised(1, valid=7000)) == [("eth0", 1, True, 7000)]
    assert port.hear(advertised(1, valid=86400)) == [("eth0", 1, True, 86400)]
    assert port.hear(advertised(1, 0, 0)) == [("eth0", 1)]


def test_an_address_of_an_uplink_on_an_interface_that_is_none():
    port = Port("eth0")
    other = link_message(name=b"br0", index=4)
    assert port.hear(link_message(), advertised(1)) == [("eth0", 1, True, 7200)]
    assert port.hear(other, advertised(1, index=4), advertised(2, index=4)) == []
    assert port.hear(link_message(kind=17, index=4)) == []


def test_one_address_on_two_uplinks_outlives_the_first():
    port = Port("eth0", "wlan0")
    other = link_message(name=b"wlan0", index=4)
    assert port.hear(link_message(), other, advertised(1), advertised(1, index=4)) == [
        ("eth0", 1, True, 7200)
    ]
    assert port.hear(link_message(flags=0x43)) == [("eth0", 1), ("wlan0", 1, True, 7200)]


def test_unusable_addresses_hide_no_good_one():
    port = Port("eth0")
    port.hear(link_message(), *(advertised(number, flags=0x40) for number in range(40)))
    assert port.hear(advertised(77)) == [("eth0", 77, True, 7200)]


def test_of_many_addresses_the_newest_gets_through_and_the_one_in_use_stays():
    port = Port("eth0")
    port.hear(link_message(), *(advertised(number) for number in range(16)))
    port._sent_from = place(0)
    port.hear(advertised(5, 0, flags=0x20))
    assert port.hear(advertised(100)) == [("eth0", 100, True, 7200), ("eth0", 5)]
    assert port.hear(advertised(101)) == [("eth0", 101, True, 7200), ("eth0", 1)]
    for number in range(102, 200):
        port.hear(advertised(number))
    assert len(port._open) == 16 and place(0) in port._open


def test_an_address_that_was_somebody_elses_counts_when_that_is_over():
    port = Port("eth0")
    gone = address_message(kind=21, address=place(1))
    assert port.hear(link_message(), advertised(1, flags=0x44)) == [("eth0", 1, True, 7200)]
    assert port.hear(advertised(1)) == []  # it is nobody else's
    assert port.hear(gone, advertised(1, flags=0x44)) == [("eth0", 1), ("eth0", 1, True, 7200)]
    assert port.hear(gone) == [("eth0", 1)]  # it is
    for _ in range(3):
        assert port.hear(advertised(1, flags=0x44), gone) == []
    assert port.hear(advertised(2, flags=0x44)) == [("eth0", 2, True, 7200)]
    assert port.hear(address_message(address=place(2), flags=0xC8)) == [("eth0", 2)]
    assert port.hear(advertised(2, flags=0x44)) == []
    assert port.hear(advertised(1)) == [("eth0", 1, True, 7200)]  # the other one left
    assert port.hear(gone, advertised(1, flags=0x44)) == [("eth0", 1), ("eth0", 1, True, 7200)]


def test_an_address_that_goes_with_its_link_is_nobody_elses():
    port = Port("eth0")
    assert port.hear(link_message(), advertised(1, flags=0x44)) == [("eth0", 1, True, 7200)]
    down, gone = link_message(flags=0x42), address_message(kind=21, address=place(1))
    assert port.hear(down, gone) == [("eth0", 1)]
    assert port._links[3].taken == []


def test_of_addresses_that_were_somebody_elses_few_are_remembered():
    port = Port("eth0")
    port.hear(link_message())
    for number in range(100):
        port.hear(advertised(number, flags=0x44), address_message(kind=21, address=place(number)))
    assert port._links[3].taken == [place(number) for number in range(84, 100)]
    assert not port._links[3].optimistic and not port._links[3].usable


def test_hearing_may_stop_and_go_on_while_something_is_heard():
    """On the kernel's own socket: what a flood of messages makes it do."""
    heard = []
    failures = []

    async def main():
        def take(event):
            heard.append(event)
            hearing._hush()
            hearing._pause = asyncio.create_task(hearing._go_on(0.01))

        def took_all(seen):
            heard.append(None)
            hearing.stop()

        hearing = kernel.Kernel(take, took_all, failures.append, failures.append)
        hearing.start()
        for _ in range(500):
            if None in heard:
                break
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.03)
        hearing.stop()

    asyncio.run(main())
    assert None in heard and not failures, failures


def returning(work):
    """Run `work(port)` in a loop, where routers can be asked; the port."""

    async def main():
        port = Port("eth0")
        work(port)
        if port._links[3].asking is not None:
            port._links[3].asking.cancel()
        await asyncio.sleep(0)
        return port

    return asyncio.run(main())


def test_after_the_carrier_what_is_advertised_counts():
    """A short failure only its count tells. The kernel keeps what is of another network, maybe."""

    def work(port):
        port.hear(link_message(), advertised(1), address_message(address=place(9)))
        assert port.hear(link_message(changes=4)) == []  # usable at once: it may be the same one
        dump = advertised(1, multi=2)
        assert port.hear(dump) == []  # an answer to our question, no advertisement
        assert port.hear(advertised(2)) == [("eth0", 2, True, 7200), ("eth0", 1)]
        assert port.hear(dump) == []
        assert port.hear(advertised(1)) == [("eth0", 1, True, 7200)]  # another router's
        assert port.hear(link_message(changes=6), advertised(1)) == [("eth0", 2)]
        port._sent_from = place(1)
        port.hear(link_message(flags=0x43))
        told = port.hear(link_message(changes=8))
        assert told[0] == ("eth0", 1, True, 7200) and len(told) == 3  # what was in use comes first
        assert port.hear(advertised(2)) == [("eth0", 1)]
        assert place(9) in port._open  # what a person gave it stays

    returning(work)


def test_an_interface_that_is_renamed_takes_its_addresses_along():
    def work(port):
        port._uplinks.append("lan")
        port.hear(link_message(), advertised(1))
        assert port.hear(link_message(name=b"lan")) == [("eth0", 1), ("lan", 1, True, 7200)]

    returning(work)


def test_a_carrier_that_flaps_fills_no_log():
    def work(port):
        port.hear(link_message(), advertised(1))
        for changes in range(4, 2000, 2):
            port.hear(link_message(changes=changes))

    assert 10 < len(returning(work).lines) < 70


def test_the_first_advertisement_after_the_carrier_is_noted():
    prefix = message(52, struct.pack(NATIVE + "BBHiBBBB", 10, 0, 0, 3, 3, 64, 3, 0))

    def work(port):
        port.hear(prefix, link_message(), advertised(1, multi=2))  # what we asked is no sign
        port.hear(prefix, prefix, advertised(1), link_message(changes=4), advertised(1), prefix)

    assert returning(work).lines == [
        "eth0 up", "router: eth0", "eth0 down", "eth0 up", "router: eth0"
    ]  # fmt: skip


def test_ipv4_addresses_are_told_as_mapped_ones():
    there = addresses.parse("10.0.0.5")
    peer = attribute(1, bytes((10, 0, 0, 6)))  # IFA_ADDRESS: the other end's, on a tunnel
    body = struct.pack(NATIVE + "BBBBI", 2, 24, 0x80 | 0x01, 0, 3) + peer  # permanent, secondary
    octets = message(20, body + attribute(2, there[12:]))
    assert list(netlink.read(octets)) == [(netlink.ADDRESS, 3, there, True, True, None, True)]


def test_a_default_route_of_ipv4_is_news():
    def route(family, prefix):
        body = struct.pack(NATIVE + "BBBBBBBBI", family, prefix, 0, 0, 254, 3, 0, 1, 0)
        return message(24, body + attribute(4, struct.pack(NATIVE + "I", 7)))

    assert list(netlink.read(route(2, 0))) == [(netlink.ROUTE, 7)]
    assert list(netlink.read(route(2, 24))) == list(netlink.read(route(10, 0))) == []


class Told:
    """The kernel, as far as it is told."""

    def __init__(self):
        self.octets = []

    def tell(self, octets):
        self.octets.append(octets)


def test_the_home_address_is_used_at_home_whoever_defends_it():
    port = Port("eth0")
    port._home.address = place(1)
    port._kernel = told = Told()
    port.hear(link_message())
    assert port.hear(advertised(1, flags=0x44)) == []  # asked about: somebody answers, maybe
    kinds = [struct.unpack(NATIVE + "H", one[4:6])[0] for one in told.octets]
    bits = [one[17] for one in told.octets]
    assert (kinds, bits) == ([21, 21, 20], [64, 128, 128])
    assert told.octets[-1][18] == 0x02 and told.octets[-1][-16:] == place(1)
    gone = address_message(kind=21, flags=0x44, address=place(1))
    assert port.hear(gone, address_message(flags=0x82, address=place(1))) == [
        ("eth0", 1, True, None)
    ]
    told.octets.clear()
    port.hear(advertised(1, flags=0x44))  # a moment later, after the link was down
    assert len(told.octets) == 3
