"""Many mobile nodes with keys of their own, in a registry, and their signed Binding Updates.

The updates are made by what makes them on a board: `mip6.updates`.
"""

import hashlib
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from typing import ClassVar

from sqlalchemy import insert, update

from mip6 import keys as core
from mip6 import messages, packets
from mip6.bindings import updates, ways
from mip6.homeagent import authenticator as mn_ha
from mip6.limits import LIFETIME_UNIT_S
from roamkey.correspondent.core.entries import Inbound
from roamkey.registry import CONFIRMED, HOME_AGENT, SENT, Registry
from roamkey.registry import CORRESPONDENT as REGISTRY_CORRESPONDENT
from roamkey.registry.encryption import Place, Secrets
from roamkey.registry.keysets import fingerprint
from roamkey.registry.schema import keys, nodes, pairs, registry

CORRESPONDENT = IPv6Address("2001:db8:c::2")
LIFETIME_S = 4000
LATER = 15  # keys that a node may have beside the one in use
HOMES = "2001:db8:a::/64"
_HOME = int(IPv6Network(HOMES).network_address)
_KCN_OCTETS = 32
_NONCE_OCTETS = 8


@dataclass
class Node:
    """A node under its first key. `home_address`: 16 octets."""

    number: int
    role: ClassVar[str] = REGISTRY_CORRESPONDENT

    def __post_init__(self) -> None:
        self.home_address = (_HOME + 1 + self.number).to_bytes(16, "big")
        stream = hashlib.shake_256(b"roamkey bench %d" % self.number)
        secret = stream.digest(_KCN_OCTETS + 2 * _NONCE_OCTETS)
        self.secrets = Secrets(secret[:_KCN_OCTETS], secret[32:40], secret[40:])
        self._prepared = updates.PreparedKeys(
            self.secrets.kcn,
            self.home_address,
            self.secrets.home_nonce,
            self.secrets.care_of_nonce,
        )

    def key(self, care_of: bytes) -> object:
        """Kbm for a care-of address, as `keys.verify` takes it."""
        return self._prepared.registration(care_of)

    def update(self, sequence: int, care_of: bytes, inside: bool = False) -> Inbound:
        """A signed Binding Update from `care_of` (16 octets). `inside`: UDP, over IPv6; then the
        next header is packets.ENCAPSULATED and the correspondent's port."""
        made = updates.Update(self.home_address, CORRESPONDENT.packed)
        way = (
            (ways.UDP6, care_of, CORRESPONDENT.packed, packets.ENCAPSULATION_PORT)
            if inside
            else (ways.NATIVE, care_of, None, 0)
        )
        made.aim(way, self.key(care_of), LIFETIME_S // LIFETIME_UNIT_S)
        made.number(sequence)
        return Inbound(made.next_header, bytes(made.payload), care_of)

    def read(self, payload: bytes, care_of: bytes) -> tuple[int, int] | None:
        """(status, sequence) in an acknowledgement that came to `care_of`; None if it isn't one
        for this node, or isn't authentic. `payload` begins with the routing header."""
        header = payload[packets.EXTENSION_OCTETS :]
        if payload[8:24] != self.home_address or not core.verify(
            self.key(care_of), care_of, CORRESPONDENT.packed, header
        ):
            return None
        message = messages.decode(header)
        return message.status, message.sequence


class AtHomeAgent(Node):
    """The same, whose key is that of a home agent at the correspondent's address (RFC 4285)."""

    role = HOME_AGENT
    _SIGNED = b"\x01" + mn_ha.SPI_OF_GENERATION_0.to_bytes(4, "big")

    def update(self, sequence: int, care_of: bytes, inside: bool = False) -> Inbound:
        """A signed home registration from `care_of`, natively."""
        options = [(messages.AUTHENTICATION, self._SIGNED + bytes(core.AUTHENTICATOR_OCTETS))]
        header = messages.Message(
            messages.BINDING_UPDATE,
            options,
            sequence=sequence,
            flags=messages.FLAG_ACKNOWLEDGE | messages.FLAG_HOME_REGISTRATION,
            lifetime=LIFETIME_S // LIFETIME_UNIT_S,
        ).encode()
        home = self.home_address
        mac = mn_ha.authenticator(self.secrets.kcn, care_of, home, header)
        header = messages.with_checksum(header[: -len(mac)] + mac, home, CORRESPONDENT.packed)
        option = packets.home_address_option(home, packets.MOBILITY)
        return Inbound(packets.DESTINATION_OPTIONS, option + header, care_of)

    def read(self, payload: bytes, care_of: bytes) -> tuple[int, int] | None:
        """As `Node.read`."""
        header = payload[packets.EXTENSION_OCTETS :]
        if payload[8:24] != self.home_address or not mn_ha.verify(
            self.secrets.kcn, care_of, self.home_address, header
        ):
            return None
        message = messages.decode(header)
        return message.status, message.sequence


def enroll(opened: Registry, count: int, later: int = 0, kind: type[Node] = Node) -> list[Node]:
    """Put nodes into an empty registry as if each had been provisioned and confirmed. `later`:
    how many further keys each has, which nobody uses."""
    fleet = [kind(number) for number in range(count)]
    with opened.writing() as c:
        mark = opened.vault.fingerprint_key(c)
        rows: tuple[list[dict], ...] = ([], [], [])
        for one in fleet:
            ident = one.number + 1
            set_id = ident.to_bytes(8, "big")
            place = Place(one.home_address, CORRESPONDENT.packed, set_id, 0)
            rows[0].append({"id": ident, "board_id": f"board-{ident}"})
            rows[0][-1] |= {"home_address": one.home_address, "refused": False}
            rows[1].append({"id": ident, "node_id": ident, "revision": 1})
            rows[1][-1] |= {"correspondent": CORRESPONDENT.packed, "role": kind.role}
            rows[2].append({"id": ident, "pair_id": ident, "set_id": set_id, "generation": 0})
            rows[2][-1] |= opened.vault.conceal(c, place, one.secrets)
            rows[2][-1] |= {"lifetime": LIFETIME_S, "state": CONFIRMED}
            rows[2][-1]["fingerprint"] = fingerprint(mark, one.secrets.kcn)
            for generation in range(1, later + 1):
                ident = count * generation + one.number + 1
                secrets = Node(-ident).secrets
                place = Place(one.home_address, CORRESPONDENT.packed, set_id, generation)
                rows[2].append({**rows[2][-1], "id": ident, "generation": generation})
                rows[2][-1] |= opened.vault.conceal(c, place, secrets) | {"state": SENT}
                rows[2][-1]["fingerprint"] = fingerprint(mark, secrets.kcn)
        for table, values in zip((nodes, pairs, keys), rows, strict=True):
            c.execute(insert(table), values)
        c.execute(update(registry).values(revision=1))
    return fleet
