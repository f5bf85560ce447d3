"""The kernel's own answers, suppressed by an nftables table of ours.

A kernel without Mobile IPv6 answers every packet that has a Home Address option with an ICMPv6
Parameter Problem, though a raw socket took the packet. Nodes ignore that, but it is traffic and a
riddle in captures. The rule drops exactly these: from our address, about a packet whose first
extension header is Destination Options.

The table's name comes from the address. So a daemon finds what one that was killed left behind.
"""

import shutil
import subprocess
from ipaddress import IPv6Address

_TIMEOUT_S = 10
# The offending packet follows 8 octets of ICMPv6; its next header is its octet 6.
_RULES = """
table ip6 {name} {{}}
delete table ip6 {name}
table ip6 {name} {{
    chain output {{
        type filter hook output priority 0; policy accept;
        ip6 saddr {address} icmpv6 type parameter-problem @th,112,8 60 drop
    }}
}}
"""


class Firewall:
    """The table of one correspondent address."""

    def __init__(self, address: IPv6Address) -> None:
        """Nothing is done yet."""
        self._address = address
        self._name = f"roamkey_{address.packed.hex()}"

    def set_up(self) -> str | None:
        """Make the table, in place of one that was left behind; why it can't be, or None."""
        return _nft(_RULES.format(name=self._name, address=self._address))

    def remove(self) -> None:
        """Remove the table, if there is one."""
        _nft(f"table ip6 {self._name} {{}}\ndelete table ip6 {self._name}\n")


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
