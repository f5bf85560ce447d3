"""Sockets with room for a burst."""

import socket

_SO_RCVBUFFORCE = 33  # Linux; not in the socket module


def widen(one: socket.socket, octets: int) -> None:
    """Have a socket buffer so much that arrives: beyond the system's limit where we may."""
    try:
        one.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, octets)
    except PermissionError:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, octets)
