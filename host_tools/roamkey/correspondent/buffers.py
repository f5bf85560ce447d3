"""Sockets with room for a burst, and what they had none for."""

import socket
import struct

_SO_RCVBUFFORCE = 33  # Linux; not in the socket module
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("9I")  # linux/sock_diag.h; the last: drops


def widen(one: socket.socket, octets: int) -> None:
    """Have a socket buffer so much that arrives: beyond the system's limit where we may."""
    try:
        one.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, octets)
    except PermissionError:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, octets)


def overflows(one: socket.socket) -> int:
    """How many packets the kernel dropped at a socket: mostly because its buffer was full."""
    try:
        memory = one.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        drops: int = _MEMINFO.unpack(memory)[-1]
    except (OSError, struct.error):  # before Linux 4.12, or closed
        return 0
    return drops
