"""Others' changes to the registry, taken over as they happen, and not at the cost of service."""

import time

from roamkey.correspondent.clock import now_ms
from roamkey.correspondent.core.responder import Responder
from roamkey.registry import Registry
from roamkey.registry.watch import Watch

_SHARE = 4  # what this takes is a fifth of the time at most,
_LITTLE_S = 0.05  # but for what is soon done


class Following:
    """Select on it once `attach`ed, then `follow`; and now and then without."""

    def __init__(self, responder: Responder) -> None:
        """Nothing is watched yet."""
        self._responder = responder
        self._watch: Watch | None = None
        self._rests_until = 0.0
        self._missed = False  # something, since the registry failed

    def attach(self, registry: Registry) -> None:
        """Watch a registry, from now on or again: after it was opened anew."""
        self._watch = registry.watch(self._watch)

    def fileno(self) -> int:
        """For select."""
        return -1 if self._watch is None else self._watch.fileno()

    def follow(self) -> None:
        """Take over what there is, unless that took much time lately."""
        if self._watch is None:
            return
        self._watch.hear()
        started = time.monotonic()
        if started >= self._rests_until:
            taken = None if self._missed else self._watch.take()
            self._missed = not self._responder.follow(now_ms(), taken)
            ended = time.monotonic()
            if ended - started > _LITTLE_S:
                self._rests_until = ended + _SHARE * (ended - started)

    def close(self) -> None:
        """Watch no longer."""
        if self._watch is not None:
            self._watch.close()
