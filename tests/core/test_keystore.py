"""The key store: sets that are replaced whole, keys that keep their counters, clear refusals."""

from counter import counter_of
from harness import raises
from stores import MemoryStore, Retained

from mip6.errors import Exhausted, Misuse, StorageError
from mip6.keychange import change
from mip6.keychange.check import check_credentials, check_peer, decode, encode, is_host
from mip6.keys import canonical
from mip6.keystore.keyset import Credentials, Peer
from mip6.keystore.keystore import Keystore
from mip6.keystore.records import (
    DAMAGED,
    EMPTY,
    KEYS,
    NO_COUNTER,
    READY,
    SLOTS,
    STORAGE_ERROR,
    UNFINISHED,
    USED,
    Damaged,
    pack,
)
from mip6.limits import SEQUENCE_NUMBERS
from mip6.status import keystore_text, outlook

A = b"\x20\x01\x0d\xb8" + bytes(11)
HOME, FIRST, SECOND, THIRD = A + b"\x01", A + b"\x02", A + b"\x03", A + b"\x04"


PLACES = [("correspondent.example", 4191), ("192.0.2.1", 443), ("2001:db8::9", 4191)]


def kcn(name):
    return name + b"-" * (20 - len(name))


def peer(address=FIRST, keys=((0, b"k0"),), lifetime=600, home=b"h" * 8, care_of=b"c" * 8):
    return checked(address, home, care_of, lifetime, [(n, kcn(k)) for n, k in keys])


def reached(address, places):
    return checked(address, b"h" * 8, b"c" * 8, 600, [(0, kcn(b"r"))], places)


def checked(*fields):
    found = Peer(*fields)
    check_peer(found)
    return found


def key_set(set_id=b"set-0000", peers=None, home=HOME):
    found = Credentials(set_id, home, peers if peers is not None else [peer()])
    check_credentials(found)
    return found


def ready(credentials=None):
    store = MemoryStore()
    keystore = Keystore(store)
    assert keystore.load() == EMPTY
    assert keystore.provision(credentials or key_set())
    return store, keystore


def load(store, retained=None):
    keystore = Keystore(store, retained)
    keystore.load()
    return keystore


def test_a_set_survives_its_encoding():
    whole = key_set(
        peers=[
            peer(FIRST, [(0, b"a"), (3, b"b"), (32767, b"c")], 4, b"h" * 32, b"c" * 8),
            peer(SECOND, [(7, b"d")], 262140),
        ]
    )
    for slot in (0, 1):
        again, found = decode(encode(whole, slot))
        assert found == slot
        assert encode(again, 0) == encode(whole, 0)
        assert again.peers[0].generations == whole.peers[0].generations


def test_where_correspondents_are_reached_makes_it_version_2():
    plain = encode(key_set(), 1)
    assert plain[1] == 1 and decode(plain)[0].native
    for reach, native in ((PLACES, True), (PLACES[:1], False), ([], False)):
        peers = [peer(), reached(SECOND, reach)]
        record = encode(Credentials(b"set-0000", HOME, peers, native), 1)
        assert record[:2] == b"K\x02"
        again, slot = decode(record)
        assert (slot, again.native) == (1, native)
        assert [each.reach for each in again.peers] == [[], reach]
        assert encode(again, 1) == record


def test_the_octets_of_version_2():
    """docs/SPEC.md, "Key set (4b)", by hand."""
    places = [("a.example", 4191), ("2001:db8::9", 443)]
    whole = Credentials(b"set-0000", HOME, [peer(), reached(SECOND, places)], False)
    plain = Credentials(b"set-0000", HOME, [peer(), reached(SECOND, [])])
    tail = b"\x01\x00\x02\x10\x5f\x09a.example\x01\xbb\x0b2001:db8::9"
    assert encode(whole, 0)[4:-4] == encode(plain, 0)[4:-4] + tail


def test_a_record_of_version_2_that_breaks_a_rule_is_damaged():
    body = encode(key_set(), 0)[4:-4]
    assert decode(pack(0x4B, 2, body + b"\x01\x00"))[0].native is False
    for tail in (
        b"",
        b"\x00",
        b"\x02\x00",  # an unknown flag
        b"\x00\x00\x00",
        b"\x00\x01\x10\x5f\x03a.",
        b"\x00\x01\x10\x5f\x00",  # no host
        b"\x00\x01\x00\x00\x01a",  # port 0
        b"\x00\x01\x10\x5f\x02\xc3\x28",  # no text
        b"\x00\x05" + 5 * b"\x10\x5f\x01a",
    ):
        raises(Damaged, decode, pack(0x4B, 2, body + tail))
    raises(Damaged, decode, pack(0x4B, 1, body + b"\x00\x00"))
    raises(Damaged, decode, pack(0x4B, 3, body + b"\x00\x00"))
    raises(Damaged, decode, pack(0x4B, 4, body))


def test_a_home_agent_makes_it_version_3():
    """docs/SPEC.md, "Key set (4b)", by hand."""
    for native, reach, peers, agent in (
        (True, [], [peer(), peer(SECOND, [(0, b"2")])], 1),
        (False, PLACES, [reached(FIRST, PLACES), peer(SECOND, [])], 1),
        (True, [], [peer()], 0),
    ):
        whole = Credentials(b"set-0000", HOME, peers, native, agent)
        record = encode(whole, 1)
        assert record[:2] == b"K\x03"
        assert record[-5] == agent
        again, slot = decode(record)
        assert (slot, again.native, again.home_agent) == (1, native, agent)
        assert again.peers[0].reach == reach
        assert encode(again, 1) == record
    body = record[4:-4]
    for tail in (b"", b"\x01", b"\xff", b"\x00\x00"):  # none, no such peer, too much
        raises(Damaged, decode, pack(0x4B, 3, body[:-1] + tail))


def test_what_boards_can_send_to():
    for good in (
        "a",
        "raspberrypi.local",
        "CN-1.Example.org",
        "x_y.example",
        "a" * 63 + "." + "b" * 63 + "." + "c" * 63 + "." + "d" * 61,
        "192.0.2.1",
        "127.0.0.1",
        "2001:db8::1",
        "fd00::1",
        "::1",
    ):
        assert is_host(good), good
    for bad in (
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "-a",
        "a-.b",
        "a b",
        "a/b",
        "b\u00fcro",
        "a" * 64,
        "a" * 63 + "." + "b" * 63 + "." + "c" * 63 + "." + "d" * 62,
        "192.0.2",
        "192.0.2.256",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "fe80::1",
        "fe80::1%0",
        "ff02::1",
        "2001:db8::g",
        "1.2.3.4:5",
    ):
        assert not is_host(bad), bad


def test_rules_of_places():
    reached(FIRST, [("a", 1), ("a", 65535), ("b", 1), ("c", 1)])
    for bad in ([("a", 1)] * 5, [("a", 0)], [("a", 65536)], [("a", "1")], [("fe80::1", 4191)]):
        raises(Misuse, reached, FIRST, bad)


def test_damaged_sets_are_refused():
    record = encode(key_set(), 0)
    for size in range(len(record)):
        raises(Damaged, decode, record[:size])
    for bit in range(len(record) * 8):
        altered = bytearray(record)
        altered[bit >> 3] ^= 1 << (bit & 7)
        raises(Damaged, decode, bytes(altered))


def test_rules_of_a_set():
    raises(Misuse, checked, FIRST, b"h" * 8, b"c" * 8, 600, [(0, b"k" * 19)])
    raises(Misuse, checked, FIRST, b"h" * 8, b"c" * 8, 600, [(0, b"k" * 256)])
    checked(FIRST, b"h" * 8, b"c" * 8, 600, [(0, b"k" * 255)])
    for bad in (b"h" * 7, b"h" * 33, b""):
        raises(Misuse, checked, FIRST, bad, b"c" * 8, 600, [(0, b"k" * 20)])
        raises(Misuse, checked, FIRST, b"c" * 8, bad, 600, [(0, b"k" * 20)])
    for lifetime in (0, 3, 262141, -1, 4.5, "600"):
        raises(Misuse, checked, FIRST, b"h" * 8, b"c" * 8, lifetime, [(0, b"k" * 20)])
    for numbers in (tuple(range(17)), (1, 0), (0, 0), (-1,), (32768,)):
        raises(Misuse, peer, FIRST, [(n, b"%d" % i) for i, n in enumerate(numbers)])
    raises(Misuse, key_set, b"short")
    raises(Misuse, key_set, b"set-0000", [])
    raises(Misuse, key_set, b"set-0000", [peer(FIRST), peer(FIRST, [(0, b"other")])])
    raises(Misuse, key_set, b"set-0000", [peer(HOME)])
    many = [peer(A[:-2] + bytes([1, n, n]), [(0, b"%d" % n)]) for n in range(17)]
    key_set(peers=many[:16])
    raises(Misuse, key_set, b"set-0000", many)


def test_no_set_that_breaks_a_rule_is_stored():
    store, keystore = ready()
    before = dict(store.records)
    for bad in (
        Credentials(b"short", HOME, [peer(SECOND, [(0, b"k1")])]),
        Credentials(b"set-1111", HOME, [Peer(SECOND, b"h" * 8, b"c" * 8, 600, [(0, b"k" * 19)])]),
        Credentials(b"set-1111", HOME, [Peer(HOME, b"h" * 8, b"c" * 8, 600, [(0, b"k" * 20)])]),
    ):
        raises(Misuse, keystore.provision, bad)
    raises(Misuse, keystore.rekey, b"set-1111", {0: [(0, b"k" * 19)]})
    assert store.records == before


def test_addresses_are_unicast_and_global():
    bad = [
        bytes(16),
        bytes(15) + b"\x01",
        b"\xff\x02" + bytes(13) + b"\x01",
        b"\xfe\x80" + bytes(13) + b"\x01",
        b"\xfe\xc0" + bytes(13) + b"\x01",
        bytes(10) + b"\xff\xff\x0a\x00\x00\x01",
        A,
    ]
    for address in bad:
        raises(Misuse, peer, address)
        raises(Misuse, key_set, b"set-0000", None, address)
    key_set(home=b"\xfd" + bytes(14) + b"\x01")  # RFC 4193: unique local, global scope


def test_a_kcn_given_twice_is_refused():
    error = raises(Misuse, key_set, b"set-0000", [peer(FIRST), peer(SECOND)])
    assert "Kcn" in str(error) and "k0" not in str(error)
    raises(Misuse, key_set, b"set-0000", [peer(FIRST, [(0, b"k0"), (1, b"k0")])])
    for key, same in ((b"k" * 20, b"k" * 20 + b"\x00"), (b"k" * 65, canonical(b"k" * 65))):
        keys = [(0, key), (1, same)]
        raises(Misuse, key_set, b"set-0000", [Peer(FIRST, b"h" * 8, b"c" * 8, 600, keys)])


def test_secrets_are_not_shown():
    whole = key_set()
    _, keystore = ready(whole)
    for shown in (
        repr(whole),
        repr(whole.peers),
        repr(keystore),
        str(whole),
        keystore_text(keystore),
    ):
        assert "k0" not in shown and "hhhh" not in shown and "cccc" not in shown


def test_nothing_provisioned_is_empty_and_sends_nothing():
    keystore = load(MemoryStore())
    assert keystore.status == EMPTY and keystore.credentials is None
    for call in (keystore.take, keystore.current, keystore.move_on, keystore.peek):
        raises(Misuse, call, 0)
    keystore.top_up()
    keystore.release()


def test_provisioned_keys_are_there_after_a_reset():
    store, keystore = ready()
    assert keystore.status == READY
    assert keystore.take(0) == (0, 0)
    after = load(store)
    assert after.status == READY and after.credentials.home_address == HOME
    assert after.current(0) == (0, kcn(b"k0")) and after.take(0) == (0, 1)


def test_loading_writes_nothing():
    store, keystore = ready()
    keystore.take(0)
    before = dict(store.records), store.writes
    for _ in range(20):
        load(store)
    assert (store.records, store.writes) == before


def test_every_damage_has_a_clear_status():
    store, _ = ready()
    whole = dict(store.records)

    def status(**changes):
        records = dict(whole)
        for name, record in changes.items():
            name = {"keys": KEYS, "counters": SLOTS[0]}[name]
            if record is None:
                del records[name]
            else:
                records[name] = record
        keystore = load(MemoryStore(records))
        assert keystore_text(keystore)
        if keystore.status != READY:
            assert keystore.credentials is None
            raises(Misuse, keystore.take, 0)
        return keystore.status

    assert status() == READY
    assert status(keys=None) == EMPTY
    assert status(keys=b"") == UNFINISHED
    assert status(keys=whole[KEYS][:-1]) == DAMAGED
    assert status(keys=b"\xff" * 100) == DAMAGED
    assert status(keys=bytes(100)) == DAMAGED
    assert status(counters=None) == NO_COUNTER
    assert status(counters=b"") == NO_COUNTER
    assert status(counters=whole[SLOTS[0]][:-1]) == NO_COUNTER
    other = dict(ready(key_set(b"set-1111"))[0].records)
    assert status(counters=other[SLOTS[0]]) == NO_COUNTER
    two = ready(key_set(peers=[peer(FIRST), peer(SECOND, [(0, b"k1")])]))[0].records
    assert status(counters=two[SLOTS[0]]) == NO_COUNTER
    later = ready(key_set(peers=[peer(FIRST, [(5, b"k1")])]))[0].records
    assert status(counters=later[SLOTS[0]]) == NO_COUNTER


def test_flash_that_cannot_be_read():
    class Unreadable(MemoryStore):
        def read(self, name):
            raise OSError(5)

    keystore = load(Unreadable())
    assert keystore.status == STORAGE_ERROR and "5" in keystore_text(keystore)


def test_the_same_set_again_is_no_change():
    store, keystore = ready()
    for _ in range(20):
        keystore.take(0)
    before = dict(store.records)
    assert keystore.provision(key_set()) is False
    assert store.records == before
    assert keystore.take(0) == (0, 20)
    raises(Misuse, keystore.provision, key_set(peers=[peer(keys=[(0, b"other")])]))


def test_a_new_set_with_an_old_key_keeps_its_counter():
    store, keystore = ready()
    for _ in range(20):
        keystore.take(0)
    assert keystore.provision(key_set(b"set-1111"))
    assert keystore.take(0) == (0, 20)
    # Under another generation number, and at another correspondent: the counter is the key's.
    assert keystore.provision(key_set(b"set-2222", [peer(SECOND, [(9, b"k0")])]))
    assert keystore.take(0) == (9, 21)
    assert load(store).take(0)[1] >= 22


def test_a_counter_is_that_of_every_key_that_hmac_takes_for_the_same():
    long = b"k" * 65
    for key, same in ((kcn(b"k0"), kcn(b"k0") + bytes(3)), (long, canonical(long))):
        old = Peer(FIRST, b"h" * 8, b"c" * 8, 600, [(0, key)])
        _, keystore = ready(key_set(peers=[old]))
        for _ in range(20):
            keystore.take(0)
        new = Peer(FIRST, b"h" * 8, b"c" * 8, 600, [(3, same)])
        assert keystore.provision(key_set(b"set-1111", [new]))
        assert keystore.take(0) == (3, 20)


def test_new_keys_start_at_0():
    _, keystore = ready()
    for _ in range(20):
        keystore.take(0)
    assert keystore.provision(key_set(b"set-1111", [peer(keys=[(0, b"new")])]))
    assert keystore.take(0) == (0, 0)


def test_a_key_left_behind_never_comes_back():
    keys = [(0, b"k0"), (1, b"k1"), (2, b"k2")]
    _, keystore = ready(key_set(peers=[peer(keys=keys)]))
    keystore.take(0)
    assert keystore.move_on(0) == 1
    keystore.take(0)
    more = list(keys)
    more.append((3, b"k3"))
    raises(Misuse, keystore.provision, key_set(b"set-1111", [peer(keys=[(0, b"k0")])]))
    raises(Misuse, keystore.provision, key_set(b"set-1111", [peer(keys=[(0, b"x"), (1, b"k0")])]))
    raises(Misuse, keystore.provision, key_set(b"set-1111", [peer(keys=[(1, b"k1"), (2, b"k0")])]))
    assert keystore.provision(key_set(b"set-1111", [peer(keys=more)]))
    assert keystore.take(0) == (1, 1)


def test_a_key_used_up_never_comes_back():
    _, keystore = ready()
    counter_of(keystore, 0).advance(SEQUENCE_NUMBERS - 1)
    raises(Misuse, keystore.provision, key_set(b"set-1111"))
    keys = [(0, b"k0"), (1, b"k1")]
    assert keystore.provision(key_set(b"set-1111", [peer(keys=keys)]))
    assert keystore.take(0) == (1, 0)


def test_a_key_whose_counter_is_lost_is_refused():
    store, _ = ready()
    del store.records[SLOTS[0]]
    keystore = load(store)
    raises(Misuse, keystore.provision, key_set())
    raises(Misuse, keystore.provision, key_set(b"set-1111"))
    assert keystore.provision(key_set(b"set-1111", [peer(keys=[(0, b"new")])]))
    assert keystore.take(0) == (0, 0)


def test_the_same_set_over_a_damaged_one_is_refused():
    store, keystore = ready()
    keystore.take(0)
    store.records[KEYS] = store.records[KEYS][:-1]
    keystore = load(store)
    assert keystore.status == DAMAGED
    raises(Misuse, keystore.provision, key_set())
    assert keystore.provision(key_set(b"set-1111", [peer(keys=[(0, b"new")])]))


def test_a_key_once_used_never_starts_at_0_whatever_happens_to_its_records():
    """Records damaged, lost, of 0 octets, erased: each with each, and later sets after it."""
    fates = (None, b"", b"\xff" * 40, "as it is")
    for fate in fates:
        for fate_of_counters in fates:
            for later in (False, True):
                store, keystore = ready(key_set(peers=[peer(keys=[(0, b"k0"), (1, b"k1")])]))
                for _ in range(20):
                    keystore.take(0)
                for name, octets in ((KEYS, fate), (SLOTS[0], fate_of_counters)):
                    if octets is None:
                        del store.records[name]
                    elif octets != "as it is":
                        store.records[name] = octets
                whole = fate == fate_of_counters == "as it is"
                keystore = load(store)
                if later:
                    other = key_set(b"set-9999", [peer(keys=[(0, b"other")])])
                    assert keystore.provision(other)
                    whole = False
                again = key_set(b"set-1111", [peer(keys=[(5, b"k0")])])
                if whole:
                    assert keystore.provision(again) and keystore.take(0)[1] >= 20
                    continue
                raises(Misuse, keystore.provision, again)
                assert keystore.provision(key_set(b"set-2222", [peer(keys=[(0, b"new")])]))
                assert keystore.take(0) == (0, 0)


def test_a_key_once_used_is_known_after_an_erase_and_a_key_never_used_is_not():
    store, keystore = ready(key_set(peers=[peer(keys=[(0, b"k0"), (1, b"k1")])]))
    keystore.take(0)
    keystore.erase()
    for each in (keystore, load(store)):
        raises(Misuse, each.provision, key_set())
        longer = Peer(FIRST, b"h" * 8, b"c" * 8, 600, [(0, kcn(b"k0") + b"\x00")])
        raises(Misuse, each.provision, key_set(b"set-1111", [longer]))
    assert keystore.provision(key_set(b"set-1111", [peer(keys=[(1, b"k1")])]))
    assert keystore.take(0) == (1, 0)
    keystore.erase()
    keystore.erase()
    raises(Misuse, keystore.provision, key_set())
    raises(Misuse, keystore.provision, key_set(b"set-2222", [peer(keys=[(1, b"k1")])]))


class Cut(Exception):
    pass


class Powered(MemoryStore):
    """A store whose power goes before its n-th change from now, or right after it."""

    def __init__(self, records, changes, after):
        super().__init__(records)
        self.changes, self.after = changes, after

    def _change(self, change, *arguments):
        if not self.changes and not self.after:
            raise Cut
        change(*arguments)
        self.changes -= 1
        if self.changes < 0:
            raise Cut

    def write(self, name, data):
        self._change(super().write, name, data)

    def remove(self, name):
        self._change(super().remove, name)


def test_a_set_kept_from_its_place_by_a_cut_may_come_again():
    """Over nothing, keys in use, damaged keys, a lost counter; under its id, or another."""
    unkeyed = peer(SECOND, [])
    new = key_set(b"set-1111", [peer(keys=[(0, b"n0"), (1, b"n1")]), unkeyed])
    same = key_set(b"set-2222", [peer(keys=[(4, b"n0"), (5, b"n1")]), unkeyed])
    used, keystore = ready(key_set(peers=[peer(keys=[(0, b"k0"), (1, b"k1")])]))
    for _ in range(20):
        keystore.take(0)
    damaged, counterless = dict(used.records), dict(used.records)
    damaged[KEYS] = b"\xff" * 60
    del counterless[SLOTS[0]]
    cuts = 0
    for records in ({}, used.records, damaged, counterless):
        for at in range(12):
            for after in (False, True):
                for again in (new, same):
                    store = Powered(records, at, after)
                    try:
                        load(store).provision(new)
                    except Cut:
                        cuts += 1
                    store = MemoryStore(store.records)
                    keystore = load(store)
                    if records:
                        old = key_set(b"set-3333", [peer(keys=[(7, b"k0")])])
                        try:
                            keystore.provision(old)
                            assert keystore.take(0)[1] >= 20
                        except Misuse:
                            pass
                        store = MemoryStore(store.records)
                        keystore = load(store)
                    keystore.provision(again)
                    assert keystore.take(0)[1] == 0
                    keystore.take(0)
                    store.records[KEYS] = b"\xff"
                    for one in (new, same):
                        raises(Misuse, load(store).provision, one)
    assert cuts > 60


def test_boards_without_marks_go_on():
    store, keystore = ready()
    keystore.take(0)
    for record in (None, b"", b"\xff" * 9, store.records[USED][:-1]):
        records = dict(store.records)
        del records[USED]
        if record is not None:
            records[USED] = record
        keystore = load(MemoryStore(records))
        assert keystore.status == READY
        assert keystore.provision(key_set(b"set-1111", [peer(keys=[(0, b"new")])]))
        raises(Misuse, keystore.provision, key_set())


def test_marks_are_bounded_and_those_of_the_newest_keys_stay():
    store, keystore = ready()
    for number in range(1, 100):
        keystore.take(0)
        keystore.provision(key_set(b"set-%04d" % number, [peer(keys=[(0, b"n%d" % number)])]))
    assert len(store.records[USED]) <= 512
    for number in range(40, 99):
        again = key_set(b"set-1111", [peer(keys=[(0, b"n%d" % number)])])
        raises(Misuse, keystore.provision, again)


def test_a_full_flash_keeps_no_key_from_being_erased():
    for keep in (False, True):
        store, keystore = ready()
        keystore.take(0)
        store.full, store.room_after_removal = True, keep
        keystore.erase()
        assert keystore.status == EMPTY and KEYS not in store.records
        store.full = False
        if keep:
            raises(Misuse, load(store).provision, key_set())


def test_retained_memory_that_fails_keeps_no_key_from_being_erased():
    store, retained = MemoryStore(), Retained()
    keystore = load(store, retained)
    keystore.provision(key_set())
    keystore.take(0)
    retained.broken = True
    keystore.erase()
    assert keystore.status == EMPTY and KEYS not in store.records


def test_rekey_keeps_what_stays():
    both = [peer(FIRST, [(0, b"a0")]), peer(SECOND, [(0, b"b0")], 1200)]
    _, keystore = ready(key_set(peers=both))
    for _ in range(30):
        keystore.take(0)
        keystore.take(1)
    lists = {0: [(0, kcn(b"a0")), (1, kcn(b"a1"))], 1: [(4, kcn(b"b4"))]}
    assert keystore.rekey(b"set-1111", lists)
    assert keystore.take(0) == (0, 30)
    assert keystore.take(1) == (4, 0)
    assert keystore.credentials.peers[1].lifetime == 1200
    assert keystore.credentials.set_id == b"set-1111"


def test_a_correspondent_reached_elsewhere_keeps_keys_and_numbers():
    store, keystore = ready(key_set(peers=[peer(), peer(SECOND, [(0, b"k1")])]))
    for _ in range(5):
        keystore.take(1)
    held = counter_of(keystore, 1)
    before = {name: store.records[name] for name in store.records if name != KEYS}
    assert change.reach(keystore, {1: PLACES}, None)
    assert not change.reach(keystore, {1: PLACES}, True), "nothing changes"
    assert keystore.take(1) == (0, 5) and held.peek == 6
    assert change.reach(keystore, {}, False)
    assert {name: store.records[name] for name in store.records if name != KEYS} == before
    again = load(store)
    assert again.status == READY and not again.credentials.native
    assert [each.reach for each in again.credentials.peers] == [[], PLACES]
    assert again.credentials.set_id == b"set-0000"
    assert keystore.rekey(b"set-1111", {0: [(1, kcn(b"new"))]})
    assert [each.reach for each in keystore.credentials.peers] == [[], PLACES]
    assert not keystore.credentials.native


def test_places_that_are_refused_change_nothing():
    store, keystore = ready()
    before, credentials = dict(store.records), keystore.credentials
    raises(Misuse, change.reach, keystore, {0: [("fe80::1", 4191)]}, None)
    raises(Misuse, change.reach, load(MemoryStore()), {}, None)
    store.read_only = True
    raises(StorageError, change.reach, keystore, {0: PLACES}, None)
    assert store.records == before
    assert keystore.status == READY and keystore.credentials.peers[0].reach == []
    assert keystore.credentials.set_id == credentials.set_id


def test_a_peer_without_a_key_gives_no_number_until_it_has_one():
    store, keystore = ready(key_set(peers=[peer(FIRST, []), peer(SECOND, [(0, b"k")])]))
    raises(Exhausted, keystore.take, 0)
    assert keystore.take(1) == (0, 0)
    assert keystore.current(0)[1] is None
    keystore = load(store)
    assert keystore.status == READY
    raises(Exhausted, keystore.take, 0)
    assert keystore.rekey(b"set-1111", {0: [(0, kcn(b"new"))]})
    assert keystore.take(0) == (0, 0)
    assert keystore.take(1) == (0, 1)


def test_generations_follow_one_another():
    keys = [(0, b"k0"), (2, b"k2"), (3, b"k3")]
    store, keystore = ready(key_set(peers=[peer(keys=keys)]))
    old = counter_of(keystore, 0)
    old.advance(SEQUENCE_NUMBERS - 2)
    assert keystore.take(0) == (0, 65535)
    assert keystore.take(0) == (2, 0)
    raises(Misuse, old.take)
    assert keystore.current(0) == (2, kcn(b"k2"))
    assert load(store).take(0) == (2, 1)
    counter_of(keystore, 0).advance(SEQUENCE_NUMBERS - 1)
    assert keystore.take(0) == (3, 0)
    counter_of(keystore, 0).advance(SEQUENCE_NUMBERS - 1)
    raises(Exhausted, keystore.take, 0)
    raises(Exhausted, keystore.move_on, 0)
    after = load(store)
    assert after.status == READY
    raises(Exhausted, after.take, 0)


def test_a_counter_held_over_a_change_gives_nothing():
    for what in ("load", "provision", "erase", "failed"):
        store, keystore = ready()
        for _ in range(20):
            keystore.take(0)
        old = counter_of(keystore, 0)
        before = dict(store.records)
        if what == "load":
            keystore.load()
        elif what == "provision":
            keystore.provision(key_set(b"set-1111"))
        elif what == "erase":
            keystore.erase()
        else:
            store.read_only = True
            raises(StorageError, keystore.provision, key_set(b"set-1111"))
            store.read_only = False
            assert store.records == before
        after = dict(store.records)
        for call in (old.take, old.top_up, old.release):
            raises(Misuse, call)
        raises(Misuse, old.advance, 500)
        assert store.records == after
        if what != "erase":
            assert keystore.take(0)[1] >= 20


def test_failing_at_any_write_leaves_the_old_or_the_new_set():
    for keep in (False, True):
        for at in range(6):
            store, keystore = ready()
            for _ in range(20):
                keystore.take(0)
            store.fail_at, store.keep = at, keep
            new = key_set(b"set-1111", [peer(keys=[(0, b"k0"), (1, b"k1")])])
            try:
                keystore.provision(new)
            except StorageError:
                pass
            store.fail_at = None
            for found in (keystore, load(MemoryStore(store.records))):
                assert found.status == READY
                assert found.credentials.set_id in (b"set-0000", b"set-1111")
                assert found.take(0)[1] >= 20
            keystore = load(store)
            keystore.provision(new)
            assert keystore.credentials.set_id == b"set-1111"
            assert keystore.take(0)[1] >= 20


def test_read_only_or_full_flash_keeps_the_old_set():
    for fault in ("read_only", "full"):
        store, keystore = ready()
        keystore.take(0)
        setattr(store, fault, True)
        raises(StorageError, keystore.provision, key_set(b"set-1111"))
        assert keystore.status == READY and keystore.credentials.set_id == b"set-0000"
        raises(StorageError, keystore.take, 0)
        setattr(store, fault, False)
        assert keystore.take(0) == (0, 1)


def test_erase_leaves_no_record_and_no_note():
    store, retained = MemoryStore(), Retained()
    keystore = load(store, retained)
    keystore.provision(key_set())
    for _ in range(20):
        keystore.take(0)
    assert retained.note
    keystore.erase()
    assert keystore.status == EMPTY and retained.note == b""
    assert list(store.records) == [USED] and kcn(b"k0") not in store.records[USED]
    raises(Misuse, keystore.take, 0)
    assert load(store, retained).status == EMPTY
    assert keystore.provision(key_set(b"set-1111", [peer(keys=[(0, b"new")])]))


def test_erase_of_what_cannot_be_written_says_so():
    store, keystore = ready()
    store.read_only = True
    raises(StorageError, keystore.erase)
    assert keystore.status == READY


def test_a_scrub_is_due_after_a_change_until_it_is_done():
    store, keystore = ready()
    assert not keystore.scrub_due
    keystore.provision(key_set(b"set-1111", [peer(keys=[(0, b"new")])]))
    assert keystore.scrub_due and load(store).scrub_due
    keystore.scrub()
    assert not keystore.scrub_due and not load(store).scrub_due


def test_an_older_image_put_back_moves_forward_only():
    store, keystore = ready()
    for _ in range(50):
        keystore.take(0)
    image = dict(store.records)
    last = [keystore.take(0)[1] for _ in range(300)][-1]
    keystore = load(MemoryStore(image))
    assert keystore.take(0)[1] <= last  # refused by the correspondent, with 135 and `last`
    assert counter_of(keystore, 0).advance(last)
    assert keystore.take(0) == (0, last + 1)
    assert not counter_of(keystore, 0).advance(last - 100)
    assert keystore.take(0) == (0, last + 2)


def test_retained_memory_carries_a_watchdog_reset():
    store, retained = MemoryStore(), Retained()
    keystore = load(store, retained)
    keystore.provision(key_set(peers=[peer(FIRST), peer(SECOND, [(0, b"k1")])]))
    for expected in range(100):
        assert keystore.take(0) == (0, expected)
        keystore.take(1)
        keystore = load(store, retained)
    keystore.provision(key_set(b"set-1111", [peer(FIRST, [(0, b"new")])]))
    assert load(store, retained).take(0) == (0, 0)


def test_outlook_counts_uses_and_days():
    day = 86400000
    keys = [(0, b"k0"), (1, b"k1")]
    _, keystore = ready(key_set(peers=[peer(keys=keys)]))
    keystore.take(0)
    seen = outlook(keystore, 0, 0, 0)
    assert seen["uses_left"] == 2 * SEQUENCE_NUMBERS - 1
    # Before a day has passed: an update each nine minutes, for bindings of ten.
    rested = (2 * SEQUENCE_NUMBERS - 1) * 540 // 86400
    for uses, elapsed in ((0, 0), (1, 0), (1, 6000), (5000, day - 1), (0, 9 * day)):
        assert outlook(keystore, 0, uses, elapsed)["days_left"] == rested
    assert seen["generations_left"] == 1
    assert outlook(keystore, 0, 100, day)["days_left"] == (2 * SEQUENCE_NUMBERS - 1) // 100
    counter_of(keystore, 0).advance(SEQUENCE_NUMBERS - 1)
    assert outlook(keystore, 0, 1, day)["warning"] is None  # another generation follows
    keystore.take(0)
    for at, warning in ((58981, None), (58982, 90), (63568, 90), (63569, 97), (65535, 100)):
        counter_of(keystore, 0).advance(at)
        assert outlook(keystore, 0, 1, day)["warning"] == warning, at
    assert outlook(keystore, 0, 10, day)["days_left"] == 0
