"""Which of a node's updates arrived here, as the daemons of this host recorded it."""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from roamkey.correspondent.events import kinds
from roamkey.correspondent.events.file import Reader, place
from roamkey.errors import BadInputError

_ROWS_MAX = 10_000
_RECORDED_S = 1.5  # after an update its event is in the file
_CLOCKS_MS = 1_000

Arrived = Callable[[str, int, range], bool | None]


def seen(registry: str | None, file: Path | None) -> Callable[[str, int], Arrived]:
    """What tells, of a node's home address and since when (ms since 1970), whether updates of a
    correspondent (text) under a generation and some numbers arrived: None where nobody knows.

    `registry`: whose events, the user's own where it is None; there may be none. `file`: those in
    this file; raises BadInputError where it isn't there.
    """
    found = file or place(registry)
    if not found.is_file():
        if file is not None:
            Reader(found)  # says what is wrong
        return lambda home_address, since_ms: _nobody_knows
    return lambda home_address, since_ms: _arrived(found, home_address, since_ms)


def _nobody_knows(correspondent: str, generation: int, numbers: range) -> bool | None:
    return None


def _arrived(file: Path, home_address: str, since_ms: int) -> Arrived:
    """Of a correspondent that recorded none of the node's updates since then, nothing is known."""
    time.sleep(_RECORDED_S)
    accepted: dict[str, set[tuple[int, int]]] = {}
    try:
        with closing(Reader(file)) as reader:
            events = reader.latest(_ROWS_MAX, since_ms - _CLOCKS_MS, [home_address])
    except BadInputError:  # of a newer version
        events = []
    for event in events:
        if event["kind"] in kinds.UPDATES and "generation" in event:  # by a key
            numbers = event["generation"], event["sequence"]
            accepted.setdefault(event["correspondent"], set()).add(numbers)

    def arrived(correspondent: str, generation: int, numbers: range) -> bool | None:
        known = accepted.get(correspondent)
        if known is None:
            return None
        return any((generation, number) in known for number in numbers)

    return arrived
