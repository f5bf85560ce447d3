"""The budget of numbers for what nobody signed: a bucket that outlives restarts."""

import sys

from harness import raises
from peer import CN, CN2, MemoryStore, keystore

from mip6.keystore.budget import BUDGET, INTERVAL_MS, TOKENS_MAX

HOUR = 3600000


def restarted(store, renewed=False):
    from mip6.keystore.keystore import Keystore

    found = Keystore(store, None, renewed)
    assert found.load() == "ready"
    return found


def use(found, count, index=0):
    for _ in range(count):
        found.take(index)
        found.budget.spend(index)


def test_full_at_first_and_each_correspondents_own():
    found = keystore((CN, CN2))
    assert found.budget.wait(0, 0) == found.budget.wait(1, 0) == 0
    for _ in range(TOKENS_MAX):
        found.budget.spend(0)
    assert found.budget.wait(0, 10) == INTERVAL_MS - 10
    assert found.budget.wait(1, 10) == 0


def test_a_token_comes_back_in_sixteen_minutes():
    found = keystore()
    assert found.budget.wait(0, 5000) == 0
    for _ in range(TOKENS_MAX):
        found.budget.spend(0)
    assert found.budget.wait(0, 5000 + INTERVAL_MS - 1) == 1
    assert found.budget.wait(0, 5000 + INTERVAL_MS) == 0
    found.budget.spend(0)
    assert found.budget.wait(0, 5000 + INTERVAL_MS) == INTERVAL_MS
    found.budget.spend(0, -1)
    assert found.budget.wait(0, 5000 + INTERVAL_MS) == 0
    for _ in range(2):
        assert found.budget.wait(0, 10000 * INTERVAL_MS) == 0
    assert found.budget.tokens[0] <= TOKENS_MAX


def test_a_start_finds_what_was_left():
    store = MemoryStore()
    found = keystore(store=store)
    assert BUDGET not in store.records
    use(found, 1000)
    assert BUDGET in store.records
    level = found.budget.tokens[0]
    again = restarted(store)
    assert level - 16 <= again.budget.tokens[0] <= level
    for _ in range(50):  # starts that write no record: the counter itself tells
        again = restarted(store)
        use(again, 1)
    assert restarted(store).budget.tokens[0] <= level - 50
    before = store.records[BUDGET]
    use(again, 40)
    again.top_up()
    assert store.records[BUDGET] == before


def test_boot_loops_come_to_an_end_of_it():
    store = MemoryStore()
    keystore(store=store)
    starts = 0
    while True:
        found = restarted(store)
        if found.budget.wait(0, 0):
            break
        use(found, 1)
        starts += 1
    assert TOKENS_MAX // 2 <= starts <= TOKENS_MAX + 1
    assert restarted(store, renewed=True).budget.wait(0, 0) == 0  # switched on by hand: one
    assert restarted(store).budget.wait(0, 0) == INTERVAL_MS


def test_what_an_acknowledgement_vouches_for_is_given_back_while_idle():
    store = MemoryStore()
    found = keystore(store=store)
    for _ in range(9000):
        found.take(0)  # without spend: renewals
        found.top_up()
    found.top_up()
    assert restarted(store).budget.tokens[0] >= TOKENS_MAX - 4200


def test_another_generation_has_a_year_of_its_own():
    store = MemoryStore()
    found = keystore(generations=2, store=store)
    use(found, 500)
    found.move_on(0)
    assert found.budget.tokens[0] == TOKENS_MAX
    assert restarted(store).budget.tokens[0] == TOKENS_MAX


def test_a_damaged_record_or_a_full_flash_cost_nothing_else():
    store = MemoryStore()
    found = keystore(store=store)
    use(found, 100)
    record = store.records[BUDGET]
    for bad in (b"", record[:-1], record[:9] + b"\xff" + record[10:], b"x" * 40):
        store.records[BUDGET] = bad
        assert restarted(store).budget.wait(0, 0) == 0
    store.records[BUDGET] = record
    found = restarted(store)
    use(found, 100)
    store.broken = True
    found.budget.save(0)
    store.broken = False
    assert restarted(store).take(0)[1] >= 200


def test_erasing_takes_the_record_along():
    store = MemoryStore()
    found = keystore(store=store)
    use(found, 100)
    found.top_up()
    found.clear()
    assert BUDGET not in store.records


class Machine:
    """As much of `machine` as tells why the board started."""

    PWRON_RESET, WDT_RESET, DEEPSLEEP_RESET = 1, 3, 4

    def __init__(self, cause):
        self._cause = cause

    def reset_cause(self):
        return self._cause


class Told(Exception):
    """The key store was made."""


def test_the_agent_tells_whether_power_or_sleep_came_before_the_start():
    if "micropython" not in sys.modules and sys.implementation.name != "micropython":
        sys.modules["micropython"] = type(sys)("micropython")
    from mip6 import agent

    def make(keystore):
        told.append(keystore._renewed)
        raise Told

    before = sys.modules.get("machine")
    told = []
    try:
        for cause in (1, 3, 4):
            sys.modules["machine"] = Machine(cause)
            raises(Told, agent.operate, "/roamkey", make, None)
    finally:
        del sys.modules["machine"]
        if before is not None:
            sys.modules["machine"] = before
    assert told == [True, False, True]
