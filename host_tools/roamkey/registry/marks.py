"""High-water marks: what was used of each key, kept outside of the registry's database.

A registry that is restored from an older backup has forgotten numbers that were used since, and
would accept recorded updates again. A daemon keeps the last number of each key here as well, and
compares whenever it reads keys: where the registry knows less, it is the older one.

A folder beside the registry holds a file for each registry and correspondent address, written by
one daemon at a time. A file is a head of 32 octets and records of 32:

    home address (16) | set (8) | generation (4) | value (4)

The value is one more than the last number used, 0 before the first, `RETIRED` for a key that is
never used again. It is written behind the registry's commit and before the answer leaves, and is
on the disk a second later. What a power cut takes of it is less than `MARGIN` numbers by far: a
node sends three updates a second.
"""

import fcntl
import hashlib
import os
import struct
import threading
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from roamkey.errors import SystemRefusedError
from roamkey.registry import database
from roamkey.registry.records import Pair

RETIRED = 0xFFFFFFFF
MARGIN = 32

_HEAD = b"roamkey marks 1".ljust(32, b"\0")
_RECORD = struct.Struct(">16s8sII")
_VALUE = struct.Struct(">I")
_VALUE_AT = _RECORD.size - _VALUE.size
_FILES = 16  # daemons of one address at a time, each in a network of its own
_SYNC_S = 1.0
_FEW = 64  # pairs that are looked up one by one


class KeyName(NamedTuple):
    """What names a key of a correspondent, in each copy of a registry."""

    home_address: bytes
    set_id: bytes
    generation: int


def place(registry: str | None) -> Path:
    """The folder for the registry at a path or URL: beside its file; for one on a server, in the
    service's own folder, else the user's data folder. Raises BadInputError."""
    return database.beside(registry, "marks")


def identity(fingerprint_key: bytes) -> str:
    """What a registry and its backups have in common, and no other has."""
    return hashlib.sha256(b"roamkey marks" + fingerprint_key).hexdigest()[:16]


def read(folder: Path, identity: str) -> dict[bytes, dict[KeyName, int]]:
    """The marks of a registry by correspondent address. Raises SystemRefusedError."""
    found: dict[bytes, dict[KeyName, int]] = {}
    try:
        files = sorted(folder.glob(f"{identity}-*"))
        for file in files:
            try:
                correspondent = bytes.fromhex(file.name.split("-")[1][:32])
            except ValueError:
                continue
            values = found.setdefault(correspondent, {})
            for home_address, set_id, generation, value in _records(file.read_bytes()):
                key = KeyName(home_address, set_id, generation)
                values[key] = max(value, values.get(key, 0))
    except OSError as error:
        raise SystemRefusedError(f"{folder}: {error.strerror}") from None
    return found


def is_behind(pair: Pair, known: Mapping[tuple[bytes, int], int]) -> bool:
    """Whether a registry that has the pair like this has forgotten something. `known`: values by
    set and generation."""
    used = max((name[1] for name, value in known.items() if 0 < value < RETIRED), default=-1)
    return any(
        known.get((key.set_id, key.generation), 0) > _value_of(key.last_sequence)
        or key.generation < used  # whoever uses a generation leaves the earlier ones for good
        for key in pair.keys
    )


class Marks:
    """The file of a daemon. `close` it. What can't be written is told in `error`."""

    def __init__(self, folder: Path, identity: str, correspondent: bytes) -> None:
        """Open it, made where there is none; raises SystemRefusedError."""
        self.identity = identity
        self.error: str | None = None
        self._slots: dict[int, int] = {}  # by the key's row in the registry
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._name = f"{identity}-{correspondent.hex()}"
            self._descriptor, self.path = _open_free(folder, self._name)
            octets = os.fstat(self._descriptor).st_size
            if octets < _RECORD.size:
                os.pwrite(self._descriptor, _HEAD, 0)
        except OSError as error:
            raise SystemRefusedError(f"{folder}: {error.strerror}") from None
        self._end = max(1, octets // _RECORD.size)  # what was torn at the end is written over
        self._dirty = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._sync, name="marks", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Bring all of it onto the disk."""
        self._closed.set()
        self._dirty.set()
        self._thread.join()
        os.close(self._descriptor)

    def check(self, pairs: Iterable[Pair], retired: Iterable[KeyName]) -> set[bytes]:
        """The home addresses of those pairs that the registry has in an older state than was seen
        here. Of the others, what the registry says is noted: `retired` are its retired keys."""
        pairs, retired = list(pairs), list(retired)
        homes = {pair.home_address for pair in pairs} | {name.home_address for name in retired}
        slots, others = self._find(homes)
        behind = set()
        for pair in pairs:
            mine, known = slots[pair.home_address], dict(others[pair.home_address])
            for name, (_, value) in mine.items():
                known[name] = max(value, known.get(name, 0))
            if is_behind(pair, known):
                behind.add(pair.home_address)
                continue
            for key in pair.keys:
                name = key.set_id, key.generation
                slot, value = mine.get(name, (0, 0))
                wanted = _value_of(key.last_sequence)
                if not slot:
                    slot = self._append(KeyName(pair.home_address, *name), wanted)
                elif wanted > value:
                    self._put(slot, wanted)
                self._slots[key.key_id] = slot
        for key_name in retired:
            slot, value = slots[key_name.home_address].get(key_name[1:], (0, 0))
            if not slot:
                self._append(key_name, RETIRED)
            elif value != RETIRED:
                self._put(slot, RETIRED)
        return behind

    def used(self, numbers: Iterable[tuple[int, int]]) -> None:
        """Note the last numbers used of keys (by their rows), which are in the registry by now."""
        slots, put = self._slots, self._put
        for key_id, sequence in numbers:
            slot = slots.get(key_id)
            if slot is not None:
                put(slot, sequence + 1)

    def _find(
        self, homes: set[bytes]
    ) -> tuple[
        defaultdict[bytes, dict[tuple[bytes, int], tuple[int, int]]],
        defaultdict[bytes, dict[tuple[bytes, int], int]],
    ]:
        """What there is of home addresses: slots and values in our file; values in others'."""
        slots: defaultdict[bytes, dict[tuple[bytes, int], tuple[int, int]]] = defaultdict(dict)
        values: defaultdict[bytes, dict[tuple[bytes, int], int]] = defaultdict(dict)
        ours = os.pread(self._descriptor, self._end * _RECORD.size, 0)
        for at, home, set_id, generation, value in _of(ours, homes):
            slots[home][set_id, generation] = at, value
        for file in self.path.parent.glob(f"{self._name}*"):
            try:
                content = file.read_bytes() if file != self.path else b""
            except OSError:
                continue
            for _, home, set_id, generation, value in _of(content, homes):
                name = set_id, generation
                values[home][name] = max(value, values[home].get(name, 0))
        return slots, values

    def _append(self, name: KeyName, value: int) -> int:
        slot = self._end
        self._write(_RECORD.pack(*name, value), slot * _RECORD.size)
        self._end += 1
        return slot

    def _put(self, slot: int, value: int) -> None:
        self._write(_VALUE.pack(value), slot * _RECORD.size + _VALUE_AT)

    def _write(self, octets: bytes, at: int) -> None:
        try:
            os.pwrite(self._descriptor, octets, at)
        except OSError as error:
            self.error = f"{self.path}: {error.strerror}"
        self._dirty.set()

    def _sync(self) -> None:
        """In a thread of its own: the disk's slowness is nobody else's."""
        while True:
            self._dirty.wait()
            self._dirty.clear()
            try:
                os.fdatasync(self._descriptor)
            except OSError as error:
                self.error = f"{self.path}: {error.strerror}"
            if self._closed.wait(_SYNC_S) and not self._dirty.is_set():
                return


def _value_of(last_sequence: int | None) -> int:
    return 0 if last_sequence is None else last_sequence + 1


def _open_free(folder: Path, name: str) -> tuple[int, Path]:
    """A file that no other daemon has open."""
    for number in range(_FILES):
        path = folder / (f"{name}-{number}" if number else name)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            continue
        return descriptor, path
    raise SystemRefusedError(f"{folder}: {_FILES} daemons have files there already")


def _records(content: bytes) -> Iterable[tuple[bytes, bytes, int, int]]:
    whole = len(content) // _RECORD.size * _RECORD.size
    if content[: _RECORD.size] != _HEAD:
        return iter(())
    return _RECORD.iter_unpack(memoryview(content)[_RECORD.size : whole])


def _of(content: bytes, homes: set[bytes]) -> Iterable[tuple[int, bytes, bytes, int, int]]:
    """(slot, and the fields) of records of these home addresses."""
    if len(homes) > _FEW:
        for at, record in enumerate(_records(content), 1):
            if record[0] in homes:
                yield at, *record
        return
    if content[: _RECORD.size] != _HEAD:
        return
    for home in homes:
        found = content.find(home)
        while found >= 0:
            slot, odd = divmod(found, _RECORD.size)
            if not odd and found + _RECORD.size <= len(content):
                yield slot, *_RECORD.unpack_from(content, found)
            found = content.find(home, found + 1)
