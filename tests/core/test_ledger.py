"""The counter: reserved before use, forwards only, never twice, never past 65535."""

from counter import Counter
from harness import raises
from stores import MemoryStore, Retained

from mip6.errors import Exhausted, Misuse, StorageError
from mip6.keystore.ledger import Ledger, reservation
from mip6.keystore.records import Damaged
from mip6.limits import SEQUENCE_NUMBERS

NAME = "seq/0"
SET = b"set-id-8"


def fresh(store=None, rows=((0, 0),), retained=None):
    store = store or MemoryStore()
    ledger = Ledger(store, NAME, SET, list(rows), retained)
    ledger.create(0)
    return store, ledger


def reboot(store, retained=None):
    return Ledger.load(store, NAME, retained)


def take(ledger, count, index=0):
    return [ledger.take(index) for _ in range(count)]


def test_numbers_start_at_0_and_rise_by_1():
    _, ledger = fresh()
    assert take(ledger, 200) == list(range(200))


def test_reservation_is_in_the_store_before_a_number_is_given():
    store, ledger = fresh()
    for _ in range(300):
        number = ledger.take(0)
        assert reboot(store).nexts[0] > number


def test_reservation_grows_with_the_session():
    assert [reservation(uses) for uses in (0, 1, 2, 3, 4, 7, 9, 31, 32, 65000)] == (
        [1, 1, 1, 1, 2, 3, 4, 15, 16, 16]
    )


def test_a_cut_loses_at_most_half_of_the_session_and_16():
    for uses in range(1, 530):
        store, ledger = fresh()
        take(ledger, uses)
        lost = reboot(store).nexts[0] - uses
        assert 0 <= lost <= min(16, uses // 2), (uses, lost)
        if uses < 10:
            assert lost <= 4


def test_idle_reservation_keeps_the_same_bound():
    store, ledger = fresh()
    for uses in range(1, 400):
        take(ledger, 1)
        ledger.top_up(0)
        assert 0 <= reboot(store).nexts[0] - uses <= min(16, uses // 2)


def test_topped_up_counter_gives_two_numbers_without_writing():
    store, ledger = fresh()
    take(ledger, 40)
    for _ in range(100):
        ledger.top_up(0)
        before = store.writes
        take(ledger, 2)
        assert store.writes == before


def test_boot_loops_burn_nothing():
    store, ledger = fresh()
    take(ledger, 50)
    first, writes = reboot(store).nexts[0], store.writes
    for _ in range(100):
        reboot(store).top_up(0)
    assert reboot(store).nexts[0] == first
    assert store.writes == writes


def test_release_loses_nothing_and_writes_once():
    store, ledger = fresh()
    for count in (1, 2, 3, 40, 7):
        take(ledger, count)
        ledger.release()
        writes = store.writes
        ledger.release()
        assert store.writes == writes
        assert reboot(store).nexts == ledger.nexts
        ledger = reboot(store)


def test_deep_sleep_costs_one_write_a_use():
    store, ledger = fresh()
    before = store.writes
    for expected in range(100):
        ledger = reboot(store)
        assert ledger.take(0) == expected
        ledger.top_up(0)
        ledger.release()
    assert store.writes - before == 100


def test_last_number_is_65535_and_nothing_wraps():
    store, ledger = fresh(rows=[(0, SEQUENCE_NUMBERS - 3)])
    assert take(ledger, 3) == [65533, 65534, 65535]
    for _ in range(3):
        raises(Exhausted, ledger.take, 0)
    ledger.top_up(0)
    ledger.release()
    raises(Exhausted, reboot(store).take, 0)
    assert Counter(ledger, 0).uses_left == 0


def test_whole_key_life_of_one_session():
    store, ledger = fresh()
    last = -1
    for _ in range(SEQUENCE_NUMBERS):
        number = ledger.take(0)
        ledger.top_up(0)
        assert number == last + 1
        last = number
    raises(Exhausted, ledger.take, 0)
    assert store.writes < SEQUENCE_NUMBERS // 15 + 20


def test_advance_goes_forwards_only_and_is_stored_before_use():
    store, ledger = fresh()
    take(ledger, 10)
    assert not ledger.advance(0, 0)
    assert not ledger.advance(0, 9)
    assert ledger.nexts[0] == 10
    assert ledger.advance(0, 10)  # within the reservation
    assert ledger.nexts[0] == 11
    assert ledger.advance(0, 5000)
    assert reboot(store).nexts[0] >= 5001
    assert ledger.take(0) == 5001
    assert not ledger.advance(0, 4000)
    assert ledger.take(0) == 5002


def test_advance_to_the_end_exhausts():
    store, ledger = fresh()
    assert ledger.advance(0, 65535)
    raises(Exhausted, ledger.take, 0)
    raises(Exhausted, reboot(store).take, 0)
    raises(Misuse, ledger.advance, 0, 65536)
    raises(Misuse, ledger.advance, 0, -1)


def test_advance_that_is_not_stored_has_not_happened():
    store, ledger = fresh()
    take(ledger, 5)
    store.read_only = True
    raises(StorageError, ledger.advance, 0, 600)
    assert ledger.nexts[0] == 5


def test_an_older_image_put_back_moves_forward_by_the_correspondents_word():
    store, ledger = fresh()
    take(ledger, 100)
    old = dict(store.records)
    last = take(ledger, 500)[-1]
    store.records = old  # the flash of some days ago
    ledger = reboot(store)
    number = ledger.take(0)
    assert number <= last  # the correspondent refuses it: status 135, authenticated, names `last`
    assert ledger.advance(0, last)
    assert ledger.take(0) == last + 1
    assert not ledger.advance(0, number)  # the same answer, recorded earlier and played back
    assert not ledger.advance(0, last)
    assert reboot(store).nexts[0] > last + 1


def test_failing_write_gives_no_number_and_later_ones_go_on():
    for keep in (False, True):
        store, ledger = fresh()
        given = []
        for attempt in range(200):
            if attempt % 3 == 0:
                store.fail_at, store.keep = 0, keep
            try:
                given.append(ledger.take(0))
            except StorageError:
                pass
            store.fail_at = None
        assert given == sorted(set(given)) and len(given) > 100
        assert reboot(store).nexts[0] > given[-1]


def test_flash_that_keeps_nothing_is_noticed():
    store, ledger = fresh()
    store.deaf = True
    raises(StorageError, ledger.take, 0)


def test_read_only_and_full_flash_refuse():
    for fault in ("read_only", "full"):
        store, ledger = fresh()
        take(ledger, 1)
        setattr(store, fault, True)
        error = raises(StorageError, ledger.take, 0)
        assert "30" in str(error) or "28" in str(error) or "space" in str(error).lower(), error


def test_absent_empty_cut_and_altered_records_refuse():
    store, ledger = fresh(rows=[(0, 0), (3, 7)])
    take(ledger, 20)
    record = store.records[NAME]
    for size in range(len(record)):
        store.records[NAME] = record[:size]
        raises(Damaged, reboot, store)
    for bit in range(len(record) * 8):
        altered = bytearray(record)
        altered[bit >> 3] ^= 1 << (bit & 7)
        store.records[NAME] = bytes(altered)
        raises(Damaged, reboot, store)
    store.records[NAME] = record + b"\x00"
    raises(Damaged, reboot, store)
    del store.records[NAME]
    raises(Damaged, reboot, store)


def test_peers_count_apart_and_share_writes():
    store, ledger = fresh(rows=[(0, 0), (0, 500), (2, 9)])
    take(ledger, 100, 0)
    take(ledger, 100, 1)
    before = store.writes
    for _ in range(160):
        ledger.take(0)
        ledger.take(1)
        ledger.top_up(0)
        ledger.top_up(1)
    assert store.writes - before <= 160 // 15 + 2
    after = reboot(store)
    assert 260 <= after.nexts[0] <= 276 and 760 <= after.nexts[1] <= 776
    assert after.nexts[2] == 9 and after.generations == [0, 0, 2]


def test_moving_on_starts_at_0_and_voids_the_old_counter():
    store, ledger = fresh(rows=[(1, 65000)])
    old = Counter(ledger, 0)
    old.take()
    raises(Misuse, ledger.move_on, 0, 1)
    raises(Misuse, ledger.move_on, 0, 0)
    ledger.move_on(0, 4)
    raises(Misuse, old.take)
    new = Counter(ledger, 0)
    assert (new.generation, new.take(), new.uses_left) == (4, 0, 65535)
    after = reboot(store)
    assert after.generations == [4] and after.nexts == [1]


def test_moving_on_that_is_not_stored_has_not_happened():
    store, ledger = fresh(rows=[(1, 65000)])
    store.read_only = True
    raises(StorageError, ledger.move_on, 0, 2)
    assert ledger.generations == [1] and ledger.nexts == [65000]


def test_retained_memory_continues_exactly_and_saves_writes():
    retained = Retained()
    store, ledger = fresh(retained=retained)
    before = store.writes
    for expected in range(600):
        ledger = reboot(store, retained)
        assert ledger.take(0) == expected
        ledger.suspend()
    assert store.writes - before < 600 // 16 + 20


def test_retained_memory_lost_or_foreign_falls_back_to_flash():
    retained = Retained()
    store, ledger = fresh(retained=retained)
    take(ledger, 107)
    note, limit = retained.note, ledger.limits[0]
    assert reboot(store, retained).nexts[0] == 107
    for bad in (b"", note[:-1], bytes(len(note)), note[:20] + b"\x00" + note[21:]):
        retained.note = bad
        assert reboot(store, retained).nexts[0] == limit
    for bit in range(len(note) * 8):
        altered = bytearray(note)
        altered[bit >> 3] ^= 1 << (bit & 7)
        retained.note = bytes(altered)
        assert reboot(store, retained).nexts[0] == limit


def test_a_note_of_an_earlier_reservation_is_not_believed():
    retained = Retained()
    store, ledger = fresh(retained=retained)
    take(ledger, 50)
    old = retained.note
    without = reboot(store)  # firmware that knows no retained memory uses the board for a while
    given = take(without, 1)
    retained.note = old
    assert reboot(store, retained).take(0) > given[0]


def test_retained_memory_that_fails_is_voided_first():
    retained = Retained()
    store, ledger = fresh(retained=retained)
    take(ledger, 40)
    retained.broken = True
    given = take(ledger, 1)
    assert reboot(store, retained).nexts[0] > given[0]
    given = take(ledger, 3)
    assert reboot(store, retained).nexts[0] > given[-1]


def test_retained_memory_and_flash_failing_together_give_nothing():
    retained = Retained()
    store, ledger = fresh(retained=retained)
    take(ledger, 40)
    ledger.top_up(0)
    retained.broken = store.read_only = True
    raises(StorageError, ledger.take, 0)
    raises(StorageError, ledger.take, 0)
    store.read_only = False
    number = ledger.take(0)
    assert reboot(store, retained).nexts[0] > number


def test_counter_shows_its_place():
    _, ledger = fresh()
    counter = Counter(ledger, 0)
    counter.take()
    assert (counter.peek, counter.uses_left, counter.generation) == (1, 65535, 0)


def test_a_release_that_says_it_failed_lets_no_number_be_used_twice():
    """Flash may have taken the lowered limit all the same."""
    for kept in (False, True):
        store, ledger = fresh()
        given = set(take(ledger, 40))
        store.fail_at, store.keep = 0, kept
        raises(StorageError, ledger.release)
        store.fail_at = None
        more = take(ledger, 5)  # the program goes on
        assert not given & set(more)
        given |= set(more)
        again = reboot(store)
        assert not given & set(take(again, 40))
