"""Network namespaces without names: each is held by a descriptor and gone with its holder."""

import array
import contextlib
import errno
import fcntl
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTSocket

from roamkey.errors import SystemRefusedError
from roamkey.lab import syscalls
from roamkey.waiting import until

_THIS_THREAD = "/proc/thread-self/ns/net"

# linux/if_addr.h
_IFA_F_NODAD = 0x02
_IFA_F_DADFAILED = 0x08
_IFA_F_TENTATIVE = 0x40
_RT_SCOPE_UNIVERSE = 0
# linux/neighbour.h
_NUD_PERMANENT = 0x80
# linux/rtnetlink.h
_RTNH_F_ONLINK = 4
# linux/if_bridge.h
_BR_STATE_FORWARDING = 3

# linux/ethtool.h and linux/sockios.h
_SIOCETHTOOL = 0x8946
_OFFLOADS = {"tx checksum": 0x17, "tso": 0x1F, "gso": 0x24, "gro": 0x2C}


_EVERYWHERE = {socket.AF_INET: "0.0.0.0/0", socket.AF_INET6: "::/0"}
_IPV6 = socket.AF_INET6
_NFT_TIMEOUT_S = 20.0
NFT_MISSING = "nft isn't installed (Debian, Ubuntu: apt install nftables)"


def nft_program() -> str | None:
    """The path of nft, or None where it isn't installed."""
    return shutil.which("nft", path=os.pathsep.join((os.defpath, "/usr/sbin", "/sbin")))


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Namespace:
    """A network namespace with its loopback up: interfaces, addresses, sockets, processes.

    A thread lives in it and does what must happen there. (pyroute2 opens its sockets in the
    namespace of whichever thread calls it, and can't run in a thread with an event loop.)
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"namespace {name}")
        self.descriptor = self._there(_own_namespace)
        self._netlink = self._there(IPRoute)
        try:
            for scope in ("all", "default", "lo"):
                self.set_ipv6(scope, disable_ipv6=0)
            self.set_up("lo")
        except SystemRefusedError:
            self.close()
            raise

    def close(self) -> None:
        """Let go: the kernel removes the namespace with the last process in it."""
        self._there(self._netlink.close)
        self._thread.shutdown()
        os.close(self.descriptor)

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """The calling thread is in the namespace: sockets and processes made here belong to it."""
        here = os.open(_THIS_THREAD, os.O_RDONLY | os.O_CLOEXEC)
        try:
            syscalls.setns(self.descriptor, syscalls.CLONE_NEWNET)
            yield
        finally:
            syscalls.setns(here, syscalls.CLONE_NEWNET)
            os.close(here)

    def socket(self, *arguments: int) -> socket.socket:
        """A socket of this namespace; arguments as for socket.socket."""
        made: socket.socket = self._there(socket.socket, *arguments)
        return made

    def popen(self, argv: Sequence[str | os.PathLike[str]], **options: Any) -> Any:
        """subprocess.Popen in this namespace; options as there. Returns the Popen object."""
        return self._there(subprocess.Popen, argv, **options)

    # Interfaces

    def add_veth(
        self, name: str, mac: str, peer: "Namespace", peer_name: str, peer_mac: str
    ) -> None:
        """A virtual cable: `name` here, `peer_name` in `peer`; both down, offloads off."""
        self._ask(
            "link",
            "add",
            ifname=name,
            kind="veth",
            address=mac,
            peer={"ifname": peer_name, "address": peer_mac, "net_ns_fd": peer.descriptor},
        )
        self._plain(name)
        peer._plain(peer_name)

    def add_bridge(self, name: str) -> None:
        """A kernel bridge, up. Raises SystemRefusedError where the kernel has none."""
        try:
            self._ask(
                "link", "add", ifname=name, kind="bridge", br_forward_delay=0, br_mcast_snooping=0
            )
        except NetlinkError as error:
            if error.code != errno.EOPNOTSUPP:
                raise
            raise SystemRefusedError(
                "this kernel has no Ethernet bridge: run: sudo modprobe bridge"
            ) from error
        self.set_up(name)

    def set_up(self, name: str) -> None:
        self._ask("link", "set", index=self.index(name), state="up")

    def set_down(self, name: str) -> None:
        """Down: the kernel drops the interface's IPv6 addresses and routes."""
        self._ask("link", "set", index=self.index(name), state="down")

    def set_bridge(self, name: str, bridge: str | None) -> None:
        """Plug an interface into a bridge of this namespace, or pull it out."""
        self._ask(
            "link", "set", index=self.index(name), master=self.index(bridge) if bridge else 0
        )

    def wait_until_forwarding(self, name: str, timeout: float = 5.0) -> None:
        """Wait (seconds) until a bridge forwards what comes from its port; raises TimeoutError."""
        index = self.index(name)

        def forwards() -> bool:
            (link,) = self._ask("get_links", index)
            state = link.get_nested("IFLA_LINKINFO", "IFLA_INFO_SLAVE_DATA", "IFLA_BRPORT_STATE")
            return bool(state == _BR_STATE_FORWARDING)

        if not until(forwards, timeout, 0.001):
            raise TimeoutError(f"port {name} doesn't forward within {timeout:g} s")

    def interfaces(self) -> list[str]:
        return [link.get_attr("IFLA_IFNAME") for link in self._ask("get_links")]

    def index(self, name: str) -> int:
        """The interface's index; raises KeyError if there is no such interface."""
        found = self._ask("link_lookup", ifname=name)
        if not found:
            raise KeyError(f"{self.name} has no interface {name}")
        return int(found[0])

    # Addresses and routes

    def add_address(self, name: str, address: str) -> None:
        """Add `2001:db8::1/64`, `192.0.2.1/24` or the like, usable at once (no duplicate address
        detection)."""
        host, length = address.split("/")
        self._ask(
            "addr",
            "add",
            index=self.index(name),
            address=host,
            prefixlen=int(length),
            flags=_IFA_F_NODAD if ":" in host else 0,
        )

    def remove_ipv4(self, name: str) -> None:
        """Take the interface's IPv4 addresses away, which the kernel keeps when it goes down."""
        self._ask("flush_addr", family=socket.AF_INET, index=self.index(name))

    def add_route(self, destination: str, gateway: str, name: str, onlink: bool = False) -> None:
        """Add a route; destination `default` or a prefix. `onlink`: before there is an address."""
        self._ask(
            "route",
            "add",
            family=_family(gateway),
            dst=_EVERYWHERE[_family(gateway)] if destination == "default" else destination,
            gateway=gateway,
            flags=_RTNH_F_ONLINK if onlink else 0,
            oif=self.index(name),
        )

    def add_neighbour(self, name: str, address: str, mac: str) -> None:
        """A permanent entry of the neighbour cache: no solicitation is ever sent for it."""
        self._ask(
            "neigh", "add", dst=address, lladdr=mac, ifindex=self.index(name), state=_NUD_PERMANENT
        )

    def usable_addresses(self, name: str, family: int = _IPV6) -> list[str]:
        """The interface's global addresses for which duplicate address detection is over."""
        unusable = _IFA_F_TENTATIVE | _IFA_F_DADFAILED
        found = self._ask(
            "get_addr", family=family, index=self.index(name), scope=_RT_SCOPE_UNIVERSE
        )
        return [
            address.get_attr("IFA_ADDRESS")
            for address in found
            if not (address.get_attr("IFA_FLAGS") or address["flags"]) & unusable
        ]

    def wait_for_address(self, name: str, prefix: str, timeout: float = 15.0) -> str:
        """Wait (seconds) for a usable address that starts with `prefix`; raises TimeoutError."""

        def usable() -> str | None:
            found = self.usable_addresses(name, _family(prefix))
            return next((address for address in found if address.startswith(prefix)), None)

        address = until(usable, timeout, 0.01)
        if address is not None:
            return address
        raise TimeoutError(f"no address {prefix}… on {self.name} {name} within {timeout:g} s")

    # Settings

    def set_ipv6(self, scope: str, **settings: int) -> None:
        """Write sysctls net.ipv6.conf.SCOPE.*; scope is an interface, `all` or `default`.

        Raises SystemRefusedError where the system forbids it or lacks IPv6.
        """
        for key, value in settings.items():
            self._there(_write_setting, Path("/proc/sys/net/ipv6/conf", scope, key), value)

    def set_ipv4(self, **settings: int) -> None:
        """Write sysctls net.ipv4.*; raises SystemRefusedError as `set_ipv6`."""
        for key, value in settings.items():
            self._there(_write_setting, Path("/proc/sys/net/ipv4", key), value)

    # Filters and NAT

    def nft(self, script: str) -> None:
        """Have nft do it, all or nothing. Raises SystemRefusedError where it can't."""
        program = nft_program()
        if program is None:
            raise SystemRefusedError(NFT_MISSING)
        process = self.popen(
            [program, "-f", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        _, errors = process.communicate(script, timeout=_NFT_TIMEOUT_S)
        if process.returncode:
            line = (errors.strip().splitlines() or [f"exit code {process.returncode}"])[0]
            raise SystemRefusedError(f"nft: {line}")

    def forget_connections(self) -> None:
        """Have connection tracking, and so a NAT, forget all flows."""

        def flush() -> None:
            with NFCTSocket() as tracking:
                tracking.flush()

        self._there(flush)

    def _ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        """A request over netlink: a method of pyroute2's IPRoute, its answer as a list if any."""

        def request() -> Any:
            answer = getattr(self._netlink, method)(*arguments, **options)
            return None if answer is None else list(answer)

        return self._there(request)

    def _there(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Call a function in the thread that lives in the namespace."""
        return self._thread.submit(function, *arguments, **options).result()

    def _plain(self, name: str) -> None:
        """Switch offloads off: whoever reads raw packets must find whole checksums in them.

        With them on, packets that never leave the machine carry checksums that nobody finished,
        and segments larger than the MTU.
        """
        with self.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
            for command in _OFFLOADS.values():
                value = array.array("I", [command, 0])
                request = struct.pack("16sP", name.encode(), value.buffer_info()[0])
                fcntl.ioctl(control, _SIOCETHTOOL, request)


def _own_namespace() -> int:
    """Move the calling thread into a new network namespace; returns a descriptor of it."""
    syscalls.unshare(syscalls.CLONE_NEWNET)
    return os.open(_THIS_THREAD, os.O_RDONLY | os.O_CLOEXEC)


def _write_setting(path: Path, value: int) -> None:
    try:
        path.write_text(str(value))
    except FileNotFoundError as error:
        raise SystemRefusedError(f"this kernel lacks {path} (is IPv6 disabled?)") from error
    except OSError as error:
        raise SystemRefusedError(
            f"{path}: {error.strerror}: in a container, start it with --privileged"
        ) from error
