"""Changes of keys: provision, rekey, erase, overwrite what is old (the store: credentials.py).

A board has this file in memory only while keys change (workshop.py).
"""

from .credentials import DAMAGED, EMPTY, KEYS, READY, SCRUB, SLOTS, STORAGE_ERROR
from .errors import Misuse, StorageError
from .keycheck import encode
from .keyset import Credentials, Peer
from .records import Damaged
from .sequence import LIMIT, Ledger


def provision(keystore, credentials):
    """Put `credentials` in place of whatever is there, atomically with its counters.

    Returns False if this very set is in place already (a repeated command), else True. Raises
    Misuse (nothing has changed) and StorageError (the old set or the new one is in place:
    `status` and `credentials` say which, read back from flash).
    """
    if keystore._known is not None and keystore._known.set_id == credentials.set_id:
        return _repeated(keystore, credentials)
    rows = [_start_of(keystore, peer) for peer in credentials.peers]
    slot = 1 - keystore._slot
    ledger = Ledger(keystore._store, SLOTS[slot], credentials.set_id, rows, keystore._retained)
    if keystore.status in (DAMAGED, STORAGE_ERROR):
        _check_new_to_slots(keystore, credentials)
    keystore._changes += 1
    try:
        if keystore.status != EMPTY:
            keystore._store.write(SCRUB, b"old keys")
        ledger.create(keystore._ledger.serial if keystore._ledger else 0)
        keystore._store.write(KEYS, encode(credentials, slot))
    except (OSError, StorageError) as error:
        keystore.load()
        raise StorageError("key set not written: %s" % error) from None
    old = SLOTS[keystore._slot]
    if keystore.load() != READY or keystore.credentials.set_id != credentials.set_id:
        raise StorageError("flash did not keep the key set: " + keystore.text)
    _remove(keystore._store, old)
    return True


def _repeated(keystore, credentials):
    """The set's id is known: the same set again is no error, another under its id is."""
    if encode(keystore._known, 0) != encode(credentials, 0):
        raise Misuse("another key set under the id of the one in place")
    if keystore.status != READY:
        raise Misuse(keystore.text)
    return False


def _check_new_to_slots(keystore, credentials):
    """With the old set unreadable its id may still be in a counter record."""
    for name in SLOTS:
        try:
            if Ledger.load(keystore._store, name).set_id == credentials.set_id:
                raise Misuse("this set was in place before: provision new keys")
        except (Damaged, OSError):
            pass


def _start_of(keystore, peer):
    """(generation, first number) at which a new set's `peer` starts."""
    if not peer.generations:
        return 0, LIMIT  # without a key there is nothing to count
    start = None
    for number, kcn in peer.generations:
        used = _use_of(keystore, kcn)
        if used is None:  # never used: start here unless a running key comes before
            if start is None:
                start = (number, 0)
        elif used >= LIMIT and start is not None:
            raise Misuse("a key that was left behind comes after one to be used")
        elif used < LIMIT:
            start = (number, used)
    if start is None:
        raise Misuse("every key given for a correspondent is used up or was left behind")
    return start


def _use_of(keystore, kcn):
    """Next number of a Kcn of the set in place, LIMIT if left behind, None if never used."""
    if keystore._known is None:
        return None
    for index, peer in enumerate(keystore._known.peers):
        for number, known in peer.generations:
            if known != kcn:
                continue
            if keystore._ledger is None:
                raise Misuse("the counter of a key given again is lost: give new keys")
            current = keystore._ledger.generations[index]
            if number == current:
                return keystore._ledger.nexts[index]
            return LIMIT if number < current else None
    return None


def rekey(keystore, set_id, generations):
    """Give correspondents new lists of keys; the rest of the set stays.

    `generations` maps a peer's index to its new [(generation, Kcn), …]. A key that stays keeps
    its running counter. Returns and raises as provision().
    """
    keystore._need_ready()
    peers = []
    for index, old in enumerate(keystore.credentials.peers):
        keys = generations.get(index, old.generations)
        peers.append(
            Peer(old.correspondent, old.home_nonce, old.care_of_nonce, old.lifetime, keys)
        )
    return provision(keystore, Credentials(set_id, keystore.credentials.home_address, peers))


def erase(keystore, tick=None):
    """Forget all keys, then scrub. Raises StorageError; run it again then."""
    keystore._changes += 1
    try:
        keystore._store.write(SCRUB, b"old keys")
    except OSError:
        pass  # a full flash must not keep the keys from being removed
    try:
        keystore._store.remove(KEYS)
        for name in SLOTS:
            keystore._store.remove(name)
    except OSError as error:
        keystore.load()
        raise StorageError("keys not erased: %s" % error) from None
    if keystore._retained is not None:
        keystore._retained.write(b"")
    keystore._forget(EMPTY)
    keystore.scrub_due = True
    keystore.scrub(tick)


def scrubbing(keystore):
    """scrub() in slices, for who has other work: each step of this generator takes a page or
    an erase of flash. Closed early it has changed nothing. Raises StorageError, also where
    keys were changed between the slices: begin again then."""
    changes = keystore._changes
    try:
        if hasattr(keystore._store, "scrubbing"):
            yield from keystore._store.scrubbing()
        if changes == keystore._changes:
            keystore._store.remove(SCRUB)
    except OSError as error:
        raise StorageError("old keys not overwritten: %s" % error) from None
    if changes != keystore._changes:
        raise StorageError("old keys not overwritten: more came meanwhile")
    keystore.scrub_due = False


def _remove(store, name):
    """Remove a record that nothing refers to; if that fails it is only clutter."""
    try:
        store.remove(name)
    except OSError:
        pass
