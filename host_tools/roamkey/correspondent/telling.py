"""What is told of a daemon's work: its log, its events, systemd; and troubles, one line each."""

import signal
from collections import Counter, deque
from collections.abc import Callable, Sequence
from ipaddress import IPv6Address
from typing import Any

from roamkey.correspondent import service
from roamkey.correspondent.clock import now_ms, wall_ms
from roamkey.correspondent.core import entries
from roamkey.correspondent.core.entries import Verdict
from roamkey.correspondent.core.responder import Responder
from roamkey.correspondent.events import kinds
from roamkey.correspondent.events.recorder import Recorder
from roamkey.correspondent.lastseen import Heard
from roamkey.correspondent.log import Log
from roamkey.correspondent.settings import Settings
from roamkey.correspondent.status import Status
from roamkey.errors import RoamkeyError
from roamkey.registry import Registry
from roamkey.registry.records import Binding, Figures, NodeUse

_TROUBLE_EVERY_MS = 10_000  # the same one
_GROWTH_OCTETS = 256 << 20
_TROUBLES_MAX = 8  # different ones in that time


class Telling:
    """Log and events of one daemon. Nothing here waits for whoever reads them."""

    def __init__(
        self, address: IPv6Address, log: Log, status: Status, responder: Responder
    ) -> None:
        """Events are recorded from `record` on."""
        self._address = address
        self._log = log
        self._status = status
        self._responder = responder
        self._events: Recorder | None = None
        self._told: deque[tuple[int, str]] = deque()  # troubles, lately
        self._growth = _GROWTH_OCTETS  # of the registry's log, from which on it is told
        self._lost = {"log": 0, "events": 0}  # as told last
        status.parts["log"] = log.facts
        log.name_of = responder.cache.name

    def record(self, settings: Settings) -> Callable[[], None]:
        """Record events if asked to, and if that is possible; what ends it."""
        if settings.events is None:
            return lambda: None
        try:
            events = Recorder(settings.events, self._address.packed, settings.events_days)
        except RoamkeyError as error:  # nodes are served all the same
            self.trouble(f"no events are recorded: {error}")
            return lambda: None
        self._events = events
        self._status.parts["events"] = events.facts
        return events.close

    def serve_metrics(
        self, settings: Settings, read: Callable[[], tuple[Figures, list[NodeUse]]]
    ) -> Callable[[], None]:
        """Serve /metrics if asked to; what ends it. `read`: asks the registry about nodes. Raises
        as `metrics.serve` does."""
        if settings.metrics is None:
            return lambda: None
        from roamkey.correspondent import metrics, nodemetrics  # not for daemons that serve none

        try:
            nodes = nodemetrics.NodeMetrics(read, settings.metrics_nodes)
            end = metrics.serve(settings.metrics, self.facts, nodes)
        except RoamkeyError as error:
            if settings.metrics_needed:
                raise
            self.trouble(f"no {error}")
            return lambda: None
        self._status.metrics = settings.metrics
        return end

    def verdicts(self, now: int, found: Sequence[Verdict]) -> None:
        """What became of packets."""
        events = self._events
        for verdict in found:
            self._log.verdict(now, verdict)
            if events is not None:
                events.verdict(now, verdict)
        self._log.flush()
        if events is not None:
            events.flush()

    def drops(self, counts: Counter[tuple[str, str]]) -> None:
        """Packets that weren't judged, by (outcome, reason)."""
        self._log.dropped(counts)
        if self._events is not None:
            self._events.dropped(counts)

    def data(self, now: int, home_address: bytes) -> None:
        """Data flowed with a bound node."""
        if self._events is not None:
            self._events.data(home_address, now)

    def heard(self, found: Sequence[Heard]) -> None:
        """When data last came from nodes."""
        rows = [(one.home_address, one.data_ms) for one in found if one.data_ms is not None]
        if rows and self._events is not None:
            self._events.heard(rows)

    def tick(self, now: int, gone: Sequence[tuple[bytes, Binding]], registry: Registry) -> None:
        """Once a second: bindings whose time is over, drops, nodes that provisioning changed."""
        for home_address, binding in gone:
            self._log.expired(now, home_address, binding)
            if self._events is not None:
                self._events.expired(now, home_address, binding)
        self._log.drops(now)
        self._log.flush()
        if self._events is not None:
            self.nodes(registry)
            self._events.tick(now)
        self._tell_lost()
        self._tell_growth(registry)

    def nodes(self, registry: Registry, anew: bool = False) -> None:
        """Have the file of events know the registry's nodes; `anew`: it is another registry."""
        if self._events is not None:
            if anew:
                self._events.forget_nodes()
            self._events.nodes_changed(registry, self._responder.revision)

    def ready(self, now: int, event: str, plane: dict[str, Any] | None) -> None:
        """The daemon serves, from now on or anew; `plane`: its data plane's facts."""
        cache = self._responder.cache
        text = (
            f"{self._status.role} {self._address}, {cache.nodes()} nodes, {cache.bound()} bindings"
        )
        counts = {"nodes": cache.nodes(), "bindings": cache.bound()}
        if plane is not None:
            text += f", {plane['interface']} with an MTU of {plane['mtu']}"
        self._log.event(now, event, text, address=str(self._address), **counts, data_plane=plane)
        if plane is not None and plane["warning"] is not None:
            self._log.event(now, "warning", plane["warning"], detail=plane["warning"])
        self._log.flush()
        if self._events is not None:
            self._events.told(now, kinds.STARTED, f"{event}: {text}")
        service.notify(READY="1", STATUS=text)

    def stopped(self, now: int, by: signal.Signals, send_errors: int) -> None:
        """The daemon has served its last packet."""
        self._log.drops(now, always=True)
        if self._events is not None:
            self._events.tick(now)
            self._events.told(now, kinds.STOPPED, by.name)
        served = self._status.counters()
        self._log.event(
            now,
            "stopped",
            f"{by.name}, {served[entries.ACCEPTED, '']} accepted, "
            f"{served[entries.REMOVED, '']} removed",
            signal=by.name,
            send_errors=send_errors,
            withheld=self._responder.cache.withheld(),
            counters=[[*what, count] for what, count in sorted(served.items())],
        )
        self._log.flush()

    def reopen(self) -> None:
        """Go on in a new log file. Raises SystemRefusedError."""
        self._log.reopen()

    def facts(self) -> dict[str, Any]:
        """What there is to tell now."""
        return self._status.facts(wall_ms())

    def trouble(self, text: str) -> None:
        """Something failed that packets or readers need."""
        now = now_ms()
        self._status.troubles += 1
        self._status.last_trouble = text
        while self._told and not 0 <= now - self._told[0][0] < _TROUBLE_EVERY_MS:
            self._told.popleft()
        if len(self._told) < _TROUBLES_MAX and all(text != told for _, told in self._told):
            self._told.append((now, text))
            self._log.event(wall_ms(), "trouble", text, detail=text)
            self._log.flush()

    def _tell_lost(self) -> None:
        """What nobody took, or no disk: one trouble a second at most."""
        for name in self._lost:
            facts = self._status.parts[name]() if name in self._status.parts else {"lost": 0}
            if facts["lost"] > self._lost[name]:
                why = facts["last_error"] or "not taken in time"
                count = facts["lost"] - self._lost[name]
                self._lost[name] = facts["lost"]
                self.trouble(f"{name}: {count} lost: {why}")

    def _tell_growth(self, registry: Registry) -> None:
        """The registry's log grows until the disk is full while somebody reads and doesn't end:
        a trouble at each doubling."""
        octets = registry.log_octets()
        if octets >= self._growth:
            self._growth = 2 * octets
            self.trouble(
                f"registry {registry.name}: its log has grown to {octets >> 20} MB: somebody has "
                "been reading it for long (a command that stands still?)"
            )
        elif octets < _GROWTH_OCTETS:
            self._growth = _GROWTH_OCTETS
