"""The return routability procedure with one correspondent (RFC 6275 sections 5.2, 11.6 and 11.8).

Two tests show the correspondent that both addresses are the node's: a Home Test Init goes through
the home agent, a Care-of Test Init directly. Each answer brings a keygen token, and the index of
the nonce that it was made with. Both tokens together give Kbm, the home token alone the key that
deletes a binding.

A token serves for 210 seconds, counted from when its test was first sent: the token is younger.
The home token is renewed while it still serves, so that a move waits for one round trip to the
correspondent, and not for the way through the home agent. What nobody answers is repeated after a
second, then after twice as long each time, up to 32 seconds; under the same cookie, so that a late
answer counts. An answer to anything else is none.

No I/O: `now` is whole milliseconds of a clock that never goes back; `random(octets)` gives what
nobody can guess.
"""

from .. import keys, messages, packets
from ..compat import const

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import HmacKey, Octets

# Milliseconds
_TOKEN = const(210000)  # MAX_TOKEN_LIFETIME, section 12
_RENEWED = const(150000)  # a token that is to be there always: a minute is left for repetitions
_TIMEOUT = const(1000)  # INITIAL_BINDACK_TIMEOUT
_TIMEOUT_MAX = const(32000)  # MAX_BINDACK_TIMEOUT
_APART = const(334)  # MAX_UPDATE_RATE: three a second
_NEVER = const(-10000000)

_COOKIE_OCTETS = const(8)

# Offsets in a Home Test and a Care-of Test (sections 6.1.5 and 6.1.6)
_INDEX_AT = const(6)
_COOKIE_AT = const(8)
_TOKEN_AT = const(16)
_END = const(24)

HOME = const(0)
CARE_OF = const(1)


class _Test:
    """The test of one address: what is on its way, and the token that the last one brought."""

    def __init__(self) -> None:
        self.cookie = b""  # empty: no test is on its way
        self.transmit_at: int | None = None
        self.token: bytes | None = None
        self.index = 0  # of the nonce, at the correspondent
        self.made_at = _NEVER  # not before this the token was made
        self._began_at: int | None = None
        self._timeout = _TIMEOUT
        self._sent_at = _NEVER

    def fresh(self, now: int) -> bool:
        """Whether the token serves."""
        return self.token is not None and now - self.made_at < _TOKEN

    def begin(self, now: int, random: "Callable[[int], bytes]") -> None:
        """Test, unless that goes on already."""
        if not self.cookie:
            self.cookie = random(_COOKIE_OCTETS)
            self._began_at = None
            self._timeout = _TIMEOUT
            self.transmit_at = max(now, self._sent_at + _APART)

    def end(self) -> None:
        """Whatever is on its way is given up."""
        self.cookie = b""
        self.transmit_at = None

    def note(self, now: int) -> None:
        """The test is sent."""
        if self._began_at is None:
            self._began_at = now
        self._sent_at = now
        self.transmit_at = now + self._timeout
        self._timeout = min(2 * self._timeout, _TIMEOUT_MAX)

    def take(self, cookie: bytes, index: int, token: bytes) -> bool:
        """An answer came; whether it is one to us."""
        if not self.cookie or self._began_at is None or not keys.equal(cookie, self.cookie):
            return False
        self.token = token
        self.index = index
        self.made_at = self._began_at
        self.end()
        return True


class Procedure:
    """Both tests with one correspondent.

    `care_of`: the address (16 octets) that is tested, None at home and nowhere; `tests`: of both
    addresses, by HOME and CARE_OF.
    """

    def __init__(self, random: "Callable[[int], bytes]") -> None:
        self._random = random
        self.tests = (_Test(), _Test())
        self.care_of: bytes | None = None
        self._kbm: "tuple[bytes, bytes, HmacKey] | None" = None  # the tokens, and what they give

    def aim(self, care_of_address: bytes | None) -> None:
        """The care-of address that is to be tested: tokens of another one don't serve."""
        if care_of_address != self.care_of:
            self.care_of = care_of_address
            test = self.tests[CARE_OF]
            test.end()
            test.token = None

    def want(self, now: int) -> None:
        """Test what no token serves for."""
        self.want_home(now)
        test = self.tests[CARE_OF]
        if self.care_of is not None and not test.fresh(now):
            test.begin(now, self._random)

    def want_home(self, now: int) -> None:
        """Have a home token, which is all that a deletion takes."""
        if not self.tests[HOME].fresh(now):
            self.tests[HOME].begin(now, self._random)

    def cease(self) -> None:
        """Send nothing more; the tokens stay."""
        for test in self.tests:
            test.end()

    def refused(self, status: int) -> None:
        """The correspondent doesn't know a nonce any more: status 136, 137 or 138 (section
        6.1.8)."""
        if status != messages.EXPIRED_CARE_OF_NONCE:
            self.tests[HOME].token = None
        if status != messages.EXPIRED_HOME_NONCE:
            self.tests[CARE_OF].token = None

    def ready(self, now: int) -> bool:
        """Whether an update for the care-of address can be made."""
        return self.can_delete(now) and self.tests[CARE_OF].fresh(now)

    def can_delete(self, now: int) -> bool:
        """Whether an update that deletes the binding can be made."""
        return self.tests[HOME].fresh(now)

    def indices(self, deletes: bool = False) -> bytes:
        """The data of a Nonce Indices option (section 6.2.6), 4 octets; of a deletion the second
        index doesn't count."""
        home, care_of = self.tests
        return home.index.to_bytes(2, "big") + (0 if deletes else care_of.index).to_bytes(2, "big")

    def key(self, deletes: bool = False) -> "HmacKey":
        """Kbm, prepared for HMAC (section 5.2.6). Only while `ready`, or `can_delete`."""
        home, care_of = self.tests[HOME].token, self.tests[CARE_OF].token
        assert home is not None
        if deletes:
            care_of = b""
        assert care_of is not None
        kbm = self._kbm
        if kbm is None or kbm[0] != home or kbm[1] != care_of:
            made = keys.hmac_key(keys.binding_management_key(home, care_of or None))
            self._kbm = kbm = home, care_of, made
        return kbm[2]

    def keep(self, now: int) -> None:
        """Renew the home token where its time comes."""
        test = self.tests[HOME]
        if test.token is not None and now - test.made_at >= _RENEWED:
            test.begin(now, self._random)

    def run(self, now: int, tunnel: bool) -> "tuple[int, bytearray] | None":
        """(HOME or CARE_OF, message without its checksum) that is due, or None. `tunnel`: whether
        there is a way through the home agent."""
        for which in (HOME, CARE_OF):
            test = self.tests[which]
            at = test.transmit_at
            if at is not None and now >= at and (tunnel or which == CARE_OF):
                test.note(now)
                kind = messages.HOME_TEST_INIT if which == HOME else messages.CARE_OF_TEST_INIT
                message = bytearray((packets.NO_NEXT_HEADER, 1, kind, 0, 0, 0, 0, 0))
                message.extend(test.cookie)
                return which, message
        return None

    def wakes_at(self, tunnel: bool, keep: bool) -> int | None:
        """When `run`, or (where the home token is to be kept) `keep`, has to be called."""
        soonest = None
        home = self.tests[HOME]
        renewal = home.made_at + _RENEWED if keep and home.token is not None else None
        for at in (
            self.tests[CARE_OF].transmit_at,
            home.transmit_at if tunnel else None,
            None if home.cookie else renewal,
        ):
            if at is not None and (soonest is None or at < soonest):
                soonest = at
        return soonest

    def receive(self, which: int, header: "Octets") -> bool:
        """Take a Home Test (HOME) or a Care-of Test (CARE_OF), a whole message; whether it answers
        what was asked. The caller has seen that it came to the address that it speaks of, and from
        the correspondent."""
        index = header[_INDEX_AT] << 8 | header[_INDEX_AT + 1]
        cookie = bytes(header[_COOKIE_AT:_TOKEN_AT])
        return self.tests[which].take(cookie, index, bytes(header[_TOKEN_AT:_END]))
