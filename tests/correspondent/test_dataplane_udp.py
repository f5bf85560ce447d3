"""The data plane inside UDP, over IPv6 and over IPv4 behind a NAT: programs on both ends."""

import contextlib
import socket
import struct
import subprocess
from ipaddress import IPv6Address

import pytest
from support.daemons import ADDRESS
from support.roaming import need_tun, result
from support.tunnel import HOME, OUTER4, PORT, Lines, Tunnel

from mip6 import packets
from roamkey.waiting import until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

PASSED = ("delivered", "late", "sent", "not served")
HOME_OCTETS, OURS = IPv6Address(HOME).packed, IPv6Address(ADDRESS).packed


class Driven:
    """A data plane whose daemon checks nothing, and a node."""

    def __init__(self, network, address=ADDRESS, *program):
        self.network, self.ours = network, IPv6Address(address).packed
        self.tunnel = Tunnel(network, correspondent=address)
        self.driver = Lines(network, "correspondent", "plane_driver.py", address, *program)
        self.ready = self.driver.hear("ready")

    def bind(self, way):
        """Have the node bound to where it is that way; the endpoint in octets."""
        self.tunnel.open(way)
        if way == "native":
            self.driver.say(native=[HOME, self.tunnel.care_of])
            return b""
        self.tunnel.send(packets.keepalive(HOME_OCTETS, self.ours))
        return bytes.fromhex(self.driver.hear("bound"))

    def counters(self):
        self.driver.say(counters=0)
        return self.driver.hear("counters")


@pytest.fixture
def driven(lab_network):
    need_tun()
    return Driven(lab_network)


def carries_tcp(tunnel, octets=1_000_000, ours=ADDRESS):
    """Whether TCP takes so much, each way, on connections that either end began."""
    for where, address in (("correspondent", HOME), ("node", ours)):
        told = result(tunnel.start(where, "upload", address, 9, octets))
        assert told["octets"] == octets, where
    return True


@pytest.mark.parametrize("way", ["udp4", "udp6"])
def test_programs_talk_both_ways(driven, way):
    tunnel = driven.tunnel
    endpoint = driven.bind(way)
    outer = IPv6Address(endpoint[:16])
    assert str(outer.ipv4_mapped or outer) == ("192.0.2.1" if way == "udp4" else tunnel.care_of)
    tunnel.serve("node", "udp_echo", HOME, 7)
    tunnel.serve("node", "sink", HOME, 9)
    tunnel.serve("correspondent", "sink", ADDRESS, 9)
    for octets in (16, 1200):
        told = result(tunnel.start("correspondent", "udp", HOME, 7, 10, 0.05, octets))
        assert told["received"] >= 8, (octets, told)
        assert told["sources"] == [HOME]
    for where, address in (("correspondent", HOME), ("node", ADDRESS)):
        assert result(tunnel.start(where, "ping", address, 10, 0.05))["received"] >= 8
    assert carries_tcp(tunnel, 3_000_000)
    counted = driven.counters()["packets"]
    assert counted["delivered"] > 2000 and counted["sent"] > 2000
    # The kernel asks for routers on the device; nothing else is lost.
    lost = sum(counted.values()) - sum(counted[one] for one in PASSED)
    assert lost == 0, counted
    driven.driver.end()


@pytest.mark.parametrize("way", ["native", "udp4"])
def test_programs_talk_where_the_kernel_has_no_long_packets(lab_network, way):
    need_tun()
    driven = Driven(lab_network, ADDRESS, "support.plain_plane")
    driven.bind(way)
    driven.tunnel.serve("node", "sink", HOME, 9)
    driven.tunnel.serve("correspondent", "sink", ADDRESS, 9)
    assert carries_tcp(driven.tunnel)
    told = result(driven.tunnel.start("correspondent", "ping", HOME, 10, 0.05))
    assert told["received"] >= 8
    driven.driver.end()


@pytest.mark.parametrize(("way", "octets"), [("udp6", 1280), ("udp4", 1400), ("udp4", 1290)])
def test_a_narrow_way_is_found_out(driven, way, octets):
    """Where a link is narrow TCP gets smaller, and what every link takes passes all the same."""
    tunnel = driven.tunnel
    driven.bind(way)
    tunnel.serve("node", "udp_echo", HOME, 7, 16)
    tunnel.serve("node", "sink", HOME, 9)
    tunnel.serve("correspondent", "sink", ADDRESS, 9)
    tunnel.narrow(octets)
    # TCP's narrower way is all programs' then: the kernel sends in fragments what is longer.
    for length in (1400, 1232, 16):
        told = result(tunnel.start("correspondent", "udp", HOME, 7, 10, 0.05, length))
        assert told["received"] >= 8, (length, told)
    assert carries_tcp(tunnel)
    told = result(tunnel.start("correspondent", "udp", HOME, 7, 10, 0.05, 1232))
    assert told["received"] >= 8  # packets of 1280 octets
    counted = driven.counters()["packets"]
    assert counted["too big"] >= 1 and counted["fragment"] == 0, counted
    # In the next network the way is as wide as ever.
    tunnel.narrow(1500)
    driven.bind(way)
    assert carries_tcp(tunnel)
    assert driven.counters()["packets"]["too big"] == counted["too big"]
    driven.driver.end()


@pytest.mark.parametrize("way", ["udp4", "udp6"])
def test_a_narrow_interface_of_our_own(driven, way):
    """The kernel doesn't take what is too long for it, before any router says so."""
    tunnel = driven.tunnel
    driven.bind(way)
    tunnel.serve("node", "udp_echo", HOME, 7, 16)
    tunnel.serve("node", "sink", HOME, 9)
    tunnel.serve("correspondent", "sink", ADDRESS, 9)
    namespace = driven.network.namespace("correspondent")
    namespace._ask("link", "set", index=namespace.index("eth0"), mtu=1290)
    assert carries_tcp(tunnel, 300_000)
    told = result(tunnel.start("correspondent", "udp", HOME, 7, 10, 0.05, 1232))
    assert told["received"] >= 8  # packets of 1280 octets
    assert driven.counters()["packets"]["failed"] == 0
    driven.driver.end()


def data(octets=16, source=HOME_OCTETS, destination=OURS, port=7):
    """A datagram of the node's, as a whole IPv6 packet."""
    datagram = packets.udp(source, destination, 5, port, bytes(octets))
    return packets.ipv6_header(source, destination, packets.UDP, len(datagram)) + datagram


def changed(packet, at, octet):
    return packet[:at] + bytes((octet,)) + packet[at + 1 :]


def test_what_is_no_data_is_counted_by_its_reason(driven):
    """And passes nothing on; what is not from the endpoint is told to the daemon."""
    network, tunnel = driven.network, driven.tunnel
    driven.bind("udp4")
    program = network.namespace("correspondent").socket(socket.AF_INET6, socket.SOCK_DGRAM)
    program.bind((ADDRESS, 7))
    program.settimeout(30)
    tunnel.send(data())
    assert program.recvfrom(100)[1][0] == HOME
    stranger = network.namespace("router").socket(socket.AF_INET, socket.SOCK_DGRAM)
    stranger.bind(("192.0.2.1", 5000))

    def throw(packet, *options):
        for option in options:
            stranger.setsockopt(*option)
        stranger.sendto(packet, (OUTER4, PORT))

    good = data()
    throw(good)
    ((endpoint, head),) = driven.driver.hear("unbound")
    outer = IPv6Address("::ffff:192.0.2.1").packed + (5000).to_bytes(2, "big")
    assert bytes.fromhex(endpoint) == outer + IPv6Address(f"::ffff:{OUTER4}").packed
    assert bytes.fromhex(head) == good[:64]
    throw(data(1000))
    ((_, head),) = driven.driver.hear("unbound")
    assert len(bytes.fromhex(head)) == 64
    packets.parse_encapsulated(bytes.fromhex(head))
    throw(data(source=IPv6Address("2001:db8:a::78").packed))
    throw(good[:39])
    throw(changed(good, 0, 0x40))
    throw(changed(good, 5, 99))
    throw(good + b"more")
    throw(changed(good, 7, 0))
    throw(data(destination=HOME_OCTETS))
    throw(data(3000))
    throw(good, (socket.SOL_SOCKET, 11, 1))  # SO_NO_CHECK
    stranger.setsockopt(socket.SOL_SOCKET, 11, 0)
    throw(good, (socket.IPPROTO_IP, socket.IP_OPTIONS, b"\x01" * 4))
    tunnel.send(data(port=PORT))  # another one inside
    large = network.namespace("correspondent").socket(socket.AF_INET6, socket.SOCK_DGRAM)
    large.sendto(bytes(3000), (HOME, 7))
    counted = driven.counters()["packets"]
    wanted = {
        "delivered": 1, "no binding": 3, "truncated": 2, "version": 1, "length": 1, "hop limit": 1,
        "destination": 1, "udp checksum": 1, "ip options": 1, "loop": 1, "fragment": 4,
    }  # fmt: skip
    assert {name: counted[name] for name in wanted} == wanted
    program.settimeout(0.2)
    with pytest.raises(TimeoutError):
        program.recvfrom(100)
    driven.driver.end()


def test_data_from_an_address_of_the_link_end_nothing(driven):
    """No node is there: they are counted, and answered to nobody."""
    driven.bind("udp6")
    router = driven.network.namespace("router")
    of_links = [
        (one["index"], one.get_attr("IFA_ADDRESS"))
        for one in router._ask("get_addr", family=socket.AF_INET6)
        if one.get_attr("IFA_ADDRESS").startswith("fe80:")
    ]
    for index, address in of_links:
        neighbour = router.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        neighbour.bind((address, 0, 0, index))
        with contextlib.suppress(OSError):
            neighbour.sendto(data(), (ADDRESS, PORT, 0, index))
    assert until(lambda: driven.counters()["packets"]["no binding"] >= 1, 30)
    driven.tunnel.serve("node", "udp_echo", HOME, 7)
    told = result(driven.tunnel.start("correspondent", "udp", HOME, 7, 10, 0.05, 16))
    assert told["received"] >= 8
    driven.driver.end()


def test_a_packet_passes_once(driven):
    """Two nodes, each with its endpoint at the other's home address."""
    homes = HOME, "2001:db8:a::78"
    for home, other in (homes, homes[::-1]):
        endpoint = IPv6Address(other).packed + (4000).to_bytes(2, "big") + OURS
        driven.driver.say(inside=[home, endpoint.hex()])
    program = driven.network.namespace("correspondent").socket(socket.AF_INET6, socket.SOCK_DGRAM)
    program.bind((ADDRESS, 0))
    assert until(lambda: all(has_route(driven, home) for home in homes), 30)
    program.sendto(bytes(1200), (HOME, 7))
    counted = driven.counters()["packets"]
    assert counted["loop"] == counted["sent"] == 1, counted
    driven.driver.end()


def has_route(driven, home):
    """Whether a home address is routed into the device."""
    namespace = driven.network.namespace("correspondent")
    found = namespace._ask("get_routes", family=socket.AF_INET6)
    return any(one["proto"] == 107 and one.get_attr("RTA_DST") == home for one in found)


def test_reports_of_routers_are_believed_with_the_right_port_alone(driven):
    """A forged one has to guess it; a true one is heard."""
    network, tunnel = driven.network, driven.tunnel
    endpoint = driven.bind("udp4")
    tunnel.serve("node", "sink", HOME, 9)
    router = network.namespace("router").socket(
        socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP
    )
    port = int.from_bytes(endpoint[16:18], "big")

    def report(port):
        quoted = struct.pack("!BBHHHBBH", 0x45, 0, 1500, 0, 0x4000, 64, packets.UDP, 0)
        quoted += socket.inet_aton(OUTER4) + socket.inet_aton("192.0.2.1")
        quoted += struct.pack("!HHHH", PORT, port, 1480, 0)
        rest = struct.pack("!HH", 0, 1400) + quoted
        total = sum(struct.unpack(f"!{len(rest) // 2}H", rest)) + 0x0304
        value = 0xFFFF - (total % 0xFFFF or 0xFFFF)
        router.sendto(struct.pack("!BBH", 3, 4, value) + rest, (OUTER4, 0))

    def too_big():
        told = result(tunnel.start("correspondent", "upload", HOME, 9, 100_000))
        assert told["octets"] == 100_000
        return driven.counters()["packets"]["too big"]

    report(port ^ 1)
    assert too_big() == 0
    report(port)
    assert until(too_big, 30)
    driven.driver.end()


INSIDE = "fd72:6f61:6d6b::1"


@pytest.mark.parametrize("ipv6", [True, False], ids=["with IPv6", "IPv6 switched off"])
def test_an_address_of_no_interface_is_the_devices(lab_network, ipv6):
    """A site without IPv6: what is inside is nowhere else. It is put back where somebody takes it
    away, with the device or without."""
    need_tun()
    namespace = lab_network.namespace("correspondent")
    if not ipv6:
        for scope in ("all", "default"):
            namespace.set_ipv6(scope, disable_ipv6=1)
    driven = Driven(lab_network, INSIDE)
    tunnel = driven.tunnel
    assert driven.ready["own_address"] is True
    driven.bind("udp4")
    tunnel.serve("node", "sink", HOME, 9)
    tunnel.serve("correspondent", "sink", INSIDE, 9)
    assert carries_tcp(tunnel, ours=INSIDE)
    for what in ("address", "device"):
        index = namespace.index("roamkey0")
        if what == "address":
            namespace._ask("addr", "del", index=index, address=INSIDE, prefixlen=128)
        else:
            namespace._ask("link", "del", index=index)
        assert until(lambda w=what: driven.counters()["mended"][w] == 1, 30)
        assert until(lambda: has_route(driven, HOME), 30)
        assert carries_tcp(tunnel, 100_000, INSIDE)
    facts = driven.counters()
    assert (facts["address"], facts["own_address"]) == ("here", True)
    driven.driver.end()
    assert "roamkey0" not in namespace.interfaces()


def test_a_host_that_forbids_ipv6_is_told_what_to_change(lab_network):
    """As a service the daemon can't write to /proc/sys."""
    need_tun()
    lab_network.namespace("correspondent").set_ipv6("default", disable_ipv6=1)
    for options in (["--bind", "/proc/sys"], ["-o", "remount,ro,bind"]):
        subprocess.run(["mount", *options, "/proc/sys"], check=True)
    driver = Lines(lab_network, "correspondent", "plane_driver.py", INSIDE, stderr=subprocess.PIPE)
    _, err = driver.process.communicate(timeout=30)
    assert "no IPv6 on roamkey0 (Read-only file system): have sysctl set" in err
