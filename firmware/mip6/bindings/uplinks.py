"""Which address to use: the usable ones of every uplink, and the best of them.

The choice (RFC 6724 section 5, as far as it goes beyond one interface), first things first:
- an address whose label is the correspondent's, where that is reached natively alone: a unique
  local address reaches no global one;
- the uplink of the best priority (lower is better), on one uplink the home address, then IPv6;
- the address in use: one that works is not left for a newer one beside it, nor since a router
  deprecates it, for anybody on the link may advertise;
- one that isn't deprecated, then the one that became usable last.

Addresses are judged by answers: one that brings none (`silent`) gives way to the next for a
minute, doubling to an hour, and is tried again then.

Of IPv4 and IPv6 on one uplink both are tried (ways.py): they are silent together. What leads to no
correspondent is never used.

An uplink that comes and goes costs two moves each time where another one works, so one that left
soon after it came, three times in a row or more, has to stay a while before it is preferred again:
half a second, doubling to half a minute. Where it is the only one, it is used at once.
"""

from ..addresses import is_ipv4
from ..compat import const

TYPE_CHECKING = const(False)
if TYPE_CHECKING:
    from typing import Any

    from .ways import Ways

_SHORT_LIFE = const(10000)  # ms: an uplink that leaves sooner than this after coming is unsteady
_TOLERATED = const(2)
_HOLD = const(500)  # ms
_HOLD_MAX = const(32000)
_SILENCE = const(60000)  # ms
_SILENCE_MAX = const(3600000)
_PATIENCE = const(12000)
ADDRESSES_MAX = const(16)


def _label(address: bytes) -> int:
    """The label of RFC 6724 section 2.1 for what may be a care-of address or a correspondent's."""
    if address[0] & 0xFE == 0xFC:  # fc00::/7
        return 13
    if address[:2] == b"\x20\x02":  # 6to4
        return 2
    if address[:4] == b"\x20\x01\x00\x00":  # Teredo
        return 5
    return 1


class _Entry:
    """An address that is usable. Times in milliseconds."""

    def __init__(self, uplink: str, address: bytes, came: int, eligible: int) -> None:
        self.uplink = uplink
        self.address = address
        self.came = came
        self.eligible = eligible  # from when on it may be preferred
        self.priority = 0
        self.preferred = True
        self.valid_until: int | None = None
        self.silences = 0  # in a row
        self.silent_until = 0


class Uplinks:
    """The usable addresses. `home_address`: 16 octets or None; `towards`: the correspondent's;
    `ways`: where they lead, or None: all of them do, natively."""

    def __init__(
        self, home_address: "bytes | None" = None, towards: "bytes | None" = None
    ) -> None:
        self.home_address = home_address
        self.towards = towards
        self.ways: Ways | None = None
        self._entries: list[_Entry] = []  # oldest first
        self._unsteady: dict[str, int] = {}  # uplink -> times in a row that it left soon

    def usable(
        self,
        uplink: str,
        priority: int,
        address: bytes,
        now: int,
        preferred: bool = True,
        valid_s: "int | None" = None,
    ) -> bool:
        """An address can be used from now on, or is told of again; whether it is new."""
        entry = self._find(uplink, address)
        new = entry is None
        if entry is None:
            excess = self._unsteady.get(uplink, 0) - _TOLERATED
            hold = min(_HOLD << excess, _HOLD_MAX) if excess > 0 else 0
            entry = _Entry(uplink, address, now, now + hold)
            entry.priority = priority
            self._entries.append(entry)
        entry.priority = priority
        entry.preferred = preferred
        entry.valid_until = None if valid_s is None else now + 1000 * valid_s
        if len(self._entries) > ADDRESSES_MAX:
            # the oldest of the worst: the newest may be what is needed
            self._entries.remove(max(self._entries, key=lambda one: self._rank(one, now, None)))
        return new

    def gone(self, uplink: str, address: bytes, now: int) -> None:
        """An address can't be used any more."""
        entry = self._find(uplink, address)
        if entry is not None:
            self._entries.remove(entry)
            soon = now - entry.came < _SHORT_LIFE
            self._unsteady[uplink] = min(self._unsteady.get(uplink, 0) + 1, 9) * soon

    def best(self, now: int, current: "bytes | None" = None) -> "tuple[str, bytes] | None":
        """(uplink, address) to use, or None. `current`: the address in use."""
        best = None
        for entry in self._entries:  # the oldest first, so that among equals the last wins
            if self.ways is not None and not self.ways.leads(entry.address):
                continue
            rank = self._rank(entry, now, current)
            if best is None or rank <= best[0]:
                best = (rank, entry)
        return best and (best[1].uplink, best[1].address)

    def silent(self, address: bytes, now: int, since: int) -> bool:
        """The address in use brings no answer since a while; whether there is another one to try.

        One that came before it on the same uplink belongs to a network that was left, or to a
        router that is still looked for: it has to wait longer.
        """
        other = False
        for entry in self._entries:
            if entry.address == address:
                for one in self._entries:
                    same = one.uplink == entry.uplink
                    if one.silent_until <= now and not (same and _beside(one, entry)):
                        older = same and one.came <= entry.came
                        other = other or not older or now - since >= _PATIENCE
                if other:
                    hold = min(_SILENCE << min(entry.silences, 6), _SILENCE_MAX)
                    for one in self._entries:
                        if one is entry or (one.uplink == entry.uplink and is_ipv4(one.address)):
                            one.silent_until = now + hold
                            one.silences += 1
        return other

    def answered(self, address: bytes) -> None:
        """An authentic answer came to this address, or to the IPv4 one beside it."""
        uplinks = self._uplinks_of(address)
        for entry in self._entries:
            beside = is_ipv4(entry.address) and entry.uplink in uplinks
            if entry.address == address or beside:
                entry.silences = entry.silent_until = 0

    def overlaps(self, address: bytes, uplink: str, now: int) -> bool:
        """Whether an address is usable on another uplink than this one, and not found silent: data
        may go on by it while this one is registered."""
        return any(
            entry.address == address and entry.uplink != uplink and entry.silent_until <= now
            for entry in self._entries
        )

    def beside(self, address: bytes) -> bool:
        """Whether the uplink of an IPv6 address has another: a router of elsewhere, maybe."""
        uplinks = self._uplinks_of(address)
        return any(
            entry.uplink in uplinks and entry.address != address and not is_ipv4(entry.address)
            for entry in self._entries
        )

    def ipv4_of(self, uplink: str) -> "bytes | None":
        """The IPv4 address of an uplink that came last, or None."""
        found = None
        for entry in self._entries:
            if entry.uplink == uplink and is_ipv4(entry.address):
                found = entry.address
        return found

    def _uplinks_of(self, address: bytes) -> "list[str]":
        return [entry.uplink for entry in self._entries if entry.address == address]

    def valid_until(self, address: bytes) -> "int | None":
        """When an address ceases to be valid; None for never, or an address that is unknown."""
        for entry in self._entries:
            if entry.address == address:
                return entry.valid_until
        return None

    def wakes_at(self, now: int) -> "int | None":
        """When the choice may change by itself, or None."""
        soonest = None
        for entry in self._entries:
            for at in (entry.eligible, entry.silent_until):
                if at > now and (soonest is None or at < soonest):
                    soonest = at
        return soonest

    def all(self) -> "list[tuple[str, int, bytes]]":
        """(uplink, priority, address) of every usable address."""
        return [(entry.uplink, entry.priority, entry.address) for entry in self._entries]

    def _find(self, uplink: str, address: bytes) -> "_Entry | None":
        for entry in self._entries:
            if entry.uplink == uplink and entry.address == address:
                return entry
        return None

    def _rank(self, entry: _Entry, now: int, current: "bytes | None") -> "tuple[Any, ...]":
        """The lower, the better."""
        ipv4 = is_ipv4(entry.address)
        strange = self.towards is not None and _label(entry.address) != _label(self.towards)
        if self.ways is not None and self.ways.inside(ipv4):
            strange = False
        return (
            entry.eligible > now,
            entry.silent_until > now,
            strange and entry.address != self.home_address,
            entry.priority,
            entry.address != self.home_address,
            ipv4,
            entry.address != current,
            not entry.preferred,
        )


def _beside(one: _Entry, other: _Entry) -> bool:
    """Whether of two entries of one uplink one is tried beside the other, or is that itself."""
    return one is other or is_ipv4(one.address) != is_ipv4(other.address)
