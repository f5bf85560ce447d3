"""The event log: lines of text in blocks, over resets, full rings and failing stores."""

from peer import CN, COA1, COA2, Correspondent, drain, keystore, receive
from stores import MemoryStore

from mip6.bindings.update_list import BindingUpdateList
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


def test_a_move_with_four_correspondents_fits_into_a_second():
    clock = Clock()
    log = started(MemoryStore(), clock)
    peers = [CN[:15] + bytes([number]) for number in range(4)]
    bindings = BindingUpdateList(keystore(correspondents=peers), 0, log.emit)
    for care_of, now in ((COA1, 0), (COA2, 10000)):
        log.write_lines()
        log.clear()
        begun = log.block
        log.add("link", "down")
        bindings.detach(now)
        for kind, text in (("link", "bistro up"), ("signal", -61), ("router", "bistro")):
            log.add(kind, text)
        bindings.uplink = "bistro"
        bindings.attach(care_of, now)
        for number, packet in enumerate(drain(bindings, now)):
            cn = Correspondent(peers[number])
            receive(bindings, cn.answer(cn.read(packet)), now + 40)
        log.emit("data", peers[0], "waited")
    newest = log.tell(None)["block"]
    text = "\n".join([log.tell(number)["text"] for number in range(begun, newest + 1)])
    assert "attached 2001:db8:2::100 bistro" in text and text.endswith("waited")
    kinds = [line.split(" ")[1] for line in text.split("\n")]
    found = {kind: kinds.count(kind) for kind in kinds if kind != "boot"}
    assert found == {
        "link": 2, "signal": 1, "router": 1, "detached": 1, "attached": 1, "update": 4,
        "acknowledged": 4, "state": 12, "data": 1,
    }  # fmt: skip


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
        assert "boot 2 1 1700000000" in again.tell(None)["text"]
        store.records.pop("%06d" % again.block)


def boots(text):
    lines = [line.split(" ") for line in text.split("\n")]
    return [int(words[2]) for words in lines if words[1] == "boot"]


#: What a cut or an accident can leave beside or in place of blocks.
NAMES = (
    "000003.new", "notes.txt", "filler", "3", "+00004", "0000005", "00000a", "-00001", "000000",
    "1_0000", " 00009", "9999999999", "000008 ", "", "\xb2\xb3\xb9\xb2\xb3\xb9", "x/000009",
)  # fmt: skip
TORN = (
    b"", b"\xff\xfe", b"12 boot", b"12 boot x", b"boot", b"\n\n", b" ", b"0 update 4\n1 boot 9",
    bytes(600), b"\xc3", b"0 boot -3", b"[]",
)  # fmt: skip


def test_names_that_are_no_blocks_change_nothing():
    for name in NAMES:
        store = MemoryStore({"000002": b"0 boot 6 1 0\n5 link up", name: b"0 boot 70 1 0"})
        log = started(store, Clock())
        log.write_lines()
        log.save()
        assert (log.block, boots(log.tell(None)["text"])) == (2, [6, 7]), name
        assert log.tell(None)["oldest"] == 2
        assert store.records[name] == b"0 boot 70 1 0"


def test_no_torn_block_has_a_number_come_again():
    """One after the other: each start finds the newest blocks torn, and goes on behind them."""
    store, last = MemoryStore({"000001": b"0 boot 4 1 0"}), 4
    for count, torn in enumerate(TORN):
        store.records["%06d" % (count + 2)] = torn
        log = started(store, Clock())
        log.write_lines()
        assert log.block == count + 3 and log.read(count + 2).encode() in (b"", torn)
        boot = boots(log.tell(None)["text"])[0]
        assert boot > last
        last = boot
        before = dict(store.records)
        log.save()
        assert boots(store.records.pop("%06d" % log.block).decode()) == [boot]
        assert store.records == before
    for name in store.records:
        store.records[name] = b""
    log = started(store, Clock())
    log.write_lines()
    assert log.block == len(TORN) + 2 and boots(log.tell(None)["text"]) == [len(TORN) + 2]


def test_a_block_that_is_too_large_or_cannot_be_read_is_left_alone():
    class Bad(MemoryStore):
        error = OSError(5)

        def read(self, name):
            if name == "000009":
                raise self.error
            return self.records.get(name)

    for error in (OSError(5), OSError(21), MemoryError()):
        store = Bad({"000008": b"0 boot 4 1 0", "000009": b"0 boot 5 1 0"})
        store.error = error
        log = started(store, Clock())
        log.write_lines()
        assert log.block == 10 and boots(log.tell(None)["text"]) == [6]
        assert log.tell(9)["text"] == ""


def test_a_folder_that_cannot_be_listed_is_not_written_to():
    class Blind(MemoryStore):
        def names(self):
            raise OSError(5)

    store = Blind({"000001": b"0 boot 4 1 0"})
    log = started(store, Clock())
    log.write_lines()
    log.save()
    assert store.writes == 0 and "boot" in log.tell(None)["text"]


def test_a_number_that_no_block_has_is_not_looked_for():
    class Watched(MemoryStore):
        def read(self, name):
            assert name in self.records
            return self.records[name]

    log = started(Watched({"000001": b"0 boot 4 1 0"}), Clock())
    for number in (0, -1, 2, 10**300, 1 << 64):
        assert log.tell(number)["text"] == ""


def test_what_was_not_written_is_tried_again_and_what_was_not_removed_goes_later():
    clock, store = Clock(), MemoryStore()
    log = started(store, clock)
    store.full = True
    clock.ms = 9000
    log.tend(True)
    clock.ms = 18000
    log.tend(True)
    assert not store.records
    store.full = False
    clock.ms = 80000
    log.tend(True)
    log.tend(True)
    assert list(store.records) == ["000001"]
    store = MemoryStore({"%06d" % number: b"0 boot 1 1 0" for number in range(1, 50)})
    log = started(store, clock)
    log.write_lines()
    log.save()
    assert sorted(store.records)[0] == "000018" and len(store.records) == 32
    assert log.tell(None)["oldest"] == 18


def test_a_line_never_breaks_its_block():
    log = started(MemoryStore(), Clock())
    log.add("link", "a\nname\n12 boot 99 up")
    log.add("port", "x" * 3000)
    log.add("link", "\u4e2d" * 3000)
    for _ in range(300):
        log.add("link", "\u4e2d" * 30)
        log.write_lines()
        assert len(log.tell(None)["text"].encode()) <= 1024
    for block in range(1, log.block + 1):
        assert set(boots(log.read(block))) <= {1}


def test_clearing_keeps_the_numbers_and_nothing_else():
    for full in (False, True):
        clock, store = Clock(), MemoryStore()
        log = started(store, clock)
        for number in range(300):
            log.emit("attached", COA, number)
            log.write_lines()
        log.save()
        store.records["000003.new"] = b"0 attached"
        log.emit("attached", COA, "waiting")
        block = log.block
        store.full = store.room_after_removal = full
        log.clear()
        assert list(store.records) == ["%06d" % (block + 1)]
        assert store.records["%06d" % (block + 1)] == b"0 boot 1"
        told = log.tell(None)
        assert told["text"] == "0 boot 1" and told["block"] == told["oldest"] == block + 1
        again = started(store, clock)
        again.write_lines()
        assert again.block == block + 1 and boots(again.tell(None)["text"]) == [1, 2]
