"""The event log: lines of text in blocks, over resets, full rings and failing stores."""

from stores import MemoryStore

from mip6.eventlog import EventLog

COA = b"\x20\x01\x0d\xb8\x00\x01" + bytes(9) + b"\x07"


class Clock:
    def __init__(self):
        self.ms = 0

    def __call__(self):
        return self.ms


def started(store, clock, start="1 1700000000"):
    return EventLog(clock, store, start)


def test_an_event_has_the_time_of_its_moment():
    clock = Clock()
    log = started(MemoryStore(), clock)
    clock.ms = 1234
    log.emit("attached", COA, None)
    log.emit("update", COA, 17)
    clock.ms = 5000
    assert log.tell(None)["text"].split("\n") == [
        "0 boot 1 1 1700000000",
        "1234 attached 2001:db8:1::7",
        "1234 update 2001:db8:1::7 17",
    ]


def test_it_is_written_when_it_is_time_and_the_board_idle():
    clock, store = Clock(), MemoryStore()
    log = started(store, clock)
    log.tend(True)
    clock.ms = 7999
    log.tend(True)
    clock.ms = 8000
    log.tend(False)
    assert store.writes == 0
    log.tend(True)
    clock.ms = 60000
    log.tend(True)
    assert store.writes == 1  # nothing new, nothing written


def test_a_reset_goes_on_in_the_same_block_with_the_next_number():
    clock, store = Clock(), MemoryStore()
    for boot in (1, 2, 3):
        log = started(store, clock)
        log.write_lines()
        log.save()
        assert ("0 boot %d 1 1700000000" % boot) in log.tell(None)["text"]
    assert len(store.records) == 1
    log = started(store, clock)  # and one that is cut before it saved leaves no trace
    assert log.tell(None)["text"].count("boot") == 4
    assert started(store, clock).tell(None)["text"].count("boot") == 4


def test_the_ring_is_bounded_and_each_block_says_which_boot_it_is_of():
    clock, store = Clock(), MemoryStore()
    log = started(store, clock)
    for number in range(3000):
        clock.ms += 100
        log.emit("update", COA, number)
        log.write_lines()
    log.save()
    assert len(store.records) == 32
    assert max(len(record) for record in store.records.values()) <= 1024
    newest, oldest = log.tell(None)["block"], log.tell(None)["oldest"]
    assert newest - oldest == 31
    for number in range(oldest, newest + 1):
        assert log.tell(number)["text"].split("\n")[0].split(" ")[1:3] == ["boot", "1"]
    assert log.tell(oldest - 1)["text"] == ""
    # 35 octets an event, and a write for each block
    assert store.writes <= 3000 * 35 // 1024 + 3


def test_a_flood_within_a_second_is_bounded():
    clock = Clock()
    log = started(MemoryStore(), clock)
    for number in range(1000):
        log.emit("update", COA, number)
    log.write_lines()
    assert len(log.tell(None)["text"]) <= 1024 and log.block <= 4


def test_a_store_that_fails_or_is_torn_costs_events_and_nothing_else():
    clock, store = Clock(), MemoryStore()
    log = started(store, clock)
    log.write_lines()
    store.full = True
    log.save()
    store.full = False
    log.add("warning", "80")
    log.write_lines()
    log.save()
    name = sorted(store.records)[-1]
    for torn in (b"", b"\xff\xfe", b"12 boot", b"12 boot x"):
        store.records[name] = torn
        again = started(store, clock)
        again.write_lines()
        again.save()
        assert "boot 1 1 1700000000" in again.tell(None)["text"]
        store.records.pop("%06d" % again.block)
