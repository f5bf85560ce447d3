"""The ways to a correspondent from where the node is: native, inside UDP over IPv6, over IPv4.

A way is a tuple (kind, care-of address, outer address, port); the last two are None and 0 for the
native one. Which there are follows from the node's addresses and from where its correspondents
are reached, as was provisioned: by addresses, or by names. The best comes first; but on a network
where another kind won last time, that one. Of a name the address that answered last is kept, and
stays the first: a resolver that fails, or lies, takes nothing away.

No I/O: the node looks names up, and keeps the record in flash. docs/SPEC.md, "Encapsulated in
UDP"; the formats are those of RFC 5555.
"""

import json

from .. import addresses, packets
from ..compat import const

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from ..keystore.keyset import Peer
    from ..protocols import Way

NATIVE = const(0)
UDP6 = const(1)
UDP4 = const(2)
NAMES = ("native", "udp6", "udp4")

RECORD = "ways"
_NETWORKS_MAX = const(16)  # of which it is kept which kind won
_ADDRESSES_MAX = const(4)  # of a name
_AGAIN_MS = const(2000)  # until a name is looked up again; doubled up to
_AGAIN_MAX_MS = const(960000)
_SHARE = const(8)  # so many times longer than the last look took, in which all else stood still


class Ways:
    """The ways of a key set's `peers`. `native`, `udp`: whether the platform has these;
    `home_agent`: which of them that is. `udp6`: set it to False where UDP goes over IPv4 alone.

    `ipv6`, `ipv4`: the addresses (16 octets) of the uplink in use, or None; `network`: what that
    uplink's network is known by. `changed`: whether `record()` says what isn't in flash yet.
    """

    def __init__(
        self,
        peers: "list[Peer]",
        home_address: bytes,
        native: bool = True,
        udp: bool = True,
        home_agent: "int | None" = None,
    ) -> None:
        self.native = native
        self.udp6 = True
        self.changed = False
        self.ipv6: bytes | None = None
        self.ipv4: bytes | None = None
        self.network = ""
        self._home_address = home_address
        self._correspondents = [peer.correspondent for peer in peers]
        self._reach: list[list[tuple[str, int]]] = []  # of each peer
        self._known: dict[str, list[bytes]] = {}  # host -> addresses
        self._names: dict[str, bytes | None] = {}  # hosts to look up -> address that answered last
        self._asked: dict[str, tuple[int, int]] = {}  # name -> (when to ask again, pause)
        self._won: list[tuple[str, int]] = []  # (network, kind), the latest last
        self._found: list[list[Way] | None] = [None] * len(peers)  # what `of` gave
        self._passed: dict[str, int] = {}  # network -> the kind that had the last answer there
        self._reached: dict[int, list[tuple[int, bytes, int]]] = {}  # see _places
        for index, peer in enumerate(peers):
            reach: list[tuple[str, int]] = []
            if udp and (peer.generations or index == home_agent):  # others know RFC 6275 alone
                default = (addresses.text(peer.correspondent), packets.ENCAPSULATION_PORT)
                reach = peer.reach or [default]
            self._reach.append(reach)
            for host, _ in reach:
                try:
                    self._known[host] = [addresses.parse(host)]
                except ValueError:
                    self._names[host] = None
                    self._known[host] = []

    def leads(self, address: bytes) -> bool:
        """Whether an address of the node may lead to any correspondent."""
        ipv4 = addresses.is_ipv4(address)
        if self.native and not ipv4:
            return True
        return address != self._home_address and self.inside(ipv4)

    def inside(self, ipv4: bool) -> bool:
        """Whether correspondents may be reached inside UDP over IPv4, or over IPv6."""
        return (ipv4 or self.udp6) and any(
            host in self._names or addresses.is_ipv4(self._known[host][0]) == ipv4
            for host in self._known
        )

    def of(self, index: int) -> "list[Way]":
        """The ways to correspondent `index`, in the order in which to try them."""
        ways = self._found[index]
        if ways is None:
            ways = self.by_merit(index)
            if self._won:
                ways = self._in_order(ways)
            self._found[index] = ways
        return ways

    def passes(self, kind: int) -> bool:
        """Whether ways of this kind had the last answer on the network of now, since the start."""
        return self._passed.get(self.network) == kind

    def _in_order(self, ways: "list[Way]") -> "list[Way]":
        """What won on this network last time comes first."""
        for network, kind in self._won:
            if network == self.network:
                first = [way for way in ways if way[0] == kind]
                return first + [way for way in ways if way[0] != kind]
        return ways

    # A handover waits for what follows: few names at a time, so that the stack holds them.

    def by_merit(self, index: int) -> "list[Way]":
        """The same, whatever won here last time: the best first."""
        ways: "list[Way]" = []
        at = 0
        if self.ipv6 is not None:
            _add(ways, self._places(index, False), self.ipv6)
        if self.ipv4 is not None:
            _add(ways, self._places(index, True), self.ipv4)
        if self.ipv6 is not None and self.native:
            if self.ipv6 == self._home_address:
                ways.clear()
            # A unique local address is known inside its site alone (RFC 4193 section 4).
            elif _is_local(self._correspondents[index]) and not _is_local(self.ipv6):
                at = len(ways)
            ways.insert(at, (NATIVE, self.ipv6, None, 0))
        return ways

    def _places(self, index: int, ipv4: bool) -> "list[tuple[int, bytes, int]]":
        """(kind, address, port) of where a correspondent is reached."""
        key = 2 * index + ipv4
        places = self._reached.get(key)
        if places is None:
            places = self._reached[key] = self._make_places(index, ipv4)
        return places

    def _make_places(self, index: int, ipv4: bool) -> "list[tuple[int, bytes, int]]":
        return [
            (UDP4 if ipv4 else UDP6, address, port)
            for host, port in self._reach[index]
            for address in self._known[host]
            if addresses.is_ipv4(address) == ipv4 and (ipv4 or self.udp6)
        ]

    def answered(self, index: int, way: "Way") -> None:
        """An answer came by this way to correspondent `index`, on the network of now."""
        if len(self._passed) >= _NETWORKS_MAX and self.network not in self._passed:
            self._passed.clear()
        self._passed[self.network] = way[0]
        for host, port in self._reach[index]:
            known = self._known[host]
            if host in self._names and port == way[3] and way[2] in known:
                self._asked.pop(host, None)
                if self._names[host] != way[2]:
                    self._names[host] = way[2]
                    known.remove(way[2])
                    known.insert(0, way[2])
                    self.changed = True
                    self._forget()
        if (self.network, way[0]) in self._won:
            return
        before, self._won = self._won, [one for one in self._won if one[0] != self.network]
        if self.by_merit(index)[0][0] != way[0]:
            self._won = self._won[-_NETWORKS_MAX + 1 :]
            self._won.append((self.network, way[0]))
        if self._won != before:
            self.changed = True
            self._lose_order()

    # Names

    def named(self) -> "dict[str, list[bytes]]":
        """What is known of the names that are looked up: their addresses."""
        return {name: self._known[name] for name in self._names}

    def wanted(self, now: int, silent: bool) -> str | None:
        """A name to look up now, or None. `silent`: what is known of them brings no answer."""
        for name in self._names:
            if self._asked.get(name, (now, 0))[0] <= now and (silent or not self._usable(name)):
                return name
        return None

    def wanted_at(self) -> int | None:
        """When a name that nothing usable is known of may be looked up again, or None."""
        soonest = None
        for name, (at, _) in self._asked.items():
            if not self._usable(name) and (soonest is None or at < soonest):
                soonest = at
        return soonest

    def _usable(self, name: str) -> bool:
        return any(
            (self.ipv4 if addresses.is_ipv4(address) else self.udp6 and self.ipv6)
            for address in self._known[name]
        )

    def ask_again(self) -> None:
        """Names that nobody told may be looked up at once."""
        self._asked.clear()

    def learn(self, name: str, found: "list[bytes]", now: int, took: int = 0) -> bool:
        """A name was looked up, which took so many milliseconds; whether there is news."""
        pause = max(self._asked.get(name, (0, _AGAIN_MS))[1], _SHARE * took)
        self._asked[name] = now + pause, min(2 * pause, _AGAIN_MAX_MS)
        last = self._names[name]
        fresh = [address for address in found if address != last]
        if not fresh:
            return False
        before = self._known[name]
        self._known[name] = ([] if last is None else [last]) + fresh[: _ADDRESSES_MAX - 1]
        self._forget()
        return self._known[name] != before

    def at(self, network: str, ipv6: bytes | None, ipv4: bytes | None) -> bool:
        """The node is on this network, with these addresses there; whether that is news."""
        if network != self.network:
            self.ask_again()
        elif ipv6 == self.ipv6 and ipv4 == self.ipv4:
            return False
        self.network = network
        self.ipv6 = ipv6
        self.ipv4 = ipv4
        self._lose_order()
        return True

    # The record in flash

    def record(self) -> bytes:
        """What to keep: JSON, which kinds won where, and which address of a name answered last."""
        names = {name: addresses.text(one) for name, one in self._names.items() if one is not None}
        return json.dumps({"won": self._won, "names": names}).encode()

    def restore(self, record: bytes) -> None:
        """Take what was kept; a record that is no such thing is ignored."""
        try:
            kept = json.loads(record)
            won = [(str(network), int(kind)) for network, kind in kept["won"]]
            names = {name: addresses.parse(one) for name, one in kept["names"].items()}
        except Exception:  # whatever an accident put there
            return
        self._won = [one for one in won if NATIVE <= one[1] <= UDP4][-_NETWORKS_MAX:]
        for name, address in names.items():
            if name in self._names:
                self._names[name] = address
                self._known[name] = [address]
        self._forget()

    def _forget(self) -> None:
        self._lose_order()
        self._reached.clear()

    def _lose_order(self) -> None:
        at = len(self._found)
        while at:
            at -= 1
            self._found[at] = None


def over_ipv4(peers: "list[Peer]") -> bool:
    """Whether any of these correspondents may be reached over IPv4."""
    return any(":" not in host for peer in peers for host, _ in peer.reach)


def _add(ways: "list[Way]", places: "list[tuple[int, bytes, int]]", own: bytes) -> None:
    """The ways inside UDP from an address of ours to these places. A `for` needs more names."""
    at = 0
    while at < len(places):
        place = places[at]
        ways.append((place[0], own, place[1], place[2]))
        at += 1


def _is_local(address: bytes) -> bool:
    return address[0] & 0xFE == 0xFC
