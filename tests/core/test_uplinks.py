"""Which address is used: priorities, the newest, the home address, unsteady uplinks."""

from peer import COA1, COA2, COA3, HOME

from mip6.bindings.uplinks import ADDRESSES_MAX, Uplinks


def test_priority_then_the_newest():
    uplinks = Uplinks(HOME)
    assert uplinks.best(0) is None
    uplinks.usable("wlan0", 1, COA1, 0)
    assert uplinks.best(0) == ("wlan0", COA1)
    uplinks.usable("wlan0", 1, COA2, 5)
    assert uplinks.best(5) == ("wlan0", COA2)
    uplinks.usable("eth0", 0, COA3, 6)
    assert uplinks.best(6) == ("eth0", COA3)
    assert not uplinks.usable("wlan0", 1, COA1, 7)  # told again: no news
    uplinks.gone("eth0", COA3, 20000)
    assert uplinks.best(20000) == ("wlan0", COA2)
    uplinks.gone("wlan0", COA2, 20000)
    assert uplinks.best(20000) == ("wlan0", COA1)


GLOBAL, LOCAL = bytes.fromhex("20010db8000100000000000000000001"), b"\xfd" + bytes(14) + b"\x01"


def test_the_address_in_use_stays_while_it_is_there():
    """A second router on the link, or one that deprecates, moves nobody."""
    uplinks = Uplinks(HOME)
    uplinks.usable("eth0", 0, COA1, 0)
    for now in range(0, 600000, 100):
        uplinks.usable("eth0", 0, COA2, now, now % 200 == 0, 1800)
        uplinks.usable("eth0", 0, COA1, now, now % 200 != 0, 7200)
        assert uplinks.best(now, COA1) == ("eth0", COA1)
    assert uplinks.beside(COA1)
    uplinks.usable("eth0", 0, COA2, 600000, True)
    uplinks.usable("eth0", 0, COA1, 600000, False)
    assert uplinks.best(600000) == ("eth0", COA2)  # for who has none yet: not a deprecated one
    uplinks.gone("eth0", COA2, 600000)
    assert uplinks.best(600000) == ("eth0", COA1)  # but rather that than none


def test_labels_are_the_correspondents():
    for towards, best in ((GLOBAL, GLOBAL), (LOCAL, LOCAL)):
        uplinks = Uplinks(HOME, towards)
        uplinks.usable("eth0", 0, best, 0)
        uplinks.usable("eth0", 0, LOCAL if best == GLOBAL else GLOBAL, 1)
        assert uplinks.best(1) == ("eth0", best)
    uplinks.usable("eth0", 0, HOME, 2)
    assert uplinks.best(2) == ("eth0", HOME)


def test_silence_gives_the_others_their_turn():
    uplinks = Uplinks(HOME)
    uplinks.usable("eth0", 0, COA1, 0)
    assert not uplinks.silent(COA1, 5, 0)  # the only one
    uplinks.usable("wlan0", 1, COA2, 10)
    assert uplinks.best(10, COA1) == ("eth0", COA1)
    assert uplinks.silent(COA1, 4000, 1500)
    assert uplinks.best(4000, COA1) == ("wlan0", COA2)
    assert uplinks.wakes_at(4000) == 64000
    assert uplinks.best(64000, COA2) == ("eth0", COA1)  # tried again
    assert uplinks.silent(COA1, 70000, 67500)
    assert uplinks.wakes_at(70000) == 190000
    assert not uplinks.silent(
        COA2, 80000, 77500
    )  # where none answers, nothing is won by going round
    assert uplinks.best(80000, COA2) == ("wlan0", COA2)
    assert uplinks.best(190000, COA2) == ("eth0", COA1)
    uplinks.answered(COA1)
    now, holds = 1000000, []
    for _ in range(12):
        uplinks.silent(COA1, now, now - 2500)
        holds.append(uplinks.wakes_at(now) - now)
        now += holds[-1]
    assert holds[:3] == [60000, 120000, 240000] and holds[-3:] == [3600000] * 3


def test_the_sixteenth_address_is_not_lost_behind_bad_ones():
    uplinks = Uplinks(HOME, GLOBAL)
    for i in range(40):
        uplinks.usable("eth0", 0, LOCAL[:15] + bytes([i]), i, False)
    uplinks.usable("wlan0", 1, GLOBAL, 50)
    assert uplinks.best(50) == ("wlan0", GLOBAL)
    assert len(uplinks.all()) == ADDRESSES_MAX


def test_the_home_address_first_on_its_uplink():
    uplinks = Uplinks(HOME)
    uplinks.usable("eth0", 0, HOME, 0)
    uplinks.usable("eth0", 0, COA1, 1)
    assert uplinks.best(1) == ("eth0", HOME)
    uplinks.usable("eth1", -1, COA2, 2)
    assert uplinks.best(2) == ("eth1", COA2)


def test_an_unsteady_uplink_has_to_stay_before_it_is_preferred():
    uplinks = Uplinks(HOME)
    uplinks.usable("wlan0", 1, COA2, 0)
    now = 0
    for _ in range(2):  # a quick move or two is no fault
        uplinks.usable("eth0", 0, COA1, now)
        assert uplinks.best(now) == ("eth0", COA1)
        now += 100
        uplinks.gone("eth0", COA1, now)
    uplinks.usable("eth0", 0, COA1, now)
    uplinks.gone("eth0", COA1, now + 10)
    uplinks.usable("eth0", 0, COA1, now + 20)
    assert uplinks.best(now + 20) == ("wlan0", COA2)
    wakes_at = uplinks.wakes_at(now + 20)
    assert now + 500 < wakes_at <= now + 2000
    assert uplinks.best(wakes_at) == ("eth0", COA1)
    assert uplinks.wakes_at(wakes_at) is None
    uplinks.gone("eth0", COA1, wakes_at + 60000)  # it stayed: forgiven
    uplinks.usable("eth0", 0, COA1, wakes_at + 60010)
    assert uplinks.best(wakes_at + 60010) == ("eth0", COA1)


def test_the_only_uplink_is_used_at_once_however_unsteady():
    uplinks = Uplinks(HOME)
    for now in range(0, 10000, 100):
        uplinks.usable("eth0", 0, COA1, now)
        assert uplinks.best(now) == ("eth0", COA1)
        uplinks.gone("eth0", COA1, now + 50)


def test_holds_end():
    uplinks = Uplinks(HOME)
    uplinks.usable("wlan0", 1, COA2, 0)
    for now in range(0, 100000, 100):
        uplinks.usable("eth0", 0, COA1, now)
        uplinks.gone("eth0", COA1, now + 50)
    uplinks.usable("eth0", 0, COA1, 100000)
    assert uplinks.wakes_at(100000) == 132000


def test_bounded():
    uplinks = Uplinks(HOME)
    for i in range(100):
        uplinks.usable("eth%d" % i, 0, bytes(15) + bytes([i]), i)
    assert len(uplinks.all()) == ADDRESSES_MAX
    for i in range(100):
        uplinks.gone("eth%d" % i, bytes(15) + bytes([i]), 200)
    assert uplinks.best(200) is None


def test_an_older_address_of_the_same_uplink_waits_longer():
    uplinks = Uplinks(HOME)
    uplinks.usable("eth0", 0, COA1, 0)
    uplinks.usable("eth0", 0, COA2, 100)
    assert not uplinks.silent(COA2, 2600, 100)  # its router is still looked for, maybe
    assert uplinks.best(2600, COA2) == ("eth0", COA2)
    assert uplinks.silent(COA1, 2600, 100)  # the newer one: at once
    uplinks.answered(COA1)
    assert uplinks.silent(COA2, 12100, 100)
    assert uplinks.best(12100, COA2) == ("eth0", COA1)
