"""A correspondent in a few lines, and a key store in memory: what the node's tests talk to."""

from mip6 import addresses, keys, messages, packets
from mip6.keystore.keyset import Credentials, Peer
from mip6.keystore.keystore import Keystore

HOME = addresses.parse("2001:db8:a::100")
CN = addresses.parse("2001:db8:c::2")
CN2 = addresses.parse("2001:db8:c::3")
COA1 = addresses.parse("2001:db8:1::100")
COA2 = addresses.parse("2001:db8:2::100")
COA3 = addresses.parse("2001:db8:3::100")
NONCE1 = b"homenonc"
NONCE2 = b"careofno"
LIFETIME = 400


def kcn(correspondent, generation=0):
    """A Kcn of its own for each correspondent and generation."""
    return bytes([correspondent[15], generation]) * 10


class MemoryStore:
    """Records in a dictionary; `broken` makes writing fail."""

    def __init__(self):
        self.records = {}
        self.broken = False

    def read(self, name):
        return self.records.get(name)

    def write(self, name, data):
        if self.broken:
            raise OSError(28)
        self.records[name] = data

    def remove(self, name):
        self.records.pop(name, None)

    def names(self):
        return sorted(self.records)


def keystore(
    correspondents=(CN,),
    generations=1,
    lifetime=LIFETIME,
    store=None,
    home=HOME,
    set_id=b"set-id-8",
    keyless=None,
    reach=(),
    native=True,
):
    """A key store with keys for these correspondents, but for `keyless`."""
    found = Keystore(store or MemoryStore())
    found.load()
    peers = [
        Peer(cn, NONCE1, NONCE2, lifetime, [(n, kcn(cn, n)) for n in range(count)], reach)
        for cn, count in [(cn, 0 if cn == keyless else generations) for cn in correspondents]
    ]
    found.provision(Credentials(set_id, home, peers, native))
    return found


class Update:
    """A Binding Update as the correspondent read it."""

    def __init__(self, packet, message, generation, outer=None):
        self.source = packet.source
        self.care_of = packet.source if outer is None else outer[0]
        self.outer = outer  # (care-of address, outer destination, port), inside UDP
        self.at_home = packet.home_address is None
        self.sequence = message.sequence
        self.lifetime = message.lifetime
        self.generation = generation


class Correspondent:
    """Checks updates strictly and makes answers; keeps no state but the generation's key."""

    def __init__(self, address=CN, generations=1, home=HOME):
        self.address = address
        self.home = home
        self.keys = [kcn(address, n) for n in range(generations)]

    def _kbm(self, generation, care_of, deletion):
        key = self.keys[generation]
        home_token = keys.home_keygen_token(key, self.home, NONCE1)
        if deletion:
            return keys.binding_management_key(home_token)
        token = keys.care_of_keygen_token(key, care_of, NONCE2)
        return keys.binding_management_key(home_token, token)

    def read(self, sent):
        """An `Update` from what the node sends; asserts all that it must be."""
        source, destination, next_header, payload = sent
        if next_header >= packets.ENCAPSULATED:
            return self._read_inside(sent)
        assert destination == self.address
        packet = packets.parse_payload(next_header, bytes(payload), source, destination)
        assert packet.protocol == packets.MOBILITY
        assert packet.logical_source == self.home
        assert packet.checksum_ok()
        header = bytes(packet.payload)
        message = messages.decode(header)
        assert message.kind == messages.BINDING_UPDATE
        assert message.flags == messages.FLAG_ACKNOWLEDGE
        assert message.options[-1][0] == messages.BINDING_AUTHORIZATION_DATA
        deletion = message.lifetime == 0 or source == self.home
        for generation in range(len(self.keys)):
            if keys.verify(self._kbm(generation, source, deletion), source, self.address, header):
                return Update(packet, message, generation)
        raise AssertionError("wrong authenticator")

    def _read_inside(self, sent):
        source, outer, next_header, datagram = sent
        packet = packets.parse_encapsulated(bytes(datagram))
        assert (packet.source, packet.destination) == (self.home, self.address)
        assert packet.protocol == packets.MOBILITY and packet.checksum_ok()
        header = bytes(packet.payload)
        message = messages.decode(header)
        assert message.flags == messages.FLAG_ACKNOWLEDGE | messages.FLAG_UDP_ENCAPSULATION
        assert message.options[-1][0] == messages.BINDING_AUTHORIZATION_DATA
        ipv4 = message.option(messages.IPV4_CARE_OF_ADDRESS)
        care_of = message.option(messages.ALTERNATE_CARE_OF_ADDRESS)
        if addresses.is_ipv4(outer):
            assert care_of is None and ipv4[:2] == bytes(2)
            care_of = addresses.IPV4_MAPPED + ipv4[2:]
        assert care_of == source
        for generation in range(len(self.keys)):
            kbm = self._kbm(generation, source, message.lifetime == 0)
            if keys.verify(kbm, source, self.address, header):
                told = source, outer, next_header - packets.ENCAPSULATED
                return Update(packet, message, generation, told)
        raise AssertionError("wrong authenticator")

    def inside(self, header, outer, port=4191):
        """A Mobility Header on its way to the node inside UDP."""
        header = messages.with_checksum(header, self.address, self.home)
        before = packets.ipv6_header(self.address, self.home, packets.MOBILITY, len(header))
        return outer, b"", packets.ENCAPSULATED + port, before + header

    def answer(
        self, update, status=0, sequence=None, lifetime=None, advice=None, key_of=None, nat=None
    ):
        """The packet (source, destination, next header, payload) that acknowledges an update."""
        fields = {
            "status": status,
            "sequence": update.sequence if sequence is None else sequence,
            "lifetime": update.lifetime if lifetime is None else lifetime,
        }
        options = []
        if advice is not None:
            options.append((messages.BINDING_REFRESH_ADVICE, advice.to_bytes(2, "big")))
        if nat is not None:
            options.append((messages.NAT_DETECTION, bytes(2) + nat.to_bytes(4, "big")))
        options.append((messages.BINDING_AUTHORIZATION_DATA, bytes(12)))
        header = messages.Message(messages.BINDING_ACKNOWLEDGEMENT, options, **fields).encode()
        deletion = update.lifetime == 0 or update.care_of == self.home
        kbm = (key_of or self)._kbm(update.generation, update.care_of, deletion)
        mac = keys.authenticator(kbm, update.care_of, self.address, header)
        if update.outer is not None:
            return self.inside(header[:-12] + mac, update.outer[1], update.outer[2])
        return self.packet(header[:-12] + mac, update.care_of)

    def packet(self, header, care_of, route=True):
        """A Mobility Header on its way to the node, with checksum and routing header."""
        route = route and care_of != self.home
        logical = self.home if route else care_of
        header = messages.with_checksum(header, self.address, logical)
        if route:
            route_header = packets.routing_header(self.home, packets.MOBILITY)
            return self.address, care_of, packets.ROUTING, route_header + header
        return self.address, care_of, packets.MOBILITY, header

    def refresh_request(self, care_of):
        """A Binding Refresh Request."""
        message = messages.Message(messages.BINDING_REFRESH_REQUEST)
        return self.packet(message.encode(), care_of)

    def binding_error(self, care_of, status, home=None):
        """A Binding Error, which goes to the care-of address without a routing header."""
        message = messages.Message(
            messages.BINDING_ERROR, status=status, home_address=home or self.home
        )
        return self.packet(message.encode(), care_of, False)

    def parameter_problem(self, sent, code=1, pointer=None):
        """The ICMPv6 error of a host without mobility, about the packet `sent`."""
        source, destination, next_header, payload = sent
        payload = bytes(payload)
        quoted = packets.ipv6_header(source, destination, next_header, len(payload)) + payload
        if pointer is None:
            pointer = 6 if next_header == packets.MOBILITY else 40
        error = bytes((4, code, 0, 0)) + pointer.to_bytes(4, "big") + quoted
        return destination, source, packets.ICMPV6, error


def drain(bindings, now):
    """All packets that the node sends now, copied."""
    sent = []
    while True:
        packet = bindings.next_packet(now)
        if packet is None:
            return sent
        sent.append((packet[0], packet[1], packet[2], bytes(packet[3])))


def receive(bindings, packet, now):
    """Hand the node a packet."""
    return bindings.receive(packet[0], packet[1], packet[2], packet[3], now)
