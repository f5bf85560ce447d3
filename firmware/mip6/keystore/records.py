"""Names of the key store's records, and the envelope of every record in flash (docs/SPEC.md).

The envelope: kind, version, length of the body, body, CRC-32.

A record is whole or it is nothing: a file that is empty, cut short, longer than it says or altered
in any bit raises `Damaged`, and the caller refuses to go on. A checksum is no protection against
somebody who writes to the flash on purpose; nothing on these boards is.
"""

import binascii
import struct

from ..compat import const

#: The records: the key set, which of two slots holds its counters; the counters of a set, one slot
#: in use; a mark that old keys are still to be overwritten; fingerprints of keys once used.
KEYS = "keys"
SLOTS = ("seq/0", "seq/1")
SCRUB = "scrub"
USED = "used"

# What Keystore.load() finds; status.py has a line for a person on each.
READY = "ready"
EMPTY = "empty"
UNFINISHED = "unfinished"
DAMAGED = "damaged"
NO_COUNTER = "no_counter"
STORAGE_ERROR = "storage_error"

_HEADER = const(4)  # kind, version, length of the body (16 bits)
_CHECKSUM = const(4)
_OVERHEAD = const(8)


class Damaged(Exception):
    """A stored record that can't be used; the message says why and quotes none of it."""


def pack(kind: int, version: int, body: bytes) -> bytes:
    """Return `body` (at most 65,535 octets) in its envelope; `kind` and `version` are octets."""
    record = struct.pack(">BBH", kind, version, len(body)) + body
    return record + struct.pack(">I", binascii.crc32(record) & 0xFFFFFFFF)


def unpack(kind: int, version: int, record: bytes) -> bytes:
    """Return the body of `record`, which must be of this kind and version; raises Damaged."""
    size = len(record)
    if size == 0:
        raise Damaged("empty record")
    if size < _OVERHEAD:
        raise Damaged("record cut short")
    found, release, length = struct.unpack(">BBH", record[:_HEADER])
    if length != size - _OVERHEAD:
        raise Damaged("record of the wrong length")
    end = size - _CHECKSUM
    if struct.unpack(">I", record[end:])[0] != binascii.crc32(record[:end]) & 0xFFFFFFFF:
        raise Damaged("checksum wrong")
    if found != kind:
        raise Damaged("record of another kind")
    if release != version:
        raise Damaged("record of an unknown version")
    return record[_HEADER:end]
