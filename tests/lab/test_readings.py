"""The record of what a sensor sends: all that came over the wire, at the time it came."""

import json
import os
import socket
import struct
import time

import pytest

from mip6 import packets
from roamkey.correspondent.dataplane import tun
from roamkey.lab.demo.readings import PORT, Readings
from roamkey.lab.lans import CORRESPONDENT_IPV4, ROUTER_OUTSIDE, ROUTER_OUTSIDE_IPV4
from roamkey.lab.network import CORRESPONDENT_ADDRESS, Network
from roamkey.waiting import until

pytestmark = pytest.mark.lab

LATE_S = 5.0
SO_TIMESTAMPNS = 35  # linux/socket.h


def send(network: Network, node: str, numbers: range) -> None:
    with network.namespace(node).socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        for number in numbers:
            reading = json.dumps({"n": number}).encode()
            sender.sendto(reading, (CORRESPONDENT_ADDRESS, PORT))


def await_stamps(network: Network) -> None:
    """The kernel notes when packets come from a while after the first socket has asked for it."""
    with network.namespace("correspondent").socket(socket.AF_INET6, socket.SOCK_DGRAM) as one:
        one.bind((CORRESPONDENT_ADDRESS, 0))
        one.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)

        def is_early() -> bool:
            one.sendto(b"", one.getsockname())
            time.sleep(0.2)
            ((*_, stamp),) = one.recvmsg(1, 64)[1]
            seconds, nanoseconds = struct.unpack("@2q", stamp)
            return time.time() - seconds - nanoseconds / 1e9 > 0.1

        assert until(is_early, 30)


def test_a_late_look_changes_nothing(lab_network: Network) -> None:
    readings = Readings(lab_network.namespace("correspondent"), CORRESPONDENT_ADDRESS)
    await_stamps(lab_network)
    begin = time.time()
    send(lab_network, "router", range(20))
    end = time.time()
    time.sleep(LATE_S)
    with readings:
        pass  # what has come is read to the last, however short this is
    assert [one.number for one in readings.seen] == list(range(20))
    assert all(begin <= one.time < end + 0.8 * LATE_S for one in readings.seen)
    assert [one.time for one in readings.seen] == sorted(one.time for one in readings.seen)


def test_what_comes_by_another_interface_is_not_the_wire(lab_network: Network) -> None:
    """The data plane hands on by its device what the wire brought already."""
    if tun.refusal():
        pytest.skip(tun.refusal())
    host = lab_network.namespace("correspondent")
    device, interface = host._there(tun.open_device, "again%d")
    host.set_up(interface)
    home, here = (
        socket.inet_pton(socket.AF_INET6, address)
        for address in ("2001:db8:a::1", CORRESPONDENT_ADDRESS)
    )
    datagram = packets.udp(home, here, PORT, PORT, b'{"n": 3}')
    head = bytes.fromhex("60000000") + len(datagram).to_bytes(2, "big") + bytes((17, 64))
    with Readings(host, CORRESPONDENT_ADDRESS) as readings:
        os.write(device, head + home + here + bytes(datagram))
        send(lab_network, "router", range(7, 8))
        readings.wait_until(lambda one: one.number == 7, "the reading of the wire", 10)
    os.close(device)
    assert [one.number for one in readings.seen] == [7]


def test_readings_inside_udp_are_known_by_their_home_address(lab_network: Network) -> None:
    """Over IPv4 and over IPv6; what comes to another port, or damaged, isn't one."""
    host, router = lab_network.namespace("correspondent"), lab_network.namespace("router")
    home = socket.inet_pton(socket.AF_INET6, "2001:db8:a::1")
    here = socket.inet_pton(socket.AF_INET6, CORRESPONDENT_ADDRESS)

    def inner(number: int) -> bytearray:
        datagram = packets.udp(home, here, PORT, PORT, json.dumps({"n": number}).encode())
        head = packets.ipv6_header(home, here, packets.UDP, len(datagram))
        return bytearray(head + datagram)

    damaged = inner(9)
    damaged[-1] ^= 1
    with Readings(host, CORRESPONDENT_ADDRESS) as readings:
        for family, to, number in (
            (socket.AF_INET, CORRESPONDENT_IPV4, 1), (socket.AF_INET6, CORRESPONDENT_ADDRESS, 2),
        ):  # fmt: skip
            with router.socket(family, socket.SOCK_DGRAM) as sender:
                for octets, port in ((inner(9), 4192), (damaged, 4191), (b"x", 4191)):
                    sender.sendto(octets, (to, port))
                sender.sendto(inner(number), (to, packets.ENCAPSULATION_PORT))
            readings.wait_until(lambda one, n=number: one.number == n, "the reading", 10)
    assert [(one.number, one.home_address, one.care_of_address) for one in readings.seen] == [
        (1, "2001:db8:a::1", ROUTER_OUTSIDE_IPV4), (2, "2001:db8:a::1", ROUTER_OUTSIDE),
    ]  # fmt: skip
