"""The home address on a Wi-Fi station over lwIP: had on the home link alone, and announced."""

from peer import HOME

from mip6 import addresses, packets
from mip6.homelink.wlan import Listener, WlanHome

MAC = bytes((2, 0, 0, 0, 0, 7))
NEAR = addresses.text(HOME[:8] + b"\x02\0\0\xff\xfe\0\0\x07").upper()
FAR = "2001:DB8:1::5"
PREFERRED = 0x30


class Nic:
    """An interface that takes one static address, as MicroPython's does; `full`: none."""

    mac = MAC

    def __init__(self):
        self.formed = []  # texts of the addresses that routers advertise
        self.static = []
        self.full = False
        self.sent = []

    def ipconfig(self, addr6):
        if self.full:
            raise OSError(12)
        self.static = [] if addr6 is None else [addr6.upper()]

    def send_icmpv6(self, source, destination, kind, rest, flags):
        self.sent.append((source, destination, kind, rest, flags))


class Entry:
    def __init__(self, text):
        self.octets = addresses.parse(text)


class Scene:
    def __init__(self):
        self.nic = Nic()
        self.faults = []
        self.home = WlanHome(self.nic, HOME, self.faults.append, None, None)

    def look(self, *formed):
        """The routers advertise these; the other addresses that the station then knows."""
        present = {text: (text, PREFERRED, 100, 1000) for text in formed}
        present.update({text: (text, PREFERRED, 0, 0) for text in self.nic.static})
        self.home.take(present)
        self.home.follow([Entry(text) for text in present])
        return sorted(present)


def test_on_the_home_link_it_is_had_and_elsewhere_it_goes():
    scene = Scene()
    assert scene.look(FAR) == [FAR] and not scene.home.there
    assert scene.look(FAR, NEAR) == [FAR, NEAR] and scene.home.there
    assert [addresses.parse(text) for text in scene.nic.static] == [HOME]
    assert scene.look(NEAR) == [NEAR] and scene.home.there
    scene.look(FAR)
    assert not scene.home.there and scene.nic.static == []
    assert scene.faults == []


def test_one_that_another_static_address_took_away_comes_back():
    scene = Scene()
    scene.look(NEAR)
    scene.nic.static = []
    scene.look(NEAR)
    assert scene.home.there and len(scene.nic.static) == 1


def test_one_that_lwip_formed_itself_is_left_to_it():
    scene = Scene()
    scene.look(addresses.text(HOME).upper())
    assert scene.home.there and scene.nic.static == []
    scene.home.leave()
    assert not scene.home.there


def test_without_room_home_is_a_network_like_any_other():
    scene = Scene()
    scene.nic.full = True
    scene.look(NEAR)
    assert not scene.home.there and len(scene.faults) == 1


def test_neighbours_are_told_with_the_override_flag():
    scene = Scene()
    scene.home.announce("network")
    ((source, destination, kind, rest, flags),) = scene.nic.sent
    assert (source, kind, flags) == (HOME, 136, 0x20)
    assert destination == addresses.parse("ff02::1")
    assert rest == HOME + b"\x02\x01" + MAC


class Stream:
    """A socket in which one datagram waits."""

    def __init__(self, data):
        self.data = data
        self.closed = False

    def recvfrom(self, octets):
        if self.data is None:
            raise OSError(11)
        data, self.data = self.data, None
        return data[:octets], ("2001:DB8:E::5", 9)

    def close(self):
        self.closed = True


class Heard(Listener):
    def __init__(self, stream):
        self.watch, self._home, self._port, self.socket = None, HOME, 7000, stream


def test_a_datagram_heard_at_home_is_a_packet():
    listener = Heard(Stream(b"reading"))
    source, destination, protocol, whole = listener.receive()
    assert (source, destination, protocol) == (addresses.parse("2001:db8:e::5"), HOME, packets.UDP)
    assert packets.udp(source, HOME, 9, 7000, b"reading") == whole
    assert listener.receive() is None
    listener.close()
    assert listener.socket.closed
