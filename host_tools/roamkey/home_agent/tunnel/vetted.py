"""What the kernel asks of each packet of its tunnels: two programs at the device, and their maps.

Inward (RFC 6275 section 10.4.5), a packet's inner source has to be a home address that is bound to
the outer one, now; outward, it goes to where its destination is bound to be. So a move is one
element of a map; and a binding ends with its time even where nobody is left to take it away.

They see whole packets, whatever fragments the tunnel's came in.
"""

import os
import struct
import sys
from collections.abc import Iterator
from ipaddress import IPv6Address

from mip6 import packets
from roamkey.correspondent.dataplane import tally
from roamkey.home_agent.tunnel import ebpf
from roamkey.home_agent.tunnel.ebpf import DOUBLE, FRAME, HALF, OCTET, WORD, Code, Map

#: What becomes of what doesn't pass, in the map's order
DROPS = (tally.UNBOUND, tally.DESTINATION, tally.NOT_SERVED, tally.OF_THE_LINK, tally.FAILED)
_UNBOUND, _DESTINATION, _NOT_SERVED, _OF_THE_LINK, _FAILED = range(len(DROPS))
_PASS, _DROP = 0, 2  # TC_ACT_OK, TC_ACT_SHOT

_PLACE = struct.Struct("=16sQ")  # care-of address, until when (CLOCK_BOOTTIME, ns)
_UNTIL_AT = 16
COUNT = struct.Struct("=4Q")  # inward: packets, octets; outward: the same
_INWARD, _OUTWARD = 0, 16
_NS = 1_000_000

# linux/bpf.h: struct bpf_tunnel_key
_REMOTE, _HOPS, _LOCAL, _KEY_OCTETS = 4, 21, 28, 44
_KEY_BEFORE_LOCAL = 28
_IPV6 = 1
_HOP_LIMIT = 64

# An IPv6 header
_NEXT_HEADER_AT, _SOURCE_AT, _DESTINATION_AT, _TYPE_AT = 6, 8, 24, 40
_FIRST_OF_LINK, _LAST_OF_LINK = 133, 137  # Neighbour Discovery, RFC 4861

# On the stack, from its end; what is eight octets or more begins at a multiple of them
_WHY, _OCTET_AT = -4, -5
_TO = -24  # the inner destination
_FROM = -40  # the inner source
_KEY = -84  # so the addresses in it do


class Vetted:
    """The maps and programs of one home agent address. `close` it: what a device has stays there,
    as long as that. `inward`, `outward`: descriptors of programs."""

    def __init__(self, address: IPv6Address, most: int) -> None:
        """`most`: bindings. Raises OSError."""
        self._made: list[int] = []
        try:
            self._places = self._map(16, _PLACE.size, most)
            self._counts = self._map(16, COUNT.size, most)
            self._drops = self._map(4, 8, len(DROPS), True)
            self.inward = self._program(self._write_inward())
            self.outward = self._program(self._write_outward(address.packed))
            self._try(address)
        except BaseException:
            self.close()
            raise

    def _map(self, key: int, value: int, most: int, is_array: bool = False) -> Map:
        one = Map(key, value, most, is_array)
        self._made.append(one.descriptor)
        return one

    def _program(self, code: Code) -> int:
        made = code.to_kernel().descriptor
        self._made.append(made)
        return made

    def close(self) -> None:
        """Let go of all."""
        for descriptor in self._made:
            os.close(descriptor)
        self._made.clear()

    def put(self, home: bytes, care_of: bytes, until_ms: int) -> None:
        """A node is there until then (`clock.boot_ms`). Raises OSError."""
        if self._counts.get(home) is None:
            self._counts.put(home, bytes(COUNT.size))
        self._places.put(home, _PLACE.pack(care_of, until_ms * _NS))

    def remove(self, home: bytes) -> tuple[int, ...]:
        """It is nowhere; what has passed, as `counts` gives it. Raises OSError."""
        self._places.remove(home)
        told = self._counts.get(home)
        self._counts.remove(home)
        return COUNT.unpack(told or bytes(COUNT.size))

    def counts(self) -> Iterator[tuple[bytes, tuple[int, ...]]]:
        """Home addresses, and what has passed: packets and octets inward, and outward, since a
        node is bound. Raises OSError."""
        for home, told in self._counts.items():
            yield home, COUNT.unpack(told)

    def drops(self) -> list[int]:
        """How many didn't pass, by `DROPS`. Raises OSError."""
        found = (self._drops.get(at.to_bytes(4, sys.byteorder)) for at in _numbers())
        return [int.from_bytes(told or b"", sys.byteorder) for told in found]

    def _try(self, address: IPv6Address) -> None:
        """See that this kernel's tunnels take what we tell them (Linux 6.0); raises OSError."""
        self.put(address.packed, address.packed, 1 << 40)
        header = packets.ipv6_header(address.packed, address.packed, packets.UDP, _TYPE_AT)
        passes = ebpf.Program(self.outward).run(header + bytes(_TYPE_AT)) == _PASS
        self.remove(address.packed)
        if not passes:
            raise OSError(0, "its tunnels can't be told their own end (before Linux 6.0)")

    # --- the programs

    def _write_inward(self) -> Code:
        code = Code()
        code.copy(6, 1)
        code.store_value(WORD, FRAME, _WHY, _UNBOUND)
        self._tunnel_key(code, ebpf.GET_TUNNEL_KEY, _KEY_BEFORE_LOCAL)
        code.jump_value("drop", ebpf.NOT_EQUAL, 0, 0)
        _load(code, _SOURCE_AT, _FROM, 32)
        code.jump_value("drop", ebpf.NOT_EQUAL, 0, 0)
        # of the home link's own: RFC 6275 section 10.4.4 isn't built
        code.store_value(WORD, FRAME, _WHY, _DESTINATION)
        code.load(OCTET, 1, FRAME, _TO)
        code.jump_value("drop", ebpf.EQUAL, 1, 0xFF)
        code.load(HALF, 1, FRAME, _TO)
        code.from_network(1)
        code.mask(1, 0xFFC0)
        code.jump_value("drop", ebpf.EQUAL, 1, 0xFE80)
        code.store_value(WORD, FRAME, _WHY, _UNBOUND)
        self._find_place(code, _FROM)
        for at in (0, 8):
            code.load(DOUBLE, 1, 7, at)
            code.load(DOUBLE, 2, FRAME, _KEY + _REMOTE + at)
            code.jump("drop", ebpf.NOT_EQUAL, 1, 2)
        _in_time(code)
        self._count(code, _FROM, _INWARD)
        self._end(code)
        return code

    def _write_outward(self, ours: bytes) -> Code:
        code = Code()
        code.copy(6, 1)
        code.store_value(WORD, FRAME, _WHY, _NOT_SERVED)
        _load(code, _DESTINATION_AT, _TO, 16)
        code.jump_value("drop", ebpf.NOT_EQUAL, 0, 0)
        self._find_place(code, _TO)
        code.store_value(WORD, FRAME, _WHY, _UNBOUND)
        _in_time(code)
        code.store_value(WORD, FRAME, _WHY, _OF_THE_LINK)  # RFC 6275 section 10.4.2
        _load(code, _NEXT_HEADER_AT, _OCTET_AT, 1)
        code.jump_value("drop", ebpf.NOT_EQUAL, 0, 0)
        code.load(OCTET, 1, FRAME, _OCTET_AT)
        code.jump_value("send", ebpf.NOT_EQUAL, 1, packets.ICMPV6)
        _load(code, _TYPE_AT, _OCTET_AT, 1)
        code.jump_value("send", ebpf.NOT_EQUAL, 0, 0)
        code.load(OCTET, 1, FRAME, _OCTET_AT)
        code.jump_value("send", ebpf.BELOW, 1, _FIRST_OF_LINK)
        code.jump_value("send", ebpf.ABOVE, 1, _LAST_OF_LINK)
        code.go("drop")
        code.label("send")
        for at in range(_KEY - 4, _KEY + _KEY_OCTETS, 8):
            code.store_value(DOUBLE, FRAME, at, 0)
        for at in (0, 8):
            code.load(DOUBLE, 1, 7, at)
            code.store(DOUBLE, FRAME, _KEY + _REMOTE + at, 1)
            code.constant(1, ours[at : at + 8])
            code.store(DOUBLE, FRAME, _KEY + _LOCAL + at, 1)
        code.store_value(OCTET, FRAME, _KEY + _HOPS, _HOP_LIMIT)
        code.store_value(WORD, FRAME, _WHY, _FAILED)
        self._tunnel_key(code, ebpf.SET_TUNNEL_KEY, _KEY_OCTETS)
        code.jump_value("drop", ebpf.NOT_EQUAL, 0, 0)
        self._count(code, _TO, _OUTWARD)
        self._end(code)
        return code

    def _tunnel_key(self, code: Code, function: int, octets: int) -> None:
        code.copy(1, 6)
        code.copy(2, FRAME, _KEY)
        code.set(3, octets)
        code.set(4, _IPV6)
        code.call(function)

    def _find_place(self, code: Code, address: int) -> None:
        """7 is the place of a home address."""
        _look_up(code, self._places, address)
        code.jump_value("drop", ebpf.EQUAL, 0, 0)
        code.copy(7, 0)

    def _count(self, code: Code, address: int, way: int) -> None:
        _look_up(code, self._counts, address)
        code.jump_value("pass", ebpf.EQUAL, 0, 0)
        code.set(1, 1)
        code.add_to(0, way, 1)
        code.load(WORD, 1, 6, 0)  # its length
        code.add_to(0, way + 8, 1)

    def _end(self, code: Code) -> None:
        code.label("pass")
        code.leave(_PASS)
        code.label("drop")
        _look_up(code, self._drops, _WHY)
        code.jump_value("away", ebpf.EQUAL, 0, 0)
        code.set(1, 1)
        code.add_to(0, 0, 1)
        code.label("away")
        code.leave(_DROP)


def _numbers() -> range:
    return range(len(DROPS))


def _load(code: Code, at: int, to: int, octets: int) -> None:
    """Octets of the packet onto the stack; 0 is 0 where it has them."""
    code.copy(1, 6)
    code.set(2, at)
    code.copy(3, FRAME, to)
    code.set(4, octets)
    code.call(ebpf.LOAD_BYTES)


def _look_up(code: Code, one: Map, key: int) -> None:
    code.map(1, one)
    code.copy(2, FRAME, key)
    code.call(ebpf.LOOKUP)


def _in_time(code: Code) -> None:
    code.call(ebpf.BOOT_NS)
    code.load(DOUBLE, 1, 7, _UNTIL_AT)
    code.jump("drop", ebpf.AT_LEAST, 0, 1)
