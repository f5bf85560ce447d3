"""The durable side of the binding cache: what counts is what the registry holds.

A group of changes is one transaction. Each sequence number is acceptable exactly once, because
the update that records it is conditional (see `registry.schema`): of several daemons with the
same number one succeeds, and the others learn that they did not.

Behind a commit, and before any answer leaves, the numbers are noted in the high-water marks too
(`registry.marks`).
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

from mip6.limits import ADDRESS_OCTETS
from roamkey.correspondent.clock import wall_ms
from roamkey.correspondent.core.endpoints import ENDPOINT_OCTETS
from roamkey.errors import RoamkeyError
from roamkey.registry import Pair, Registry
from roamkey.registry.marks import Marks
from roamkey.registry.records import CORRESPONDENT, Binding, Change, Use


class Store:
    """What the cache of one correspondent address needs of the registry."""

    def __init__(
        self,
        registry: Registry,
        correspondent: bytes,
        shift_ms: Callable[[], int] = lambda: 0,
        role: str = CORRESPONDENT,
    ) -> None:
        """`correspondent`: our address, 16 octets; `shift_ms`: what the wall's clock, which the
        registry goes by, is ahead of the instants that come in here; `role`: what we are to the
        nodes: pairs of another one's aren't there."""
        self._role = role
        self.behind: set[bytes] = set()  # home addresses that it forgot something of
        #: what tells whether the registry is an older one, where there is that
        self.marks: Marks | None = None
        self._registry = registry
        self._correspondent = correspondent
        self._shift_ms = shift_ms

    def revision(self) -> int:
        """A number that rises when provisioning changes something."""
        return self._registry.revision()

    def load(
        self, now: int, since: int = -1, home_addresses: Collection[bytes] | None = None
    ) -> Iterator[tuple[Pair, Binding | None]]:
        """The pairs changed after revision `since`, or those of the home addresses given; with
        their bindings, unless these are over at `now`. None lasts longer than its lifetime from
        now on, whatever the wall's clock showed when it was made."""
        wanted = self._correspondent, since, home_addresses
        shift = self._shift_ms()
        if since < 0 and home_addresses is None:
            self._registry.shorten(self._correspondent, now + shift)
        bound = self._registry.bindings_for_correspondent(wanted[0], now + shift, *wanted[1:])
        pairs = self._registry.pairs_for_correspondent(*wanted)
        found = [pair for pair in pairs if pair.role == self._role]
        if self.marks is not None:
            found = self._compare(found, since, home_addresses is None)
        return (
            (pair, binding and _at_most(_later(binding, -shift), now))
            for pair, binding in (_checked(pair, bound.get(pair.pair_id)) for pair in found)
        )

    def _compare(self, found: list[Pair], since: int, retired_too: bool) -> list[Pair]:
        """The pairs, and which of them the registry has forgotten something of."""
        assert self.marks is not None
        correspondent = self._correspondent
        retired = self._registry.retired_keys(correspondent, since) if retired_too else ()
        behind = self.marks.check([pair for pair in found if pair.damaged is None], retired)
        self.behind -= {pair.home_address for pair in found}
        if not behind:
            return found
        self.behind |= behind
        return [replace(pair, behind=pair.home_address in behind) for pair in found]

    def commit(self, changes: Sequence[Change]) -> set[int]:
        """See `Registry.commit`."""
        shift = self._shift_ms()
        if shift:
            changes = [
                change._replace(binding=change.binding and _later(change.binding, shift))
                for change in changes
            ]
        refused = self._registry.commit(changes)
        if self.marks is not None:
            self.marks.used(
                (change.key_id, change.sequence)
                for i, change in enumerate(changes)
                if change.sequence is not None and i not in refused
            )
        return refused

    def others_wrote(self) -> bool:
        """Whether others may have changed something since all were followed."""
        return self._registry.others_wrote()

    def followed(
        self, now: int, pair_ids: Collection[int] | None
    ) -> Iterator[tuple[bytes, int | None, Binding | None]]:
        """How pairs stand (None: all that are bound): home address, the last number used under
        the binding's key, and the binding."""
        shift = self._shift_ms()
        for home_address, last, binding in self._registry.followed(self._correspondent, pair_ids):
            if binding is None or not _is_whole(binding):  # damaged: `load` says so
                yield home_address, None, None
                continue
            if self.marks is not None and last is not None:
                self.marks.used([(binding.key_id, last)])
            yield home_address, last, _at_most(_later(binding, -shift), now)

    def note_uses(self, uses: Sequence[Use], trouble: Callable[[str], None]) -> bool:
        """Note when nodes were last heard of; False, and `trouble` is told why, where the registry
        fails. Nothing depends on it."""
        try:
            if uses:
                self._registry.note_uses(uses, wall_ms())
        except RoamkeyError as error:
            trouble(str(error))
            return False
        return True

    def expire(self, now: int) -> None:
        """Remove the bindings of our address whose time is over."""
        self._registry.expire(self._correspondent, now + self._shift_ms())


def _later(binding: Binding, ms: int) -> Binding:
    """The same by a clock that is so far ahead."""
    return binding._replace(
        registered_ms=binding.registered_ms + ms, expires_ms=binding.expires_ms + ms
    )


def _at_most(binding: Binding, now: int) -> Binding:
    """The same, made now at the latest, and over by then."""
    return binding._replace(
        registered_ms=min(binding.registered_ms, now),
        expires_ms=min(binding.expires_ms, now + 1000 * binding.lifetime),
    )


def _checked(pair: Pair, binding: Binding | None) -> tuple[Pair, Binding | None]:
    """A binding whose row is damaged is none."""
    if binding is None:
        return pair, None
    if _is_whole(binding):
        return pair, binding
    return replace(pair, damaged="a binding is an address, four numbers and an endpoint"), None


def _is_whole(binding: Binding) -> bool:
    care_of, *numbers, endpoint = binding
    is_address = isinstance(care_of, bytes) and len(care_of) == ADDRESS_OCTETS
    is_endpoint = isinstance(endpoint, bytes) and len(endpoint) in (0, ENDPOINT_OCTETS)
    return is_address and is_endpoint and all(isinstance(number, int) for number in numbers)
