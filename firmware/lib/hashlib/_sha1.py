"""SHA-1 (RFC 3174) in Python, for builds without it; far slower than native (`make bench`)."""

import struct


class sha1:
    """As hashlib's: update(), digest(), hexdigest(), copy(); digest() leaves the object usable."""

    digest_size = 20
    block_size = 64
    name = "sha1"

    def __init__(self, data=b""):
        self._state = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476, 0xC3D2E1F0)
        self._rest = b""
        self._octets = 0
        self.update(data)

    def update(self, data):
        """Hash more octets."""
        data = bytes(data)
        self._octets += len(data)
        data = self._rest + data
        end = len(data) & ~63
        for start in range(0, end, 64):
            self._state = _block(self._state, data, start)
        self._rest = data[end:]

    def digest(self):
        """The 20 octets of the hash of what came so far."""
        padding = b"\x80" + bytes((55 - self._octets) & 63) + struct.pack(">Q", self._octets * 8)
        data = self._rest + padding
        state = self._state
        for start in range(0, len(data), 64):
            state = _block(state, data, start)
        return struct.pack(">5I", *state)

    def hexdigest(self):
        """The same as 40 hexadecimal digits."""
        return "".join(["%02x" % octet for octet in self.digest()])

    def copy(self):
        """An independent object that has hashed the same."""
        other = sha1()
        other._state, other._rest, other._octets = self._state, self._rest, self._octets
        return other


def _block(state, data, start):
    """The state after the 64 octets of `data` at `start` (RFC 3174 section 6.1).

    The four stages are written out because a branch in each of 80 rounds costs a fifth more. Words
    are cut to 32 bits once a round: MicroPython's small integers have 31, so each is a long one.
    """
    w = list(struct.unpack(">16I", data[start : start + 64]))
    for t in range(16, 80):
        word = w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16]
        w.append((word << 1 | word >> 31) & 0xFFFFFFFF)
    a, b, c, d, e = state
    for t in range(20):
        f = d ^ (b & (c ^ d))
        e, d, c, b, a = (
            d,
            c,
            (b << 30 | b >> 2) & 0xFFFFFFFF,
            a,
            ((a << 5 | a >> 27) + f + e + 0x5A827999 + w[t]) & 0xFFFFFFFF,
        )
    for t in range(20, 40):
        e, d, c, b, a = (
            d,
            c,
            (b << 30 | b >> 2) & 0xFFFFFFFF,
            a,
            ((a << 5 | a >> 27) + (b ^ c ^ d) + e + 0x6ED9EBA1 + w[t]) & 0xFFFFFFFF,
        )
    for t in range(40, 60):
        f = (b & c) | (d & (b | c))
        e, d, c, b, a = (
            d,
            c,
            (b << 30 | b >> 2) & 0xFFFFFFFF,
            a,
            ((a << 5 | a >> 27) + f + e + 0x8F1BBCDC + w[t]) & 0xFFFFFFFF,
        )
    for t in range(60, 80):
        e, d, c, b, a = (
            d,
            c,
            (b << 30 | b >> 2) & 0xFFFFFFFF,
            a,
            ((a << 5 | a >> 27) + (b ^ c ^ d) + e + 0xCA62C1D6 + w[t]) & 0xFFFFFFFF,
        )
    return (
        (state[0] + a) & 0xFFFFFFFF,
        (state[1] + b) & 0xFFFFFFFF,
        (state[2] + c) & 0xFFFFFFFF,
        (state[3] + d) & 0xFFFFFFFF,
        (state[4] + e) & 0xFFFFFFFF,
    )
