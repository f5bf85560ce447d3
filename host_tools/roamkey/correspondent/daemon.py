"""The loop: wait, read a burst, let the responder judge it, answer; until a signal says stop.

While one burst is being committed the next gathers in the sockets' buffers: the more there is to
do, the larger the groups, and the less each message costs.

SIGTERM and SIGINT: what waits is served, then it ends. SIGHUP: the registry is opened anew, keys
are read again, the log file is reopened; where that fails, all goes on as before.
"""

import gc
import selectors
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from ipaddress import IPv6Address
from typing import Any

from roamkey.correspondent import service
from roamkey.correspondent.clock import now_ms, shift_ms, wall_ms
from roamkey.correspondent.control import Control
from roamkey.correspondent.core import entries
from roamkey.correspondent.core.cache import BindingCache
from roamkey.correspondent.core.entries import Inbound
from roamkey.correspondent.core.refresh import Refresher
from roamkey.correspondent.core.responder import Responder
from roamkey.correspondent.dataplane.client import DataPlane
from roamkey.correspondent.events import kinds
from roamkey.correspondent.events.recorder import Recorder
from roamkey.correspondent.following import Following
from roamkey.correspondent.highwater import HighWater
from roamkey.correspondent.log import Log
from roamkey.correspondent.service import Signals
from roamkey.correspondent.settings import Settings
from roamkey.correspondent.sockets import RawSockets
from roamkey.correspondent.status import Status
from roamkey.correspondent.store import Store
from roamkey.errors import RoamkeyError
from roamkey.registry import Registry

_BURST = 1024
_COLLECT_AFTER = 100_000  # objects
_TICK_S = 1.0
_DRAIN_BURSTS = 64  # after a stop signal: what waits is served, a flood is not
_TROUBLE_EVERY_MS = 10_000


def serve(
    open_registry: Callable[[bool], Registry], address: IPv6Address, log: Log, settings: Settings
) -> signal.Signals:
    """Serve a correspondent address until SIGTERM or SIGINT; the signal that ended it.

    `open_registry(create)` opens the registry, at the start and at every reload; only at the start
    is it made where there is none. Raises SystemRefusedError where the address isn't this host's,
    is served already, or raw sockets are not allowed; and what `open_registry` raises.
    """
    with ExitStack() as stack:
        registry = open_registry(True)
        stack.callback(registry.close)
        sockets = RawSockets(address)
        stack.callback(sockets.close)
        control = Control(address)
        stack.callback(control.close)
        signals = stack.enter_context(Signals())
        plane = stack.enter_context(closing(DataPlane(address))) if settings.data_plane else None
        daemon = Daemon(address, open_registry, registry, sockets, log, settings, plane)
        stack.callback(daemon.close)
        stack.callback(daemon.record(settings))
        daemon.start()
        stack.callback(daemon.serve_metrics(settings))
        return daemon.run(control, signals)


class Daemon:
    """The parts of a daemon, and what turns them."""

    def __init__(
        self,
        address: IPv6Address,
        open_registry: Callable[[bool], Registry],
        registry: Registry,
        sockets: RawSockets,
        log: Log,
        settings: Settings,
        plane: DataPlane | None = None,
    ) -> None:
        """Nothing is read yet. `open_registry` is for reloads, `registry` for the time before."""
        self._registry = registry
        self._address = address
        self._open_registry = open_registry
        self._sockets = sockets
        self._log = log
        cache = BindingCache(address.packed, settings.bindings_max)
        self._high_water = HighWater(settings.marks, address.packed, self._trouble)
        self._store = Store(registry, address.packed, shift_ms)
        self._responder = Responder(cache, self._store, self._trouble)
        self._refresher = Refresher(address.packed, cache.binding, settings.refresh)
        self.status = Status(address, self._responder, sockets, self._refresher, wall_ms())
        self._following = Following(self._responder)
        self._trouble_at: int | None = None
        self.status.parts["registry"] = self._high_water.facts
        self._plane = plane
        if plane is not None:
            sockets.leave_data()
            cache.changed = set()
            self.status.parts["data_plane"] = plane.facts
        self._events: Recorder | None = None

    def close(self) -> None:
        """Close the registry that is open now."""
        self._following.close()
        self._registry.close()
        self._high_water.close()

    def start(self) -> None:
        """Read the registry. Raises RoamkeyError where it fails."""
        now = now_ms()
        self._high_water.attach(self._store, self._registry)
        self._responder.start(now)
        self._high_water.look(self._store)
        # What was read lives long, and a burst's objects die young, without cycles: looking for
        # garbage among them takes a tenth of the time.
        gc.freeze()
        gc.set_threshold(_COLLECT_AFTER)
        self._watch_all(now)
        self._tell_plane(now)
        self._record_nodes()

    def run(self, control: Control, signals: Signals) -> signal.Signals:
        """Serve until a signal says stop."""
        self._tell_ready("ready")
        with selectors.DefaultSelector() as selector:
            for readable in (self._sockets.away, self._sockets.home):
                selector.register(readable, selectors.EVENT_READ, self._serve_burst)
            selector.register(signals.wakeup, selectors.EVENT_READ, signals.clear)
            selector.register(control, selectors.EVENT_READ, lambda: control.answer(self._facts))
            if self._plane is not None:
                selector.register(self._plane, selectors.EVENT_READ, self._hear_plane)
            self._following.attach(self._registry)
            selector.register(self._following, selectors.EVENT_READ, self._follow_others)
            tick = time.monotonic() + _TICK_S
            while signals.stopped_by is None:
                ready = selector.select(self._wait_s(tick))
                for serve_one in dict.fromkeys(key.data for key, _ in ready):
                    serve_one()
                if signals.take_reload():
                    self._reload()
                if time.monotonic() >= tick:
                    tick = time.monotonic() + _TICK_S
                    self._housekeep()
                self._ask_for_renewal()
        service.notify(STOPPING="1")
        for _ in range(_DRAIN_BURSTS):
            if not self._serve_burst():
                break
        self._tell_stopped(signals.stopped_by)
        return signals.stopped_by

    def record(self, settings: Settings) -> Callable[[], None]:
        """Record events if asked to, and if that is possible; what ends it."""
        if settings.events is None:
            return lambda: None
        try:
            events = Recorder(settings.events, self._address.packed, settings.events_days)
        except RoamkeyError as error:  # nodes are served all the same
            self._trouble(f"no events are recorded: {error}")
            return lambda: None
        self._events = events
        self.status.parts["events"] = events.facts
        return events.close

    def serve_metrics(self, settings: Settings) -> Callable[[], None]:
        """Serve /metrics if asked to; what ends it. Raises as `metrics.serve` does."""
        if settings.metrics is None:
            return lambda: None
        from roamkey.correspondent import metrics  # not for daemons that serve none

        try:
            end = metrics.serve(settings.metrics, self._facts)
        except RoamkeyError as error:
            if settings.metrics_needed:
                raise
            self._trouble(f"no {error}")
            return lambda: None
        self.status.metrics = settings.metrics
        return end

    # --- packets

    def _serve_burst(self) -> bool:
        """Serve what waits; whether there was anything."""
        burst = self._sockets.receive(_BURST)
        self._answer(burst)
        return bool(burst)

    def _answer(self, burst: list[Inbound]) -> None:
        """Judge packets, make durable what follows, tell the data plane, answer."""
        if not burst:
            return
        started = time.perf_counter()
        now, events = now_ms(), self._events
        verdicts = self._responder.process(burst, now)
        self._tell_plane(now)  # so that an answer finds its route there
        for verdict in verdicts:
            if verdict.reply is not None:
                self._sockets.send(verdict.reply)
        self.status.bursts += 1
        self.status.burst_seconds += time.perf_counter() - started
        at = wall_ms()
        for packet, verdict in zip(burst, verdicts, strict=True):
            if verdict.outcome == entries.DATA:
                self._refresher.used(verdict.home_address, now)
                if self._plane is not None:
                    self._plane.deliver(packet)
            elif verdict.outcome == entries.ACCEPTED:
                self._refresher.registered(verdict.home_address, now)
            self._log.verdict(at, verdict)
            if events is not None:
                events.verdict(at, verdict)
        self._log.flush()
        if events is not None:
            events.flush()

    def _housekeep(self) -> None:
        now = wall_ms()
        for home_address, binding in self._responder.expire(now_ms()):
            self._log.expired(now, home_address, binding)
            if self._events is not None:
                self._events.expired(now, home_address, binding)
        self._hear_plane()
        self._follow_others()
        self._high_water.look(self._store)
        self._log.drops(now)
        self._log.flush()
        if self._events is not None:
            self._record_nodes()
            self._events.tick(now)

    def _wait_s(self, tick: float) -> float:
        """How long to wait for something to happen; `tick`: when to keep house."""
        wait = tick - time.monotonic()
        asks_at = self._refresher.wakes_at()
        if asks_at is not None:
            wait = min(wait, (asks_at - now_ms()) / 1000)
        return max(0.0, wait)

    def _ask_for_renewal(self) -> None:
        for request in self._refresher.due(now_ms()):
            self._sockets.send(request)

    def _record_nodes(self) -> None:
        if self._events is not None:
            self._events.nodes_changed(self._registry, self._responder.revision)

    def _tell_plane(self, now: int) -> None:
        """The data plane follows what is durable, and nothing else."""
        if self._plane is not None:
            self._plane.bind(self._responder.take_changed(now))

    def _follow_others(self) -> None:
        self._following.follow()
        self._tell_plane(now_ms())

    def _hear_plane(self) -> None:
        """Whose data flowed, and whose had no binding: those are judged like any packet."""
        if self._plane is not None:
            unbound = self._plane.receive()
            for line in self._plane.news():
                self._trouble(line)
            now = wall_ms()
            while self._plane.used:
                home_address = self._plane.used.pop()
                self._refresher.used(home_address, now_ms())
                if self._events is not None:
                    self._events.data(home_address, now)
            self._answer(unbound)

    # --- what is told

    def _facts(self) -> dict[str, Any]:
        return self.status.facts(wall_ms())

    def _tell_ready(self, event: str) -> None:
        cache = self._responder.cache
        text = f"correspondent {self._address}, {cache.nodes()} nodes, {cache.bound()} bindings"
        counts = {"nodes": cache.nodes(), "bindings": cache.bound()}
        plane = self._plane.facts() if self._plane is not None else None
        if plane is not None:
            text += f", {plane['interface']} with an MTU of {plane['mtu']}"
        self._log.event(
            wall_ms(), event, text, address=str(self._address), **counts, data_plane=plane
        )
        if plane is not None and plane["warning"] is not None:
            self._log.event(wall_ms(), "warning", plane["warning"], detail=plane["warning"])
        self._log.flush()
        if self._events is not None:
            self._events.told(wall_ms(), kinds.STARTED, f"{event}: {text}")
        service.notify(READY="1", STATUS=text)

    def _tell_stopped(self, stopped_by: signal.Signals) -> None:
        now = wall_ms()
        self._log.drops(now, always=True)
        if self._events is not None:
            self._events.tick(now)
            self._events.told(now, kinds.STOPPED, stopped_by.name)
        served = self.status.counters()
        self._log.event(
            now,
            "stopped",
            f"{stopped_by.name}, {served[entries.ACCEPTED, '']} accepted, "
            f"{served[entries.REMOVED, '']} removed",
            signal=stopped_by.name,
            send_errors=self._sockets.send_errors,
            withheld=self._responder.cache.limiter.withheld,
            counters=[[*what, count] for what, count in sorted(served.items())],
        )
        self._log.flush()

    def _trouble(self, text: str) -> None:
        now = now_ms()
        self.status.troubles += 1
        self.status.last_trouble = text
        if self._trouble_at is None or now - self._trouble_at >= _TROUBLE_EVERY_MS:
            self._trouble_at = now
            self._log.event(wall_ms(), "trouble", text, detail=text)
            self._log.flush()

    # --- SIGHUP

    def _reload(self) -> None:
        now = now_ms()
        try:
            self._log.reopen()
            self._reopen_registry(now)
        except RoamkeyError as error:
            self._trouble(f"not reloaded: {error}")
            return
        self._watch_all(now)
        self._tell_plane(now)
        self._record_nodes()
        self.status.reloads += 1
        self._tell_ready("reloaded")

    def _reopen_registry(self, now: int) -> None:
        opened = self._open_registry(False)
        store = Store(opened, self._address.packed, shift_ms)
        try:
            self._high_water.attach(store, opened)
            self._responder.reload(store, now)
        except RoamkeyError:
            opened.close()
            raise
        self._registry.close()
        self._registry, self._store = opened, store
        self._following.attach(opened)
        if self._events is not None:
            self._events.forget_nodes()

    def _watch_all(self, now: int) -> None:
        for home_address in self._responder.cache.home_addresses():
            self._refresher.registered(home_address, now)
