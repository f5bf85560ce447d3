"""Fingerprints of keys that gave out numbers here: a key whose counter is lost never starts at 0.

The record `used` outlives the keys, an erase too. It holds marks, 8 octets of a SHA-1 each, which
tell no key: those of keys that are gone, and those of one set, written before that set is put in
place, and again as `placed` when it is. So whatever becomes of the set's own records, its keys are
known. Marks of a set that a cut kept from its place don't count: its keys may be sent again.
"""

import hashlib

from ..compat import const
from ..keys import canonical
from ..keystore.records import DAMAGED, STORAGE_ERROR, USED, Damaged, pack, unpack
from ..limits import SET_ID_OCTETS

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from ..keystore.keyset import Credentials
    from ..keystore.keystore import Keystore

_LABEL = b"roamkey used 1"
_MARK = const(8)  # octets
_KEPT = const(60)  # of keys that are gone: with a usual set's four it is half a kilobyte
_KIND = const(0x46)  # "F"
_VERSION = const(1)
_PLACED = const(0x80)


def mark_of(kcn: bytes) -> bytes:
    """The fingerprint (8 octets) of a Kcn; the same for all that HMAC takes for one key."""
    return hashlib.sha1(_LABEL + canonical(kcn)).digest()[:_MARK]


def spent_marks(keystore: "Keystore") -> "list[bytes]":
    """Marks of the keys that gave out numbers, or may have; the latest last. Raises OSError."""
    set_id, placed, earlier, latest = _read(keystore.stored(USED))
    known, ledger = keystore.known, keystore.ledger
    gone = []
    if known is not None:
        for index, peer in enumerate(known.peers):
            for number, kcn in peer.generations:
                last = number if ledger is None else ledger.generations[index]
                if number < last or (number == last and (ledger is None or ledger.limits[index])):
                    gone.append(mark_of(kcn))
    elif placed or keystore.status in (DAMAGED, STORAGE_ERROR) or keystore.counted(set_id):
        gone = latest
    earlier = [mark for mark in earlier if mark not in gone]
    return earlier[max(0, len(earlier) + len(gone) - _KEPT) :] + gone


def used_record(
    spent: "list[bytes]", credentials: "Credentials | None", placed: bool = False
) -> bytes:
    """The record `used`: `spent`, and the marks of a set. `placed`: whether that is in place."""
    latest = []
    set_id = bytes(SET_ID_OCTETS)
    if credentials is not None:
        set_id = credentials.set_id
        latest = [mark_of(kcn) for peer in credentials.peers for _, kcn in peer.generations]
    head = set_id + bytes([len(latest) >> 8 | placed * _PLACED, len(latest) & 255])
    return pack(_KIND, _VERSION, head + b"".join(spent) + b"".join(latest))


def _read(record: bytes | None) -> "tuple[bytes, int, list[bytes], list[bytes]]":
    """(set id, whether it is placed, marks before that set's, marks of that set); all empty where
    nothing is usable."""
    try:
        body = unpack(_KIND, _VERSION, record or b"")
    except Damaged:
        return b"", 0, [], []
    first = SET_ID_OCTETS + 2
    marks = [body[at : at + _MARK] for at in range(first, len(body), _MARK)]
    high, low = body[SET_ID_OCTETS:first]
    border = len(marks) - ((high & ~_PLACED) << 8 | low)
    return body[:SET_ID_OCTETS], high & _PLACED, marks[:border], marks[border:]
