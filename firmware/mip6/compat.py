"""What the two interpreters name differently. `const` is folded by MicroPython's compiler."""

import sys

#: False: CPython. A board's compiled files don't contain what stands behind that.
MICROPYTHON = sys.implementation.name == "micropython"

try:
    from micropython import const
except ImportError:  # CPython

    def const(value):
        """Return `value`: constants need no help from CPython."""
        return value
