"""Nodes that sign their home registrations (RFC 4285), and a home agent to send them to."""

from ipaddress import IPv6Address, IPv6Network

from mip6 import keys, messages, packets
from mip6.homeagent import authenticator as mn_ha
from roamkey.correspondent.core.entries import Inbound
from roamkey.correspondent.core.responder import Responder
from roamkey.correspondent.store import Store
from roamkey.home_agent.core.cache import HomeCache
from roamkey.registry import HOME_AGENT, GenerationKey, PairKeys
from support.nodes import MobileNode, Scene

AGENT = IPv6Address("2001:db8:a::fe").packed
PREFIX = IPv6Network("2001:db8:a::/64")
FLAGS = messages.FLAG_ACKNOWLEDGE | messages.FLAG_HOME_REGISTRATION


class HomeNode(MobileNode):
    """A node with MN-HA keys; `correspondent` is its home agent."""

    def __init__(self, number, generations=1, agent=AGENT):
        super().__init__(number, generations, agent)

    def kcn(self, generation):
        return b"ha-%08d-%08d-" % (self.number, generation) + self.correspondent

    def pair_keys(self, first=0):
        live = [GenerationKey(i, kcn) for i, kcn in enumerate(self.kcns) if i >= first]
        nonces = self.home_nonce, self.care_of_nonce
        return PairKeys(self.home, self.correspondent, *nonces, tuple(live), HOME_AGENT)

    def update(
        self,
        sequence,
        care_of,
        *,
        generation=0,
        lifetime=100,
        flags=FLAGS,
        alternate=None,
        options=(),
        away=True,
        spi=None,
        subtype=1,
    ):
        """As `MobileNode.update`; `spi`: another one than the generation's."""
        registered = alternate or care_of
        options = list(options)
        if alternate:
            options.append((messages.ALTERNATE_CARE_OF_ADDRESS, alternate))
        named = 256 + generation if spi is None else spi
        data = bytes((subtype,)) + named.to_bytes(4, "big") + bytes(12)
        options.append((messages.AUTHENTICATION, data))
        header = messages.Message(
            messages.BINDING_UPDATE, options, sequence=sequence, flags=flags, lifetime=lifetime
        ).encode()
        # By hand, for subtypes that `keys` refuses.
        signed = header[:4] + bytes(2) + header[6:-12]
        mac = keys.hmac_sha1(self.kcns[generation], registered, self.home, signed)[:12]
        header = messages.with_checksum(header[:-12] + mac, self.home, self.correspondent)
        if not away:
            return Inbound(packets.MOBILITY, header, care_of)
        option = packets.home_address_option(self.home, packets.MOBILITY)
        return Inbound(packets.DESTINATION_OPTIONS, option + header, care_of)

    def inside(self, sequence, endpoint, care_of=None, *, options=None, flags=None, **more):
        if flags is None:
            flags = FLAGS | messages.FLAG_UDP_ENCAPSULATION
        return super().inside(sequence, endpoint, care_of, options=options, flags=flags, **more)

    def read(self, reply, care_of, *, generation=0, removes=False):
        """The acknowledgement in a reply: addresses, checksum, authenticator and SPI checked."""
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
        kcn = self.kcns[generation]
        assert mn_ha.verify(kcn, care_of, self.home, header)
        message = messages.decode(header)
        assert message.kind == messages.BINDING_ACKNOWLEDGEMENT
        kinds = [kind for kind, _ in message.options if kind not in (messages.PAD1, messages.PADN)]
        nat = [messages.NAT_DETECTION] * bool(reply.endpoint and reply.destination != care_of)
        assert kinds == [*nat, messages.AUTHENTICATION]
        assert message.options[-1][1][:5] == b"\x01" + (256 + generation).to_bytes(4, "big")
        assert not message.flags & messages.FLAG_BA_KEY_MANAGEMENT
        return message


class HomeScene(Scene):
    """A registry in a file, and a home agent over it."""

    node_type = HomeNode
    correspondent = AGENT

    def start(self, **options):
        self.store = Store(self.registry, AGENT, role=HOME_AGENT)
        self.cache = HomeCache(AGENT, (PREFIX,), **options)
        self.responder = Responder(self.cache, self.store, self.troubles.append)
        self.responder.start(self.now)

    def node(self, number=1, generations=1):
        node = HomeNode(number, generations)
        self.provision(node)
        return node

    def detect(self, is_free=True):
        """As the home link does: duplicate address detection for all that wait; the verdicts."""
        self.now += 1000
        homes = self.cache.to_detect(self.now)
        waited = [self.cache.detected(home, is_free, self.now) for home in homes]
        return self.responder.process([one for one in waited if one], self.now)

    def register(self, node, sequence, care_of, **more):
        """The verdict on a first registration, once nobody else has the address."""
        assert self.send(node.update(sequence, care_of, **more)).outcome == "waiting"
        (verdict,) = self.detect()
        return verdict
