"""Changes of keys: which new set may be put in place, and where its counters start.

How a set is put in place is the key store's own business (keystore/keystore.py).
"""

from ..compat import const
from ..errors import Misuse, StorageError
from ..keys import canonical
from ..keystore.keyset import Credentials, Peer
from ..keystore.records import DAMAGED, READY
from ..limits import SEQUENCE_NUMBERS
from ..status import keystore_text
from .check import check_credentials, encode
from .marks import mark_of, spent_marks, used_record

TYPE_CHECKING = const(False)

if TYPE_CHECKING:
    from ..keystore.keystore import Keystore
    from ..protocols import Generations, Reach


def provision(keystore: "Keystore", credentials: "Credentials") -> bool:
    """Put `credentials` in place of whatever is there, atomically with its counters.

    Returns False if this very set is in place already (a repeated command), else True. Raises
    Misuse (nothing has changed) and StorageError (the old set or the new one is in place:
    `status` and `credentials` say which, read back from flash).
    """
    check_credentials(credentials)
    if keystore.known is not None and keystore.known.set_id == credentials.set_id:
        return _repeated(keystore, credentials)
    try:
        spent = spent_marks(keystore)
    except OSError as error:
        raise StorageError("key set not written: %s" % error) from None
    rows = [_start_of(keystore, peer, spent) for peer in credentials.peers]
    # With the old set unreadable its id may still be in a counter record.
    if keystore.known is None and keystore.counted(credentials.set_id):
        raise Misuse("this set was in place before: provision new keys")
    if keystore.status == DAMAGED:
        # Gone first: otherwise a cut would leave the new marks beside damaged keys, as if these
        # were the new ones, and the same set be refused when it comes again.
        keystore.clear(used_record(spent, None))
    used = used_record(spent, credentials), used_record(spent, credentials, True)
    keystore.replace(credentials, rows, encode, used)
    return True


def erase(keystore: "Keystore") -> None:
    """Forget all keys but for the marks of those that gave out numbers. Raises StorageError."""
    used = b""
    try:
        used = used_record(spent_marks(keystore), keystore.known)
    except OSError:
        pass  # what can't be read stays as it is
    keystore.clear(used)


def _repeated(keystore: "Keystore", credentials: "Credentials") -> bool:
    """The set's id is known: the same set again is no error, another under its id is."""
    assert keystore.known is not None
    if encode(keystore.known, 0) != encode(credentials, 0):
        raise Misuse("another key set under the id of the one in place")
    if keystore.status != READY:
        raise Misuse(keystore_text(keystore))
    return False


def _start_of(keystore: "Keystore", peer: "Peer", spent: "list[bytes]") -> tuple[int, int]:
    """(generation, first number) at which a new set's `peer` starts."""
    if not peer.generations:
        return 0, SEQUENCE_NUMBERS  # without a key there is nothing to count
    start = None
    for number, kcn in peer.generations:
        used = _use_of(keystore, kcn, spent)
        if used is None:  # never used: start here unless a running key comes before
            if start is None:
                start = (number, 0)
        elif used >= SEQUENCE_NUMBERS and start is not None:
            raise Misuse("a key that was left behind comes after one to be used")
        elif used < SEQUENCE_NUMBERS:
            start = (number, used)
    if start is None:
        raise Misuse("every key given for a correspondent is used up or was left behind")
    return start


def _use_of(keystore: "Keystore", kcn: bytes, spent: "list[bytes]") -> int | None:
    """Next number of a Kcn of the set in place; 65536 if left behind, None if never used."""
    kcn = canonical(kcn)
    for index, peer in enumerate(keystore.known.peers if keystore.known else ()):
        for number, known in peer.generations:
            if canonical(known) != kcn:
                continue
            if keystore.ledger is None:
                raise Misuse("the counter of a key given again is lost: give new keys")
            current = keystore.ledger.generations[index]
            if number == current:
                return keystore.ledger.nexts[index]
            return SEQUENCE_NUMBERS if number < current else None
    if mark_of(kcn) in spent:
        raise Misuse("a key was used on this board before and its counter is gone: give new keys")
    return None


def rekey(keystore: "Keystore", set_id: bytes, generations: "dict[int, Generations]") -> bool:
    """Give correspondents new lists of keys; the rest of the set stays.

    `generations` maps a peer's index to its new [(generation, Kcn), …]. A key that stays keeps
    its running counter. Returns and raises as provision().
    """
    return provision(keystore, _altered(keystore, set_id, generations, {}))


def reach(keystore: "Keystore", places: "dict[int, Reach]", native: bool | None) -> bool:
    """Say anew where UDP reaches correspondents; keys and counters stay as they are.

    `places` maps a peer's index to its [(host, port), …], others keep theirs; `native`: as in
    Credentials, None to leave it. Returns False if nothing changes; raises as provision().
    """
    credentials = _altered(keystore, None, {}, places, native)
    check_credentials(credentials)
    assert keystore.credentials is not None
    if encode(credentials, 0) == encode(keystore.credentials, 0):
        return False
    keystore.rewrite(credentials, encode)
    return True


def _altered(
    keystore: "Keystore",
    set_id: bytes | None,
    generations: "dict[int, Generations]",
    places: "dict[int, Reach]",
    native: bool | None = None,
) -> "Credentials":
    """The set in place with another id, other keys or places, where there are any."""
    held = keystore.credentials
    if keystore.status != READY or held is None:
        raise Misuse("no usable keys: " + keystore_text(keystore))
    peers = [
        Peer(
            old.correspondent,
            old.home_nonce,
            old.care_of_nonce,
            old.lifetime,
            generations.get(index, old.generations),
            places.get(index, old.reach),
        )
        for index, old in enumerate(held.peers)
    ]
    native = held.native if native is None else native
    return Credentials(set_id or held.set_id, held.home_address, peers, native, held.home_agent)
