"""Who signed a message: the authenticator tried under every key of the pair.

RFC 6275 section 6.2.7 with the preconfigured key of the draft. Kbm has two forms, for a binding
and for its deletion. An update's own fields say which is due; an acknowledgement's don't, since
both a refusal and an acknowledged deletion have a lifetime of zero.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mip6 import keys, messages, packets
from roamkey.registry.records import PairKeys

RIGHT = "right"
WRONG = "wrong"
NO_KEY = "no key for this pair"
NOT_CHECKED = "not checked"
ABSENT = "absent"

BINDING = "binding"
DELETION = "deletion"


@dataclass(frozen=True)
class Authenticity:
    """The verdict; where a key fits, its generation and the form of Kbm; a note for people."""

    verdict: str
    generation: int | None = None
    kbm: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Parties:
    """Home address, care-of address being registered and correspondent, 16 octets each."""

    home_address: bytes
    care_of_address: bytes
    correspondent: bytes


def parties(packet: packets.Packet, message: messages.Message) -> Parties:
    """Whom a Binding Update or a Binding Acknowledgement is about."""
    if message.kind == messages.BINDING_ACKNOWLEDGEMENT:
        home = packet.logical_destination
        return Parties(home, packet.destination, packet.logical_source)
    alternate = message.option(messages.ALTERNATE_CARE_OF_ADDRESS)
    care_of = packet.source if alternate is None else alternate
    return Parties(packet.logical_source, care_of, packet.logical_destination)


#: Keys by home address and correspondent
Keys = Mapping[tuple[bytes, bytes], Sequence[PairKeys]]


def by_pair(pairs: Iterable[PairKeys]) -> Keys:
    """Keys as `check` takes them: it looks at those of the packet's pair alone."""
    found: dict[tuple[bytes, bytes], list[PairKeys]] = {}
    for pair in pairs:
        found.setdefault((pair.home_address, pair.correspondent), []).append(pair)
    return found


def check(packet: packets.Packet, message: messages.Message, pairs: Keys | None) -> Authenticity:
    """Judge the authenticator of a Binding Update or Acknowledgement; `pairs` None: no keys."""
    authorization = messages.BINDING_AUTHORIZATION_DATA
    if message.option(authorization) is None:
        return Authenticity(ABSENT)
    if message.options[-1][0] != authorization:
        return Authenticity(WRONG, note="Binding Authorization Data isn't the last option")
    if len(message.options[-1][1]) != keys.AUTHENTICATOR_OCTETS:
        return Authenticity(WRONG, note="the authenticator hasn't 12 octets")
    if pairs is None:
        return Authenticity(NOT_CHECKED)
    who = parties(packet, message)
    verdict = Authenticity(NO_KEY)
    for pair in pairs.get((who.home_address, who.correspondent), ()):
        verdict = _signed(pair, who, packet, _forms_due(message, who))
        if verdict.generation is not None:
            break
    return verdict


def _forms_due(message: Any, who: Parties) -> tuple[str, ...]:
    if message.kind == messages.BINDING_ACKNOWLEDGEMENT:
        return BINDING, DELETION
    deletes = message.lifetime == 0 or who.care_of_address == who.home_address
    return (DELETION,) if deletes else (BINDING,)


def _signed(
    pair: PairKeys, who: Parties, packet: packets.Packet, due: tuple[str, ...]
) -> Authenticity:
    for key in pair.keys:
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
                return Authenticity(RIGHT, key.generation, form)
            note = f"made with the Kbm of a {form}, where that of a {due[0]} is due"
            return Authenticity(WRONG, key.generation, form, note)
    return Authenticity(WRONG)
