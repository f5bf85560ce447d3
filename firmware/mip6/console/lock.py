"""The lock of a board, its seal: while it is closed the console tells who the board is, not more.

Closing it brings a key of its own (32 octets) and a public id that names the key. Opening it takes
a challenge (16 random octets, used once) and the response

    HMAC-SHA1(key, "roamkey unseal 1" | id | challenge)

A wrong response is followed by a time in which none is taken: 1 s, doubling to an hour. Failures
are counted in flash *before* a response is looked at, and the time starts anew with each start: to
cut the power gains nothing. The count stops where the time does, so failures wear no flash.

Records: docs/SPEC.md, "Stored records". main.py looks for the record `seal` by itself.
"""

from .. import keys
from ..compat import const
from ..errors import Misuse, StorageError
from ..keystore.records import Damaged, pack, unpack

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..protocols import Octets, Store

RECORD = "seal"
TRIES = "tries"
ID_OCTETS = 8
KEY_OCTETS = 32
CHALLENGE_OCTETS = 16

_LABEL = b"roamkey unseal 1"
_KIND = const(0x53)  # "S"
_TRIES_KIND = const(0x54)  # "T"
_VERSION = const(1)
_WAIT_MAX = const(3600)  # seconds
_TRIES_MAX = const(13)  # 2^12 s is more than an hour


class TooSoon(Exception):
    """No response is taken yet; `seconds` to wait."""

    def __init__(self, seconds: int) -> None:
        super().__init__("after failed attempts: wait %d s" % seconds)
        self.seconds = seconds


def response(key: bytes, seal_id: bytes, challenge: bytes) -> bytes:
    """The 20 octets that open the seal `seal_id` after `challenge`."""
    return keys.hmac_sha1(keys.hmac_key(key), _LABEL, seal_id, challenge)


def wait_after(tries: int) -> int:
    """Seconds without an attempt after so many failed ones."""
    return min(_WAIT_MAX, 1 << tries - 1) if tries else 0


class Seal:
    """The seal over a `store` (read, write, remove; OSError). `random(n)`: n octets; `now()`: ms.

    `closed`: whether the board is sealed. `id`: 8 octets while it is; no octets where the record
    can't be read, and then nothing opens it.
    """

    _key: bytes | None

    def __init__(
        self, store: "Store", random: "Callable[[int], bytes]", now: "Callable[[], int]"
    ) -> None:
        self._store = store
        self._random = random
        self._now = now
        self._challenge: bytes | None = None
        self._load()

    def __repr__(self) -> str:
        return "Seal(%s)" % ("closed" if self.closed else "open")

    def _load(self) -> None:
        self.id, self._key, self._tries = b"", None, 0
        try:
            record = self._store.read(RECORD)
            self.closed = bool(record)  # an empty one: power failed while it was closed
            if not record:
                return
            body = unpack(_KIND, _VERSION, record)
            if len(body) != ID_OCTETS + KEY_OCTETS:
                raise Damaged("seal of the wrong form")
            self.id, self._key = body[:ID_OCTETS], body[ID_OCTETS:]
            tries = self._store.read(TRIES)
            if tries:
                self._tries = unpack(_TRIES_KIND, _VERSION, tries)[0]
        except (Damaged, OSError, IndexError):  # whatever it was: closed, and the longest wait
            self.closed = True
            self._tries = _TRIES_MAX
        self._bar()

    def _bar(self) -> None:
        self._from = self._now() + 1000 * wait_after(self._tries)

    @property
    def wait(self) -> int:
        """Seconds until a response is taken."""
        return max(0, self._from - self._now() + 999) // 1000 if self.closed else 0

    @property
    def idle(self) -> bool:
        """Whether nobody is opening it: no challenge is out, no time to wait for runs."""
        return self._challenge is None and not self.wait

    def close(self, seal_id: bytes, key: bytes) -> None:
        """Seal the board under `key` (32 octets) named `seal_id` (8). Misuse, StorageError."""
        if self.closed:
            raise Misuse("the board is sealed already")
        if len(seal_id) != ID_OCTETS or len(key) != KEY_OCTETS:
            raise Misuse("a seal has an id of 8 octets and a key of 32")
        record = pack(_KIND, _VERSION, seal_id + key)
        try:
            self._store.remove(TRIES)
            self._store.write(RECORD, record)
            kept = self._store.read(RECORD)
        except OSError as error:
            self._load()
            raise StorageError("not sealed: %s" % error) from None
        if kept != record:  # a seal that is damaged would open to nobody
            try:
                self._store.remove(RECORD)
            except OSError:
                pass
            self._load()
            raise StorageError("flash did not keep the seal")
        self._load()

    def challenge(self) -> bytes:
        """A new challenge; the one before it is void."""
        self._challenge = self._random(CHALLENGE_OCTETS)
        return self._challenge

    def open(self, answer: "Octets") -> None:
        """Open the seal with the response to the last challenge.

        Raises TooSoon, Misuse (no challenge, or a wrong response), StorageError (nothing tried).
        """
        if self.wait:
            raise TooSoon(self.wait)
        challenge, self._challenge = self._challenge, None
        if challenge is None or self._key is None:
            raise Misuse("ask for a challenge first" if self._key else "the seal is damaged")
        self._count()
        if not keys.equal(bytes(answer), response(self._key, self.id, challenge)):
            raise Misuse("wrong response")
        problem = "flash keeps the seal"
        try:
            self._store.remove(RECORD)
            self._store.remove(TRIES)
        except OSError as error:
            problem = str(error)
        self._load()
        if self.closed:  # whoever holds the key must not forget it now
            raise StorageError("still sealed: " + problem)

    def _count(self) -> None:
        """Count this attempt as failed, in flash, before it is looked at."""
        tries = min(_TRIES_MAX, self._tries + 1)
        if tries != self._tries:
            record = pack(_TRIES_KIND, _VERSION, bytes([tries]))
            problem = "flash did not keep it"
            try:
                self._store.write(TRIES, record)
                if self._store.read(TRIES) == record:
                    problem = ""
            except OSError as error:
                problem = str(error)
            if problem:
                raise StorageError("the attempt can't be counted: " + problem)
            self._tries = tries
        self._bar()
