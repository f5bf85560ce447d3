"""Keys onto a board and into the registry: whole or not at all, whatever happens to the line."""

import random
import time
from pathlib import Path

import pytest

from mip6 import addresses
from roamkey.board.serial_client import SerialClient
from roamkey.enroll import deliver
from roamkey.enroll.plan import Plan
from roamkey.errors import BadInputError, BoardError, RefusedError
from roamkey.registry import CONFIRMED, SENT, Registry
from roamkey.registry.schema import keyless, keys, nodes, pairs

HOME = addresses.parse("2001:db8:a::1")
PEER = addresses.parse("2001:db8:c::2")
PEER_2 = addresses.parse("2001:db8:c::3")
AGENT = addresses.parse("2001:db8:a::ff")
PLAN = Plan(HOME, (PEER, PEER_2), lifetime=420, generations=2)
ALL_KINDS = Plan(HOME, (PEER,), 420, 2, routability=(PEER_2,), home_agent=AGENT)
KEYLESS = Plan(HOME, (), 420, routability=(PEER_2,), home_agent=AGENT, insecure=True)


def contents(registry: Registry) -> list[list[tuple[object, ...]]]:
    """All that provisioning writes, but for revisions."""
    with registry.reading() as c:
        tables = (nodes, pairs, keys, keyless)
        return [
            [tuple(v for k, v in row._mapping.items() if k != "revision") for row in rows]
            for rows in (c.execute(table.select().order_by(table.c.id)) for table in tables)
        ]


def live_sets(registry: Registry, board: str = "fa4e") -> list[tuple[str, str]]:
    return [(found.set_id.hex(), found.state) for found in registry.sets_of_board(board)]


def provision(registry: Registry, fake, hasty, plan: Plan = PLAN, **options):
    options = {"connect": hasty, "ask_again_s": 0, **options}
    return deliver.provision(registry, fake.port, plan, **options)


def test_both_ends_hold_the_same(registry, fake, hasty) -> None:
    held = provision(registry, fake, hasty)
    assert (held.board, held.home_address, held.finished) == ("fa4e", "2001:db8:a::1", False)
    assert held.correspondents == (("2001:db8:c::2", (0, 1)), ("2001:db8:c::3", (0, 1)))
    assert live_sets(registry) == [(held.set_id, CONFIRMED)]
    assert fake.set_id == held.set_id
    record = fake.store.records["keys"]
    for peer in (PEER, PEER_2):
        (pair,) = registry.pairs_for_correspondent(peer)
        for key in pair.keys:
            assert len(key.kcn) == 32 and key.kcn in record and key.home_nonce in record


def test_a_board_that_starts_afresh_for_its_keys_is_waited_for(registry, fake, hasty) -> None:
    fake.restarts = True
    fake.unplug()
    fake.plug()
    begun = time.monotonic()
    held = provision(registry, fake, hasty)
    assert time.monotonic() - begun >= fake.RESTART_S
    assert live_sets(registry) == [(held.set_id, CONFIRMED)] and fake.set_id == held.set_id
    with hasty(fake.port) as client:
        assert client.identify().set_id == held.set_id


def test_keys_in_place_are_kept_unless_replaced(registry, fake, hasty) -> None:
    first = provision(registry, fake, hasty)
    before = contents(registry)
    with pytest.raises(RefusedError, match="--replace"):
        provision(registry, fake, hasty)
    assert contents(registry) == before and fake.set_id == first.set_id
    second = provision(registry, fake, hasty, replace=True)
    assert fake.set_id == second.set_id != first.set_id
    assert live_sets(registry) == [(second.set_id, CONFIRMED)]
    assert second.correspondents[0] == ("2001:db8:c::2", (2, 3))


def test_a_home_address_of_another_board(registry, fake, hasty) -> None:
    provision(registry, fake, hasty)
    before = contents(registry)
    fake.unplug()
    fake.board_id = "beef"
    fake.store.records.clear()
    fake.plug()
    with pytest.raises(RefusedError, match=r"2001:db8:a::1 belongs to board fa4e"):
        provision(registry, fake, hasty)
    assert contents(registry) == before and fake.set_id is None


def test_a_board_whose_flash_fails(registry, fake, hasty) -> None:
    before = contents(registry)
    fake.store.read_only = True
    with pytest.raises(RefusedError, match="not written"):
        provision(registry, fake, hasty)
    assert contents(registry) == before


def test_a_kcn_given_twice(registry, fake, hasty) -> None:
    kcn = bytes(range(20))
    provision(registry, fake, hasty, Plan(HOME, (PEER,), kcns=(kcn,)))
    before = contents(registry)
    with pytest.raises(RefusedError, match="is or was in use"):
        provision(registry, fake, hasty, Plan(HOME, (PEER,), kcns=(kcn,)), replace=True)
    with pytest.raises(BadInputError, match="given twice"):
        provision(registry, fake, hasty, Plan(HOME, (PEER, PEER_2), kcns=(kcn, kcn)))
    assert contents(registry) == before


def test_plans_that_no_board_would_take(registry) -> None:
    for plan, words in (
        (Plan(HOME, (HOME,)), "as a correspondent too"),
        (Plan(HOME, (PEER, PEER)), "twice"),
        (Plan(addresses.parse("fe80::1"), (PEER,)), "unicast and global"),
        (Plan(HOME, (addresses.parse("ff02::1"),)), "unicast and global"),
        (Plan(HOME, ()), "correspondents"),
        (Plan(HOME, (PEER,), routability=(PEER_2,)), "2001:db8:c::3: return routability needs a"),
        (Plan(HOME, (PEER,), home_agent=PEER), "home agent is given as a correspondent too"),
        (Plan(HOME, (PEER,), routability=(PEER,), home_agent=AGENT), "twice"),
        (Plan(HOME, (PEER,), home_agent=HOME), "home address is given as a home agent too"),
        (Plan(HOME, (PEER,), kcns=(bytes(20),) * 3, home_agent=AGENT), "3 key file.* for 2 key"),
        (Plan(HOME, (PEER,), lifetime=3), "lifetime"),
        (Plan(HOME, (PEER,), generations=17), "generations"),
        (Plan(HOME, (PEER,), generations=1, kcns=(bytes(20), bytes(21))), "2 key file"),
        (Plan(HOME, (PEER, PEER_2), kcns=(bytes(20), b"a" * 20, b"b" * 20)), "3 key file"),
        (Plan(HOME, (PEER,), kcns=(bytes(19),)), "20 octets"),
    ):
        with pytest.raises(BadInputError, match=words):
            deliver.provision(registry, "/dev/nowhere", plan)


def test_a_lost_answer_is_asked_for(registry, fake, hasty) -> None:
    lost = []

    def lose_once(line: bytes) -> bytes:
        if b'"result": {"set_id"' in line and not lost:
            lost.append(line)
            return b""
        return line

    fake.says = lose_once
    held = provision(registry, fake, hasty)
    assert lost and fake.set_id == held.set_id
    assert live_sets(registry) == [(held.set_id, CONFIRMED)]


def test_a_silent_board_leaves_the_set_sent_and_a_second_run_finishes(
    registry, fake, hasty
) -> None:
    fake.says = lambda line: b"" if fake.set_id else line  # silent once it has the keys
    with pytest.raises(BoardError, match="run the same command again"):
        provision(registry, fake, hasty)
    assert live_sets(registry) == [(fake.set_id, SENT)]
    fake.says = bytes
    held = provision(registry, fake, hasty)
    assert held.finished and held.set_id == fake.set_id
    assert live_sets(registry) == [(held.set_id, CONFIRMED)]


def test_a_second_run_that_wants_something_else_is_refused(registry, fake, hasty) -> None:
    fake.says = lambda line: b"" if fake.set_id else line
    with pytest.raises(BoardError):
        provision(registry, fake, hasty)
    fake.says = bytes
    for other in (Plan(HOME, (PEER,)), Plan(HOME, (PEER, PEER_2), 420, 2, (b"k" * 32,) * 4)):
        with pytest.raises((RefusedError, BadInputError)):
            provision(registry, fake, hasty, other)
    assert live_sets(registry) == [(fake.set_id, CONFIRMED)]


def test_interrupted_by_the_user(registry, fake, hasty, monkeypatch) -> None:
    before = contents(registry)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(SerialClient, "_send_piece", interrupt)
    with pytest.raises(KeyboardInterrupt):
        provision(registry, fake, hasty)
    assert contents(registry) == before


@pytest.mark.parametrize(
    ("plan", "length", "step"), [(PLAN, 1500, 50), (ALL_KINDS, 1600, 160), (KEYLESS, 700, 70)]
)
def test_unplugged_while_it_is_provisioned(registry, fake, hasty, plan, length, step) -> None:
    """At octets all over the exchange: old or new on the board, and a second run settles it.
    `length`: of the exchange, more or less: the last unplugs come after its end."""
    provision(registry, fake, hasty, plan)
    dice = random.Random(4449)
    outcomes = set()
    for start in range(0, length, step):
        old = fake.set_id
        before = contents(registry)
        fake.unplug()
        fake.unplug_after = start + dice.randrange(step)
        fake.plug()
        try:
            provision(registry, fake, hasty, plan, replace=True)
            outcomes.add("done")
        except BoardError as failure:
            if "run the same command again" not in str(failure):
                assert contents(registry) == before
                outcomes.add("nothing")
            else:
                outcomes.add("unknown")
        sent = [name for name, state in live_sets(registry) if state == SENT]
        assert fake.set_id in [old, *sent] or not sent
        fake.unplug()
        fake.unplug_after = None
        fake.plug()
        held = provision(registry, fake, hasty, plan, replace=True)
        assert live_sets(registry) == [(held.set_id, CONFIRMED)]
        assert fake.set_id == held.set_id
        (*_, left) = contents(registry)
        assert {row[2] for row in left} == ({bytes.fromhex(held.set_id)} if left else set())
    assert outcomes == {"done", "nothing", "unknown"}


def test_no_secret_in_a_failure(registry, fake, hasty, tmp_path: Path) -> None:
    kcn = bytes(range(100, 132))
    fake.store.read_only = True
    with pytest.raises(RefusedError) as caught:
        provision(registry, fake, hasty, Plan(HOME, (PEER,), kcns=(kcn,)))
    error: BaseException | None = caught.value
    while error is not None:
        assert kcn.hex() not in str(error) and str(kcn) not in str(error)
        error = error.__cause__ or error.__context__
    assert kcn.hex() not in repr(Plan(HOME, (PEER,), kcns=(kcn,)))
