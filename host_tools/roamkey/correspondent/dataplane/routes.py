"""A route into the TUN device for each bound home address, and what pyroute2 does besides.

pyroute2 takes more than a millisecond to make a request; a daemon that starts with 100,000
bindings would take minutes. So it makes each kind of request once, for an address that nobody has,
and that address is replaced in the copies.
"""

import errno
import socket
import struct
from contextlib import suppress
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

from pyroute2 import IPBatch, IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from mip6 import packets
from roamkey.correspondent.dataplane.table import LEAST_MTU, OVERHEAD4, OVERHEAD6
from roamkey.errors import SystemRefusedError

_NOBODY = IPv6Address("100::4a6d:29c1:7b3e:f058")  # of the discard prefix, RFC 6666
_AT_A_TIME = 128  # requests in one call: a few milliseconds at most
_ANSWERS_OCTETS = 65536
_MTU_UNKNOWN = 1500
_IFA_F_NODAD = 0x02  # linux/if_addr.h
# Inside UDP: the Internet takes 1500 octets nearly everywhere, and says where not. The other
# end is asked for TCP segments that fit into the least MTU of IPv6, since it may not hear of a
# narrower way, and fragments are dropped.
_OUTER_MTU = 1500
_TCP_OCTETS = packets.IPV6_HEADER_OCTETS + 20
NATIVE_OVERHEAD = packets.EXTENSION_OCTETS
PROTOCOL = 0x6B  # of our routes, a number of our own: `ip -6 route` shows "proto 107"
PRIORITY = 1024  # the kernel's own (IP6_RT_PRIO_USER)
_IFF_LOOPBACK = 0x8

# linux/netlink.h
_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_NLM_F_ACK = 0x4
_REQUEST_DUMP = 0x1 | 0x300
_SOL_NETLINK = 270
_GET_STRICT_CHECK = 12
# linux/rtnetlink.h
_NEWROUTE, _GETROUTE = 24, 26
_DST, _OIF, _PREFSRC = 1, 4, 7
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, lengths, tos, table, protocol, scope, type, flags
_ATTRIBUTE = struct.Struct("=HH")
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port


def set_up(
    interface: str, address: IPv6Address, own: bool = False, overhead: int = NATIVE_OVERHEAD
) -> tuple[int, int]:
    """Bring the device up with the MTU that leaves room on the way out; its index and that MTU.

    `own`: it gets the address, which no other interface has; `overhead`: octets around a packet
    on the native way. Raises SystemRefusedError.
    """
    with IPRoute() as netlink:
        mtu = mtu_for(_way_out_mtu(netlink, address), overhead)
        index = int(netlink.link_lookup(ifname=interface)[0])
        _switch_on(interface)
        netlink.link("set", index=index, mtu=mtu, state="up")
    if own:
        put_address(index, address)
    return index, mtu


def put_address(index: int, address: IPv6Address) -> None:
    """Give the device our address, for this host alone: nobody is asked whether it is taken.
    Raises SystemRefusedError."""
    try:
        with IPRoute() as netlink:
            text = str(address)
            netlink.addr("replace", index=index, address=text, prefixlen=128, flags=_IFA_F_NODAD)
    except NetlinkError as error:
        why = error.args[1] if len(error.args) > 1 else error
        raise SystemRefusedError(f"{address} can't be put on the device: {why}") from None


def _switch_on(interface: str) -> None:
    """Where a host has IPv6 switched off for new interfaces, our device has it all the same; as a
    service we may not write there, and say who may."""
    path = Path(f"/proc/sys/net/ipv6/conf/{interface}/disable_ipv6")
    try:
        if path.read_text().strip() != "0":
            path.write_text("0")
    except OSError as error:
        raise SystemRefusedError(
            f"no IPv6 on {interface} ({error.strerror}): "
            "have sysctl set net.ipv6.conf.default.disable_ipv6=0"
        ) from None


def mtu_for(way_out: int, overhead: int) -> int:
    """The device's MTU, which leaves room on the way out."""
    return max(LEAST_MTU, way_out - overhead)


def _way_out_mtu(netlink: IPRoute, address: IPv6Address) -> int:
    """The MTU of the interface that has the address; of the loopback that says nothing."""
    for found in netlink.get_addr(family=socket.AF_INET6, address=str(address)):
        (link,) = netlink.get_links(found["index"])
        if not link["flags"] & _IFF_LOOPBACK:
            return int(link.get_attr("IFLA_MTU"))
    return _MTU_UNKNOWN


class Routes:
    """The routes of one device. Changes wait until `flush`; the last for an address counts."""

    def __init__(
        self,
        index: int,
        address: IPv6Address,
        native_overhead: int = NATIVE_OVERHEAD,
        priority: int = PRIORITY,
    ) -> None:
        """`index` of the device; `address`: ours, the source that programs get by default;
        `priority`: of the routes, the kernel's metric: the least counts."""
        self._native = native_overhead
        self._requests: dict[tuple[str, int], bytes] = {}
        for what in ("add", "replace", "del"):
            self._requests[what, native_overhead] = _request(what, index, address, priority)
        for overhead in (OVERHEAD4, OVERHEAD6):
            metrics = {
                "mtu": _OUTER_MTU - overhead,
                "advmss": LEAST_MTU - overhead - _TCP_OCTETS,
            }
            for what in ("add", "replace"):
                self._requests[what, overhead] = _request(what, index, address, priority, metrics)
        self._index = index
        self._address = address.packed
        self._wanted: dict[bytes, tuple[str, int]] = {}  # what to do, and the way's overhead
        self._there: dict[bytes, int] = {}
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self._socket.setblocking(False)
        self._socket.bind((0, 0))
        self.port: int = self._socket.getsockname()[0]
        self._dump = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        self._dump.setblocking(False)
        with suppress(OSError):  # before Linux 4.20: then all routes are told
            self._dump.setsockopt(_SOL_NETLINK, _GET_STRICT_CHECK, 1)
        self._missed: set[bytes] | None = None  # while routes are told: those not yet heard of
        self.failures = 0
        self.repaired = 0

    def add(self, home_address: bytes, overhead: int = NATIVE_OVERHEAD) -> None:
        """There shall be a route. `overhead`: octets around a packet on that way."""
        there = self._there.get(home_address)
        if there == overhead:
            self._wanted.pop(home_address, None)
        else:
            self._wanted[home_address] = "add" if there is None else "replace", overhead

    def remove(self, home_address: bytes) -> None:
        """There shall be none."""
        if home_address in self._there:
            self._wanted[home_address] = "del", self._native
        else:
            self._wanted.pop(home_address, None)

    def renew(self, home_address: bytes, overhead: int = NATIVE_OVERHEAD) -> None:
        """The route is made anew, so that the kernel forgets what it learned of the way."""
        self._wanted[home_address] = "replace", overhead

    def flush(self) -> bool:
        """Make some of the changes that wait; whether there are more."""
        if not self._wanted:
            return False
        batch = [self._wanted.popitem() for _ in range(min(_AT_A_TIME, len(self._wanted)))]
        nobody = _NOBODY.packed
        requests = [self._requests[what].replace(nobody, home) for home, what in batch]
        try:
            self._socket.send(b"".join(requests))
        except OSError:
            self.failures += len(batch)
        for home, (what, overhead) in batch:
            if what == "del":
                self._there.pop(home, None)
            else:
                self._there[home] = overhead
        self._hear()
        return bool(self._wanted)

    def _hear(self) -> None:
        """Count what the kernel refused; it has answered by now."""
        while True:
            try:
                answers = self._socket.recv(_ANSWERS_OCTETS)
            except BlockingIOError:
                return
            except OSError:  # more refusals than the socket's buffer holds
                self.failures += 1
                continue
            at = 0
            while at + _HEADER.size + 4 <= len(answers):
                length, kind, *_ = _HEADER.unpack_from(answers, at)
                (code,) = struct.unpack_from("=i", answers, at + _HEADER.size)
                # a route that is gone already: the device was taken down by somebody
                self.failures += kind == _NLMSG_ERROR and -code not in (0, errno.ESRCH)
                at += max(_HEADER.size, length + 3 & ~3)

    def fileno(self) -> int:
        """For poll: the kernel tells of routes that it was asked for."""
        return self._dump.fileno()

    def ask(self) -> None:
        """Have the kernel tell which of the routes there are; `hear_told` then mends them."""
        if self._missed is not None:
            return
        self._missed = set(self._there)
        body = _ROUTE.pack(socket.AF_INET6, 0, 0, 0, 0, PROTOCOL, 0, 0, 0)
        body += _ATTRIBUTE.pack(8, _OIF) + struct.pack("=I", self._index)
        length = _HEADER.size + len(body)
        try:
            self._dump.send(_HEADER.pack(length, _GETROUTE, _REQUEST_DUMP, 1, 0) + body)
        except OSError:
            self._missed = None

    def hear_told(self) -> None:
        """Hear some of what the kernel tells. At its end the routes are made anew that are missing
        or have lost our address, which goes from them when it goes from its interface."""
        missed = self._missed
        try:
            told = self._dump.recv(_ANSWERS_OCTETS)
        except BlockingIOError:
            return
        except OSError:
            self._missed = None
            return
        at = 0
        while at + _HEADER.size <= len(told):
            length, kind, *_ = _HEADER.unpack_from(told, at)
            if kind in (_NLMSG_DONE, _NLMSG_ERROR):
                self._missed = None
                if missed and kind == _NLMSG_DONE:
                    self._mend(missed)
                return
            if kind == _NEWROUTE and missed is not None:
                home = self._sound(told[at + _HEADER.size : at + length])
                missed.discard(home)
            at += max(_HEADER.size, length + 3 & ~3)

    def _sound(self, told: bytes) -> bytes:
        """The home address of a route that is as we made it; nothing for others."""
        given = {}
        at = _ROUTE.size
        while at + _ATTRIBUTE.size <= len(told):
            length, kind = _ATTRIBUTE.unpack_from(told, at)
            given[kind] = told[at + _ATTRIBUTE.size : at + length]
            at += max(_ATTRIBUTE.size, length + 3 & ~3)
        ours = struct.pack("=I", self._index), self._address
        return given.get(_DST, b"") if (given.get(_OIF), given.get(_PREFSRC)) == ours else b""

    def _mend(self, missed: set[bytes]) -> None:
        for home in missed & self._there.keys():
            if home not in self._wanted:
                self._wanted[home] = "replace", self._there[home]
                self.repaired += 1

    def homes(self) -> set[bytes]:
        """Whose routes there should be."""
        wanted = {home for home, (what, _) in self._wanted.items() if what != "del"}
        return self._there.keys() - self._wanted.keys() | wanted

    def close(self) -> None:
        """Close the sockets; the routes go with the device."""
        self._socket.close()
        self._dump.close()


def _request(
    what: str,
    index: int,
    address: IPv6Address,
    priority: int,
    metrics: dict[str, int] | None = None,
) -> bytes:
    """An octet string in which `_NOBODY` stands for the home address; wants no acknowledgement."""
    more: dict[str, Any] = {} if what == "del" else {"prefsrc": str(address)}
    if metrics is not None:
        more["metrics"] = metrics
    with IPBatch() as batch:
        batch.route(
            what,
            family=socket.AF_INET6,
            dst=f"{_NOBODY}/128",
            oif=index,
            proto=PROTOCOL,
            priority=priority,
            **more,
        )
        made = bytes(batch.batch)
    length, kind, flags, sequence, port = _HEADER.unpack_from(made)
    if length != len(made) or made.count(_NOBODY.packed) != 1:
        raise SystemRefusedError("pyroute2 makes requests that this program doesn't understand")
    return _HEADER.pack(length, kind, flags & ~_NLM_F_ACK, sequence, port) + made[_HEADER.size :]
