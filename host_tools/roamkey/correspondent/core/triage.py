"""What is looked at where more comes than can be (no I/O).

A look at a packet's fixed places costs a hundredth of judging it. So of a large burst everything
is sorted first: what no key is known for is dropped at once, but a share for who needs none
(`routability`), behind all others; each home address has its share,
and in it comes first what is likeliest its node's own: the number next to the last accepted one,
the care-of address that is bound, the first numbers of a new key. Of what is laid out otherwise
each source has a share. What few send is judged whole: the order of the checks is the cache's.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from heapq import nsmallest

from mip6 import messages, packets
from roamkey.correspondent.core import entries
from roamkey.correspondent.core.entries import Inbound, Peer

CALM = 256  # so many packets at a time are nothing to choose from
_STRANGERS = 16  # home addresses without a key, judged all the same: they are told of by name
_NEAREST, _BOUND, _FIRST = 4, 2, 2  # of a home address: see above
_DATA = 4  # and of what isn't signalling
_GUESTS = 64  # tests and updates of nodes without a key
_GUESTS_EACH = 2  # of a source
_OTHERS = 128
_OTHERS_EACH = 8  # of a source

FLOOD = "flood"
_NO_KEY = "no key"

_OPTION = packets.home_address_option(b"", packets.MOBILITY)
_HEAD = slice(1, len(_OPTION))
_HEAD_IS = _OPTION[_HEAD]
_HOME = slice(len(_OPTION), packets.EXTENSION_OCTETS)
_NUMBER_AT: int = messages.CHECKSUM_AT + 2
_NUMBER_AWAY_AT: int = packets.EXTENSION_OCTETS + _NUMBER_AT
_NUMBER_INSIDE_AT: int = packets.IPV6_HEADER_OCTETS + _NUMBER_AT
_INNER_SOURCE = slice(8, 24)
_INNER_NEXT_HEADER = slice(6, 7)
_MOBILITY = bytes((packets.MOBILITY,))
_KIND = slice(2, 3)
_OPTIONS = slice(12, 48)
_INITS = (bytes((messages.HOME_TEST_INIT,)), bytes((messages.CARE_OF_TEST_INIT,)))
_UPDATE = bytes((messages.BINDING_UPDATE,))
_INDICES = bytes((messages.NONCE_INDICES, 4))  # type and length of the option
_BEFORE_ALL = -1

_Drops = Counter[tuple[str, str]]


def choose(
    burst: list[Inbound], peer_of: Callable[[bytes], Peer | None], serves_guests: bool = False
) -> tuple[list[Inbound], _Drops]:
    """Of a burst, what is to be judged; and what wasn't, by (outcome, reason). `serves_guests`:
    return routability is on."""
    drops: _Drops = Counter()
    if len(burst) <= CALM:
        return burst, drops
    by_home: dict[bytes, list[Inbound]] = {}
    chosen: list[Inbound] = []
    guests: list[Inbound] = []
    others: list[Inbound] = []
    strangers = 0
    for packet in burst:
        if packet.endpoint:
            home = packet.payload[_INNER_SOURCE]
        elif packet.next_header == packets.MOBILITY:
            home = packet.source
        elif packet.payload[_HEAD] == _HEAD_IS:
            home = packet.payload[_HOME]
        else:
            others.append(packet)
            continue
        known = by_home.get(home)
        if known is not None:
            known.append(packet)
        elif peer_of(home) is not None:
            by_home[home] = [packet]
        elif serves_guests and _is_of_guest(packet):
            guests.append(packet)
        elif strangers < _STRANGERS or not _is_signalling(packet):
            strangers += _is_signalling(packet)
            others.append(packet)
        else:
            strangers += 1
    if strangers > _STRANGERS:
        drops[entries.DROPPED, _NO_KEY] += strangers - _STRANGERS
    for home, found in by_home.items():
        if len(found) <= _NEAREST:
            chosen += found
        else:
            peer = peer_of(home)
            chosen += found if peer is None else _likeliest(found, peer)
    chosen += _shares(guests, _GUESTS, _GUESTS_EACH)
    chosen += _shares(others, _OTHERS, _OTHERS_EACH)
    flood = len(burst) - len(chosen) - drops.total()
    if flood:
        drops[entries.DROPPED, FLOOD] += flood
    return chosen, drops


def _likeliest(found: list[Inbound], peer: Peer) -> list[Inbound]:
    """Of what claims to be one node's, what is likeliest its own; in the order of arrival."""
    last = peer.keys[0].last_sequence
    after = _BEFORE_ALL if last is None else last
    bound = None
    if peer.binding is not None:
        bound = peer.binding.endpoint or peer.binding.care_of_address
    numbers = {
        at: _number(packet)
        for at, packet in enumerate(found)
        if _is_signalling(packet) and len(packet.payload) >= _number_at(packet) + 2
    }
    fresh = [(number, at) for at, number in numbers.items() if number > after]
    taken = {at for _, at in nsmallest(_NEAREST, fresh)}
    taken.update(
        at
        for _, at in nsmallest(_BOUND, (one for one in fresh if _whence(found[one[1]]) == bound))
    )
    stale = ((number, at) for at, number in numbers.items() if number <= after)
    taken.update(at for _, at in nsmallest(_FIRST, stale))
    data = (at for at in range(len(found)) if at not in numbers)
    taken.update(at for at, _ in zip(data, range(_DATA), strict=False))
    return [found[at] for at in sorted(taken)]


def _shares(others: Iterable[Inbound], most: int, each: int) -> list[Inbound]:
    """Some of each source, in the order of arrival."""
    counts: Counter[bytes] = Counter()
    taken: list[Inbound] = []
    for packet in others:
        if counts[packet.source] < each:
            counts[packet.source] += 1
            taken.append(packet)
            if len(taken) == most:
                break
    return taken


def _is_of_guest(packet: Inbound) -> bool:
    """Whether it looks like what return routability is made of: an Init, or an update with nonce
    indices."""
    if packet.endpoint:
        return False
    if packet.next_header == packets.MOBILITY:
        header = packet.payload
        if header[_KIND] in _INITS:
            return True
    else:
        header = packet.payload[packets.EXTENSION_OCTETS :]
    return header[_KIND] == _UPDATE and _INDICES in header[_OPTIONS]


def _is_signalling(packet: Inbound) -> bool:
    if packet.endpoint:
        return packet.payload[_INNER_NEXT_HEADER] == _MOBILITY
    return packets.MOBILITY in (packet.next_header, packet.payload[0])


def _whence(packet: Inbound) -> bytes:
    return packet.endpoint or packet.source


def _number_at(packet: Inbound) -> int:
    if packet.endpoint:
        return _NUMBER_INSIDE_AT
    return _NUMBER_AT if packet.next_header == packets.MOBILITY else _NUMBER_AWAY_AT


def _number(packet: Inbound) -> int:
    at = _number_at(packet)
    return int.from_bytes(packet.payload[at : at + 2], "big")
