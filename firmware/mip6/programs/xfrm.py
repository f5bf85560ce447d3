"""Messages of the Linux kernel's own Mobile IPv6 (linux/xfrm.h), a node's end: octets only.

Towards a correspondent there are two states: OUT puts a Home Address option into what leaves from
the home address, IN takes type 2 routing headers off. Policies have the kernel look for them; what
is without one of its own leaves nowhere. All are leases, which the kernel ends by itself. The
correspondent's end is roamkey.correspondent.dataplane.xfrm; of both, what is known by numbers of
its own (a state's request identifier, a policy's priority) is ours.

Numbers are in the machine's byte order.
"""

import struct
from socket import AF_INET6

from ..compat import const
from ..ports.netlink import NATIVE

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Iterator

PROTOCOL = const(6)  # NETLINK_XFRM
OUT = const(60)  # Destination Options
IN = const(43)  # Routing
KINDS = (OUT, IN)
REQUEST_ID = const(0x726D)  # `ip xfrm state` shows "reqid 29293"
# Those of IPsec come first. Signalling has its own headers already, or is for a node at home.
_OF_SIGNALLING = const(0x726D0000)
_OF_DATA = const(0x726D0001)
SIGNALLING = const(0)
OUTWARD = const(1)
INWARD = const(2)
POLICIES = (SIGNALLING, OUTWARD, INWARD)

_NEWSA = const(0x10)
_DELSA = const(0x11)
_GETSA = const(0x12)
_NEWPOLICY = const(0x13)
_DELPOLICY = const(0x14)
_GETPOLICY = const(0x15)
_UPDPOLICY = const(0x19)
_UPDSA = const(0x1A)
_TMPL = const(5)
_SRCADDR = const(13)
_COADDR = const(14)
_SET_MARK = const(29)
_SET_MARK_MASK = const(30)
_REQUEST = const(0x5)  # NLM_F_REQUEST, NLM_F_ACK
_NEW = const(0x600)  # NLM_F_CREATE, NLM_F_EXCL
_ERROR = const(2)
_ROUTE_OPTIMIZATION = const(2)  # XFRM_MODE_ROUTEOPTIMIZATION
_MOBILITY = const(135)
_DIR_IN = const(0)
_DIR_OUT = const(1)
_BLOCK = const(1)  # XFRM_POLICY_BLOCK
_MARK = const(0x726B6579)  # see `state`
BITS = const(128)
_REQUEST_ID_AT = const(208)  # in a state
_PRIORITY_AT = const(152)  # in a policy
_ANY = bytes(16)
_EVER = b"\xff" * 32  # octets and packets without limit


def state(kind: int, home: bytes, correspondent: bytes, care_of: bytes, seconds: int,
          new: bool) -> bytes:  # fmt: skip
    """The octets that have the kernel make a state, or change it; `seconds` after it was made it
    ends by itself."""
    source, destination = _ends(kind == OUT, home, correspondent)
    body = (
        _selector(_ANY, _ANY, 0, 0)
        + _id(destination, kind)
        + source
        + _lifetime(seconds)
        + bytes(32 + 12)  # what it has passed, statistics
        + struct.pack(NATIVE + "IIHBBB", 0, REQUEST_ID, AF_INET6, _ROUTE_OPTIMIZATION, 0, 0)
        + bytes(7)
        + attribute(_COADDR, care_of)
        # Without a mark to set the kernel keeps to the route of the care-of address before; this
        # one sets no bit.
        + attribute(_SET_MARK, struct.pack(NATIVE + "I", _MARK))
        + attribute(_SET_MARK_MASK, bytes(4))
    )
    return message(_NEWSA if new else _UPDSA, body, _NEW if new else 0)


def no_state(kind: int, home: bytes, correspondent: bytes) -> bytes:
    """The octets that take one away."""
    return message(_DELSA, _one_state(kind, home, correspondent))


def ask_state(kind: int, home: bytes, correspondent: bytes) -> bytes:
    """The octets that ask for one: see `is_ours`."""
    return message(_GETSA, _one_state(kind, home, correspondent))


def policy(which: int, home: bytes, correspondent: bytes, seconds: int, bound: bool) -> bytes:
    """The octets that make one of POLICIES, or change it; where the node isn't `bound` nothing
    leaves by it."""
    blocks = which == OUTWARD and not bound
    body = (
        _selector_of(which, home, correspondent)
        + _lifetime(seconds)
        + bytes(32)
        + struct.pack(NATIVE + "II", _of(which), 0)
        + bytes((_DIR_IN if which == INWARD else _DIR_OUT, _BLOCK if blocks else 0, 0, 0))
        + bytes(4)
    )
    if which != SIGNALLING and not blocks:
        template = (
            _id(_ANY, OUT if which == OUTWARD else IN)
            + struct.pack(NATIVE + "HH", AF_INET6, 0)
            + _ANY
            # Inward it is optional: the home agent's packets have no routing header.
            + struct.pack(NATIVE + "IBBBB", REQUEST_ID, _ROUTE_OPTIMIZATION, 0, which == INWARD, 0)
            + b"\xff" * 12  # every algorithm
        )
        body += attribute(_TMPL, template)
    return message(_UPDPOLICY, body)


def no_policy(which: int, home: bytes, correspondent: bytes) -> bytes:
    """The octets that take one away."""
    return message(_DELPOLICY, _one_policy(which, home, correspondent))


def ask_policy(which: int, home: bytes, correspondent: bytes) -> bytes:
    """The octets that ask for one: see `is_ours`."""
    return message(_GETPOLICY, _one_policy(which, home, correspondent))


def is_ours(told: bytes) -> bool | None:
    """Whether the state or policy that was told is ours; None where there is none."""
    for kind, body in messages(told):
        if kind == _NEWSA and len(body) >= _REQUEST_ID_AT + 4:
            return bool(_number(body, _REQUEST_ID_AT) == REQUEST_ID)
        if kind == _NEWPOLICY and len(body) >= _PRIORITY_AT + 4:
            return _number(body, _PRIORITY_AT) in (_OF_SIGNALLING, _OF_DATA)
    return None


def refused(told: bytes) -> int | None:
    """The errno in an answer, 0 where it was done; None where it is none."""
    for kind, body in messages(told):
        if kind == _ERROR and len(body) >= 4:
            return -int(struct.unpack(NATIVE + "i", body[:4])[0])
    return None


def message(kind: int, body: bytes, flags: int = 0) -> bytes:
    """The octets of a request, which is acknowledged."""
    head = 16 + len(body), kind, _REQUEST | flags, 1, 0
    return struct.pack(NATIVE + "IHHII", *head) + body


def attribute(kind: int, value: bytes) -> bytes:
    """The octets of an attribute, a multiple of four long."""
    return struct.pack(NATIVE + "HH", 4 + len(value), kind) + value


def messages(told: bytes) -> "Iterator[tuple[int, bytes]]":
    """Type and body of each message of a netlink family."""
    at = 0
    while at + 16 <= len(told):
        size, kind = struct.unpack(NATIVE + "IH", told[at : at + 6])
        if size < 16:
            return
        yield kind, told[at + 16 : at + size]
        at += (size + 3) & ~3


def _number(body: bytes, at: int) -> int:
    return int(struct.unpack(NATIVE + "I", body[at : at + 4])[0])


def _ends(outward: bool, home: bytes, correspondent: bytes) -> tuple[bytes, bytes]:
    return (home, correspondent) if outward else (correspondent, home)


def _id(destination: bytes, protocol: int) -> bytes:
    return destination + struct.pack(NATIVE + "I", 0) + bytes((protocol, 0, 0, 0))


def _lifetime(seconds: int) -> bytes:
    return _EVER + struct.pack(NATIVE + "QQQQ", 0, seconds, 0, 0)


def _selector(source: bytes, destination: bytes, bits: int, protocol: int) -> bytes:
    return (
        destination
        + source
        + struct.pack(NATIVE + "HHHHH", 0, 0, 0, 0, AF_INET6)
        + bytes((bits, bits, protocol, 0, 0, 0))
        + bytes(8)  # interface, user
    )


def _selector_of(which: int, home: bytes, correspondent: bytes) -> bytes:
    source, destination = _ends(which != INWARD, home, correspondent)
    return _selector(source, destination, BITS, _MOBILITY if which == SIGNALLING else 0)


def _of(which: int) -> int:
    return _OF_SIGNALLING if which == SIGNALLING else _OF_DATA


def _one_state(kind: int, home: bytes, correspondent: bytes) -> bytes:
    source, destination = _ends(kind == OUT, home, correspondent)
    which = destination + struct.pack(NATIVE + "IHBB", 0, AF_INET6, kind, 0)
    return which + attribute(_SRCADDR, source)


def _one_policy(which: int, home: bytes, correspondent: bytes) -> bytes:
    direction = bytes((_DIR_IN if which == INWARD else _DIR_OUT, 0, 0, 0))
    selector = _selector_of(which, home, correspondent)
    return selector + struct.pack(NATIVE + "I", 0) + direction
