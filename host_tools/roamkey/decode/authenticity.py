"""Who signed a message: the authenticator tried under every key of the pair, or by the tokens of
return routability where the tests were seen.

RFC 6275 section 6.2.7 with the preconfigured key of the draft; RFC 4285 section 5 to a home agent.
Kbm has two forms, for a binding and for its deletion. An update's own fields say which is due; an
acknowledgement's don't, since both a refusal and an acknowledged deletion have a lifetime of zero.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mip6 import keys, messages, packets
from mip6.addresses import IPV4_MAPPED
from mip6.homeagent import authenticator as mn_ha
from roamkey.decode.outer import Outer
from roamkey.decode.tokens import Tokens
from roamkey.registry.records import PairKeys

RIGHT = "right"
WRONG = "wrong"
NO_KEY = "no key for this pair"
NOT_CHECKED = "not checked"
ABSENT = "absent"

#: what a right authenticator was made with
STATIC_KEY = "static key"
HOME_AGENT_KEY = "MN-HA key"
ROUTABILITY = "return routability"

BINDING = "binding"
DELETION = "deletion"


_MN_HA = 1  # subtype, RFC 4285 section 5.1
_MN_HA_OCTETS = 1 + 4 + keys.AUTHENTICATOR_OCTETS  # subtype, SPI, authenticator


@dataclass(frozen=True)
class Authenticity:
    """The verdict; where a key fits, its generation and the form of Kbm, or by what else it is
    right; a note for people."""

    verdict: str
    generation: int | None = None
    kbm: str | None = None
    note: str = ""
    by: str | None = None


@dataclass(frozen=True)
class Parties:
    """Home address, care-of address being registered and correspondent, 16 octets each."""

    home_address: bytes
    care_of_address: bytes
    correspondent: bytes


@dataclass(frozen=True)
class About:
    """Whom a message may be about, likeliest first; `known`: whether the first is who it is."""

    parties: tuple[Parties, ...]
    known: bool = True


class Registrations:
    """Care-of addresses that updates named which came from elsewhere, or inside UDP, by pair and
    endpoint: an acknowledgement doesn't repeat it. Bounded: the oldest are forgotten.
    `tokens`: of return routability."""

    _PAIRS_MAX = 4096
    _EACH_MAX = 4

    def __init__(self) -> None:
        """None yet."""
        self._found: OrderedDict[tuple[object, ...], list[bytes]] = OrderedDict()
        self.tokens = Tokens()

    def note(self, who: Parties, endpoint: object) -> None:
        """An update from `endpoint` registers this."""
        found = self._found.setdefault((who.home_address, who.correspondent, endpoint), [])
        if who.care_of_address in found:
            found.remove(who.care_of_address)
        found.insert(0, who.care_of_address)
        del found[self._EACH_MAX :]
        if len(self._found) > self._PAIRS_MAX:
            self._found.popitem(last=False)

    def of(self, home: bytes, correspondent: bytes, endpoint: object) -> list[bytes]:
        """What was noted, the newest first."""
        return self._found.get((home, correspondent, endpoint), [])


def about(
    packet: packets.Packet,
    message: messages.Message,
    outer: Outer | None = None,
    seen: Registrations | None = None,
) -> About:
    """Whom a Binding Update or Acknowledgement is about; an update is noted in `seen`."""
    if message.kind == messages.BINDING_ACKNOWLEDGEMENT:
        return _of_answer(packet, message, outer, seen)
    care_of = message.option(messages.ALTERNATE_CARE_OF_ADDRESS)
    ipv4 = message.option(messages.IPV4_CARE_OF_ADDRESS)
    if ipv4 is not None and (outer is None or outer.way == "udp4"):
        care_of = IPV4_MAPPED + ipv4[2:]
    care_of = packet.source if care_of is None else care_of
    who = Parties(packet.logical_source, care_of, packet.logical_destination)
    if seen is not None and (packet.home_address is None or care_of != packet.source):
        seen.note(who, outer and (outer.source, outer.source_port))
    return About((who,))


def _of_answer(
    packet: packets.Packet,
    message: messages.Message,
    outer: Outer | None,
    seen: Registrations | None,
) -> About:
    home, correspondent = packet.logical_destination, packet.logical_source
    endpoint = outer and (outer.destination, outer.destination_port)
    found = seen.of(home, correspondent, endpoint) if seen else []
    if packet.route is not None:  # to where the update came from, which may not be what it named
        found = [packet.destination, *found]
        return About(tuple(Parties(home, care_of, correspondent) for care_of in found))
    natted = message.option(messages.NAT_DETECTION) is not None
    known = bool(found) or not natted
    if not natted:  # the outer address is the care-of address; a plain one goes home
        found = [home if outer is None else outer.destination, *found]
    return About(tuple(Parties(home, care_of, correspondent) for care_of in found), known)


#: Keys by home address and correspondent
Keys = Mapping[tuple[bytes, bytes], Sequence[PairKeys]]


def by_pair(pairs: Iterable[PairKeys]) -> Keys:
    """Keys as `check` takes them: it looks at those of the packet's pair alone."""
    found: dict[tuple[bytes, bytes], list[PairKeys]] = {}
    for pair in pairs:
        found.setdefault((pair.home_address, pair.correspondent), []).append(pair)
    return found


def check(
    packet: packets.Packet,
    message: messages.Message,
    whom: About,
    pairs: Keys | None,
    tokens: Tokens | None = None,
) -> tuple[Authenticity, Parties | None]:
    """Judge the authenticator of a Binding Update or Acknowledgement; `pairs` None: no keys.

    Returns whom it is about, too: under whose key it is right, else the likeliest, or None.
    """
    likeliest = whom.parties[0] if whom.parties else None
    wrong = _is_misplaced(message)
    if wrong is not None:
        return wrong, likeliest
    if pairs is None or not _has_keys(packet, message, pairs):
        by_tokens = _by_tokens(packet, message, whom, tokens)
        if by_tokens is not None:
            return by_tokens
    if pairs is None:
        return Authenticity(NOT_CHECKED), likeliest
    ends = packet.logical_source, packet.logical_destination
    if message.kind == messages.BINDING_ACKNOWLEDGEMENT:
        ends = ends[1], ends[0]
    verdict = Authenticity(NO_KEY)
    for pair in pairs.get(ends, ()):
        for who in whom.parties:
            verdict = _signed(pair, who, packet, message)
            if verdict.generation is not None:
                return verdict, who
        if not whom.known:
            note = "the care-of address stands in the update, which isn't here"
            verdict = Authenticity(NOT_CHECKED, note=note)
    return verdict, likeliest


def _is_misplaced(message: messages.Message) -> Authenticity | None:
    """The verdict on a message with no authenticator, or none where it belongs; else None."""
    kinds = messages.BINDING_AUTHORIZATION_DATA, messages.AUTHENTICATION
    found = [kind for kind, _ in message.options if kind in kinds]
    if not found:
        return Authenticity(ABSENT)
    kind, data = message.options[-1]
    if kind not in kinds:
        name = messages.OPTIONS[found[-1]][0]
        return Authenticity(WRONG, note=f"{name} isn't the last option")
    if kind == messages.AUTHENTICATION:
        if len(data) != _MN_HA_OCTETS or data[0] != _MN_HA:
            return Authenticity(NOT_CHECKED, note="not the MN-HA authentication option")
    elif len(data) != keys.AUTHENTICATOR_OCTETS:
        return Authenticity(WRONG, note="the authenticator hasn't 12 octets")
    return None


def _has_keys(packet: packets.Packet, message: messages.Message, pairs: Keys) -> bool:
    ends = packet.logical_source, packet.logical_destination
    return ends in pairs or (ends[1], ends[0]) in pairs


def _by_tokens(
    packet: packets.Packet, message: messages.Message, whom: About, tokens: Tokens | None
) -> tuple[Authenticity, Parties | None] | None:
    """The verdict by return routability, and whom it is about, where the tests were seen that it
    takes; else None."""
    if tokens is None or message.options[-1][0] != messages.BINDING_AUTHORIZATION_DATA:
        return None
    any_tried = False
    for who in whom.parties:
        pair = who.home_address, who.correspondent
        if message.kind == messages.BINDING_ACKNOWLEDGEMENT:
            tried = tokens.of_answer(*pair)
        else:
            indices = message.option(messages.NONCE_INDICES)
            if indices is None:
                return None
            removes = message.lifetime == 0 or who.care_of_address == who.home_address
            addresses = who.home_address, who.care_of_address, who.correspondent
            kbm = tokens.of_update(*addresses, indices, removes)
            tried = [kbm] if kbm is not None else []
        for kbm in tried:
            if keys.verify(kbm, who.care_of_address, who.correspondent, packet.payload):
                tokens.vouched(*pair, kbm)
                return Authenticity(RIGHT, by=ROUTABILITY), who
        any_tried |= bool(tried)
    note = "by the tokens of the tests seen"
    return (Authenticity(WRONG, note=note), whom.parties[0]) if any_tried else None


def _forms_due(message: Any, who: Parties) -> tuple[str, ...]:
    if message.kind == messages.BINDING_ACKNOWLEDGEMENT:
        return BINDING, DELETION
    deletes = message.lifetime == 0 or who.care_of_address == who.home_address
    return (DELETION,) if deletes else (BINDING,)


def _signed(pair: PairKeys, who: Parties, packet: packets.Packet, message: Any) -> Authenticity:
    due = _forms_due(message, who)
    for key in pair.keys:
        if message.options[-1][0] == messages.AUTHENTICATION:
            if mn_ha.verify(key.kcn, who.care_of_address, who.home_address, packet.payload):
                return Authenticity(RIGHT, key.generation, by=HOME_AGENT_KEY)
            continue
        home = keys.home_keygen_token(key.kcn, who.home_address, pair.home_nonce)
        care_of = keys.care_of_keygen_token(key.kcn, who.care_of_address, pair.care_of_nonce)
        forms = {
            BINDING: keys.binding_management_key(home, care_of),
            DELETION: keys.binding_management_key(home),
        }
        for form, kbm in forms.items():
            if not keys.verify(kbm, who.care_of_address, who.correspondent, packet.payload):
                continue
            if form in due:
                return Authenticity(RIGHT, key.generation, form, by=STATIC_KEY)
            note = f"made with the Kbm of a {form}, where that of a {due[0]} is due"
            return Authenticity(WRONG, key.generation, form, note)
    return Authenticity(WRONG)
