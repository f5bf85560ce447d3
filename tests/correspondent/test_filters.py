"""Filters of raw sockets, in the kernel: what came before one was attached is gone as well."""

import socket

import pytest

from mip6 import packets
from roamkey.correspondent.dataplane import filters

LOOPBACK = "::1"

pytestmark = pytest.mark.lab


@pytest.fixture
def heard(lab_network):
    """A function that sends to a raw socket, and tells whether that came."""
    namespace = lab_network.namespace("correspondent")
    namespace.set_up("lo")
    sockets = [
        namespace.socket(socket.AF_INET6, socket.SOCK_RAW, packets.DESTINATION_OPTIONS)
        for _ in range(3)
    ]
    one, sender, other = sockets
    other.settimeout(30)

    def send():
        sender.sendto(bytes((59, 0, 1, 4, 0, 0, 0, 0)), (LOOPBACK, 0))
        other.recv(100)  # it has been to both

    yield one, send
    for each in sockets:
        each.close()


@pytest.mark.parametrize(
    "attach",
    [filters.nothing, lambda one: filters.only_data(one, packets.DESTINATION_OPTIONS)],
    ids=["nothing", "only_data"],
)
def test_neither_earlier_packets_nor_later_ones(heard, attach):
    one, send = heard
    send()
    assert one.recv(100, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    attach(one)
    for _ in range(2):
        with pytest.raises(BlockingIOError):
            one.recv(100, socket.MSG_DONTWAIT)
        send()
