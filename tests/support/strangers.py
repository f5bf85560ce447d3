"""Mobile nodes without a key, which go through return routability, and a correspondent for them.

They compute Kbm from the tokens that they were sent, as a node does: nothing here knows the
correspondent's node key or nonces.
"""

from ipaddress import IPv6Address
from itertools import count

from mip6 import keys, messages, packets
from roamkey.correspondent.core.cache import BindingCache
from roamkey.correspondent.core.entries import Inbound

CORRESPONDENT = IPv6Address("2001:db8:c::2").packed
HOME = IPv6Address("2001:db8:f1::100").packed
CARE_OF = IPv6Address("2001:db8:b::101").packed
CARE_OF_2 = IPv6Address("2001:db8:b2::101").packed
NOW = 5_000_000_000


def randomness(seed=0):
    """Octets that differ each time, and are the same in each run."""
    numbers = count(seed * 1000 + 1)
    return lambda octets: next(numbers).to_bytes(8, "big").rjust(octets, b"r")[-octets:]


class Stranger:
    """One with a home address that nobody entered a key for."""

    def __init__(self, home=HOME, correspondent=CORRESPONDENT):
        self.home = home
        self.correspondent = correspondent
        self.tests = {}  # address -> (nonce index, token)

    def init(self, source, cookie=b"cookie00"):
        """A Home Test Init from the home address, else a Care-of Test Init."""
        if source == self.home:
            init = messages.Message(messages.HOME_TEST_INIT, home_init_cookie=cookie)
        else:
            init = messages.Message(messages.CARE_OF_TEST_INIT, care_of_init_cookie=cookie)
        header = messages.with_checksum(init.encode(), source, self.correspondent)
        return Inbound(packets.MOBILITY, header, source)

    def take(self, reply, cookie=b"cookie00"):
        """The Home or Care-of Test that comes: keep index and token."""
        packet = packets.parse_payload(
            reply.next_header, reply.payload, self.correspondent, reply.destination
        )
        assert packet.protocol == packets.MOBILITY and packet.checksum_ok()
        assert packet.home_address is None and packet.route is None
        message = messages.decode(packet.payload)
        assert not message.options and len(packet.payload) == 24
        if reply.destination == self.home:
            assert message.kind == messages.HOME_TEST and message.home_init_cookie == cookie
            test = message.home_nonce_index, message.home_keygen_token
        else:
            assert message.kind == messages.CARE_OF_TEST
            assert message.care_of_init_cookie == cookie
            test = message.care_of_nonce_index, message.care_of_keygen_token
        self.tests[reply.destination] = test

    def prove(self, cache, *care_of, now=NOW):
        """Both tests, for these care-of addresses."""
        for source in (self.home, *care_of):
            self.take(cache.judge(self.init(source), now).reply)

    def kbm(self, care_of, removes=False):
        tokens = [self.tests[self.home][1]]
        if not removes:
            tokens.append(self.tests[care_of][1])
        return keys.binding_management_key(*tokens)

    def update(self, sequence, care_of=CARE_OF, *, lifetime=105, flags=messages.FLAG_ACKNOWLEDGE,
               alternate=None, indices=None, source=None):  # fmt: skip
        """`lifetime` in units of 4 s; from `care_of`, or with it in the option from `source`."""
        removes = not lifetime or care_of == self.home
        if indices is None:
            care_of_index = 0 if removes else self.tests[care_of][0]
            indices = self.tests[self.home][0], care_of_index
        data = indices[0].to_bytes(2, "big") + indices[1].to_bytes(2, "big")
        options = [(messages.NONCE_INDICES, data)]
        if alternate:
            options.append((messages.ALTERNATE_CARE_OF_ADDRESS, care_of))
        options.append((messages.BINDING_AUTHORIZATION_DATA, bytes(12)))
        header = messages.Message(
            messages.BINDING_UPDATE, options, sequence=sequence, flags=flags, lifetime=lifetime
        ).encode()
        mac = keys.authenticator(self.kbm(care_of, removes), care_of, self.correspondent, header)
        header = messages.with_checksum(header[:-12] + mac, self.home, self.correspondent)
        source = source or care_of
        if source == self.home:
            return Inbound(packets.MOBILITY, header, source)
        option = packets.home_address_option(self.home, packets.MOBILITY)
        return Inbound(packets.DESTINATION_OPTIONS, option + header, source)

    def read(self, reply, care_of=CARE_OF, *, removes=False, signed=True):
        """The acknowledgement in a reply, its addresses, checksum and authenticator checked."""
        packet = packets.parse_payload(
            reply.next_header, reply.payload, self.correspondent, reply.destination
        )
        assert packet.logical_destination == self.home and packet.checksum_ok()
        message = messages.decode(packet.payload)
        assert message.kind == messages.BINDING_ACKNOWLEDGEMENT
        kinds = [kind for kind, _ in message.options]
        assert (messages.BINDING_AUTHORIZATION_DATA in kinds) == signed
        if signed:
            kbm = self.kbm(care_of, removes)
            assert keys.verify(kbm, care_of, self.correspondent, packet.payload)
        return message


def serving(seed=0, **options):
    """A correspondent with return routability on, and no keys."""
    return BindingCache(CORRESPONDENT, random=randomness(seed), **options)
