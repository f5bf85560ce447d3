"""Functions of loaded modules are pointed at their bytecode in flash; its copies in RAM go.

A stock Pico W copies a file's bytecode into RAM. Yet its flash is in the address space, a file
there holds the same octets, and a function has but a pointer to them. Nothing is written unless
the octets at both ends are equal, all of them: so whatever a pointer is changed to means the same.

Layout: MicroPython 1.21 to 1.28, mp_obj_fun_bc_t of objfun.h (type, context, children, bytecode)
and mp_raw_code_t of emitglue.h (a word of kind, bytecode, children).
"""

from ..compat import const

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..protocols import Memory, Octets

_KEY = const(6)  # octets by which bytecode is looked up; then all are compared
_BYTECODE = const(0)  # kind of a raw code in a file
_RAW_CODE = b"\x00\x00\x02"  # indicator, kind: as in memory
_TUPLE = const(10)  # MP_PERSISTENT_OBJ_*
_TEXTS = (5, 6)  # str and bytes: a zero follows
_WRAPPERS = (staticmethod, classmethod, property)
_CONSTANTS = const(4)  # None, False, True, ...: up to this kind, without content


def functions(octet: "Callable[[int], int]") -> "list[tuple[int, int, int]]":
    """(where, octets, children) of the bytecode of each function in an .mpy file, of which
    `octet(at)` gives one octet after the other."""
    return _File(octet).functions


class _File:
    """Reads an .mpy file (persistentcode.c of MicroPython)."""

    def __init__(self, octet: "Callable[[int], int]") -> None:
        self._octet = octet
        self._at = 4
        self.functions: list[tuple[int, int, int]] = []
        if octet(0) != 0x4D or octet(2) >> 2:  # "M"; no machine code
            return
        names, constants = self._number(), self._number()
        for _ in range(names):
            length = self._number()
            if not length & 1:
                self._at += (length >> 1) + 1
        for _ in range(constants):
            self._skip_constant()
        self._code()

    def _number(self) -> int:
        number = 0
        while True:
            octet = self._octet(self._at)
            self._at += 1
            number = number << 7 | octet & 127
            if octet < 128:
                return number

    def _skip_constant(self) -> None:
        kind = self._octet(self._at)
        self._at += 1
        if kind <= _CONSTANTS:
            return
        length = self._number()
        if kind == _TUPLE:
            for _ in range(length):
                self._skip_constant()
        else:
            self._at += length + (kind in _TEXTS)

    def _code(self) -> None:
        head = self._number()
        at, length = self._at, head >> 3
        if head & 3 != _BYTECODE:
            raise ValueError("machine code")
        self._at += length
        children = self._number() if head & 4 else 0
        self.functions.append((at, length, children))
        for _ in range(children):
            self._code()


def _generator() -> "Any":
    yield


class Mover:
    """Moves functions. `memory(address, octets)`: a view of memory; `pointers[address]`: the
    pointer there, to read and write; `word`: its octets; `in_ram(address)`: whether something of
    the heap may lie there."""

    def __init__(
        self,
        memory: "Callable[[int, int], Octets]",
        pointers: "Memory",
        word: int,
        in_ram: "Callable[[int], bool]",
    ) -> None:
        self._memory = memory
        self._pointers = pointers
        self._word = word
        self._in_ram = in_ram
        self._types = (pointers[id(_generator)], pointers[id(_is_bytecode)])
        # Of bytecode in flash: its last number by its first octets, and by number address, octets,
        # children, and the number before that begins alike. (So much takes single blocks of RAM.)
        self._known: dict[bytes, int] = {}
        self._found: list[int] = []
        self.moved = self.octets = 0

    def move(
        self,
        module: "Any",
        octet: "Callable[[int], int]",
        place: "Callable[[int, int], int | None]",
        running: "tuple[object, ...]" = (),
    ) -> bool:
        """Move all functions of a module and its classes. `octet(at)`: of its file, as it lies in
        flash; `place(at, count)`: the address of so many of them, None where they don't lie in one
        piece. Functions that are `running` can't be moved, and no others may have begun. Returns
        whether there were any: else it may be another file.
        """
        moved = self.moved
        self._known, self._found = {}, []
        for at, length, children in functions(octet):
            address = place(at, length)
            if address is not None and length >= _KEY:
                key = bytes(self._memory(address, _KEY))
                before = self._known.get(key, -1)
                self._known[key] = len(self._found)
                for part in (address, length, children, before):
                    self._found.append(part)
        for value in list(module.__dict__.values()):
            if value not in running:
                self._look_at(value)
        self._known, self._found = {}, []
        return self.moved > moved

    def _look_at(self, value: "Any") -> None:
        if isinstance(value, type):
            for inner in list(value.__dict__.values()):
                self._look_at(inner)
        elif isinstance(value, _WRAPPERS):
            for at in range(1, 4 if isinstance(value, property) else 2):  # what it wraps
                self._move_function(self._pointers[id(value) + at * self._word])
        elif _is_bytecode(value):
            self._move_function(id(value))

    def _move_function(self, address: int) -> None:
        if self._is_object(address) and self._pointers[address] in self._types:
            self._move_code(address + 3 * self._word, address + 2 * self._word)

    def _move_raw(self, address: int) -> None:
        if self._is_object(address) and bytes(self._memory(address, 3)) == _RAW_CODE:
            self._move_code(address + self._word, address + 2 * self._word)

    def _is_object(self, address: int) -> bool:
        return not address % self._word and self._in_ram(address)

    def _move_code(self, field: int, children: int) -> None:
        """`field`, `children`: where the pointers to bytecode and to a list of raw codes are."""
        code = self._pointers[field]
        if not self._is_object(code):  # it lies in flash already
            return
        number = self._known.get(bytes(self._memory(code, _KEY)), -1)
        while number >= 0:
            target, length, count, number = self._found[number : number + 4]
            if self._memory(code, length) == self._memory(target, length):
                self._pointers[field] = target
                self.moved += 1
                self.octets += length
                table = self._pointers[children]
                for at in range(count):
                    self._move_raw(self._pointers[table + at * self._word])
                return


def _is_bytecode(value: object) -> bool:
    """Whether it is a function of bytecode, a generator's or coroutine's too."""
    return isinstance(value, _FUNCTIONS)


_FUNCTIONS = (type(_generator), type(_is_bytecode))
