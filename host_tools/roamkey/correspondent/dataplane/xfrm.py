"""Messages of the kernel's XFRM (linux/xfrm.h), as far as route optimization needs them.

A node that is bound has two states: `OUT`, which puts a type 2 routing header into what goes to
its home address, and `IN`, which takes Home Address options from its care-of address. A policy
for each direction of a home prefix has the kernel look for them; what has none passes as it is.

Ours are known by their request identifier and, of states, our address. pyroute2 has none of these
messages (0.9.7).
"""

import errno
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

OUT, IN = 43, 60  # protocols of states: Routing, Destination Options
REPORTS = 1 << 6 - 1  # the group that tells of Home Address options without a state
REQUEST_ID = 0x726B  # of ours: `ip xfrm state` shows "reqid 29291"
# Another one than policies ask for: what it alone takes is refused, and so reported.
_OF_WILDCARD = REQUEST_ID + 1

_NETLINK_XFRM = 6
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ATTRIBUTE = struct.Struct("=HH")
_REQUEST, _ACK, _EXCLUSIVE_NEW, _DUMP = 0x1, 0x4, 0x600, 0x300
_ERROR, _DONE = 2, 3
_NEWSA, _DELSA, _GETSA, _NEWPOLICY, _DELPOLICY, _GETPOLICY = range(0x10, 0x16)
_UPDSA, _REPORT = 0x1A, 0x20
_TMPL, _SRCADDR, _COADDR, _PROTO, _FILTER = 5, 13, 14, 25, 26
_SET_MARK, _SET_MARK_MASK = 29, 30

_RO = 2  # XFRM_MODE_ROUTEOPTIMIZATION
_WILDCARD = 8  # XFRM_STATE_WILDRECV
_DIR_IN, _DIR_OUT = 0, 1
_MOBILITY = 135
_PREFIX = 64
_LOW, _LOWER = 0x7FFF0000, 0x7FFF0001  # priorities: the policies of others come first
# To another care-of address: without a mark to set the kernel goes on with the route to the one
# before. This one sets no bit of any packet.
_NO_MARK = 0x726B6579, 0

_OPTIONAL = 1  # what finds no state passes without
_EVERY = 0xFFFFFFFF  # algorithm

_ANY = bytes(16)
_SELECTOR = struct.Struct("=16s16sHHHHHBBB3xiI")
_ID = struct.Struct("=16sIB3x")
_LIFETIME = struct.Struct("=8Q")
_SA = struct.Struct("=56s24s16s64s32s12sIIHBBB7x")
_SA_ID = struct.Struct("=16sIHBx")
_POLICY = struct.Struct("=56s64s32sIIBBBB4x")
_POLICY_ID = struct.Struct("=56sIB3x")
_TEMPLATE = struct.Struct("=24sH2x16sIBBBxIII")
_ADDRESS_FILTER = struct.Struct("=16s16sHBB")
_FOREVER = 0xFFFFFFFFFFFFFFFF
_EVERYTHING = _SELECTOR.pack(_ANY, _ANY, 0, 0, 0, 0, socket.AF_INET6, 0, 0, 0, 0, 0)
_DUMPED_SA = struct.Struct("=56x16s4xB3x16s64xQQ16x12x4xI")  # see `states`
_DUMPED_POLICY = struct.Struct("=16s16s10xBBB")
OCTETS = 65536


class State(NamedTuple):
    """One of ours, as the kernel has it: `kind`: OUT or IN; `octets`, `packets`: it passed."""

    home_address: bytes
    kind: int
    octets: int
    packets: int
    care_of_address: bytes


def open_socket(groups: int = 0) -> socket.socket:
    """A socket to the kernel's XFRM, non-blocking. Raises OSError."""
    one = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_XFRM)
    try:
        one.setblocking(False)
        one.bind((0, groups))
    except OSError:
        one.close()
        raise
    return one


# --- states


def state(
    kind: int, ours: bytes, home: bytes, care_of: bytes, seconds: int, sequence: int, new: bool
) -> bytes:
    """A request for a state; `seconds`: after its making it ends by itself."""
    source, destination = (ours, home) if kind == OUT else (home, ours)
    kind_of = (_NEWSA, _EXCLUSIVE_NEW) if new else (_UPDSA, 0)
    body = _sa(kind, source, destination, 0, _lifetime(seconds))
    body += _attribute(_COADDR, care_of) + _mark()
    return _message(kind_of[0], body, sequence, kind_of[1])


def no_state(kind: int, ours: bytes, home: bytes, sequence: int = 0) -> bytes:
    """A request to take one away."""
    return _message(_DELSA, _one_state(kind, ours, home), sequence)


def ask_state(kind: int, ours: bytes, home: bytes, sequence: int) -> bytes:
    """A request for what the kernel has of one: see `states`."""
    return _message(_GETSA, _one_state(kind, ours, home), sequence)


def wildcard(ours: bytes) -> bytes:
    """A request for the state that has the kernel report Home Address options without one."""
    body = (
        _sa(IN, _ANY, ours, _WILDCARD, _lifetime(0), _OF_WILDCARD)
        + _attribute(_COADDR, _ANY)
        + _mark()
    )
    return _message(_NEWSA, body, 0, _EXCLUSIVE_NEW | _ACK)


def no_wildcard(ours: bytes) -> bytes:
    """A request to take it away."""
    return no_state(IN, ours, _ANY)


def ask_states(kind: int, ours: bytes) -> bytes:
    """A request for all states of a kind that have our address: see `states`."""
    source, destination = (ours, _ANY) if kind == OUT else (_ANY, ours)
    lengths = (128, 0) if kind == OUT else (0, 128)
    chosen = _ADDRESS_FILTER.pack(source, destination, socket.AF_INET6, *lengths)
    body = _attribute(_FILTER, chosen) + _attribute(_PROTO, bytes((kind,)))
    return _message(_GETSA, body, 1, _DUMP)


def states(told: bytes) -> Iterator[State | None]:
    """Those of ours in what was read; None: that was the last."""
    for kind, body in _messages(told):
        if kind in (_DONE, _ERROR):
            yield None
            return
        if kind != _NEWSA or len(body) < _SA.size:
            continue
        destination, protocol, source, octets, count, request = _DUMPED_SA.unpack_from(body)
        if request in (REQUEST_ID, _OF_WILDCARD) and protocol in (OUT, IN):
            home = destination if protocol == OUT else source
            yield State(
                home, protocol, octets, count, _attributes(body, _SA.size).get(_COADDR, b"")
            )


# --- policies


def policies(ours: bytes, home: bytes, node: bool = False) -> list[bytes]:
    """Requests for what a home prefix, that of a home address, needs; those of a `node` there are
    the same the other way round."""
    made = []
    for direction, protocol, priority, kind in _of_node() if node else _WANTED:
        selector = _selector((direction == _DIR_IN) != node, ours, home, protocol)
        body = _POLICY.pack(selector, _lifetime(0), bytes(32), priority, 0, direction, 0, 0, 0)
        if kind:
            body += _attribute(
                _TMPL,
                _TEMPLATE.pack(
                    _ID.pack(_ANY, 0, kind), socket.AF_INET6, _ANY, REQUEST_ID, _RO, 0, _OPTIONAL,
                    _EVERY, _EVERY, _EVERY,
                ),
            )  # fmt: skip
        made.append(_message(_NEWPOLICY, body, 0, _EXCLUSIVE_NEW | _ACK))
    return made


def no_policies(ours: bytes, home: bytes, node: bool = False) -> list[bytes]:
    """Requests to take them away."""
    made = []
    for direction, protocol, _, _ in _of_node() if node else _WANTED:
        selector = _selector((direction == _DIR_IN) != node, ours, home, protocol)
        made.append(_message(_DELPOLICY, _POLICY_ID.pack(selector, 0, direction), 0))
    return made


def ask_policies() -> bytes:
    """A request for all policies: see `prefixes`."""
    return _message(_GETPOLICY, b"", 1, _DUMP)


def prefixes(told: bytes, ours: bytes) -> Iterator[tuple[bytes, int] | None]:
    """Of our policies in what was read: the home prefix, and which of its policies that is; None:
    that was the last."""
    for kind, body in _messages(told):
        if kind in (_DONE, _ERROR):
            yield None
            return
        if kind != _NEWPOLICY or len(body) < _POLICY.size:
            continue
        destination, source, _, _, protocol = _DUMPED_POLICY.unpack_from(body)
        _, _, _, priority, _, direction, _, _, _ = _POLICY.unpack_from(body)
        for place, (way, of, low, _) in enumerate(_WANTED):
            if (direction, protocol, priority) == (way, of, low):
                here, there = (source, destination) if way == _DIR_OUT else (destination, source)
                if here == ours:
                    yield there, place


#: Direction, protocol, priority, kind of state looked for. Our own signalling has its routing
#: header already, or is for a node that is at home.
_WANTED = (
    (_DIR_OUT, _MOBILITY, _LOW, 0),
    (_DIR_OUT, 0, _LOWER, OUT),
    (_DIR_IN, 0, _LOWER, IN),
)
POLICIES = len(_WANTED)


def _of_node() -> list[tuple[int, int, int, int]]:
    other = {OUT: IN, IN: OUT, 0: 0}
    return [(direction, protocol, low, other[kind]) for direction, protocol, low, kind in _WANTED]


def prefix_of(home: bytes) -> bytes:
    """The home prefix, as an address."""
    return home[: _PREFIX // 8] + bytes(16 - _PREFIX // 8)


# --- what is told


def reports(told: bytes) -> Iterator[tuple[bytes, bytes, bytes, int]]:
    """Of packets without a state: home address, the one it was for, care-of address, protocol."""
    for kind, body in _messages(told):
        if kind == _REPORT and len(body) >= 4 + _SELECTOR.size:
            ours, home, _, _, _, _, _, _, _, protocol, _, _ = _SELECTOR.unpack_from(body, 4)
            care_of = _attributes(body, 4 + _SELECTOR.size).get(_COADDR)
            if care_of is not None:
                yield home, ours, care_of, protocol


def errors(told: bytes) -> Iterator[tuple[int, int]]:
    """What the kernel refused: sequence and errno; 0: nothing, it was asked to say so."""
    for kind, sequence, body in _all_messages(told):
        if kind == _ERROR and len(body) >= 4:
            yield sequence, -struct.unpack_from("=i", body)[0]


def ask(one: socket.socket, request: bytes) -> int:
    """Have something done that is acknowledged; errno, or 0."""
    one.send(request)
    with suppress(BlockingIOError):
        for _, number in errors(one.recv(OCTETS)):
            return number
    return errno.ENODATA


def acknowledged(request: bytes) -> bytes:
    """The request, whose success is told as well."""
    length, kind, flags, sequence, port = _HEADER.unpack_from(request)
    return _HEADER.pack(length, kind, flags | _ACK, sequence, port) + request[_HEADER.size :]


def _message(kind: int, body: bytes, sequence: int, flags: int = 0) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, sequence, 0) + body


def _attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def _mark() -> bytes:
    value, mask = _NO_MARK
    return _attribute(_SET_MARK, struct.pack("=I", value)) + _attribute(
        _SET_MARK_MASK, struct.pack("=I", mask)
    )


def _lifetime(seconds: int) -> bytes:
    without = (_FOREVER,) * 4
    return _LIFETIME.pack(*without, 0, seconds, 0, 0)


def _sa(
    kind: int,
    source: bytes,
    destination: bytes,
    flags: int,
    lifetime: bytes,
    request: int = REQUEST_ID,
) -> bytes:
    return _SA.pack(
        _EVERYTHING, _ID.pack(destination, 0, kind), source, lifetime, bytes(32), bytes(12),
        0, request, socket.AF_INET6, _RO, 0, flags,
    )  # fmt: skip


def _one_state(kind: int, ours: bytes, home: bytes) -> bytes:
    source, destination = (ours, home) if kind == OUT else (home, ours)
    which = _SA_ID.pack(destination, 0, socket.AF_INET6, kind)
    return which + _attribute(_SRCADDR, source)


def _selector(from_home: bool, ours: bytes, home: bytes, protocol: int) -> bytes:
    prefix = prefix_of(home)
    ends = (ours, prefix) if from_home else (prefix, ours)
    lengths = (128, _PREFIX) if from_home else (_PREFIX, 128)
    return _SELECTOR.pack(*ends, 0, 0, 0, 0, socket.AF_INET6, *lengths, protocol, 0, 0)


def _all_messages(told: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(told):
        length, kind, _, sequence, _ = _HEADER.unpack_from(told, at)
        yield kind, sequence, told[at + _HEADER.size : at + length]
        at += max(_HEADER.size, length + 3 & ~3)


def _messages(told: bytes) -> Iterator[tuple[int, bytes]]:
    for kind, _, body in _all_messages(told):
        yield kind, body


def _attributes(body: bytes, at: int) -> dict[int, bytes]:
    given = {}
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        given[kind] = body[at + _ATTRIBUTE.size : at + length]
        at += max(_ATTRIBUTE.size, length + 3 & ~3)
    return given
