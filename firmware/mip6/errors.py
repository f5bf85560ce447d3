"""The kinds of failure that the core knows apart."""


class Violation(ValueError):
    """A peer sent what it must not send; the packet is dropped and counted by `reason`.

    `reason` is a short fixed word for counters ("truncated", "checksum"); `str()` of the error is
    one line for a person.
    """

    def __init__(self, reason, text):
        super().__init__(text)  # MicroPython's built-in classes have no __init__ to call by name
        self.reason = reason


class Misuse(ValueError):
    """The caller asked for what would break a rule of the key store; nothing has changed."""


class StorageError(Exception):
    """Flash can't be read or written, or did not keep what was written. Nothing was given out."""


class Exhausted(Exception):
    """All 65,536 sequence numbers of a key are used: the next generation's turn, or the end."""
