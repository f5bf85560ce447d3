"""Stores in memory for the tests of the key store: whole, failing, lying."""


class MemoryStore:
    """A store whose records are a dictionary. Faults, for the tests:

    `read_only` and `full` make writes fail; `fail_at` makes the n-th write from now fail (0: the
    next) and `keep` says whether it was done all the same; `deaf` accepts writes and keeps none;
    `room_after_removal`: removing a record ends `full`.
    """

    def __init__(self, records=None):
        self.records = dict(records or {})
        self.writes = 0
        self.read_only = self.full = self.deaf = self.keep = False
        self.fail_at = None
        self.room_after_removal = False

    def read(self, name):
        return self.records.get(name)

    def write(self, name, data):
        if self.read_only:
            raise OSError(30)
        if self.full:
            raise OSError(28)
        failing = self.fail_at == 0
        if self.fail_at is not None:
            self.fail_at -= 1
        self.writes += 1
        if not self.deaf and (not failing or self.keep):
            self.records[name] = bytes(data)
        if failing:
            raise OSError(5)

    def remove(self, name):
        if self.read_only:
            raise OSError(30)
        self.records.pop(name, None)
        if self.room_after_removal:
            self.full = False

    def names(self):
        return sorted(self.records)


class Retained:
    """Memory that outlives a reset. `broken` makes writing to it fail."""

    def __init__(self):
        self.note = b""
        self.broken = False

    def read(self):
        return self.note

    def write(self, note):
        if self.broken:
            raise OSError(5)
        self.note = bytes(note)
