"""The Binding Update List against a scripted correspondent: the common ways."""

from peer import (
    CN,
    CN2,
    COA1,
    COA2,
    HOME,
    LIFETIME,
    Correspondent,
    drain,
    keystore,
    receive,
)

from mip6.bindings import states
from mip6.bindings.update_list import BindingUpdateList


def bound(now=0, **how):
    """(bindings, correspondent, last update), bound from COA1."""
    bindings = BindingUpdateList(keystore(**how), now)
    cn = Correspondent()
    bindings.attach(COA1, now)
    update = cn.read(drain(bindings, now)[0])
    receive(bindings, cn.answer(update), now + 40)
    assert state(bindings) == "bound"
    return bindings, cn, update


def state(bindings, index=0):
    """The name of a binding's state."""
    return states.STATES[bindings.bindings[index].state]


def test_registers_at_once():
    bindings = BindingUpdateList(keystore(), 0)
    assert drain(bindings, 0) == []
    assert bindings.wakes_at() is None
    bindings.attach(COA1, 5)
    sent = drain(bindings, 5)
    assert len(sent) == 1
    update = Correspondent().read(sent[0])
    assert (update.sequence, update.lifetime, update.care_of) == (0, LIFETIME // 4, COA1)
    assert state(bindings) == "registering"
    receive(bindings, Correspondent().answer(update), 45)
    assert state(bindings) == "bound"
    assert bindings.drops == {}


def test_retransmits_with_backoff_and_fresh_numbers():
    bindings = BindingUpdateList(keystore(), 0)
    bindings.attach(COA1, 1000)
    cn = Correspondent()
    now = 1000
    times, numbers = [], []
    for _ in range(9):
        numbers.append(cn.read(drain(bindings, now)[0]).sequence)
        times.append(bindings.wakes_at() - now)
        now = bindings.wakes_at()
        assert drain(bindings, now - 1) == []
    assert times == [1500, 3000, 6000, 12000, 24000, 32000, 32000, 32000, 32000]
    assert numbers == list(range(9))


def test_moves():
    bindings, cn, _ = bound()
    bindings.attach(COA2, 10000)
    assert state(bindings) == "registering"
    update = cn.read(drain(bindings, 10000)[0])
    assert (update.sequence, update.care_of) == (1, COA2)
    assert bindings.wakes_at() == 10350  # answers come within that; see test_pace
    receive(bindings, cn.answer(update), 10040)
    assert state(bindings) == "bound"


def test_returns_home():
    bindings, cn, _ = bound()
    bindings.attach(HOME, 10000)
    update = cn.read(drain(bindings, 10000)[0])
    assert update.at_home and update.source == HOME and update.lifetime == 0
    receive(bindings, cn.answer(update), 10040)
    assert state(bindings) == "home"
    assert bindings.wakes_at() is None


def test_shuts_down():
    bindings, cn, _ = bound()
    bindings.shutdown(10000)
    update = cn.read(drain(bindings, 10000)[0])
    assert not update.at_home and update.lifetime == 0 and update.care_of == COA1
    assert not bindings.closed
    receive(bindings, cn.answer(update), 10040)
    assert bindings.closed
    assert bindings.wakes_at() is None


def test_each_correspondent_has_its_keys():
    bindings = BindingUpdateList(keystore((CN, CN2)), 0)
    bindings.attach(COA1, 0)
    first, second = drain(bindings, 0)
    one, two = Correspondent(CN), Correspondent(CN2)
    update = two.read(second)
    receive(bindings, two.answer(update), 30)
    assert (state(bindings, 0), state(bindings, 1)) == ("registering", "bound")
    receive(bindings, one.answer(one.read(first)), 30)
    assert (state(bindings, 0), state(bindings, 1)) == ("bound", "bound")
