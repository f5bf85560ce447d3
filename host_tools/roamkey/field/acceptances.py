"""Which update of a board is which acceptance of a correspondent.

A number is never used twice with one correspondent under one key: so correspondent, generation and
number name an update. Logs of before don't always say the generation, nor whose they are: where
several acceptances would do, the one counts whose time agrees with most of the boot's others.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from roamkey.field.folder import Told
from roamkey.field.registrations import Update

ACCEPTED = ("accepted", "removed")
_AGREE_MS = 5_000.0  # so far apart may two clocks go in a boot that is told twice


class Acceptances:
    """What was told of one home address, in order of time."""

    def __init__(self, told: Sequence[Told]) -> None:
        self.all = [one for one in told if one.outcome in ACCEPTED]
        self._by_number: dict[int | None, list[Told]] = {}
        for one in self.all:
            self._by_number.setdefault(one.sequence, []).append(one)

    def candidates(self, update: Update) -> list[Told]:
        """All that may be about this update."""
        return [
            one
            for one in self._by_number.get(update.sequence, ())
            if _same(one.correspondent, update.correspondent)
            and _same(one.generation, update.generation)
        ]

    def match(self, updates: Iterable[Update]) -> dict[Update, Told]:
        """The acceptance of each update of one boot, where there is one."""
        found = {update: self.candidates(update) for update in updates}
        middle = None
        if any(len(some) > 1 for some in found.values()):
            middle = _middle(found)
        return {
            update: min(
                some, key=lambda one: (abs(one.at_ms - update.ms - (middle or 0.0)), one.at_ms)
            )
            for update, some in found.items()
            if some
        }


def _same(one: object, other: object) -> bool:
    return one is None or other is None or one == other


def _middle(found: dict[Update, list[Told]]) -> float:
    """The offset between the clocks that suits most updates: those of one boot are alike."""
    pairs = sorted(
        (one.at_ms - update.ms, number)
        for number, (update, some) in enumerate(found.items())
        for one in some
    )
    offsets = [offset for offset, _ in pairs]
    best, most = 0.0, 0
    for begin, offset in enumerate(offsets):
        end = bisect_left(offsets, offset + _AGREE_MS, begin)
        if end - begin > most:
            most = end - begin
            best = offsets[(begin + end - 1) // 2]
    return best
