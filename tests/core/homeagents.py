"""A home agent and a correspondent of RFC 6275 in a few lines: what a node with both talks to."""

from peer import HOME, NONCE1, NONCE2, MemoryStore, kcn

from mip6 import addresses, keys, messages, packets
from mip6.homeagent import authenticator as mn_ha
from mip6.keystore.keyset import Credentials, Peer
from mip6.keystore.keystore import Keystore

AGENT = addresses.parse("2001:db8:a::1")
ROUTED = addresses.parse("2001:db8:d::4")
STRANGER = addresses.parse("2001:db8:e::5")


def keystore(*correspondents, agent_keys=1, native=True, reach=()):
    """Keys for these correspondents, None's for ROUTED, and for the home agent, the first."""
    found = Keystore(MemoryStore())
    found.load()
    generations = [(n, kcn(AGENT, n)) for n in range(agent_keys)]
    peers = [Peer(AGENT, NONCE1, NONCE2, 400, generations, reach)]
    for cn in correspondents:
        held = [] if cn == ROUTED else [(0, kcn(cn))]
        peers.append(Peer(cn, NONCE1, NONCE2, 1000, held))
    found.provision(Credentials(b"set-id-8", HOME, peers, native, 0))
    return found


class Read:
    """A Binding Update as it was read."""

    def __init__(self, packet, message, generation, outer=None):
        self.care_of = packet.source if outer is None else outer[0]
        self.outer = outer  # (care-of address, outer destination, port), inside UDP
        self.at_home = packet.home_address is None and outer is None
        self.sequence = message.sequence
        self.lifetime = message.lifetime
        self.generation = generation
        self.message = message


class HomeAgent:
    """Checks registrations strictly and answers them; `keys` by generation, none: any will do."""

    def __init__(self, generations=1):
        self.keys = [kcn(AGENT, n) for n in range(generations)]

    def read(self, sent):
        """A `Read` of a registration; asserts all that it must be."""
        source, destination, next_header, payload = sent
        outer, flags = None, messages.FLAG_ACKNOWLEDGE | messages.FLAG_HOME_REGISTRATION
        if next_header >= packets.ENCAPSULATED:
            packet = packets.parse_encapsulated(bytes(payload))
            outer = source, destination, next_header - packets.ENCAPSULATED
            flags |= messages.FLAG_UDP_ENCAPSULATION
        else:
            assert destination == AGENT
            packet = packets.parse_payload(next_header, bytes(payload), source, destination)
        assert (packet.logical_source, packet.destination) == (HOME, AGENT)
        assert packet.protocol == packets.MOBILITY and packet.checksum_ok()
        header = bytes(packet.payload)
        message = messages.decode(header)
        assert (message.kind, message.flags) == (messages.BINDING_UPDATE, flags)
        if not self.keys:
            assert message.options[-1] == (messages.PADN, bytes(12))
            return Read(packet, message, 0, outer)
        kind, data = message.options[-1]
        assert kind == messages.AUTHENTICATION and data[0] == 1
        generation = int.from_bytes(data[1:5], "big") - 256
        assert mn_ha.verify(self.keys[generation], source, HOME, header)
        return Read(packet, message, generation, outer)

    def answer(self, update, status=0, lifetime=None, sequence=None, key=None):
        """The acknowledgement on its way."""
        lifetime = update.lifetime if lifetime is None else lifetime
        sequence = update.sequence if sequence is None else sequence
        options = []
        if self.keys:
            spi = (256 + update.generation).to_bytes(4, "big")
            options = [(messages.AUTHENTICATION, b"\x01" + spi + bytes(12))]
        header = messages.Message(
            messages.BINDING_ACKNOWLEDGEMENT,
            options,
            status=status,
            lifetime=lifetime,
            sequence=sequence,
        ).encode()
        if self.keys:
            key = key or self.keys[update.generation]
            header = header[:-12] + mn_ha.authenticator(key, update.care_of, HOME, header)
        return routed(AGENT, header, update.care_of, update.outer)


def routed(source, header, care_of, outer=None):
    """A Mobility Header from a peer on its way to the node."""
    header = messages.with_checksum(header, source, HOME)
    if outer is not None:
        before = packets.ipv6_header(source, HOME, packets.MOBILITY, len(header))
        return outer[1], b"", packets.ENCAPSULATED + outer[2], before + header
    if care_of == HOME:
        return source, HOME, packets.MOBILITY, header
    before = packets.routing_header(HOME, packets.MOBILITY)
    return source, care_of, packets.ROUTING, before + header


def tunnelled(source, protocol, payload, care_of, agent=AGENT, to=HOME):
    """What the home agent makes of a packet for the node."""
    whole = packets.ipv6_header(source, to, protocol, len(payload)) + payload
    return agent, care_of, packets.IPV6, whole


class Routed:
    """A correspondent of RFC 6275: tests, and updates that they authorize. Its nonces stay."""

    def __init__(self, address=ROUTED):
        self.address = address
        self.node_key = b"node key of 20 octet"
        self.nonce = {1: b"nonce001"}
        self.index = 1

    def renew(self):
        """All nonces are new."""
        self.index += 1
        self.nonce = {self.index: b"nonce%03d" % self.index}

    def _tokens(self, home_index, care_of_index, care_of):
        home = keys.home_keygen_token(self.node_key, HOME, self.nonce[home_index])
        if care_of is None:
            return home, None
        nonce = self.nonce[care_of_index]
        return home, keys.care_of_keygen_token(self.node_key, care_of, nonce)

    def take_test(self, sent, agent=AGENT):
        """The answer to a Home Test Init or Care-of Test Init that the node sent."""
        source, destination, next_header, payload = sent
        through = next_header == packets.IPV6
        if through:
            assert destination == agent
            packet = packets.parse(bytes(payload))
        else:
            packet = packets.parse_payload(next_header, bytes(payload), source, destination)
        assert packet.destination == self.address and packet.home_address is None
        assert packet.protocol == packets.MOBILITY and packet.checksum_ok()
        message = messages.decode(bytes(packet.payload))
        nonce = self.nonce[self.index]
        if message.kind == messages.HOME_TEST_INIT:
            assert packet.source == HOME
            answer = messages.Message(
                messages.HOME_TEST,
                home_nonce_index=self.index,
                home_init_cookie=message.home_init_cookie,
                home_keygen_token=keys.home_keygen_token(self.node_key, HOME, nonce),
            )
            header = messages.with_checksum(answer.encode(), self.address, HOME)
            if not through:
                return self.address, HOME, packets.MOBILITY, header
            return tunnelled(self.address, packets.MOBILITY, header, source)
        assert message.kind == messages.CARE_OF_TEST_INIT and not through
        answer = messages.Message(
            messages.CARE_OF_TEST,
            care_of_nonce_index=self.index,
            care_of_init_cookie=message.care_of_init_cookie,
            care_of_keygen_token=keys.care_of_keygen_token(self.node_key, source, nonce),
        )
        header = messages.with_checksum(answer.encode(), self.address, source)
        return self.address, source, packets.MOBILITY, header

    def read(self, sent):
        """A `Read` of an update; asserts all that it must be. Its `kbm` answers it."""
        source, destination, next_header, payload = sent
        assert destination == self.address
        packet = packets.parse_payload(next_header, bytes(payload), source, destination)
        assert packet.logical_source == HOME and packet.checksum_ok()
        header = bytes(packet.payload)
        message = messages.decode(header)
        assert message.flags == messages.FLAG_ACKNOWLEDGE
        kinds = [kind for kind, _ in message.options]
        assert kinds == [messages.NONCE_INDICES, messages.BINDING_AUTHORIZATION_DATA]
        update = Read(packet, message, 0)
        update.indices = message.option(messages.NONCE_INDICES)
        home_index = int.from_bytes(update.indices[:2], "big")
        care_of_index = int.from_bytes(update.indices[2:], "big")
        update.known = home_index in self.nonce
        if message.lifetime:
            update.known = update.known and care_of_index in self.nonce
        if update.known:
            care_of = source if message.lifetime else None
            home, token = self._tokens(home_index, care_of_index, care_of)
            update.kbm = keys.binding_management_key(home, token)
            assert keys.verify(update.kbm, source, self.address, header)
        return update

    def answer(self, update, status=0, lifetime=None, sequence=None):
        """The acknowledgement on its way; 136 to 138 go without an authenticator."""
        options = []
        if not 136 <= status <= 138:
            options = [(messages.BINDING_AUTHORIZATION_DATA, bytes(12))]
        header = messages.Message(
            messages.BINDING_ACKNOWLEDGEMENT,
            options,
            status=status,
            lifetime=update.lifetime if lifetime is None else lifetime,
            sequence=update.sequence if sequence is None else sequence,
        ).encode()
        if options:
            mac = keys.authenticator(update.kbm, update.care_of, self.address, header)
            header = header[:-12] + mac
        return routed(self.address, header, update.care_of)
