"""A correspondent's node key and nonces, and the tokens that they make (RFC 6275 section 5.2).

A nonce is used for tokens for `INTERVAL_MS`, and recognized for `LIFETIME_MS` from its making on:
so every token is good for `TOKEN_LIFETIME_MS` at least. At most nine nonces are held, whoever asks
for tokens how often; the tokens themselves are held by the nodes that they were sent to.

The key is made at each start and kept nowhere, which section 5.2.1 allows: "a correspondent node
MAY generate a fresh node key at any time". What was signed under the one before isn't recognized
any more; the first index is a random one, so nearly always the node is told so (status 136 to 138)
instead of being dropped.
"""

from collections import deque
from collections.abc import Callable

from mip6 import keys

NODE_KEY_OCTETS = 20  # section 5.2.1
NONCE_OCTETS = 8  # 64 bits or more, section 5.2.2
TOKEN_LIFETIME_MS = 210_000  # MAX_TOKEN_LIFETIME, section 12
LIFETIME_MS = 240_000  # MAX_NONCE_LIFETIME
INTERVAL_MS = LIFETIME_MS - TOKEN_LIFETIME_MS
_INDICES = 1 << 16


class Nonces:
    """`now` is in milliseconds, by a clock that nobody sets."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        """`random(octets)`: unpredictable octets."""
        self._random = random
        self._key = keys.hmac_key(random(NODE_KEY_OCTETS))
        self._held: deque[tuple[int, int, bytes]] = deque()  # made when, index, nonce
        self._next = int.from_bytes(random(2), "big")

    def current(self, now: int) -> tuple[int, bytes]:
        """Index and nonce for tokens made now."""
        if not self._held or now - self._held[-1][0] >= INTERVAL_MS:
            self._forget(now)
            self._held.append((now, self._next, self._random(NONCE_OCTETS)))
            self._next = (self._next + 1) % _INDICES
        _, index, nonce = self._held[-1]
        return index, nonce

    def find(self, index: int, now: int) -> bytes | None:
        """The nonce of an index, None where it isn't recognized (any more)."""
        self._forget(now)
        return next((nonce for _, held, nonce in self._held if held == index), None)

    def home_token(self, home_address: bytes, nonce: bytes) -> bytes:
        """Section 5.2.5; 8 octets."""
        token: bytes = keys.home_keygen_token(self._key, home_address, nonce)
        return token

    def care_of_token(self, care_of_address: bytes, nonce: bytes) -> bytes:
        """Likewise."""
        token: bytes = keys.care_of_keygen_token(self._key, care_of_address, nonce)
        return token

    def _forget(self, now: int) -> None:
        while self._held and now - self._held[0][0] >= LIFETIME_MS:
            self._held.popleft()
