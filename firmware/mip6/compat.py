"""What the two interpreters name differently. `const` is folded by MicroPython's compiler."""

import sys

#: False: CPython. A board's compiled files don't contain what stands behind that.
MICROPYTHON = sys.implementation.name == "micropython"

#: True to type checkers alone, who know the name. Other files say `const(False)`: then
#: MicroPython's compiler leaves such a block out, even where the build does nothing.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import TypeVar

    _T = TypeVar("_T")

try:
    from micropython import const
except ImportError:  # CPython

    def const(value: "_T") -> "_T":
        """Return `value`: constants need no help from CPython."""
        return value
