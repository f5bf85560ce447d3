"""The bindings of a home agent: home registrations, as RFC 6275 section 10.3 has them. No I/O.

Packets are read and checked as a correspondent does (`roamkey.correspondent.core.cache`); what is
a home agent's own:

- an update is authenticated by the MN-HA option, under the generation that its SPI names, the
  current one or a later one;
- numbers are linear, as under every static key, and used up by whatever answer;
- the home address must be of a prefix that is served (132); a removal of what isn't bound is
  refused (133); L is refused (128), since link-local addresses aren't defended; an update without
  H is one for a correspondent, which this isn't (139);
- the first registration waits until duplicate address detection is over (section 10.3.1): about a
  second, then it is judged anew and answered, or refused (134). Of one that waits nothing is
  durable, and its number isn't used: the node sends again, and the latest of its updates counts.

Only key holders make anything wait, and as many as `WAITING_MAX` at a time.
"""

from ipaddress import IPv6Address, IPv6Network
from typing import NamedTuple

from mip6 import messages, packets
from roamkey.correspondent.core import entries
from roamkey.correspondent.core.authentic import AuthenticUpdate
from roamkey.correspondent.core.cache import NAT_REFRESH_S, REFUSALS, BindingCache
from roamkey.correspondent.core.entries import Inbound, Peer, Verdict, dropped
from roamkey.correspondent.core.updates import Update
from roamkey.home_agent.core.authentic import authenticate, is_authorized
from roamkey.registry.records import Binding, Change

WAITING_MAX = 256
_ASK_AGAIN_MS = 3_000  # where the home link gave no answer
_WAITS_MS = 10_000  # then the node's next update begins anew
_KNOWN_MS = 2_000  # how long what was found of an address is believed

_REASONS = {
    **REFUSALS,
    messages.REASON_UNSPECIFIED: "link-local address",
    messages.NOT_HOME_SUBNET: "not home subnet",
    messages.NOT_HOME_AGENT: "no home registration",
    messages.DUPLICATE_ADDRESS: "duplicate address",
    messages.TYPE_CHANGE_DISALLOWED: "registration type",
}


class _Waiting:
    """A first registration: the latest update, since when it waits, when the link was asked."""

    __slots__ = ("asked_ms", "inbound", "sequence", "since_ms")

    def __init__(self, inbound: Inbound, sequence: int, now: int) -> None:
        self.inbound = inbound
        self.sequence = sequence
        self.since_ms = now
        self.asked_ms: int | None = None


class _Found(NamedTuple):
    is_free: bool
    at_ms: int


class HomeCache(BindingCache):
    """The bindings of one home agent address. Ask for `to_detect` now and then, and tell what was
    `detected`."""

    _refusal_reasons = _REASONS

    def __init__(
        self,
        home_agent: bytes,
        prefixes: tuple[IPv6Network, ...],
        bindings_max: int = 1_000_000,
        nat_refresh_s: int = NAT_REFRESH_S,
        port: int = packets.ENCAPSULATION_PORT,
    ) -> None:
        """An empty cache for our address `home_agent` (16 octets), and the home link's
        prefixes; the rest as for `BindingCache`."""
        super().__init__(home_agent, bindings_max, None, nat_refresh_s, port)
        self._home_prefixes = prefixes
        self._waiting: dict[bytes, _Waiting] = {}
        self._found: dict[bytes, _Found] = {}

    def waiting(self) -> int:
        """How many first registrations wait."""
        return len(self._waiting)

    def to_detect(self, now: int) -> list[bytes]:
        """The home addresses that duplicate address detection is to begin for now, be it once
        more: the home link didn't answer."""
        due = []
        for home, one in self._waiting.items():
            if one.asked_ms is None or now - one.asked_ms >= _ASK_AGAIN_MS:
                one.asked_ms = now
                due.append(home)
        return due

    def detected(self, home_address: bytes, is_free: bool, now: int) -> Inbound | None:
        """What duplicate address detection found; the update that waited for it, to be judged
        anew, or None."""
        one = self._waiting.pop(home_address, None)
        if one is None:
            return None
        self._found[home_address] = _Found(is_free, now)
        return one.inbound

    def expire(self, now: int) -> list[tuple[bytes, Binding]]:
        """As `BindingCache.expire`; what waits in vain is forgotten as well."""
        for home in [h for h, one in self._waiting.items() if now - one.since_ms > _WAITS_MS]:
            del self._waiting[home]
        for home in [h for h, one in self._found.items() if now - one.at_ms > _KNOWN_MS]:
            del self._found[home]
        return super().expire(now)

    def judge(self, inbound: Inbound, now: int) -> Verdict:
        """As `BindingCache.judge`; data that aren't tunnelled are for correspondents."""
        verdict = super().judge(inbound, now)
        if verdict.outcome == entries.DATA and not inbound.endpoint:
            return dropped(inbound, "not tunnelled", verdict.home_address)
        return verdict

    # --- the checks

    def _authenticate(
        self, inbound: Inbound, update: Update, peer: Peer, now: int
    ) -> AuthenticUpdate | str:
        if not is_authorized(update):
            return "authorization data"
        return authenticate(inbound, update, peer) or "authenticator"

    def _status(self, authentic: AuthenticUpdate, now: int) -> int:
        status = super()._status(authentic, now)
        if status not in (messages.ACCEPTED, messages.INVALID_CARE_OF_ADDRESS):
            return status
        peer = authentic.peer
        is_held = _is_held(peer, now)
        if not self._is_served(peer.home_address):
            status = messages.NOT_HOME_SUBNET
        elif authentic.flags & messages.FLAG_LINK_LOCAL:
            status = messages.REASON_UNSPECIFIED
        elif authentic.removes and not is_held:
            status = messages.NOT_HOME_AGENT
        elif not authentic.removes and not is_held and status == messages.ACCEPTED:
            status = self._first_status(peer.home_address)
        return status

    def _first_status(self, home_address: bytes) -> int:
        """Why a first registration is refused, or 0."""
        found = self._found.get(home_address)
        status: int = messages.ACCEPTED
        if home_address in self._places.own:  # which no detection would find
            status = messages.DUPLICATE_ADDRESS
        elif found is not None:
            status = messages.ACCEPTED if found.is_free else messages.DUPLICATE_ADDRESS
        elif len(self._waiting) >= WAITING_MAX and home_address not in self._waiting:
            status = messages.INSUFFICIENT_RESOURCES
        return status

    def _type_status(self, flags: int) -> int:
        is_home = flags & messages.FLAG_HOME_REGISTRATION
        return messages.ACCEPTED if is_home else messages.TYPE_CHANGE_DISALLOWED

    def _accept(self, authentic: AuthenticUpdate, confirms: bool, now: int) -> Verdict:
        peer = authentic.peer
        is_free = self._found.pop(peer.home_address, None) is not None
        if authentic.removes or _is_held(peer, now) or is_free:
            self._waiting.pop(peer.home_address, None)
            return super()._accept(authentic, confirms, now)
        return self._wait(authentic, confirms, now)

    def _wait(self, authentic: AuthenticUpdate, confirms: bool, now: int) -> Verdict:
        """Have a first registration wait; one that comes meanwhile takes its place."""
        peer, key = authentic.peer, authentic.key
        before = self._waiting.get(peer.home_address)
        if before is None:
            self._waiting[peer.home_address] = _Waiting(authentic.inbound, authentic.sequence, now)
        elif before.sequence < authentic.sequence:
            before.inbound, before.sequence = authentic.inbound, authentic.sequence
        else:
            return dropped(authentic.inbound, "waiting already", peer.home_address)
        verdict = authentic.verdict(entries.WAITING, messages.ACCEPTED, 0)
        if confirms:
            verdict.change = Change(
                peer.pair_id, key.key_id, key.generation, None, confirms, None, refused=True
            )
        return verdict

    def _is_served(self, home_address: bytes) -> bool:
        home = IPv6Address(home_address)
        return any(home in prefix for prefix in self._home_prefixes)


def _is_held(peer: Peer, now: int) -> bool:
    return peer.binding is not None and peer.binding.expires_ms > now
