"""The seal: who opens it, how long a wrong response bars the way, and what a cut leaves."""

from harness import raises
from stores import MemoryStore

from mip6.console.lock import RECORD, TRIES, Seal, TooSoon, response, wait_after
from mip6.errors import Misuse, StorageError

KEY = b"0123456789abcdef0123456789abcdef"
ID = b"seal-001"


class Clock:
    def __init__(self):
        self.now = 0
        self.drawn = 0

    def read(self):
        return self.now

    def random(self, octets):
        self.drawn += 1
        return bytes([self.drawn] * octets)


def start(store, clock):
    return Seal(store, clock.random, clock.read)


def closed():
    store, clock = MemoryStore(), Clock()
    seal = start(store, clock)
    assert not seal.closed and seal.wait == 0
    seal.close(ID, KEY)
    return store, clock, seal


def answer(seal, key=KEY):
    return response(key, ID, seal.challenge())


def test_the_right_response_opens_it_for_good():
    store, clock, seal = closed()
    assert seal.closed and seal.id == ID
    seal = start(store, clock)
    assert seal.closed and seal.id == ID and seal.wait == 0
    seal.open(answer(seal))
    assert not seal.closed and not store.records
    assert not start(store, clock).closed


def test_a_response_serves_once_and_for_its_own_challenge():
    store, clock, seal = closed()
    first = answer(seal)
    second = answer(seal)
    raises(Misuse, seal.open, first)
    clock.now += 1000
    raises(Misuse, seal.open, second)  # its challenge was spent on the wrong one
    assert seal.closed
    seal.open(answer(seal))
    seal.close(b"seal-002", KEY)
    seal.challenge()
    raises(Misuse, seal.open, second)


def test_a_wrong_response_bars_the_way_longer_each_time():
    store, clock, seal = closed()
    waits = []
    for _ in range(16):
        clock.now += 1000 * seal.wait
        raises(Misuse, seal.open, answer(seal, b"x" * 32))
        waits.append(seal.wait)
        error = raises(TooSoon, seal.open, answer(seal))
        assert error.seconds == seal.wait
        clock.now += 1000 * seal.wait - 1
        raises(TooSoon, seal.open, answer(seal))
        clock.now -= 1000 * seal.wait - 1
    assert waits[:4] == [1, 2, 4, 8] and waits[12:] == [3600] * 4
    clock.now += 3600 * 1000
    seal.open(answer(seal))
    assert not seal.closed


def test_a_restart_waits_anew_and_failures_wear_no_flash():
    store, clock, seal = closed()
    for _ in range(30):
        clock.now += 1000 * seal.wait
        raises(Misuse, seal.open, answer(seal, b"x" * 32))
        seal = start(store, clock)
        assert seal.wait > 0
    assert seal.wait == 3600
    assert store.writes == 1 + 13


def test_an_attempt_is_counted_before_it_is_looked_at():
    store, clock, seal = closed()
    store.read_only = True
    raises(StorageError, seal.open, answer(seal))
    assert seal.closed
    store.read_only = False
    store.fail_at, store.keep = 0, True  # power fails just behind the count
    raises(StorageError, seal.open, answer(seal))
    assert start(store, clock).wait == wait_after(1)


def test_flash_that_keeps_nothing_is_noticed():
    store, clock, seal = closed()
    store.deaf = True
    raises(StorageError, seal.open, answer(seal))
    assert TRIES not in store.records and seal.closed
    store.deaf, store.remove = False, lambda name: None
    raises(StorageError, seal.open, answer(seal))
    assert seal.closed and start(store, clock).closed


def test_a_seal_that_flash_kept_badly_does_not_stay():
    class Weak(MemoryStore):
        def write(self, name, data):
            MemoryStore.write(self, name, data[:-1] + b"?")

    store = Weak()
    seal = start(store, Clock())
    raises(StorageError, seal.close, ID, KEY)
    assert not seal.closed and RECORD not in store.records


def test_what_a_cut_while_sealing_leaves_is_open():
    store, clock, _ = closed()
    store.records[RECORD] = b""
    assert not start(store, clock).closed


def test_a_damaged_seal_opens_to_nobody():
    store, clock, seal = closed()
    store.records[RECORD] = store.records[RECORD][:-1] + b"?"
    seal = start(store, clock)
    assert seal.closed and seal.id == b"" and seal.wait == 3600
    clock.now += 3600 * 1000
    seal.challenge()
    raises(Misuse, seal.open, b"x" * 20)


def test_a_damaged_count_is_the_longest_wait():
    store, clock, seal = closed()
    store.records[TRIES] = b"?"
    seal = start(store, clock)
    assert seal.closed and seal.wait == 3600


def test_a_failed_close_tells_what_is():
    store, clock = MemoryStore(), Clock()
    seal = start(store, clock)
    store.fail_at = 0
    raises(StorageError, seal.close, ID, KEY)
    assert not seal.closed
    store.fail_at = None
    raises(Misuse, seal.close, ID, KEY[1:])
    seal.close(ID, KEY)
    raises(Misuse, seal.close, b"seal-002", KEY)
    assert repr(seal) == "Seal(closed)"
