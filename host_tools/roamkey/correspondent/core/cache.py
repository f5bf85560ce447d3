"""The binding cache: packets in; verdicts, answers and what must be durable out. No I/O.

The checks are those of RFC 6275 section 9.5.1 for a static key, in this order:

1. the packet is well formed and its checksum right; the home address is unicast and global;
2. a key is provisioned for (home address, our address);
3. Binding Authorization Data stands last and verifies, under the current generation or a later
   one, which becomes current for good;
4. the sequence number is above the last one used, compared linearly; from here on it is used;
5. it asks for nothing that a correspondent doesn't give;
6. then the binding is made, replaced or removed.

What fails before step 4 gets no Binding Acknowledgement: whoever has no key learns nothing of the
pair. From there on, every answer is authenticated. A packet that needs a binding and has none, and
a message type that nobody knows, are told so with a Binding Error, at a limited rate.

A home address for which no key was ever entered is bound by return routability, where that is on:
see `routability`. Where one was, it never is, whatever became of the key.

What comes inside UDP goes through the same checks; its endpoint isn't signed, and only an update
that passes them all binds it. Without an authenticator nothing longer than itself answers it.

The cache moves ahead in memory at once; the caller makes `Verdict.change` durable and sends
`Verdict.reply` after that. Where a change can't be made durable, the caller reads the pair again
from the registry and `load`s it: the registry is what counts.
"""

from collections.abc import Callable
from typing import Any

from mip6 import addresses, messages, packets
from mip6.errors import Violation
from mip6.limits import ADDRESS_OCTETS
from roamkey.correspondent.core import entries, inside, updates
from roamkey.correspondent.core.authentic import AuthenticUpdate, authenticate
from roamkey.correspondent.core.entries import Inbound, Peer, Verdict, dropped
from roamkey.correspondent.core.limiter import HomeLimiter, Limiter
from roamkey.correspondent.core.nodes import Nodes
from roamkey.correspondent.core.others import Others
from roamkey.correspondent.core.updates import Update
from roamkey.registry.records import Binding, Change

NAT_REFRESH_S = 25  # NATs forget a port after 30 s and more

_INITS = (messages.HOME_TEST_INIT, messages.CARE_OF_TEST_INIT)

#: status -> why
REFUSALS = {
    messages.ADMINISTRATIVELY_PROHIBITED: "refused by the administrator",
    messages.INSUFFICIENT_RESOURCES: "no room for another binding",
    messages.HOME_REGISTRATION_NOT_SUPPORTED: "home registration",
    messages.SEQUENCE_OUT_OF_WINDOW: "sequence",
    messages.INVALID_CARE_OF_ADDRESS: "care-of address",
}


class BindingCache(Nodes):
    """The bindings of one correspondent address."""

    _refusal_reasons = REFUSALS

    def __init__(
        self,
        correspondent: bytes,
        bindings_max: int = 1_000_000,
        limiter: Limiter | None = None,
        nat_refresh_s: int = NAT_REFRESH_S,
        port: int = packets.ENCAPSULATION_PORT,
        random: Callable[[int], bytes] | None = None,
    ) -> None:
        """An empty cache for our address `correspondent` (16 octets). `nat_refresh_s`: how often
        nodes behind a NAT are to send something; 0: as they think best. `port`: our own for what
        comes inside UDP. `random(octets)`: unpredictable ones, for return routability; None:
        that is off."""
        super().__init__(correspondent, bindings_max, port, random)
        self._nat_refresh_s = nat_refresh_s
        self.limiter = limiter or Limiter()  # of errors to strangers
        self._others = Others(correspondent, self.binding, self.limiter)
        self._refusals = HomeLimiter(rate=3, burst=10, overall_rate=1000)
        self._guesses = HomeLimiter(rate=8, burst=20, overall_rate=400)

    def withheld(self) -> int:
        """How many refusals and errors were not sent because of their rate."""
        strangers = self.routability.withheld if self.routability else 0
        return self._others.withheld() + self._refusals.withheld + strangers

    def judge(self, inbound: Inbound, now: int) -> Verdict:
        """What becomes of a packet; raises nothing, whatever it holds."""
        if inbound.endpoint:
            return self._judge_encapsulated(inbound, now)
        usual = updates.read_usual(inbound, self.correspondent)
        if usual is not None:
            return self._judge_update(inbound, usual, now)
        try:
            packet = packets.parse_payload(
                inbound.next_header, inbound.payload, inbound.source, self.correspondent
            )
            if packet.segments_left:
                return dropped(inbound, "routing")
            if packet.protocol != packets.MOBILITY:
                return self._others.use(inbound, packet.home_address, entries.DATA, now)
            if not packet.checksum_ok():
                return dropped(inbound, "checksum")
            message = messages.decode(packet.payload)
        except Violation as violation:
            if violation.reason == "message type":
                return self._others.unknown(inbound, packet.home_address, now)
            return dropped(inbound, violation.reason)
        if message.kind in _INITS:
            return self._judge_init(inbound, message, now)
        if message.kind != messages.BINDING_UPDATE:
            return self._others.stray(inbound, packet.home_address, message.kind, now)
        return self._judge_update(inbound, updates.from_message(packet, message), now)

    def _judge_encapsulated(self, inbound: Inbound, now: int) -> Verdict:
        try:
            usual = inside.read_usual(inbound, self.correspondent)
            if usual is not None:
                return self._judge_update(inbound, usual, now)
            packet = inside.read(inbound, self.correspondent)
            if packet.protocol != packets.MOBILITY:
                is_data = packet.protocol != packets.NO_NEXT_HEADER
                outcome = entries.DATA if is_data else entries.KEEPALIVE
                return self._others.use(inbound, packet.source, outcome, now)
            message = messages.decode(packet.payload)
            if message.kind == messages.BINDING_UPDATE:
                update = inside.update_of(packet, message, inbound.source)
                return self._judge_update(inbound, update, now)
        except Violation as violation:
            if violation.reason == "message type":
                return self._others.unknown(inbound, packet.source, now)
            return dropped(inbound, violation.reason)
        if message.kind in _INITS:
            return dropped(inbound, "return routability inside UDP", packet.source)
        return self._others.stray(inbound, packet.source, message.kind, now)

    def _judge_init(self, inbound: Inbound, message: Any, now: int) -> Verdict:
        if self.routability is None:
            return dropped(inbound, "return routability is off")
        return self.routability.test(inbound, message, now)

    # --- Binding Updates

    def _judge_update(self, inbound: Inbound, update: Update, now: int) -> Verdict:
        home = update.home_address
        if not addresses.is_unicast_global(home):
            return dropped(inbound, "home address", home)
        peer = self._peers.get(home)
        if peer is None:
            return self._judge_stranger(inbound, update, now)
        authentic = self._authenticate(inbound, update, peer, now)
        if isinstance(authentic, str):
            return dropped(inbound, authentic, home)
        confirms = authentic.make_current()
        status = self._status(authentic, now)
        if status:
            return self._refuse(authentic, status, confirms, now)
        return self._accept(authentic, confirms, now)

    def _authenticate(
        self, inbound: Inbound, update: Update, peer: Peer, now: int
    ) -> AuthenticUpdate | str:
        """Step 3: the update as a key of the peer verifies it, or why it is dropped."""
        if not update.authorized:
            return "authorization data"
        authentic = authenticate(self.correspondent, inbound, update, peer, peer.keys[:1])
        if authentic is None and len(peer.keys) > 1:
            if not self._guesses.allow(peer.home_address, inbound.source, now):
                return "too many guesses"
            authentic = authenticate(self.correspondent, inbound, update, peer, peer.keys[1:])
        if authentic is None:
            return "a key was entered" if update.nonce_indices else "authenticator"
        return authentic

    def _judge_stranger(self, inbound: Inbound, update: Update, now: int) -> Verdict:
        """An update for a home address that no key is served for."""
        home, indices = update.home_address, update.nonce_indices
        if home in self._behind:
            return dropped(inbound, "registry behind", home)
        if indices is None:
            return dropped(inbound, "no key", home)
        if self.is_keyed(home):
            return dropped(inbound, "a key was entered", home)
        if inbound.endpoint:
            return dropped(inbound, "return routability inside UDP", home)
        if self.routability is None:
            return dropped(inbound, "return routability is off", home)
        return self.routability.judge(inbound, update, indices, now)

    def _status(self, authentic: AuthenticUpdate, now: int) -> int:
        """Steps 4 and 5: why an authentic update is refused at `now`, or 0."""
        peer, care_of = authentic.peer, authentic.care_of_address
        last = authentic.key.last_sequence
        status = self._type_status(authentic.flags)
        if last is not None and authentic.sequence <= last:
            status = messages.SEQUENCE_OUT_OF_WINDOW
        elif status:
            pass
        elif peer.refused:
            status = messages.ADMINISTRATIVELY_PROHIBITED
        elif authentic.removes:
            pass  # a binding can be removed from wherever
        elif not self._places.allow(care_of, authentic.inbound.endpoint):
            status = messages.INVALID_CARE_OF_ADDRESS
        elif peer.binding is None and self._bound >= self._bindings_max:
            status = messages.INSUFFICIENT_RESOURCES
        return status

    def _type_status(self, flags: int) -> int:
        """Why an update with these flags isn't for us, or 0."""
        is_home = flags & messages.FLAG_HOME_REGISTRATION
        return messages.HOME_REGISTRATION_NOT_SUPPORTED if is_home else messages.ACCEPTED

    def _refuse(
        self, authentic: AuthenticUpdate, status: int, confirms: bool, now: int
    ) -> Verdict:
        """A number that is refused for another reason than itself is used up like any other: what
        was refused once can't be played back when it would be accepted."""
        peer, key, sequence = authentic.peer, authentic.key, authentic.sequence
        used: int | None = sequence
        if status == messages.SEQUENCE_OUT_OF_WINDOW and key.last_sequence is not None:
            used, sequence = None, key.last_sequence
        else:
            key.last_sequence = sequence
        verdict = authentic.verdict(entries.REFUSED, status, 0)
        verdict.reason = self._refusal_reasons[status]
        if confirms or used is not None:
            verdict.change = Change(
                peer.pair_id, key.key_id, key.generation, used, confirms, None, refused=True
            )
        if self._refusals.allow(peer.home_address, authentic.inbound.source, now):
            verdict.reply = authentic.acknowledgement(
                self.correspondent, status, sequence, 0, self._nat_refresh_s
            )
        return verdict

    def _accept(self, authentic: AuthenticUpdate, confirms: bool, now: int) -> Verdict:
        """Step 6: what the update asks for is done, and acknowledged if it asks for that."""
        peer, key, sequence = authentic.peer, authentic.key, authentic.sequence
        binding, granted = None, 0
        if not authentic.removes:
            care_of, granted = authentic.care_of_address, authentic.lifetime()
            until = now + 1000 * granted
            endpoint = authentic.inbound.endpoint
            binding = Binding(care_of, granted, now, until, key.key_id, endpoint)
            if self.routability is not None:  # who has a key comes first
                self.routability.displace(endpoint[:ADDRESS_OCTETS] or care_of)
        before = peer.binding
        self._bind(peer, binding)
        key.last_sequence = sequence
        outcome = entries.REMOVED if authentic.removes else entries.ACCEPTED
        verdict = authentic.verdict(outcome, messages.ACCEPTED, granted)
        if before is not None and before.expires_ms > now:
            verdict.previous = before.care_of_address
        verdict.change = Change(
            peer.pair_id, key.key_id, key.generation, sequence, confirms, binding
        )
        if authentic.flags & messages.FLAG_ACKNOWLEDGE:
            verdict.reply = authentic.acknowledgement(
                self.correspondent, messages.ACCEPTED, sequence, granted, self._nat_refresh_s
            )
        return verdict
