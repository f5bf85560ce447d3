"""Which raw socket takes which packet, decided in the kernel (classic BPF, socket(7)).

Data arrive in one layout: an extension header of 24 octets that holds a home address and nothing
else, then the transport header. Those go to the data plane's socket, which relies on the layout.
Whatever else comes (Mobility Headers, further extension headers, malformed packets) goes to the
signalling socket, where every octet is looked at.

A filter on a raw IPv6 socket sees the packet from the socket's own header on.
"""

import socket
from collections.abc import Iterable

from mip6 import packets
from roamkey.correspondent import bpf
from roamkey.correspondent.bpf import Instruction

FLOWS_MAX = 128  # of `only_data_of`: a program has 4096 instructions at most

_ALL = 0xFFFFFFFF
_HOME_AT = 8  # in the header
_SOURCE_AT = bpf.NETWORK_HEADER + 8

# A header of 24 octets, then: PadN of 2 and the Home Address option (RFC 6275 section 6.3), or
# type 2 with one segment left (section 6.4). The first octet, the next header, is masked out.
_HOME_ADDRESS = ((0, 0x00FFFFFF, 0x00020102), (4, _ALL, 0x0000C910))
_ROUTING = ((0, 0x00FFFFFF, 0x00020201),)
_LAYOUTS = {packets.DESTINATION_OPTIONS: _HOME_ADDRESS, packets.ROUTING: _ROUTING}

# What isn't data though it follows such a header. A fragment is: its own header comes next, and
# the kernel puts it together once the home address is in its place.
_NOT_DATA = (packets.MOBILITY, packets.DESTINATION_OPTIONS, packets.ROUTING, packets.HOP_BY_HOP)


def only_data(one: socket.socket, protocol: int) -> None:
    """Let a raw socket of `protocol` (60 or 43) receive data alone, from now on.

    What came before is gone: it must not be believed to be in the layout.
    """
    bpf.attach(one, _program(protocol, _ALL, 0))
    _drain(one)


def only_data_of(one: socket.socket, flows: Iterable[tuple[bytes, bytes]]) -> None:
    """Let a raw socket of protocol 60 receive data of some flows alone: home address, and the
    source. `FLOWS_MAX` at most; what came before is left."""
    program = _program(packets.DESTINATION_OPTIONS, None, 0)
    for home, source in flows:
        words = [(at, home, _HOME_AT) for at in range(12, -1, -4)]  # the last differs most
        words += [(at, source, _SOURCE_AT) for at in range(0, 16, 4)]
        left = 2 * len(words) + 1
        for at, address, start in words:
            left -= 2
            word = int.from_bytes(address[at : at + 4], "big")
            program += [(bpf.LOAD_WORD, 0, 0, start + at), (bpf.JUMP_EQUAL, 0, left, word)]
        program.append((bpf.RETURN, 0, 0, _ALL))
    bpf.attach(one, [*program, (bpf.RETURN, 0, 0, 0)])


def all_but_data(one: socket.socket, protocol: int) -> None:
    """Let a raw socket of `protocol` receive all that `only_data` leaves out."""
    bpf.attach(one, _program(protocol, 0, _ALL))


def nothing(one: socket.socket) -> None:
    """Let a socket receive nothing: it is there to send. What came before is gone."""
    bpf.attach(one, [(bpf.RETURN, 0, 0, 0)])
    _drain(one)


def _program(protocol: int, data: int | None, other: int) -> list[Instruction]:
    """`data`, `other`: how many octets to take of a packet that is data, and of one that isn't;
    `data` None: what follows decides."""
    tests: list[list[Instruction]] = [
        [(bpf.LOAD_LENGTH, 0, 0, 0), (bpf.JUMP_AT_LEAST, 1, 0, packets.EXTENSION_OCTETS)]
    ]
    for at, mask, value in _LAYOUTS[protocol]:
        tests.append(
            [(bpf.LOAD_WORD, 0, 0, at), (bpf.AND, 0, 0, mask), (bpf.JUMP_EQUAL, 1, 0, value)]
        )
    for kind in _NOT_DATA:
        tests.append([(bpf.LOAD_OCTET, 0, 0, 0), (bpf.JUMP_EQUAL, 0, 1, kind)])
    program: list[Instruction] = []
    for test in tests:  # each ends with a jump over what answers "other"
        program += [*test, (bpf.RETURN, 0, 0, other)]
    return program if data is None else [*program, (bpf.RETURN, 0, 0, data)]


def _drain(one: socket.socket) -> None:
    while True:
        try:
            one.recv(1, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:  # an error that waited
            continue
