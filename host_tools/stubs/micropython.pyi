"""MicroPython's own module, as far as the agent uses it."""

from typing import TypeVar

_T = TypeVar("_T")

def const(value: _T) -> _T: ...
def kbd_intr(character: int) -> None: ...
