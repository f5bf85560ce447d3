"""What the parts of the correspondent hand to each other.

Addresses are 16 octets; instants are milliseconds since 1970; lifetimes are seconds.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from mip6 import keys
from mip6.limits import ADDRESS_OCTETS
from roamkey.registry.records import CONFIRMED, Binding, Change, Key


class Inbound(NamedTuple):
    """A packet for us from its extension header `next_header` on, addresses as in the IPv6 header.

    `scope`: the index of the interface that it came in by, where that matters, else 0.

    What came inside UDP is a whole IPv6 packet (`ENCAPSULATED`); then `source` is the outer one,
    an IPv4 address mapped, and `endpoint` says whence it came: see `endpoints`.
    """

    next_header: int
    payload: bytes
    source: bytes
    scope: int = 0
    endpoint: bytes = b""


class Reply(NamedTuple):
    """A packet to send from our address, from its extension header `next_header` on; or, with an
    `endpoint`, a whole one to send there inside UDP."""

    destination: bytes
    next_header: int
    payload: bytes
    scope: int = 0
    endpoint: bytes = b""


ENCAPSULATED = 41  # next header: a whole IPv6 packet comes (RFC 2473)


def encapsulated(endpoint: bytes, packet: bytes) -> Inbound:
    """What came inside UDP from a packed endpoint."""
    return Inbound(ENCAPSULATED, packet, endpoint[:ADDRESS_OCTETS], 0, endpoint)


# What became of a packet
ACCEPTED = "accepted"  # a binding was made or replaced
REMOVED = "removed"  # a binding was removed
REFUSED = "refused"  # authentic, and answered with a status of 128 or above
DROPPED = "dropped"  # no answer, but where a Binding Error is due
WAITING = "waiting"  # authentic, and answered when duplicate address detection is over
DATA = "data"  # from a bound node, for the upper layers
KEEPALIVE = "keepalive"  # from a bound node, for a NAT on the way
TESTED = "tested"  # a Home or Care-of Test Init, and its answer

# What a binding is authorized by
STATIC_KEY = "static key"
RETURN_ROUTABILITY = "return routability"


@dataclass(slots=True)
class Verdict:
    """What became of a packet, and why; what must be durable; what to answer then.

    `reason` names the drop or refusal for the counters. The fields from `sequence` on are set for
    authentic Binding Updates only; `generation` is None under return routability.
    """

    outcome: str
    reason: str = ""
    source: bytes = b""
    home_address: bytes = b""
    reply: Reply | None = None
    change: Change | None = None
    care_of_address: bytes = b""
    sequence: int = 0
    generation: int | None = 0
    status: int = 0
    lifetime: int = 0
    previous: bytes = b""  # the care-of address before; none where there was no binding
    endpoint: bytes = b""  # that it came from

    @property
    def authorized_by(self) -> str:
        """Of an authentic Binding Update: by what."""
        return RETURN_ROUTABILITY if self.generation is None else STATIC_KEY


def dropped(inbound: Inbound, reason: str, home_address: bytes | None = None) -> Verdict:
    """The verdict on a packet that is dropped."""
    return Verdict(DROPPED, reason, inbound.source, home_address or b"")


class LiveKey:
    """A key of the registry, ready to verify with."""

    __slots__ = (
        "care_of_nonce",
        "confirmed",
        "generation",
        "home_token",
        "key_id",
        "last_sequence",
        "lifetime",
        "prepared",
    )

    def __init__(self, key: Key, home_address: bytes) -> None:
        """Prepare `key`; the home keygen token is the same for every care-of address."""
        self.key_id = key.key_id
        self.generation = key.generation
        self.lifetime = key.lifetime
        self.confirmed = key.state == CONFIRMED
        self.last_sequence = key.last_sequence
        self.care_of_nonce = key.care_of_nonce
        self.prepared = keys.hmac_key(key.kcn)
        self.home_token = keys.home_keygen_token(self.prepared, home_address, key.home_nonce)

    def binding_management_key(self, care_of_address: bytes | None) -> bytes:
        """Kbm for a care-of address, or, for None, the one that removes a binding."""
        token = care_of_address and keys.care_of_keygen_token(
            self.prepared, care_of_address, self.care_of_nonce
        )
        kbm: bytes = keys.binding_management_key(self.home_token, token)
        return kbm


@dataclass(slots=True)
class Peer:
    """A pair in memory: its live keys, the earliest generation first, and its binding."""

    pair_id: int
    home_address: bytes
    refused: bool
    keys: list[LiveKey] = field(repr=False)
    binding: Binding | None = None
    watched_ms: int | None = None  # when the cache looks whether the binding is over
    name: str | None = None  # what people call it
