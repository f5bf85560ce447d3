"""Programs and maps of the kernel's own (bpf(2)), as far as the tunnel needs them.

    code = Code()
    code.load(DOUBLE, 1, 7, 16)
    code.jump("late", AT_LEAST, 0, 1)

Registers are numbers; FRAME is the end of a program's stack. There is no library that every host
has, and a program of ours is some fifty instructions.
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterator
from typing import NamedTuple

FRAME = 10
OCTET, HALF, WORD, DOUBLE = 0x10, 0x08, 0x00, 0x18  # sizes
EQUAL, NOT_EQUAL, ABOVE, AT_LEAST, BELOW = 0x10, 0x50, 0x20, 0x30, 0xA0  # unsigned
LOOKUP, GET_TUNNEL_KEY, SET_TUNNEL_KEY, LOAD_BYTES, BOOT_NS = 1, 20, 21, 26, 125  # functions

# linux/bpf.h
_MAP_CREATE, _MAP_LOOKUP, _MAP_UPDATE, _MAP_DELETE = 0, 1, 2, 3
_PROGRAM_LOAD, _PROGRAM_RUN, _MAP_LOOKUP_BATCH = 5, 10, 24
_HASH, _ARRAY = 1, 2
_NO_PREALLOC = 1
_SCHEDULER_CLASS = 3
_PSEUDO_MAP = 1
_LICENSE = ctypes.create_string_buffer(b"Dual MIT/GPL")
_INSTRUCTION = struct.Struct("=BBhi")
_AT_A_TIME = 4096  # elements, of a map that is read

_BITS = struct.calcsize("P") * 8
_NUMBERS = {
    ("x86_64", 64): 321, ("aarch64", 64): 280, ("riscv64", 64): 280, ("ppc64le", 64): 361,
    ("s390x", 64): 351, ("i686", 32): 357, ("armv7l", 32): 386, ("armv6l", 32): 386,
    ("mips", 32): 4355, ("mips64", 64): 5315,
}  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command: int, attributes: bytes) -> tuple[int, bytes]:
    """The result, and the attributes as the kernel left them. Raises OSError."""
    number = _NUMBERS.get((platform.machine(), _BITS))
    if number is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    given = ctypes.create_string_buffer(attributes, len(attributes))
    result: int = _libc.syscall(number, command, given, len(attributes))
    if result < 0:
        error = OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        error.filename2 = given.raw  # of a batch that came to the end
        raise error
    return result, given.raw


class Map:
    """One of the kernel's. `close` it; what a program refers to stays as long as the program."""

    def __init__(self, key: int, value: int, most: int, is_array: bool = False) -> None:
        """`key`, `value`: octets of each; `most`: elements. Raises OSError."""
        kind, flags = (_ARRAY, 0) if is_array else (_HASH, _NO_PREALLOC)
        self.descriptor, _ = _bpf(_MAP_CREATE, struct.pack("=5I", kind, key, value, most, flags))
        self._key, self._value = key, value
        self._into = ctypes.create_string_buffer(value)
        self._keys = ctypes.create_string_buffer(0 if is_array else key * _AT_A_TIME)
        self._values = ctypes.create_string_buffer(0 if is_array else value * _AT_A_TIME)

    def close(self) -> None:
        """Let go of it."""
        os.close(self.descriptor)

    def get(self, key: bytes) -> bytes | None:
        """An element, None where there is none. Raises OSError."""
        try:
            self._do(_MAP_LOOKUP, key, self._into)
        except FileNotFoundError:
            return None
        return self._into.raw

    def put(self, key: bytes, value: bytes) -> None:
        """Make an element, or replace it as a whole. Raises OSError."""
        self._do(_MAP_UPDATE, key, ctypes.create_string_buffer(value, self._value))

    def remove(self, key: bytes) -> None:
        """Take an element away, if there is one. Raises OSError."""
        try:
            self._do(_MAP_DELETE, key, None)
        except FileNotFoundError:
            return

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """All elements of a hash, those once that stay meanwhile. Raises OSError."""
        cursor, given = ctypes.create_string_buffer(8), 0
        while True:
            attributes = struct.pack(
                "=QQQQIIQQ", given, *map(ctypes.addressof, (cursor, self._keys, self._values)),
                _AT_A_TIME, self.descriptor, 0, 0,
            )  # fmt: skip
            over = False
            try:
                _, told = _bpf(_MAP_LOOKUP_BATCH, attributes)
            except FileNotFoundError as end:
                over, told = True, end.filename2
            (count,) = struct.unpack_from("=I", told, 32)
            key, value, keys, values = self._key, self._value, self._keys.raw, self._values.raw
            for at in range(count):
                yield keys[at * key : (at + 1) * key], values[at * value : (at + 1) * value]
            if over:
                return
            given = ctypes.addressof(cursor)

    def _do(self, command: int, key: bytes, value: "ctypes.Array[ctypes.c_char] | None") -> None:
        named = ctypes.create_string_buffer(key, self._key)
        there = 0 if value is None else ctypes.addressof(value)
        _bpf(command, struct.pack("=I4xQQQ", self.descriptor, ctypes.addressof(named), there, 0))


class Program(NamedTuple):
    """One that the kernel has taken, of a device's queue. Close its `descriptor`."""

    descriptor: int

    def run(self, packet: bytes) -> int:
        """What it returns for a packet that is nowhere. Raises OSError."""
        given = ctypes.create_string_buffer(packet, len(packet))
        attributes = struct.pack(
            "=IIIIQQIIQ", self.descriptor, 0, len(packet), 0, ctypes.addressof(given), 0, 1, 0, 0
        )
        _, told = _bpf(_PROGRAM_RUN, attributes)
        returned: int = struct.unpack_from("=I", told, 4)[0]
        return returned


class Code:
    """A program while it is written; `to_kernel` then."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._made: list[tuple[int, int, int, int, int]] = []
        self._labels: dict[str, int] = {}
        self._jumps: dict[int, str] = {}

    def to_kernel(self) -> Program:
        """Have the kernel look it through and take it. Raises OSError."""
        text = b"".join(
            _INSTRUCTION.pack(
                code,
                first | second << 4 if sys.byteorder == "little" else first << 4 | second,
                self._labels[self._jumps[at]] - at - 1 if at in self._jumps else offset,
                value,
            )
            for at, (code, first, second, offset, value) in enumerate(self._made)
        )
        given = ctypes.create_string_buffer(text, len(text))
        attributes = struct.pack(
            "=IIQQ", _SCHEDULER_CLASS, len(self._made), ctypes.addressof(given),
            ctypes.addressof(_LICENSE),
        )  # fmt: skip
        return Program(_bpf(_PROGRAM_LOAD, attributes + bytes(32))[0])

    def label(self, name: str) -> None:
        """Jumps may come here."""
        self._labels[name] = len(self._made)

    def set(self, register: int, value: int) -> None:
        """register = value."""
        self._add(0xB7, register, value=value)

    def copy(self, register: int, other: int, more: int = 0) -> None:
        """register = other + more."""
        self._add(0xBF, register, other)
        if more:
            self._add(0x07, register, value=more)

    def mask(self, register: int, value: int) -> None:
        """register &= value."""
        self._add(0x57, register, value=value)

    def from_network(self, register: int) -> None:
        """Two octets, as they stand in a packet, become a number."""
        self._add(0xDC, register, value=16)

    def constant(self, register: int, octets: bytes) -> None:
        """register = eight octets, as they stand in memory."""
        self._wide(register, 0, *struct.unpack("=ii", octets))

    def map(self, register: int, one: Map) -> None:
        """register = a map."""
        self._wide(register, _PSEUDO_MAP, one.descriptor, 0)

    def load(self, size: int, register: int, base: int, offset: int) -> None:
        """register = memory at base + offset."""
        self._add(0x61 | size, register, base, offset)

    def store(self, size: int, base: int, offset: int, register: int) -> None:
        """memory at base + offset = register."""
        self._add(0x63 | size, base, register, offset)

    def store_value(self, size: int, base: int, offset: int, value: int) -> None:
        """memory at base + offset = value."""
        self._add(0x62 | size, base, 0, offset, value)

    def add_to(self, base: int, offset: int, register: int) -> None:
        """Eight octets of memory at base + offset += register, at once for all processors."""
        self._add(0xDB, base, register, offset)

    def call(self, function: int) -> None:
        """Arguments are in 1 to 5; the result in 0, and what was in 1 to 5 is gone."""
        self._add(0x85, value=function)

    def go(self, label: str) -> None:
        """Jump."""
        self._jumps[len(self._made)] = label
        self._add(0x05)

    def jump(self, label: str, how: int, register: int, other: int) -> None:
        """Jump where register and other register are so."""
        self._jumps[len(self._made)] = label
        self._add(0x0D | how, register, other)

    def jump_value(self, label: str, how: int, register: int, value: int) -> None:
        """Jump where register and value are so."""
        self._jumps[len(self._made)] = label
        self._add(0x05 | how, register, value=value)

    def leave(self, value: int) -> None:
        """Return a value."""
        self.set(0, value)
        self._add(0x95)

    def _wide(self, register: int, kind: int, low: int, high: int) -> None:
        self._add(0x18, register, kind, value=low)
        self._add(0, value=high)

    def _add(
        self, code: int, first: int = 0, second: int = 0, offset: int = 0, value: int = 0
    ) -> None:
        self._made.append((code, first, second, offset, value))
