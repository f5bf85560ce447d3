"""Mobile nodes that sign their Binding Updates, and a correspondent to send them to."""

from ipaddress import IPv6Address

from mip6 import addresses, keys, messages, packets
from roamkey.correspondent.core.cache import BindingCache
from roamkey.correspondent.core.entries import Inbound, encapsulated
from roamkey.correspondent.core.responder import Responder
from roamkey.correspondent.store import Store
from roamkey.registry import GenerationKey, PairKeys, Registry

CORRESPONDENT = IPv6Address("2001:db8:c::2").packed
NOW = 1_700_000_000_000
LIFETIME = 600


class MobileNode:
    """A node with its keys; `update` makes a signed Binding Update as it leaves the node."""

    home_nonce, care_of_nonce = b"nonce-ho", b"nonce-co"

    def __init__(self, number, generations=1, correspondent=CORRESPONDENT):
        self.number = number
        self.home = IPv6Address(f"2001:db8:a::{number:x}").packed
        self.correspondent = correspondent
        self.kcns = [self.kcn(generation) for generation in range(generations)]

    def kcn(self, generation):
        """Another for each node, correspondent and generation."""
        return b"%08d-%08d-" % (self.number, generation) + self.correspondent

    def pair_keys(self, first=0):
        """What is provisioned, from generation `first` on."""
        live = [GenerationKey(i, kcn) for i, kcn in enumerate(self.kcns) if i >= first]
        return PairKeys(
            self.home, self.correspondent, self.home_nonce, self.care_of_nonce, tuple(live)
        )

    def kbm(self, care_of, generation, removes):
        kcn = self.kcns[generation]
        tokens = [keys.home_keygen_token(kcn, self.home, self.home_nonce)]
        if not removes:
            tokens.append(keys.care_of_keygen_token(kcn, care_of, self.care_of_nonce))
        return keys.binding_management_key(*tokens)

    def update(
        self,
        sequence,
        care_of,
        *,
        generation=0,
        lifetime=100,
        flags=messages.FLAG_ACKNOWLEDGE,
        alternate=None,
        options=(),
        away=True,
    ):
        """`care_of`: the source; `lifetime` in units of 4 s; `alternate`: of that option."""
        registered = alternate or care_of
        options = list(options)
        if alternate:
            options.append((messages.ALTERNATE_CARE_OF_ADDRESS, alternate))
        options.append((messages.BINDING_AUTHORIZATION_DATA, bytes(12)))
        header = messages.Message(
            messages.BINDING_UPDATE, options, sequence=sequence, flags=flags, lifetime=lifetime
        ).encode()
        kbm = self.kbm(registered, generation, not lifetime or registered == self.home)
        mac = keys.authenticator(kbm, registered, self.correspondent, header)
        header = messages.with_checksum(header[:-12] + mac, self.home, self.correspondent)
        if not away:
            return Inbound(packets.MOBILITY, header, care_of)
        option = packets.home_address_option(self.home, packets.MOBILITY)
        return Inbound(packets.DESTINATION_OPTIONS, option + header, care_of)

    def inside(self, sequence, endpoint, care_of=None, *, options=None, flags=None, **more):
        """The same inside UDP from an endpoint; its care-of address is the outer source, where
        it isn't behind a NAT. `options`: others in place of that of its way."""
        care_of = care_of or endpoint.address
        if options is None:
            options = [(messages.ALTERNATE_CARE_OF_ADDRESS, care_of)]
            if addresses.is_ipv4(endpoint.address):
                options = [(messages.IPV4_CARE_OF_ADDRESS, bytes(2) + care_of[12:])]
        if flags is None:
            flags = messages.FLAG_ACKNOWLEDGE | messages.FLAG_UDP_ENCAPSULATION
        made = self.update(sequence, care_of, options=options, flags=flags, away=False, **more)
        return self.carried(endpoint, packets.MOBILITY, made.payload)

    def carried(self, endpoint, protocol, payload, **header):
        """Whatever the node sends inside UDP."""
        inner = packets.ipv6_header(
            self.home, self.correspondent, protocol, len(payload), **header
        )
        return encapsulated(endpoint.packed, inner + payload)

    def keepalive(self, endpoint):
        return encapsulated(endpoint.packed, packets.keepalive(self.home, self.correspondent))

    def read(self, reply, care_of, *, generation=0, removes=False):
        """The acknowledgement in a reply, its addresses, checksum and authenticator checked."""
        if reply.endpoint:
            packet = packets.parse_encapsulated(reply.payload)
            assert packet.source == self.correspondent
        else:
            packet = packets.parse_payload(
                reply.next_header, reply.payload, self.correspondent, reply.destination
            )
        assert packet.logical_destination == self.home
        assert packet.protocol == packets.MOBILITY and packet.checksum_ok()
        header = bytes(packet.payload)
        kbm = self.kbm(care_of, generation, removes)
        assert keys.verify(kbm, care_of, self.correspondent, header)
        message = messages.decode(header)
        assert message.kind == messages.BINDING_ACKNOWLEDGEMENT
        kinds = [kind for kind, _ in message.options]
        nat = [messages.NAT_DETECTION] * bool(reply.endpoint and reply.destination != care_of)
        assert kinds == [*nat, messages.PADN, messages.BINDING_AUTHORIZATION_DATA]
        return message


class Scene:
    """A registry in a file, and a correspondent over it."""

    node_type = MobileNode
    correspondent = CORRESPONDENT
    now = NOW

    def __init__(self, path):
        self.path = path
        self.troubles = []
        self.registry = Registry.open(path)
        self.start()

    def start(self, **options):
        self.store = Store(self.registry, CORRESPONDENT)
        self.cache = BindingCache(CORRESPONDENT, **options)
        self.responder = Responder(self.cache, self.store, self.troubles.append)
        self.responder.start(self.now)

    def reopen(self, **options):
        """As after a restart: nothing is left but the file."""
        self.registry.close()
        self.registry = Registry.open(self.path)
        self.start(**options)

    def provision(self, node, first=0):
        """Provision generations from `first` on, in a set of their own."""
        set_id = node.number.to_bytes(4, "big") + first.to_bytes(4, "big")
        name = f"board-{node.number}"
        self.registry.add_sent(set_id, name, [node.pair_keys(first)], LIFETIME)
        return set_id

    def node(self, number=1, generations=1):
        node = MobileNode(number, generations)
        self.provision(node)
        return node

    def send(self, *burst):
        """The verdict on the last packet of a burst."""
        return self.responder.process(burst, self.now)[-1]
