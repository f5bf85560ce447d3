"""What of ours the kernel has, whoever put it there; and whether it takes any."""

import errno
import os
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple, TypeVar

from roamkey.correspondent.dataplane import xfrm
from roamkey.errors import SystemRefusedError

_PATIENCE_S = 5.0
_AT_A_TIME = 128  # requests in one call

_Told = TypeVar("_Told")


def refusal() -> str | None:
    """Why this kernel doesn't do it, in a line; None where it does."""
    nobody, other = bytes((1, *bytes(14), 1)), bytes((1, *bytes(14), 2))  # of no prefix in use
    try:
        with xfrm.open_socket() as one:
            request = xfrm.state(xfrm.OUT, nobody, other, other, 1, 0, True)
            number = xfrm.ask(one, xfrm.acknowledged(request))
            if number in (0, errno.EEXIST):
                one.send(xfrm.no_state(xfrm.OUT, nobody, other))
                return None
    except OSError as error:
        number = error.errno or 0
    if number == errno.EPROTONOSUPPORT:
        return "this kernel has no Mobile IPv6 (CONFIG_IPV6_MIP6)"
    if number == errno.EPERM:
        return "the kernel's Mobile IPv6 needs root, or CAP_NET_ADMIN"
    return f"this kernel doesn't take Mobile IPv6's states: {os.strerror(number)}"


class Found(NamedTuple):
    """Something of ours in the kernel: a state of a home address (of nobody: the wildcard), or,
    where `kind` is 0, the `place`th of a home prefix's policies."""

    home: bytes
    kind: int
    place: int = 0


def found(ours: bytes) -> list[Found]:
    """All that is ours for an address, whoever made it. Raises OSError."""
    told: list[Found] = []
    with xfrm.open_socket() as one:
        one.setblocking(True)
        one.settimeout(_PATIENCE_S)
        for kind in (xfrm.OUT, xfrm.IN):
            one.send(xfrm.ask_states(kind, ours))
            told += [Found(each.home_address, each.kind) for each in _read(one, xfrm.states)]
        one.send(xfrm.ask_policies())
        of_ours = partial(xfrm.prefixes, ours=ours)
        told += [Found(prefix, 0, place) for prefix, place in _read(one, of_ours)]
    return sorted(told)


def sweep(ours: bytes) -> None:
    """Take all that away. Raises SystemRefusedError."""
    try:
        there = found(ours)
        with xfrm.open_socket() as one:
            requests = [
                request
                for prefix in {each.home for each in there if not each.kind}
                for request in xfrm.no_policies(ours, prefix)
            ]
            requests += [xfrm.no_state(each.kind, ours, each.home) for each in there if each.kind]
            for at in range(0, len(requests), _AT_A_TIME):
                one.send(b"".join(requests[at : at + _AT_A_TIME]))
    except OSError as error:
        raise SystemRefusedError(f"XFRM: {error.strerror or error}") from None


def _read(one: socket.socket, read: Callable[[bytes], Iterator[_Told | None]]) -> Iterator[_Told]:
    """What is told until that is over."""
    while True:
        for each in read(one.recv(xfrm.OCTETS)):
            if each is None:
                return
            yield each
