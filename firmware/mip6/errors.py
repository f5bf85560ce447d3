"""The kinds of failure that the core knows apart."""


class Violation(ValueError):
    """A peer sent what it must not send; the packet is dropped and counted by `reason`.

    `reason` is a short fixed word for counters ("truncated", "checksum"); `str()` of the error is
    one line for a person.
    """

    def __init__(self, reason, text):
        ValueError.__init__(self, text)
        self.reason = reason
