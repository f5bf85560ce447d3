"""The nodes of one correspondent address, and where they are (no I/O)."""

from collections.abc import Callable

from mip6.limits import ADDRESS_OCTETS
from roamkey.correspondent.core import endpoints
from roamkey.correspondent.core.entries import LiveKey, Peer
from roamkey.correspondent.core.expiries import Expiries
from roamkey.correspondent.core.places import Ends, Link, Places
from roamkey.correspondent.core.routability import Routability
from roamkey.registry.records import Binding, Pair


class Nodes:
    """Those with a key, as the registry has them, and those that return routability vouches for,
    where that is on. Instants are in milliseconds."""

    def __init__(
        self,
        correspondent: bytes,
        bindings_max: int,
        port: int,
        random: Callable[[int], bytes] | None = None,
    ) -> None:
        """None yet. `bindings_max`: how many may be bound by their key; `port`: our own for what
        comes inside UDP; `random`: for return routability, None: that is off."""
        self.correspondent = correspondent
        self._bindings_max = bindings_max
        self._peers: dict[bytes, Peer] = {}
        self._behind: set[bytes] = set()  # of whom the registry forgot something: not served
        self._barred: set[bytes] = set()  # whose keys can't be read, or who are refused
        self._places = Places(correspondent, port, self.is_keyed)
        self._ends = Ends()
        self._bound = 0
        self._by_way = dict.fromkeys(endpoints.WAYS, 0)
        self._expiries = Expiries()
        self.routability: Routability | None = None
        if random is not None:
            self.routability = Routability(
                correspondent,
                random,
                bindings_max,
                self._places,
                self._ends,
                self.is_keyed,
                self._note,
            )
        #: home addresses whose binding changed, where somebody follows that and takes them out
        self.changed: set[bytes] | None = None

    def load(self, pair: Pair, binding: Binding | None) -> None:
        """Take over a pair as the registry has it, in place of what was known of it."""
        self.forget(pair.home_address)
        if pair.behind:
            self._behind.add(pair.home_address)
        elif pair.keys:
            live = [LiveKey(key, pair.home_address) for key in pair.keys]
            peer = Peer(pair.pair_id, pair.home_address, pair.refused, live, name=pair.name)
            self._peers[pair.home_address] = peer
            self._bind(peer, binding)
        elif pair.damaged is not None or pair.refused:
            self._barred.add(pair.home_address)
        if self.routability is not None and self.is_keyed(pair.home_address):
            self.routability.displace(pair.home_address)

    def follow(self, home_address: bytes, last: int | None, binding: Binding | None) -> bool:
        """Take over where another daemon of our address has seen a node; False where the key that
        it came under isn't known or not the current one: then the pair has to be loaded."""
        peer = self._peers.get(home_address)
        if peer is None:
            return True  # retired meanwhile, or not served
        if binding is not None:
            key = peer.keys[0]
            if binding.key_id != key.key_id or not key.confirmed:
                return False
            if last is not None and (key.last_sequence is None or key.last_sequence < last):
                key.last_sequence = last
        if binding != peer.binding:
            self._bind(peer, binding)
        return True

    def bound_homes(self) -> list[bytes]:
        """The nodes that have a binding, those that expired included."""
        bound = [home for home, peer in self._peers.items() if peer.binding is not None]
        return bound if self.routability is None else bound + self.routability.homes()

    def is_keyed(self, home_address: bytes) -> bool:
        """Whether a key was entered for a home address and not taken back."""
        return (
            home_address in self._peers
            or home_address in self._behind
            or home_address in self._barred
        )

    def host_has(self, own: frozenset[bytes], links: frozenset[Link] = frozenset()) -> None:
        """These are the addresses of our host from now on, and the prefixes on its links: no node
        is at any of them."""
        news, self._places.own = own ^ self._places.own, own
        self._places.links = links
        if self.routability is not None:
            self.routability.host_has(news)
        if self.changed is None:
            return
        for home, peer in self._peers.items():
            at = peer.binding
            if at and {at.care_of_address, at.endpoint[:ADDRESS_OCTETS]} & news:
                self.changed.add(home)

    def forget(self, home_address: bytes) -> None:
        """The registry has no such pair any more."""
        self._bind(self._peers.pop(home_address, None), None)
        self._behind.discard(home_address)
        self._barred.discard(home_address)

    def binding(self, home_address: bytes, now: int) -> Binding | None:
        """Where a node is, or None."""
        peer = self._peers.get(home_address)
        if peer is None and self.routability is not None:
            return self.routability.binding(home_address, now)
        binding = peer.binding if peer else None
        if binding is None or binding.expires_ms <= now:
            return None
        # The registry may have one from before its care-of address was provisioned to a node.
        return binding if self._places.allow(binding.care_of_address, binding.endpoint) else None

    def peer(self, home_address: bytes) -> Peer | None:
        """A node that has a live key, or None."""
        return self._peers.get(home_address)

    def name(self, home_address: bytes) -> str | None:
        """What people call a node that has a live key, where they do."""
        peer = self._peers.get(home_address)
        return None if peer is None else peer.name

    def home_addresses(self) -> list[bytes]:
        """The nodes that have a live key."""
        return [*self._peers, *self._behind, *self._barred]

    def nodes(self) -> int:
        """How many nodes have a live key."""
        return len(self._peers)

    def bound(self) -> int:
        """How many bindings there are, with those that expired and weren't yet removed."""
        return self._bound + (self.routability.bound if self.routability else 0)

    def bound_by_way(self) -> dict[str, int]:
        """The same, by way."""
        strangers = self.routability.bound if self.routability else 0
        return {**self._by_way, endpoints.NATIVE: self._by_way[endpoints.NATIVE] + strangers}

    def expire(self, now: int) -> list[tuple[bytes, Binding]]:
        """Remove the bindings whose time is over; their home addresses and what they were."""
        gone = self.routability.expire(now) if self.routability else []
        for at, home_address in self._expiries.due(now):
            peer = self._peers.get(home_address)
            if peer is None or peer.watched_ms != at:
                continue
            peer.watched_ms = None
            if peer.binding and peer.binding.expires_ms <= now:
                gone.append((home_address, peer.binding))
                self._bind(peer, None)
            self._watch(peer)
        return gone

    def _bind(self, peer: Peer | None, binding: Binding | None) -> None:
        if peer is None:
            return
        for one, change in ((peer.binding, -1), (binding, 1)):
            if one is not None:
                self._bound += change
                self._by_way[endpoints.way(one.endpoint)] += change
        self._ends.change(peer.binding, binding)
        peer.binding = binding
        self._note(peer.home_address)
        self._watch(peer)

    def _note(self, home_address: bytes) -> None:
        """Its binding is another one."""
        if self.changed is not None:
            self.changed.add(home_address)

    def _watch(self, peer: Peer) -> None:
        if peer.binding is not None:
            self._expiries.watch(peer, peer.binding.expires_ms)
