"""What waits in the sockets and is to be judged: all of it, or of a flood what matters."""

from roamkey.correspondent.core import entries, triage
from roamkey.correspondent.core.endpoints import NATIVE
from roamkey.correspondent.core.entries import Inbound
from roamkey.correspondent.core.responder import Responder
from roamkey.correspondent.encapsulation import Encapsulation
from roamkey.correspondent.sockets import RawSockets
from roamkey.correspondent.telling import Telling

_BURST = 1024  # judged at a time
_FLOOD = 8 * _BURST  # read at a time, where there is so much


class Inbox:
    """Of one correspondent address. `waits`: something was read and isn't judged yet."""

    def __init__(
        self,
        sockets: RawSockets,
        encapsulation: Encapsulation,
        responder: Responder,
        telling: Telling,
    ) -> None:
        """Nothing is read yet."""
        self._sockets = sockets
        self._encapsulation = encapsulation
        self._responder = responder
        self._telling = telling
        self._chosen: list[Inbound] = []
        self._put: list[Inbound] = []

    @property
    def waits(self) -> bool:
        """Whether there is something that need not be read."""
        return bool(self._chosen or self._put)

    def take(self) -> list[Inbound]:
        """The next burst; of a flood more is read than that, and sorted out. What was put here
        doesn't keep the sockets unread."""
        if not self._chosen:
            found = self._receive(_BURST)
            if len(found) >= _BURST:
                found += self._receive(_FLOOD - _BURST)
            found += self._put
            self._put = []
            cache = self._responder.cache
            serves_guests = cache.routability is not None
            self._chosen, drops = triage.choose(found, cache.peer, serves_guests)
            for reason, count in self._encapsulation.take_bad().items():
                drops[entries.DROPPED, reason] += count
            if drops:
                self._responder.counters.update(drops)
                self._telling.drops(drops)
        burst, self._chosen = self._chosen[:_BURST], self._chosen[_BURST:]
        return burst

    def _receive(self, most: int) -> list[Inbound]:
        """So many, or a few more: what comes inside UDP has a third, the rest what there is."""
        third = most // 3
        found = self._sockets.receive(most - third)
        self._encapsulation.received[NATIVE] += len(found)
        found += self._encapsulation.receive(max(third, most - len(found)))
        return found

    def put(self, packets: list[Inbound]) -> None:
        """Have these judged too, as far as there is room."""
        self._put += packets[: max(0, _FLOOD - len(self._put))]
