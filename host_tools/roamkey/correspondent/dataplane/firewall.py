"""The kernel's own answers, suppressed by an nftables table of ours.

A kernel without Mobile IPv6 answers every packet that has a Home Address option with an ICMPv6
Parameter Problem, though a raw socket took the packet. Nodes ignore that, but it is traffic and a
riddle in captures. The rule drops exactly these: from our address, about a packet whose first
extension header is Destination Options.

A home agent has a rule more: what a kernel with a tunnel driver answers to packets of protocol 41
that none of its tunnels takes (destination unreachable, code 4).

The table's name comes from the address. So a daemon finds what one that was killed left behind.
"""

import contextlib
import select
import shutil
import socket
import struct
import subprocess
import threading
import time
from ipaddress import IPv6Address

_TIMEOUT_S = 10
_REST_S = 0.2
_AGAIN_S = 15.0  # where it couldn't be put back
# The offending packet follows 8 octets of ICMPv6; its next header is its octet 6.
_RULES = """
table ip6 {name} {{}}
delete table ip6 {name}
table ip6 {name} {{
    chain output {{
        type filter hook output priority 0; policy accept;
        {rules}
    }}
}}
"""
_OPTIONS = "ip6 saddr {address} icmpv6 type parameter-problem @th,112,8 60 drop"
TUNNEL = "ip6 saddr {address} icmpv6 type destination-unreachable icmpv6 code 4 @th,112,8 41 drop"


# linux/netfilter/nfnetlink.h and nf_tables.h
_NETLINK_NETFILTER = 12
_NFNLGRP_NFTABLES = 7
_NFTABLES = 10
_DELETIONS = (2, 5, 8)  # a table, a chain, a rule
_HEADER = struct.Struct("=IHHII")
_OCTETS = 65536


class Keeper:
    """Puts the table back where somebody took it away or emptied it. In a thread of its own: nft
    takes its time, and packets don't wait for it."""

    def __init__(self, firewall: "Firewall", failed: str | None = None) -> None:
        """Look from now on. `repaired`: how often it was put back; `failed`: why it couldn't be,
        the last time: it is tried again then."""
        self._firewall = firewall
        self.repaired = 0
        self.failed = failed
        self._notices = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
        self._notices.bind((0, 1 << _NFNLGRP_NFTABLES - 1))
        threading.Thread(target=self._run, name="firewall", daemon=True).start()

    def _run(self) -> None:
        while True:
            if not self._hear_or_try_again():
                continue
            time.sleep(_REST_S)  # whoever flushes may be about to make it anew
            self.failed = self._firewall.set_up()
            self.repaired += self.failed is None
            self._notices.setblocking(False)
            with contextlib.suppress(BlockingIOError):  # that was us
                while True:
                    self._hear()
            self._notices.setblocking(True)

    def _hear_or_try_again(self) -> bool:
        """Whether the table is to be put back: it went, or the last time that failed."""
        if self.failed is None:
            return self._hear()
        heard, _, _ = select.select([self._notices], [], [], _AGAIN_S)
        return self._hear() if heard else True

    def _hear(self) -> bool:
        """Whether something of our table was deleted."""
        try:
            told = self._notices.recv(_OCTETS)
        except BlockingIOError:
            raise
        except OSError:  # more than the buffer holds
            time.sleep(_REST_S)  # while others change much, nft isn't asked all the time
            return not self._firewall.is_there()
        at = 0
        while at + _HEADER.size <= len(told):
            length, kind, *_ = _HEADER.unpack_from(told, at)
            system, what = divmod(kind, 256)
            gone = system == _NFTABLES and what in _DELETIONS
            if gone and self._firewall.name.encode() in told[at : at + length]:
                return True
            at += max(_HEADER.size, length + 3 & ~3)
        return False


class Firewall:
    """The table of one correspondent address."""

    def __init__(self, address: IPv6Address, *more: str) -> None:
        """Nothing is done yet. `more`: further rules."""
        self._rules = "\n        ".join((_OPTIONS, *more)).format(address=address)
        self.name = f"roamkey_{address.packed.hex()}"

    def set_up(self) -> str | None:
        """Make the table, in place of one that was left behind; why it can't be, or None."""
        return _nft(_RULES.format(name=self.name, rules=self._rules))

    def is_there(self) -> bool:
        """Whether the table's rule is there."""
        return _nft(f"list chain ip6 {self.name} output\n") is None

    def remove(self) -> None:
        """Remove the table, if there is one."""
        _nft(f"table ip6 {self.name} {{}}\ndelete table ip6 {self.name}\n")


def keep(
    address: IPv6Address, more: tuple[str, ...], stack: contextlib.ExitStack
) -> tuple[Keeper | None, str | None]:
    """Make the table, and look after it until the `stack` is undone; who does, and why there is no
    table, or None."""
    firewall = Firewall(address, *more)
    stack.callback(firewall.remove)
    warning = firewall.set_up()
    with contextlib.suppress(OSError):  # a kernel without nftables
        return Keeper(firewall, warning), warning
    return None, warning


def _nft(script: str) -> str | None:
    """Have nft do it, all or nothing; what went wrong, in a line."""
    program = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin")
    if program is None:
        return "nft isn't installed (Debian, Ubuntu: apt install nftables)"
    try:
        done = subprocess.run(
            [program, "-f", "-"],
            input=script,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"nft: {error}"
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return f"nft: {lines[0]}"
    return None
