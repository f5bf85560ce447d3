"""How an address of this host stands: here, not usable yet, a duplicate, or gone."""

from enum import Enum
from ipaddress import IPv6Address
from pathlib import Path

# linux/if_addr.h
DADFAILED = 0x08
_TENTATIVE = 0x40


class State(Enum):
    """What the kernel says of an address; the value ends a sentence that begins with it."""

    HERE = "is an address of this host"
    TENTATIVE = "is still being checked for duplicates (tentative)"
    DUPLICATE = "is another host's as well (dadfailed): duplicate address detection failed"
    GONE = "is not an address of this host"


def look(address: IPv6Address) -> tuple[State, int]:
    """How an address stands, and the index of the interface that has it, 0 where none has."""
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        return State.GONE, 0
    wanted = address.packed.hex()
    found = (State.GONE, 0)
    for line in lines:  # address, interface's index, prefix length, scope, flags, name; all in hex
        if not line.startswith(wanted):
            continue
        fields = line.split()
        flags, index = int(fields[4], 16), int(fields[1], 16)
        if flags & DADFAILED:
            found = State.DUPLICATE, index
        elif flags & _TENTATIVE:
            found = State.TENTATIVE, index
        else:
            return State.HERE, index
    return found


def has(index: int, address: IPv6Address) -> bool:
    """Whether an interface has an address, whatever becomes of it."""
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        return False
    return any(line.split()[:2] == [address.packed.hex(), f"{index:02x}"] for line in lines)
