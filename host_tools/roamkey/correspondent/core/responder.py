"""A burst of packets: judged, committed as one group, and only then answered."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Protocol

from mip6 import addresses
from mip6.limits import ADDRESS_OCTETS
from roamkey.correspondent.core import entries
from roamkey.correspondent.core.cache import BindingCache
from roamkey.correspondent.core.entries import Inbound, Verdict
from roamkey.errors import RoamkeyError
from roamkey.registry.records import Binding, Change, Pair

_NAMED_MAX = 8  # damaged nodes in a line
_ROUNDS = 3  # another daemon may be faster with a number; hardly ever twice in a row


class Store(Protocol):
    """The durable side: see `roamkey.correspondent.store`. All of it may raise RoamkeyError."""

    def revision(self) -> int:
        """A number that rises when provisioning changes something."""

    def load(
        self, now: int, since: int = -1, home_addresses: Collection[bytes] | None = None
    ) -> Iterable[tuple[Pair, Binding | None]]:
        """Pairs and their bindings: those changed after a revision, or of home addresses."""

    def commit(self, changes: Sequence[Change]) -> set[int]:
        """Make changes durable; the places of those that are refused."""

    def expire(self, now: int) -> None:
        """Remove the bindings whose time is over."""

    def others_wrote(self) -> bool:
        """Whether others may have changed something since all were followed."""

    def followed(
        self, now: int, pair_ids: Collection[int] | None
    ) -> Iterable[tuple[bytes, int | None, Binding | None]]:
        """How pairs stand (None: all that are bound): home address, last number, binding."""


class Responder:
    """Keeps the cache and the registry together.

    `counters` counts packets by (outcome, reason); `trouble` is called with one line where the
    registry fails: what couldn't be made durable is neither answered nor believed.
    """

    def __init__(self, cache: BindingCache, store: Store, trouble: Callable[[str], None]) -> None:
        """Nothing is read yet: call `start`."""
        self.cache = cache
        self.counters: Counter[tuple[str, str]] = Counter()
        self._store = store
        self._trouble = trouble
        self._revision = -1
        self._stale: set[bytes] = set()
        self._damaged: dict[bytes, str] = {}  # home address -> what is wrong with its rows

    @property
    def revision(self) -> int:
        """The registry's revision that the cache is at."""
        return self._revision

    def start(self, now: int) -> None:
        """Read pairs and bindings. Raises RoamkeyError where the registry fails."""
        self._refresh(now)

    def reload(self, store: Store, now: int) -> None:
        """Read everything again, from `store` in place of the one before.

        Raises RoamkeyError where the registry fails; then nothing has changed.
        """
        revision = store.revision()
        found = list(store.load(now))
        for home_address in set(self.cache.home_addresses()) - {p.home_address for p, _ in found}:
            self.cache.forget(home_address)
        self._damaged.clear()
        self._take_over(found)
        self._store, self._revision = store, revision
        self._stale.clear()

    def process(self, burst: Sequence[Inbound], now: int) -> list[Verdict]:
        """Judge a burst; when this returns, all that the replies promise is durable."""
        if not self._try(self._refresh, now):
            verdicts = [self._undurable(packet.source) for packet in burst]
        else:
            verdicts = self._judge(burst, now)
        for verdict in verdicts:
            self.counters[verdict.outcome, verdict.reason] += 1
        return verdicts

    def expire(self, now: int) -> list[tuple[bytes, Binding]]:
        """Remove what is over; the home addresses and what they had."""
        gone = self.cache.expire(now)
        if gone:
            # If it fails the rows stay, and are over all the same.
            self._try(self._store.expire, now)
        return gone

    def follow(self, now: int, pair_ids: Collection[int] | None = ()) -> bool:
        """Take over what provisioning and other daemons changed; `pair_ids`: the pairs whose
        bindings did, None: it may be any. Whether the registry could be read."""
        return self._try(partial(self._follow, pair_ids), now)

    def _follow(self, pair_ids: Collection[int] | None, now: int) -> None:
        self._refresh(now)
        if pair_ids is not None and not pair_ids:
            return
        if pair_ids is None and not self._store.others_wrote():
            return
        gone = set(self.cache.bound_homes()) if pair_ids is None else set()
        for home_address, last, binding in self._store.followed(now, pair_ids):
            gone.discard(home_address)
            if not self.cache.follow(home_address, last, binding):
                self._stale.add(home_address)
        for home_address in gone:
            self.cache.follow(home_address, None, None)
        self._refresh(now)

    def take_changed(
        self, now: int, everything: bool = False
    ) -> list[tuple[bytes, Binding | None]]:
        """Home addresses whose binding changed since last asked, with what it is now; with
        `everything`, all that are bound.

        Needs `cache.changed` to be a set. What couldn't be made durable waits: it isn't so yet.
        """
        changed = self.cache.changed
        if everything and changed is not None:
            changed.update(self.cache.bound_homes())
        if not changed:
            return []
        durable = changed - self._stale
        changed &= self._stale
        return [(home_address, self.cache.binding(home_address, now)) for home_address in durable]

    def _judge(self, burst: Sequence[Inbound], now: int) -> list[Verdict]:
        """Judge and commit; what the registry refuses is read again and judged again."""
        verdicts: list[Verdict] = [self.cache.judge(packet, now) for packet in burst]
        places = list(range(len(burst)))
        for _ in range(_ROUNDS):
            pending = [(i, change) for i in places if (change := verdicts[i].change)]
            if not pending:
                return verdicts
            try:
                refused = self._store.commit([change for _, change in pending])
                if not refused:
                    return verdicts
                places = [i for at, (i, _) in enumerate(pending) if at in refused]
                self._stale.update(verdicts[i].home_address for i in places)
                self._refresh(now)
            except RoamkeyError as error:
                self._trouble(str(error))
                places = [i for i, _ in pending]
                break
            for i in places:
                verdicts[i] = self.cache.judge(burst[i], now)
        for i in places:
            if verdicts[i].change:
                self._stale.add(verdicts[i].home_address)
                verdicts[i] = self._undurable(verdicts[i].source, verdicts[i].home_address)
        return verdicts

    def _refresh(self, now: int) -> None:
        """Follow what provisioning and other daemons changed."""
        revision = self._store.revision()
        if revision < self._revision:  # another registry, or an older one
            self.reload(self._store, now)
        elif revision != self._revision:
            self._take_over(self._store.load(now, self._revision))
            self._revision = revision
        if self._stale:
            missing = set(self._stale)
            found = list(self._store.load(now, home_addresses=self._stale))
            self._take_over(found)
            missing -= {pair.home_address for pair, _ in found}
            for home_address in missing:
                self.cache.forget(home_address)
            self._stale.clear()

    def _take_over(self, found: Iterable[tuple[Pair, Binding | None]]) -> None:
        """Have the cache know pairs as the registry has them. Of one whose rows are damaged it
        is said whose they are; the others are served."""
        news = False
        for pair, binding in found:
            before = self._damaged.pop(pair.home_address, None)
            if pair.damaged is not None:
                self._damaged[pair.home_address] = pair.damaged
                news |= before != pair.damaged
            self.cache.load(pair, binding)
        if news:
            named = [f"{_text(home)} ({why})" for home, why in self._damaged.items()]
            more = f" and {len(named) - _NAMED_MAX} more" if len(named) > _NAMED_MAX else ""
            self._trouble(
                f"damaged in the registry, not served as they should be: "
                f"{', '.join(named[:_NAMED_MAX])}{more}"
            )

    def _try(self, action: Callable[[int], None], now: int) -> bool:
        try:
            action(now)
        except RoamkeyError as error:
            self._trouble(str(error))
            return False
        return True

    def _undurable(self, source: bytes, home_address: bytes = b"") -> Verdict:
        return Verdict(entries.DROPPED, "registry", source, home_address)


def _text(home_address: object) -> str:
    """A home address, whatever stands in its place."""
    if isinstance(home_address, bytes) and len(home_address) == ADDRESS_OCTETS:
        return str(addresses.text(home_address))
    return repr(home_address)[:60]
