"""Answers by the interface that a node at home was heard on: interfaces come and go."""

import os
from ipaddress import IPv6Address

import pytest
from support.daemons import ADDRESS

from mip6 import packets
from roamkey.correspondent.core.entries import Reply
from roamkey.correspondent.sockets import RawSockets
from roamkey.waiting import until

pytestmark = pytest.mark.lab


def test_interfaces_that_come_and_go_leave_no_socket_behind(lab_network):
    namespace = lab_network.namespace("correspondent")
    with namespace.entered():
        there = IPv6Address("fe80::5").packed
        made = RawSockets(IPv6Address(ADDRESS))
        made.leave_data()

        def send(scope):
            before = made.send_errors
            made.send(Reply(there, packets.MOBILITY, bytes(8), scope))
            return made.send_errors == before

        before = len(os.listdir("/proc/self/fd"))
        for number in range(60):
            name, macs = f"cable{number}", (f"02:00:00:00:0{end}:{number:02x}" for end in (1, 2))
            namespace.add_veth(name, next(macs), namespace, f"end{number}", next(macs))
            for one in (name, f"end{number}"):
                namespace.set_up(one)
            index = namespace.index(name)
            assert until(lambda index=index: send(index), 10), "it never left"
            namespace._ask("link", "del", index=index)
            assert not send(index)  # what is gone answers nobody
        assert len(os.listdir("/proc/self/fd")) <= before + 2
        made.close()
