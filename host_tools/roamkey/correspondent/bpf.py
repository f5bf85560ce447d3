"""Classic BPF for sockets: a program's operations, and how a socket gets one (socket(7))."""

import ctypes
import socket
import struct

SO_ATTACH_FILTER = 26
SO_ATTACH_REUSEPORT_CBPF = 51

# linux/filter.h: operations with their addressing
LOAD_LENGTH = 0x80
LOAD_WORD = 0x20
LOAD_HALF = 0x28
LOAD_OCTET = 0x30
AND = 0x54
RIGHT_SHIFT = 0x74
JUMP_EQUAL = 0x15
JUMP_AT_LEAST = 0x35
RETURN = 0x06

NETWORK_HEADER = 0xFFF00000  # SKF_NET_OFF: what is loaded from here on is the IP header's

Instruction = tuple[int, int, int, int]  # operation, jump if true, jump if false, operand


def attach(one: socket.socket, program: list[Instruction], option: int = SO_ATTACH_FILTER) -> None:
    """Have a socket use a program. Raises OSError."""
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    held = ctypes.create_string_buffer(code, len(code))
    one.setsockopt(
        socket.SOL_SOCKET,
        option,
        struct.pack("@HP", len(program), ctypes.addressof(held)),
    )
