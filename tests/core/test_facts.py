"""The board's id where no chip has one: the same for ever, whatever happens to a record."""

from stores import MemoryStore

from mip6.maintenance import facts


def board(store):
    return facts.identity(store)["board"]


def test_an_id_outlives_either_record():
    store = MemoryStore()
    first = board(store)
    assert len(first) == 16 and board(MemoryStore()) != first
    whole = dict(store.records)
    assert len(whole) == 2
    for name in whole:
        for torn in (None, b"", whole[name][:-1], whole[name] + b"?", bytes(len(whole[name]))):
            store.records = dict(whole)
            del store.records[name]
            if torn is not None:
                store.records[name] = torn
            assert board(store) == first
            assert store.records == whole


def test_an_id_of_before_stays():
    store = MemoryStore({"board-id": b"12345678"})
    assert board(store) == "3132333435363738" == board(store)
    store.records["board-id"] = b"123"
    assert board(store) == "3132333435363738"
    store = MemoryStore({"board-id": b"12345678"})
    store.read_only = True
    assert board(store) == "3132333435363738"


def test_an_id_that_is_not_kept_or_not_read_is_none():
    class Unreadable(MemoryStore):
        def read(self, name):
            raise OSError(5)

    store = Unreadable()
    assert board(store) == "" and not store.records
    store = MemoryStore()
    store.full = True
    assert board(store) == ""
    store.full = False
    assert board(store) == board(store) != ""


def test_a_cut_between_the_two_writes_changes_nothing():
    for keep in (False, True):
        store = MemoryStore()
        store.fail_at, store.keep = 1, keep
        first = board(store)
        store.fail_at = None
        assert first and board(MemoryStore(store.records)) == first
