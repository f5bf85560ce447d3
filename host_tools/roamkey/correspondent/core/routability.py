"""Bindings of nodes without a key: return routability (RFC 6275 sections 5.2, 9.4, 9.5; no I/O).

A node that is heard at its home address and at its care-of address, each time by a token sent
there, may bind the one to the other. That is all that it proves: whoever hears what we send to
both may do it too. So what is given on it is little, and bounded:

- nothing where a key was ever entered for the home address (draft section 4: the user overrides
  return routability "by entering the preconfigured data"), whatever became of the key since;
- nothing is kept before an update verifies; an answer to an Init is eight octets longer than that,
  64 for 56 with the IPv6 header, and goes to where that came from;
- 420 s at most (MAX_RR_BINDING_LIFETIME), in memory alone: after a restart the node's data draw
  a Binding Error 1, and it begins anew;
- an eighth of what nodes with keys may have, beside those, and a quarter of it for a site;
- no home address that this host, its links or another binding needs: see `places`.

Numbers go modulo 2^16, as section 9.5.1 has it: tokens die long before they come round. The last
one outlives its binding until no nonce that was good with it is recognized any more (section
9.5.3): an update can't be played back after a de-registration, or after the binding's end.

Inside UDP there is none of it: the RFCs don't say what an outer address would have to prove.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from mip6 import keys, messages, packets
from mip6.limits import LIFETIME_UNIT_S
from roamkey.correspondent.core import entries, replies
from roamkey.correspondent.core.entries import Inbound, Verdict, dropped
from roamkey.correspondent.core.expiries import Expiries
from roamkey.correspondent.core.limiter import SiteLimiter, site
from roamkey.correspondent.core.nonces import LIFETIME_MS, Nonces
from roamkey.correspondent.core.places import Ends, Places
from roamkey.correspondent.core.updates import Update
from roamkey.registry.records import Binding

LIFETIME_MAX_S = 420  # MAX_RR_BINDING_LIFETIME, section 12
_SHARE = 8
_OF_A_SITE = 4
_NO_KEY = 0
_NUMBERS = 1 << 16

_UNRECOGNIZED = {  # home nonce recognized, care-of nonce recognized -> status
    (False, True): messages.EXPIRED_HOME_NONCE,
    (True, False): messages.EXPIRED_CARE_OF_NONCE,
    (False, False): messages.EXPIRED_NONCES,
}


REFUSALS = {
    messages.ADMINISTRATIVELY_PROHIBITED: "home address in use here",
    messages.INSUFFICIENT_RESOURCES: "no room for return routability",
    messages.HOME_REGISTRATION_NOT_SUPPORTED: "home registration",
    messages.SEQUENCE_OUT_OF_WINDOW: "sequence",
    messages.INVALID_CARE_OF_ADDRESS: "care-of address",
}


class Guest:
    """A node without a key: its binding, where there is one, and the last number until nobody can
    play it back (`kept_until_ms`)."""

    __slots__ = ("binding", "home_address", "kept_until_ms", "last_sequence", "watched_ms")

    def __init__(self, home_address: bytes) -> None:
        """Nothing is known of it yet."""
        self.home_address = home_address
        self.binding: Binding | None = None
        self.last_sequence = 0
        self.kept_until_ms = 0
        self.watched_ms: int | None = None


class Routability:
    """Of one correspondent address. `now` is in milliseconds, by a clock that nobody sets."""

    def __init__(
        self,
        correspondent: bytes,
        random: Callable[[int], bytes],
        bindings_max: int,
        places: Places,
        ends: Ends,
        is_keyed: Callable[[bytes], bool],
        changed: Callable[[bytes], None],
    ) -> None:
        """`random(octets)`: unpredictable ones; `bindings_max`: of nodes with keys;
        `is_keyed(home)`: whether a key was entered for it; `changed(home)` is called where its
        binding is another."""
        self._correspondent = correspondent
        self._nonces = Nonces(random)
        self.most = max(1, bindings_max // _SHARE)
        self._most_of_site = max(1, self.most // _OF_A_SITE)
        self._places = places
        self._ends = ends
        self._is_keyed = is_keyed
        self._changed = changed
        self._guests: dict[bytes, Guest] = {}
        self._of_site: Counter[bytes] = Counter()
        self._expiries = Expiries()
        self.bound = 0  # with those that expired and weren't yet removed
        self._tests = SiteLimiter(rate=3, burst=10, overall_rate=1000)
        self._errors = SiteLimiter(rate=3, burst=10, overall_rate=300)
        self._updates = SiteLimiter(rate=3, burst=10, overall_rate=100)

    @property
    def withheld(self) -> int:
        """How many answers were not given because of their rate."""
        return self._tests.withheld + self._errors.withheld + self._updates.withheld

    def facts(self) -> dict[str, Any]:
        """What there is to tell; `remembered`: numbers of nodes that have no binding."""
        return {
            "bound": self.bound,
            "remembered": len(self._guests) - self.bound,
            "most": self.most,
        }

    def homes(self) -> list[bytes]:
        """The nodes that have a binding, those that expired included."""
        return [home for home, guest in self._guests.items() if guest.binding is not None]

    def latest(self, most: int) -> list[tuple[bytes, int, Binding]]:
        """Home address, last number and binding of those, who came last first, at most so many.
        Another thread may ask."""
        found: list[tuple[bytes, int, Binding]] = []
        for home, guest in reversed(self._guests.copy().items()):
            if guest.binding is not None and len(found) < most:
                found.append((home, guest.last_sequence, guest.binding))
        return found

    def binding(self, home_address: bytes, now: int) -> Binding | None:
        """Where a node is, or None."""
        guest = self._guests.get(home_address)
        binding = guest.binding if guest else None
        if binding is None or binding.expires_ms <= now:
            return None
        return binding if self._is_good(home_address, binding.care_of_address) else None

    def displace(self, address: bytes) -> None:
        """Who has this home address goes: a key was entered for it, or a keyed node is there."""
        guest = self._guests.get(address)
        if guest is not None:
            self._forget(guest)

    def host_has(self, news: frozenset[bytes]) -> None:
        """These addresses came to our host, or went."""
        for home, guest in self._guests.items():
            if guest.binding and (home in news or guest.binding.care_of_address in news):
                self._changed(home)

    def expire(self, now: int) -> list[tuple[bytes, Binding]]:
        """Remove the bindings whose time is over; their home addresses and what they were."""
        gone = []
        for at, home in self._expiries.due(now):
            guest = self._guests.get(home)
            if guest is None or guest.watched_ms != at:
                continue
            guest.watched_ms = None
            if guest.binding is not None and guest.binding.expires_ms <= now:
                gone.append((home, guest.binding))
                self._bind(guest, None)
            if guest.binding is None and guest.kept_until_ms <= now:
                self._forget(guest)
            else:
                self._watch(guest)
        return gone

    # --- tests: sections 9.4.1 to 9.4.4

    def test(self, inbound: Inbound, message: Any, now: int) -> Verdict:
        """A Home or Care-of Test Init, well formed. Nothing of it is kept.

        Nothing may stand before it: the interface that it came in by is known of such alone, and
        a Home Test must not go where a binding leads.
        """
        is_home = message.kind == messages.HOME_TEST_INIT
        source = inbound.source
        if inbound.next_header != packets.MOBILITY:
            return dropped(inbound, "headers before a test")
        if is_home and self._is_keyed(source):
            return dropped(inbound, "a key was entered", source)
        if is_home and not self._places.allow_home(source):
            return dropped(inbound, "home address", source)
        if not is_home and not self._places.allow(source, b""):
            return dropped(inbound, "care-of address")
        if not self._tests.allow(source, now):
            return dropped(inbound, "too many tests")
        index, nonce = self._nonces.current(now)
        if is_home:
            answer = messages.Message(
                messages.HOME_TEST,
                home_nonce_index=index,
                home_init_cookie=message.home_init_cookie,
                home_keygen_token=self._nonces.home_token(source, nonce),
            )
        else:
            answer = messages.Message(
                messages.CARE_OF_TEST,
                care_of_nonce_index=index,
                care_of_init_cookie=message.care_of_init_cookie,
                care_of_keygen_token=self._nonces.care_of_token(source, nonce),
            )
        reason = "home" if is_home else "care-of"
        reply = replies.test(self._correspondent, inbound, answer.encode())
        return Verdict(entries.TESTED, reason, source, reply=reply)

    # --- Binding Updates: section 9.5

    def judge(self, inbound: Inbound, update: Update, indices: tuple[int, int],
              now: int) -> Verdict:  # fmt: skip
        """A Binding Update with nonce indices, for a home address without a key."""
        home = update.home_address
        if not update.authorized:
            return dropped(inbound, "authorization data", home)
        care_of = update.alternate or inbound.source
        removes = not update.lifetime or care_of == home
        home_nonce = self._nonces.find(indices[0], now)
        care_of_nonce = None if removes else self._nonces.find(indices[1], now)
        unrecognized = _UNRECOGNIZED.get(
            (home_nonce is not None, removes or care_of_nonce is not None)
        )
        if home_nonce is None or unrecognized is not None:
            verdict = dropped(inbound, "nonces not recognized", home)
            if unrecognized and self._errors.allow(inbound.source, now):
                verdict.reply = replies.refusal(
                    self._correspondent, inbound, home, unrecognized, update.sequence
                )
            return verdict
        kbm = keys.binding_management_key(
            self._nonces.home_token(home, home_nonce),
            care_of_nonce and self._nonces.care_of_token(care_of, care_of_nonce),
        )
        if not keys.verify(kbm, care_of, self._correspondent, update.header):
            return dropped(inbound, "authenticator", home)
        if not self._updates.allow(home, now):
            return dropped(inbound, "too many updates", home)
        return self._authentic(inbound, update, care_of, removes, kbm, now)

    def _authentic(self, inbound: Inbound, update: Update, care_of: bytes, removes: bool,
                   kbm: bytes, now: int) -> Verdict:  # fmt: skip
        """It verified: do what it asks for, or say why not."""
        home, sequence, granted = update.home_address, update.sequence, 0
        guest = self._guests.get(home)
        status = self._status(update, care_of, removes, guest)
        outcome = entries.REFUSED
        before = guest.binding if guest else None
        if not status:
            outcome = entries.REMOVED
            binding = None
            if not removes:
                outcome = entries.ACCEPTED
                granted = min(update.lifetime * LIFETIME_UNIT_S, LIFETIME_MAX_S)
                binding = Binding(care_of, granted, now, now + 1000 * granted, _NO_KEY)
            if guest is not None or self._has_room(home):  # else there is nothing to remove
                self._use(guest or self._add(home), sequence, binding, now)
        elif status == messages.SEQUENCE_OUT_OF_WINDOW and guest is not None:
            sequence = guest.last_sequence
        elif guest is not None:
            self._use(guest, sequence, before, now)
        verdict = Verdict(
            outcome,
            REFUSALS.get(status, ""),
            inbound.source,
            home,
            care_of_address=care_of,
            sequence=update.sequence,
            generation=None,
            status=status,
            lifetime=granted,
        )
        if before is not None and before.expires_ms > now:
            verdict.previous = before.care_of_address
        if status or update.flags & messages.FLAG_ACKNOWLEDGE:
            verdict.reply = replies.acknowledgement(
                self._correspondent, inbound, home, care_of, kbm, status, sequence, granted
            )
        return verdict

    def _status(self, update: Update, care_of: bytes, removes: bool, guest: Guest | None) -> int:
        """Why an authentic update is refused, or 0."""
        home = update.home_address
        status: int = messages.ACCEPTED
        if guest is not None and not _is_after(update.sequence, guest.last_sequence):
            status = messages.SEQUENCE_OUT_OF_WINDOW
        elif update.flags & messages.FLAG_HOME_REGISTRATION:
            status = messages.HOME_REGISTRATION_NOT_SUPPORTED
        elif removes:
            pass  # a binding can be removed from wherever
        elif not self._places.allow_home(home) or home in self._ends:
            status = messages.ADMINISTRATIVELY_PROHIBITED
        elif not self._is_good(home, care_of):
            status = messages.INVALID_CARE_OF_ADDRESS
        elif guest is None and not self._has_room(home):
            status = messages.INSUFFICIENT_RESOURCES
        return status

    def _is_good(self, home: bytes, care_of: bytes) -> bool:
        """Whether a binding leads to its end: none begins where another ends."""
        at = self._guests.get(care_of)
        leads_on = at is not None and at.binding is not None
        return (
            not leads_on
            and home not in self._ends
            and self._places.allow_home(home)
            and self._places.allow(care_of, b"")
        )

    def _has_room(self, home: bytes) -> bool:
        return len(self._guests) < self.most and self._of_site[site(home)] < self._most_of_site

    # --- who is known

    def _add(self, home: bytes) -> Guest:
        guest = self._guests[home] = Guest(home)
        self._of_site[site(home)] += 1
        return guest

    def _use(self, guest: Guest, sequence: int, binding: Binding | None, now: int) -> None:
        guest.last_sequence = sequence
        guest.kept_until_ms = now + LIFETIME_MS
        self._bind(guest, binding)
        self._watch(guest)

    def _bind(self, guest: Guest, binding: Binding | None) -> None:
        before, guest.binding = guest.binding, binding
        if before == binding:
            return
        self.bound += (binding is not None) - (before is not None)
        self._ends.change(before, binding)
        self._changed(guest.home_address)

    def _watch(self, guest: Guest) -> None:
        until = guest.kept_until_ms if guest.binding is None else guest.binding.expires_ms
        self._expiries.watch(guest, until)

    def _forget(self, guest: Guest) -> None:
        self._bind(guest, None)
        del self._guests[guest.home_address]
        self._of_site[site(guest.home_address)] -= 1
        if not self._of_site[site(guest.home_address)]:
            del self._of_site[site(guest.home_address)]


def _is_after(sequence: int, last: int) -> bool:
    """Whether a number is above another one, modulo 2^16: the 32,768 numbers before that aren't
    (section 9.5.1)."""
    return 0 < (sequence - last) % _NUMBERS < _NUMBERS // 2
