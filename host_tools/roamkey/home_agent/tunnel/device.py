"""The device of the kernel's tunnels (ip6tnl), one for all nodes: where each packet goes, and
whether it may come, the programs of `vetted` say at its queue.

It is known by its name, which is made of the home agent's address; others' tunnels, whose ends are
given, come first in the kernel. There can be one such device in a network namespace.
"""

import errno
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv6Address
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from roamkey.correspondent.dataplane import routes
from roamkey.errors import SystemRefusedError

OVERHEAD = 40  # octets, of the outer header
_KIND = "ip6tnl"
_DIGITS = 7  # of the name, which has 15 at most
_INWARD, _OUTWARD = 0xFFFFFFF2, 0xFFFFFFF3  # TC_H_CLSACT: ingress, egress
_PROGRAM = "roamkey"
_UP = 0x1  # net/if.h
_EVERYTHING = 3  # ETH_P_ALL
_NO_ADDRESSES = {"attrs": [["AF_INET6", {"attrs": [["IFLA_INET6_ADDR_GEN_MODE", 1]]}]]}


def name_of(address: IPv6Address) -> str:
    """The device's, for a home agent's address."""
    return "roamkey-" + hashlib.sha256(address.packed).hexdigest()[:_DIGITS]


def make(address: IPv6Address, inward: int, outward: int) -> tuple[int, str, int]:
    """Make it, in place of one that was left behind; its index, its name and its MTU.

    It is up only when it has its programs (descriptors). Raises SystemRefusedError.
    """
    name = name_of(address)
    remove(address)
    with _refusing(), IPRoute() as netlink:
        netlink.link("add", ifname=name, kind=_KIND, ip6tnl_collect_metadata=True)
        try:
            index = int(netlink.link_lookup(ifname=name)[0])
            with suppress(NetlinkError):  # without it, it has a link-local address
                netlink.link("set", index=index, IFLA_AF_SPEC=_NO_ADDRESSES)
            netlink.tc("add", "clsact", index)
            for parent, program in ((_INWARD, inward), (_OUTWARD, outward)):
                netlink.tc(
                    "add-filter", "bpf", index, fd=program, name=_PROGRAM, parent=parent,
                    classid=1, direct_action=True, protocol=_EVERYTHING, prio=1,
                )  # fmt: skip
            return index, name, routes.set_up(name, address, overhead=OVERHEAD)[1]
        except BaseException:
            remove(address)
            raise


def remove(address: IPv6Address) -> None:
    """Take it away, if there is one; its routes go with it. Raises SystemRefusedError."""
    with _refusing(), IPRoute() as netlink:
        for link in netlink.get_links():
            if link.get_attr("IFLA_IFNAME") == name_of(address) and _kind(link) == _KIND:
                netlink.link("del", index=link["index"])


def is_whole(index: int, mtu: int) -> bool:
    """Whether it is there, up, with its programs and an MTU."""
    with suppress(NetlinkError, OSError), IPRoute() as netlink:
        (link,) = netlink.get_links(index)
        has = link.get_attr("IFLA_MTU"), link["flags"] & _UP
        return has == (mtu, _UP) and all(
            any(
                one.get_nested("TCA_OPTIONS", "TCA_BPF_NAME") == _PROGRAM
                for one in netlink.get_filters(index=index, parent=parent)
            )
            for parent in (_INWARD, _OUTWARD)
        )
    return False


def _kind(link: Any) -> str | None:
    kind: str | None = link.get_nested("IFLA_LINKINFO", "IFLA_INFO_KIND")
    return kind


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        if error.code == errno.EEXIST:
            text = "another device takes the tunnels of this host (ip6tnl external)"
        elif error.code == errno.EOPNOTSUPP:
            text = "this kernel has no tunnels (ip6_tunnel)"
        else:
            text = f"the kernel's tunnels: {error.args[-1]}"
        raise SystemRefusedError(text) from None
