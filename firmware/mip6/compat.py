"""What the two interpreters name differently. `const` is folded by MicroPython's compiler."""

try:
    from micropython import const
except ImportError:  # CPython

    def const(value):
        """Return `value`: constants need no help from CPython."""
        return value
