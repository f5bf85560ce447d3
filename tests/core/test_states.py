"""Every row of the state table, caused from outside: by packets, by time, by addresses.

For each row the binding is brought into the state, the event is made to happen, and what the
action promises is checked. For everything that is no row: it raises, and nothing has changed.
"""

from counter import counter_of
from harness import raises
from peer import (
    CN,
    COA1,
    COA2,
    COA3,
    HOME,
    Correspondent,
    MemoryStore,
    drain,
    keystore,
    receive,
)

from mip6.bindings import states
from mip6.bindings.update_list import BindingUpdateList
from mip6.errors import Misuse
from mip6.status import reason

NEVER = -10000000


class Scene:
    """A list with one correspondent, the time, and the last packet sent."""

    def __init__(self):
        self.now = 1000
        self.store = MemoryStore()
        self.keystore = keystore((CN,), store=self.store)
        self.cn = Correspondent()
        self.last = None
        self.sent = []
        self.start()

    def start(self):
        self.bindings = BindingUpdateList(self.keystore, self.now)
        self.binding = self.bindings.bindings[0]

    def run(self):
        """Draw what is due; returns the updates as the correspondent read them."""
        found = drain(self.bindings, self.now)
        if found:
            self.last = found[-1]
        self.sent = [self.cn.read(packet) for packet in found]
        return self.sent

    def attach(self, address):
        self.bindings.attach(address, self.now)

    def go(self, at):
        """Let time pass."""
        assert at is not None and at >= self.now
        self.now = at
        return self.run()

    def update(self):
        """The update that is on its way; waits until there is one."""
        if self.last is None or self.binding.pace.sent_at(self.binding.sequence) is None:
            self.go(self.binding.transmit_at)
        return self.cn.read(self.last)

    def hear(self, packet):
        self.now += 20
        receive(self.bindings, packet, self.now)

    def snapshot(self):
        """All that a binding knows, in plain values."""
        own = {}
        for name in self.binding.__dict__:
            own[name] = getattr(self.binding, name)
        pace = self.binding.pace
        own["pace"] = [getattr(pace, name) for name in sorted(pace.__dict__)]
        own["pace"] = str(own["pace"])
        own["next"] = counter_of(self.keystore, 0).peek
        return own


# How each state is reached.


def unkeyed():
    scene = Scene()
    scene.keystore.credentials.peers[0].generations = []
    scene.start()
    scene.attach(COA1)
    return scene


def detached():
    return Scene()


def registering():
    scene = Scene()
    scene.attach(COA1)
    scene.run()
    return scene


def bound():
    scene = registering()
    scene.hear(scene.cn.answer(scene.update()))
    return scene


def refreshing():
    scene = bound()
    scene.go(scene.binding.refresh_at)
    return scene


def refused():
    scene = registering()
    scene.hear(scene.cn.answer(scene.update(), status=130))
    return scene


def unsupported():
    scene = registering()
    scene.hear(scene.cn.binding_error(COA1, 2))
    return scene


def blocked():
    scene = Scene()
    scene.store.broken = True
    scene.attach(COA1)
    scene.run()
    scene.store.broken = False
    return scene


def exhausted():
    scene = Scene()
    counter_of(scene.keystore, 0).advance(65535)
    scene.attach(COA1)
    scene.run()
    return scene


def returning():
    scene = bound()
    scene.attach(HOME)
    scene.run()
    return scene


def home():
    scene = returning()
    scene.hear(scene.cn.answer(scene.update()))
    return scene


def closing():
    scene = bound()
    scene.bindings.shutdown(scene.now)
    scene.run()
    return scene


def closed():
    scene = closing()
    scene.hear(scene.cn.answer(scene.update()))
    return scene


def barred():
    scene = registering()
    scene.hear(scene.cn.answer(scene.update(), status=129))
    return scene


def bound_by_the_first_of_two():
    """A later update is on its way when an earlier one is acknowledged."""
    scene = registering()
    first = scene.update()
    scene.go(scene.binding.transmit_at)
    scene.hear(scene.cn.answer(first))
    return scene


def bound_then(address):
    """A binding to COA1 that nothing has undone, and the node elsewhere for a moment."""
    scene = bound()
    if address is None:
        scene.bindings.detach(scene.now)
    else:
        scene.attach(address)
    return scene


def moved_beside_the_uplink_of_before():
    """Data go on by it as long as its binding lasts."""
    scene = bound()
    scene.bindings.overlaps = True
    scene.attach(COA2)
    return scene


REACH = (unkeyed, detached, registering, bound, refreshing, refused, unsupported, blocked,
         exhausted, returning, home, closing, closed, barred)  # fmt: skip

REACH_BACK = {
    states.DETACHED: None,
    states.REGISTERING: COA2,
    states.RETURNING: HOME,
}


# How each event is made to happen.


def away(scene):
    scene.attach(COA3)


def at_home(scene):
    scene.attach(HOME)


def lost(scene):
    scene.bindings.detach(scene.now)


def shutdown(scene):
    scene.bindings.shutdown(scene.now)


def transmit(scene):
    scene.go(scene.binding.transmit_at)


def refresh(scene):
    scene.go(scene.binding.refresh_at)


def expired(scene):
    scene.go(scene.binding.expires_at)


def accepted(scene):
    scene.hear(scene.cn.answer(scene.update()))


def rejected(scene):
    scene.hear(scene.cn.answer(scene.update(), status=130))


def behind(scene):
    update = scene.update()
    scene.hear(scene.cn.answer(update, status=135, sequence=update.sequence + 1000))


def requested(scene):
    scene.hear(scene.cn.refresh_request(COA1))


def unknown(scene):
    scene.hear(scene.cn.binding_error(COA1, 1))


def unrecognized(scene):
    scene.hear(scene.cn.binding_error(COA1, 2))


def spent(scene):
    counter_of(scene.keystore, 0).advance(65535)
    scene.go(scene.binding.transmit_at)


def storage_failed(scene):
    scene.store.broken = True
    scene.go(scene.binding.transmit_at)


def back(scene):
    scene.attach(COA1)


def again(scene):
    scene.bindings.detach(scene.now)
    scene.go(scene.binding.retry_at)


def barring(scene):
    scene.hear(scene.cn.answer(scene.update(), status=131))


CAUSE = (away, at_home, lost, shutdown, transmit, refresh, expired, accepted, rejected, behind,
         requested, unknown, unrecognized, spent, storage_failed, back, again,
         barring)  # fmt: skip


# What each action promises. `before`: the snapshot before the event.


def nothing(scene, before, following):
    changed = [name for name in before if before[name] != scene.snapshot()[name]]
    assert not changed, changed
    assert scene.run() == []


def drop(scene, before, following):
    assert scene.bindings.drops.get("unexpected") == 1
    changed = [name for name in before if before[name] != scene.snapshot()[name]]
    assert not changed, changed


def register(scene, before, following):
    (update,) = scene.sent or scene.go(scene.binding.transmit_at)
    assert update.care_of == scene.bindings.care_of
    assert update.lifetime == 100
    assert (scene.binding.expires_at is not None) == (following == states.REFRESHING)


def delete(scene, before, following):
    (update,) = scene.sent or scene.go(scene.binding.transmit_at)
    assert update.care_of == scene.bindings.care_of
    assert update.lifetime == 0
    assert update.at_home == (update.care_of == HOME)


def send(scene, before, following):
    (update,) = scene.sent
    assert update.sequence == before["next"] == counter_of(scene.keystore, 0).peek - 1
    assert scene.binding.transmit_at >= scene.now + 350


def accept(scene, before, following):
    assert scene.binding.transmit_at is None
    assert scene.binding.expires_at > scene.binding.refresh_at > scene.now
    assert scene.binding.accepted == scene.binding.sequence


def refuse(scene, before, following):
    assert scene.binding.transmit_at == scene.now + 32000
    assert reason(scene.binding.why) == "refused: insufficient resources"
    assert scene.binding.expires_at is None


def jump(scene, before, following):
    assert counter_of(scene.keystore, 0).peek == scene.cn.read(scene.last).sequence + 1001
    scene.go(scene.binding.transmit_at)
    assert scene.sent[0].sequence == counter_of(scene.keystore, 0).peek - 1


def lapse(scene, before, following):
    assert scene.binding.expires_at is None
    assert scene.binding.transmit_at is not None
    assert not scene.bindings.reaches(scene.cn.address)


def slow(scene, before, following):
    assert scene.binding.transmit_at == scene.now + 32000
    assert reason(scene.binding.why)


def cease(scene, before, following):
    assert scene.binding.transmit_at is None
    assert scene.binding.expires_at == before["expires_at"]
    assert "provision" in reason(scene.binding.why)


def pause(scene, before, following):
    assert reason(scene.binding.why)
    assert scene.binding.transmit_at is None
    scene.store.broken = False
    scene.go(scene.binding.retry_at)
    assert len(scene.sent) == 1


def stop(scene, before, following):
    assert scene.bindings.wakes_at() is None
    assert scene.run() == []


def unbind(scene, before, following):
    assert scene.bindings.wakes_at() is None
    assert not scene.binding.holds(COA1, scene.now)


def resume(scene, before, following):
    assert scene.run() == []
    assert scene.binding.care_of == COA1
    assert scene.binding.expires_at > scene.binding.refresh_at > scene.now
    assert scene.binding.transmit_at is None


def bar(scene, before, following):
    assert scene.bindings.wakes_at() == scene.now + 86400000
    assert "not supported" in reason(scene.binding.why)
    for address in (COA2, COA3, COA1):
        scene.attach(address)
        assert scene.run() == []  # moves make no difference
    assert len(scene.go(scene.binding.retry_at)) == 1


PROMISE = (nothing, drop, register, delete, send, accept, refuse, jump, lapse, slow, cease, pause,
           stop, unbind, resume, bar)  # fmt: skip


def reach(state, event):
    """A scene in a state in which the event can happen."""
    answers = (states.ACCEPTED, states.REJECTED, states.BARRING, states.BEHIND)
    if state == states.BOUND and event in answers:
        return bound_by_the_first_of_two()
    if state == states.REGISTERING and event == states.EXPIRED:
        return moved_beside_the_uplink_of_before()
    scene = bound_then(REACH_BACK[state]) if event == states.BACK else REACH[state]()
    if event == states.UNRECOGNIZED:
        scene.binding.heard_at = NEVER
    assert scene.binding.state == state, states.STATES[scene.binding.state]
    if event in answers:
        scene.update()
        assert scene.binding.state == state
    return scene


def test_every_row():
    """The states reached, the promises kept: for all rows, caused from outside."""
    count = 0
    for state, event, action, following in states.rows():
        name = "%s, %s" % (states.STATES[state], states.EVENTS[event])
        scene = reach(state, event)
        fed = watch(scene)
        before = scene.snapshot()
        scene.sent = []
        CAUSE[event](scene)
        assert fed[: 1 + (event >= states.SPENT)].count((state, event)) == 1, (name, fed)
        reached = scene.binding.state
        assert reached == following, (name, states.STATES[reached])
        PROMISE[action](scene, before, following)
        count += 1
    assert count > 100


def watch(scene):
    """The list of (state, event) that the binding is fed from now on."""
    fed = []
    feed = scene.binding.feed

    def watched(event, now, what=None):
        fed.append((scene.binding.state, event))
        feed(event, now, what)

    scene.binding.feed = watched
    return fed


def test_everything_else_raises_and_changes_nothing():
    rows = {(state, event) for state, event, _, _ in states.rows()}
    tried = 0
    for state in range(len(states.STATES)):
        for event in range(len(states.EVENTS)):
            if (state, event) in rows:
                continue
            scene = REACH[state]()
            before = scene.snapshot()
            raises(Misuse, scene.binding.feed, event, scene.now)
            assert scene.snapshot() == before
            tried += 1
    assert tried + len(rows) == len(states.STATES) * len(states.EVENTS)


def test_names_are_as_many_as_the_table_uses():
    for state, event, action, following in states.rows():
        assert states.STATES[state] and states.EVENTS[event]
        assert states.ACTIONS[action] and states.STATES[following]
    assert len(REACH) == len(states.STATES)
    assert len(CAUSE) == len(states.EVENTS)
    assert len(PROMISE) == len(states.ACTIONS)
