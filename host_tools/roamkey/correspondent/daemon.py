"""The loop: wait, read a burst, let the responder judge it, answer; until a signal says stop.

While one burst is being committed the next gathers in the sockets' buffers: the more there is to
do, the larger the groups, and the less each message costs. The committing is done by a thread, and
the loop goes on meanwhile: whatever the registry does, the daemon says how it does, and ends when
it is told to. A registry that doesn't answer in time is cut off: that burst isn't answered, and
what became of it is read from the registry once that speaks again.

SIGTERM and SIGINT: what waits is served, then it ends. SIGHUP: the registry is opened anew, keys
are read again, the log file is reopened; where that fails, all goes on as before.
"""

import gc
import os
import selectors
import signal
import time
from collections.abc import Callable
from functools import partial
from ipaddress import IPv6Address
from typing import Any

from roamkey.correspondent import service
from roamkey.correspondent.clock import now_ms, shift_ms, wall_ms
from roamkey.correspondent.control import Control
from roamkey.correspondent.core import entries
from roamkey.correspondent.core.cache import BindingCache
from roamkey.correspondent.core.entries import Inbound, Reply, Verdict
from roamkey.correspondent.core.refresh import Refresher
from roamkey.correspondent.core.responder import Responder
from roamkey.correspondent.dataplane.lasting import LastingPlane
from roamkey.correspondent.encapsulation import EVERYWHERE, Encapsulation
from roamkey.correspondent.following import Following
from roamkey.correspondent.helper import Helper
from roamkey.correspondent.highwater import HighWater
from roamkey.correspondent.inbox import Inbox
from roamkey.correspondent.lastseen import AT_ONCE, Heard, LastSeen
from roamkey.correspondent.log import Log
from roamkey.correspondent.ownaddresses import OwnAddresses
from roamkey.correspondent.service import Signals
from roamkey.correspondent.settings import Settings
from roamkey.correspondent.sockets import RawSockets
from roamkey.correspondent.status import Status
from roamkey.correspondent.store import Store
from roamkey.correspondent.telling import Telling
from roamkey.errors import RoamkeyError, SystemRefusedError
from roamkey.registry import Registry
from roamkey.registry.records import CORRESPONDENT, Binding, Figures, NodeUse, Use

_COLLECT_AFTER = 100_000  # objects
_TICK_S = 1.0
_DRAIN_BURSTS = 64  # after a stop signal: what waits is served, a flood is not
_DRAIN_S = 10.0  # and no longer than this
_END_S = 25.0  # after a stop signal nothing may take longer
_PATIENCE_S = 5.0  # with the registry, for a burst
_READ_S = 60.0  # the same for all keys at once
_CUT_S = 2.0  # for a registry that was cut off to let go


class Daemon:
    """The parts of a daemon, and what turns them."""

    role = CORRESPONDENT

    def __init__(
        self,
        address: IPv6Address,
        open_registry: Callable[[bool], Registry],
        registry: Registry,
        sockets: RawSockets,
        encapsulation: Encapsulation,
        log: Log,
        settings: Settings,
        plane: LastingPlane | None = None,
    ) -> None:
        """Nothing is read yet. `open_registry` is for reloads, `registry` for the time before."""
        self._encapsulation = encapsulation
        self._registry = registry
        self._address = address
        self._open_registry = open_registry
        self._sockets = sockets
        self._said: list[str] = []  # troubles, by the thread
        place = encapsulation.place or EVERYWHERE
        cache = self._new_cache(settings, place.port)
        self._high_water = HighWater(settings.marks, address.packed, self._said.append)
        self._store = Store(registry, address.packed, shift_ms, self.role)
        self._responder = Responder(cache, self._store, self._said.append)
        self._following = Following(self._responder)
        self._refresher = Refresher(address.packed, cache.binding, settings.refresh)
        self.status = Status(
            address, self._responder, sockets, encapsulation, self._refresher, wall_ms(), self.role
        )
        self.telling = Telling(address, log, self.status, self._responder)
        self.status.parts["registry"] = self._high_water.facts
        self._single_nodes = settings.metrics_nodes > 0
        self._last_seen = LastSeen(cache.peer, settings.seen_every_ms)
        self._inbox = Inbox(sockets, encapsulation, self._responder, self.telling)
        self._own = OwnAddresses()
        cache.host_has(*self._own.take())
        self._plane = plane
        if plane is not None:
            sockets.leave_data()
            cache.changed = set()
            self.status.parts["data_plane"] = plane.facts
        self._helper = Helper()
        self._late_at = 0.0  # when the registry has had its time
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._helper, selectors.EVENT_READ, self._helper.finish)
        self._tick_at = 0.0

    def _new_cache(self, settings: Any, port: int) -> BindingCache:
        """`port`: ours for packets inside UDP."""
        return BindingCache(
            self._address.packed,
            settings.bindings_max,
            None,
            settings.nat_refresh_s,
            port,
            os.urandom if settings.return_routability else None,
        )

    def _do_more(self) -> bool:
        """What another kind of daemon does while the registry is idle; whether it did anything."""
        return False

    def read_nodes(self) -> tuple[Figures, list[NodeUse]]:
        """What the registry tells of our nodes, one by one where metrics want that; in whatever
        thread. Raises RoamkeyError."""
        registry, address = self._registry, self._address.packed
        found = registry.nodes_in_use() if self._single_nodes else []
        return (
            registry.figures(address, wall_ms()),
            [one for one in found if one.peer == address],
        )

    def close(self) -> None:
        """Close the registry that is open now."""
        self._helper.close()
        self._selector.close()
        self._following.close()
        self._own.close()
        self._registry.close()
        self._high_water.close()

    def start(self, signals: Signals) -> None:
        """Read the registry, or give up at a stop signal. Raises RoamkeyError where it fails."""
        self._give(self._read, lambda _: None, _READ_S)
        self._selector.register(signals.wakeup, selectors.EVENT_READ, signals.clear)
        while self._helper.busy and signals.stopped_by is None:
            self._select(1.0)
            if self._helper.takes_s() > _READ_S + _CUT_S:
                raise SystemRefusedError(f"registry {self._registry.name}: no answer")
        # What was read lives long, and a burst's objects die young, without cycles: looking for
        # garbage among them takes a tenth of the time.
        gc.freeze()
        gc.set_threshold(_COLLECT_AFTER)
        if not self._helper.busy:
            self._following.attach(self._registry)
            self._follow()

    def _read(self) -> None:
        """In the thread."""
        self._high_water.attach(self._store, self._registry)
        self._responder.start(now_ms())

    def run(self, control: Control, signals: Signals) -> signal.Signals:
        """Serve until a signal says stop."""
        if signals.stopped_by is None:
            self._tell_ready("ready")
        self._selector.register(
            control, selectors.EVENT_READ, lambda: control.answer(self.telling.facts)
        )
        if self._plane is not None:
            self._selector.register(self._plane, selectors.EVENT_READ, self._hear_plane)
        self._selector.register(self._following, selectors.EVENT_READ, self._following.hear)
        if self._own.listens:
            self._selector.register(self._own, selectors.EVENT_READ, self._own.hear)
        packets = (self._sockets.away, self._sockets.home, *self._encapsulation.readable)
        self._tick_at = time.monotonic() + _TICK_S
        while signals.stopped_by is None:
            if self._helper.busy:
                self._select(max(0.0, self._late_at - time.monotonic()))
            elif self._own.changed:
                self._responder.cache.host_has(*self._own.take())
                self._tell_plane(now_ms())
            elif self._do_more():
                continue
            elif time.monotonic() >= self._tick_at:
                self._tick_at = time.monotonic() + _TICK_S
                self._keep_house()
            elif signals.take_reload():
                self._reload()
            elif self._following.due:
                self._give(self._following.follow, lambda _: self._tell_plane(now_ms()))
            elif self._inbox.waits:
                self._answer(self._inbox.take())
            else:
                for one in packets:
                    self._selector.register(one, selectors.EVENT_READ)
                ready = self._select(self._wait_s())
                for one in packets:
                    self._selector.unregister(one)
                if not self._helper.busy and any(one in ready for one in packets):
                    self._answer(self._inbox.take())
                self._ask_for_renewal()
        service.end_in_time(_END_S)
        service.notify(STOPPING="1")
        self._drain()
        self._note_all()
        errors = self._sockets.send_errors + self._encapsulation.send_errors
        self.telling.stopped(wall_ms(), signals.stopped_by, errors)
        return signals.stopped_by

    # --- the loop

    def _select(self, timeout_s: float) -> list[Any]:
        """Wait so long for something to happen, and do what is to be done then; what was ready.

        The registry is cut off where it has had its time.
        """
        ready = []
        for key, _ in self._selector.select(timeout_s):
            ready.append(key.fileobj)
            if key.data is not None:
                key.data()
        while self._said:
            self.telling.trouble(self._said.pop(0))
        if self._helper.busy and time.monotonic() >= self._late_at:
            self._late_at = time.monotonic() + _PATIENCE_S
            seconds = round(self._helper.takes_s())
            self.telling.trouble(f"registry {self._registry.name}: no answer for {seconds} s")
            Registry.cut_all()
        return ready

    def _give(
        self, job: Callable[[], Any], then: Callable[[Any], None], patience_s: float = _PATIENCE_S
    ) -> None:
        """Have the thread work with the registry, for so long at most."""
        self._late_at = time.monotonic() + patience_s
        self._helper.give(job, then)

    def _drain(self) -> None:
        """Serve what waits, as long as the registry does its part."""
        end = time.monotonic() + _DRAIN_S
        bursts = 0
        while time.monotonic() < end:
            if self._helper.busy:
                self._select(max(0.0, min(end, self._late_at) - time.monotonic()))
            elif bursts < _DRAIN_BURSTS and (burst := self._inbox.take()):
                bursts += 1
                self._answer(burst)
            else:
                return
        Registry.cut_all()
        if self._helper.busy:
            self._select(_CUT_S)

    def _note_all(self) -> None:
        """What was heard of nodes and not noted yet, where the registry answers."""
        heard = self._last_seen.due(wall_ms(), everything=True)
        self.telling.heard(heard)
        uses = self._last_seen.uses(heard)
        end = time.monotonic() + _CUT_S
        while uses and not self._helper.busy and time.monotonic() < end:
            some, uses = uses[:AT_ONCE], uses[AT_ONCE:]
            self._give(partial(self._store.note_uses, some, self._said.append), lambda _: None)
            while self._helper.busy and time.monotonic() < end:
                self._select(end - time.monotonic())

    # --- packets

    def _answer(self, burst: list[Inbound]) -> None:
        """Have packets judged, and what follows made durable; then answer."""
        if burst:
            now, started = now_ms(), time.perf_counter()
            self._give(
                partial(self._responder.process, burst, now),
                partial(self._send_answers, burst, now, started),
            )

    def _send_answers(
        self, burst: list[Inbound], now: int, started: float, verdicts: list[Verdict]
    ) -> None:
        """What was judged is durable: tell the data plane, answer."""
        self._tell_plane(now)  # so that an answer finds its route there
        wall = wall_ms()
        for verdict in verdicts:
            if verdict.reply is not None:
                self._send(verdict.reply)
        self.status.bursts += 1
        self.status.burst_seconds += time.perf_counter() - started
        for packet, verdict in zip(burst, verdicts, strict=True):
            if verdict.outcome == entries.DATA:
                self._refresher.used(verdict.home_address, now)
                self._last_seen.data(verdict.home_address, wall)
                if self._plane is not None and not packet.endpoint:
                    self._plane.deliver(packet)
            elif verdict.outcome in (entries.ACCEPTED, entries.REMOVED):
                self._last_seen.updated(verdict.home_address, wall)
                if verdict.outcome == entries.ACCEPTED:
                    self._refresher.registered(verdict.home_address, now)
        self.telling.verdicts(wall, verdicts)

    def _send(self, reply: Reply) -> None:
        (self._encapsulation if reply.endpoint else self._sockets).send(reply)

    def _keep_house(self) -> None:
        now = now_ms()
        self._own.look()
        heard = self._last_seen.due(wall_ms())
        self.telling.heard(heard)
        uses = self._last_seen.uses(heard)
        self._give(partial(self._upkeep, now, heard, uses), partial(self._kept_house, now))

    def _upkeep(
        self, now: int, heard: list[Heard], uses: list[Use]
    ) -> list[tuple[bytes, Binding]]:
        """In the thread."""
        if not self._store.note_uses(uses, self._said.append):
            self._last_seen.again(heard)
        return self._responder.expire(now)

    def _kept_house(self, now: int, gone: list[tuple[bytes, Binding]]) -> None:
        self._tell_plane(now)
        self.telling.tick(wall_ms(), gone, self._registry)
        self._high_water.look(self._store)
        self._hear_plane()
        self._following.ask()
        service.feed_watchdog()

    def _wait_s(self) -> float:
        """How long to wait for something to happen, before house is kept."""
        wait = min(self._tick_at - time.monotonic(), self._following.wait_s())
        asks_at = self._refresher.wakes_at()
        if asks_at is not None:
            wait = min(wait, (asks_at - now_ms()) / 1000)
        return max(0.0, wait)

    def _ask_for_renewal(self) -> None:
        for request in self._refresher.due(now_ms()):
            self._send(request)

    def _tell_plane(self, now: int) -> None:
        """The data plane follows what is durable, and nothing else."""
        if self._plane is not None:
            everything = self._plane.is_fresh
            self._plane.bind(self._responder.take_changed(now, everything))

    def _hear_plane(self) -> None:
        """Whose data flowed, and whose had no binding: those are judged like any packet."""
        if self._plane is not None:
            self._inbox.put(self._plane.receive())
            for line in self._plane.news():
                self.telling.trouble(line)
            now = wall_ms()
            while self._plane.heard:
                self._last_seen.data(self._plane.heard.pop(), now)
            while self._plane.used:
                home_address = self._plane.used.pop()
                self._refresher.used(home_address, now_ms())
                self.telling.data(now, home_address)

    # --- what is told

    def _tell_ready(self, event: str) -> None:
        plane = self._plane.facts() if self._plane is not None else None
        self.telling.ready(wall_ms(), event, plane)

    # --- SIGHUP

    def _reload(self) -> None:
        try:
            self.telling.reopen()
        except RoamkeyError as error:
            self.telling.trouble(f"not reloaded: {error}")
            return
        self._give(self._reopen_registry, self._reloaded, _READ_S)

    def _reopen_registry(self) -> tuple[Registry, Store] | RoamkeyError:
        """In the thread: the new one, read; or why there is none."""
        try:
            opened = self._open_registry(False)
        except RoamkeyError as error:
            return error
        store = Store(opened, self._address.packed, shift_ms, self.role)
        try:
            self._high_water.attach(store, opened)
            self._responder.reload(store, now_ms())
        except RoamkeyError as error:
            opened.close()
            return error
        return opened, store

    def _reloaded(self, found: tuple[Registry, Store] | RoamkeyError) -> None:
        if isinstance(found, RoamkeyError):
            self.telling.trouble(f"not reloaded: {found}")
            return
        self._registry.close()
        self._registry, self._store = found
        self._following.attach(self._registry)
        self._follow(anew=True)
        self.status.reloads += 1
        self._tell_ready("reloaded")

    def _follow(self, anew: bool = False) -> None:
        """All that was read is news to whoever follows bindings and nodes."""
        now = now_ms()
        self._high_water.look(self._store)
        for home_address in self._responder.cache.home_addresses():
            self._refresher.registered(home_address, now)
        self._tell_plane(now)
        self.telling.nodes(self._registry, anew)
