"""A receiver's verdict on a packet, and what the vectors need: shared by the tests of the core."""

from binascii import unhexlify

from mip6 import keys, messages, packets
from mip6.errors import Violation


def octets(text):
    """Octets from hexadecimal text."""
    return unhexlify(text)


def address(text):
    """16 octets from the text of an IPv6 address (no IPv4 part, no zone)."""
    head, gap, tail = text.partition("::")
    left = [int(word, 16) for word in head.split(":") if word]
    right = [int(word, 16) for word in tail.split(":") if word]
    words = left + [0] * (8 - len(left) - len(right)) + right if gap else left
    return b"".join([word.to_bytes(2, "big") for word in words])


class Receiver:
    """Judges packets as the two ends do: a whole packet in, True only where all of it holds."""

    def __init__(self, vector):
        """Know the one pair and the one Kcn of `vector`."""
        self.kcn = keys.hmac_key(octets(vector["kcn"]))
        self.home = address(vector["hoa"])
        self.correspondent = address(vector["cn"])
        self.nonces = octets(vector["home_nonce"]), octets(vector["careof_nonce"])
        self.home_token = keys.home_keygen_token(self.kcn, self.home, self.nonces[0])

    def accepts(self, octets):
        """Whether the packet is well formed, of the pair, with a right checksum and signature."""
        try:
            packet = packets.parse(octets)
            if packet.protocol != packets.MOBILITY or not packet.checksum_ok():
                return False
            message = messages.decode(packet.payload)
        except Violation:
            return False
        if message.kind == messages.BINDING_UPDATE:
            ends = packet.logical_source, packet.logical_destination
            care_of = message.option(messages.ALTERNATE_CARE_OF_ADDRESS) or packet.source
        elif message.kind == messages.BINDING_ACKNOWLEDGEMENT:
            ends = packet.logical_destination, packet.logical_source
            care_of = packet.destination
        else:
            return False
        if ends != (self.home, self.correspondent) or not message.options:
            return False
        if message.options[-1][0] != messages.BINDING_AUTHORIZATION_DATA:
            return False
        deletes = message.lifetime == 0 or care_of == self.home
        # Of an acknowledgement either form will do: a refusal's lifetime is zero too.
        forms = (deletes,) if message.kind == messages.BINDING_UPDATE else (False, True)
        for deletion in forms:
            token = None
            if not deletion:
                token = keys.care_of_keygen_token(self.kcn, care_of, self.nonces[1])
            kbm = keys.binding_management_key(self.home_token, token)
            if keys.verify(kbm, care_of, self.correspondent, packet.payload):
                return True
        return False
