"""Others' changes to the registry, taken over as they happen, and not at the cost of service."""

import math
import time

from roamkey.correspondent.clock import now_ms
from roamkey.correspondent.core.responder import Responder
from roamkey.registry import Registry
from roamkey.registry.watch import Watch

_AGAIN_S = 0.5  # where the registry fails
_SHARE = 4  # what takes long is done a fifth of the time at most,
_LITTLE_S = 0.05  # the rest half of it


class Following:
    """Select on it once `attach`ed, then `hear`; `follow` when `due`, in whatever thread."""

    def __init__(self, responder: Responder) -> None:
        """Nothing is watched yet."""
        self._responder = responder
        self._watch: Watch | None = None
        self._asked = False
        self._rests_until = 0.0
        self._missed = False  # something, since the registry failed

    def attach(self, registry: Registry) -> None:
        """Watch a registry, from now on or again: after it was opened anew."""
        self._watch = registry.watch(self._watch)

    def fileno(self) -> int:
        """For select."""
        return -1 if self._watch is None else self._watch.fileno()

    def hear(self) -> None:
        """There is news: `follow` is due."""
        if self._watch is not None:
            self._watch.hear()
            self._asked = True

    def ask(self) -> None:
        """Have it done without news: what was not told is found now and then."""
        self._asked = self._watch is not None

    @property
    def due(self) -> bool:
        """Whether it is time to `follow`."""
        return self._asked and time.monotonic() >= self._rests_until

    def wait_s(self) -> float:
        """How long until it is due, where nothing new is heard."""
        return max(0.0, self._rests_until - time.monotonic()) if self._asked else math.inf

    def follow(self) -> None:
        """Take over what there is. What this takes the daemon has for its own work first."""
        if self._watch is None:
            return
        self._asked = False
        started = time.monotonic()
        taken = None if self._missed else self._watch.take()
        self._missed = not self._responder.follow(now_ms(), taken)
        ended = time.monotonic()
        share = _SHARE if ended - started > _LITTLE_S else 1
        self._rests_until = ended + share * (ended - started)
        if self._missed:
            self._asked, self._rests_until = True, ended + _AGAIN_S

    def close(self) -> None:
        """Watch no longer."""
        if self._watch is not None:
            self._watch.close()
