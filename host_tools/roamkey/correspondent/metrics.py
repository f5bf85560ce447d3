"""`/metrics` for Prometheus, on an address of this host's own unless told otherwise.

The facts are read when Prometheus asks, in the server's threads; serving packets costs nothing.
Anybody on this host can connect: so few threads, few descriptors and little time go to that.
"""

import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import ip_address
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from roamkey.correspondent.nodemetrics import NodeMetrics
from roamkey.errors import BadInputError, SystemRefusedError

_CONNECTIONS_MAX = 16
_PAUSE_S = 0.02  # before a connection is taken: fifty a second at most
_REQUEST_S = 5.0
_END_S = 1.0

#: fact -> (name without the prefix, what it counts)
_COUNTERS = {
    "withheld": ("refusals_withheld", "Refusals not sent because of the rate limit."),
    "refresh_requests": ("refresh_requests", "Binding Refresh Requests sent."),
    "send_errors": ("send_errors", "Packets that the kernel would not send."),
    "troubles": ("troubles", "Failures of the registry and the like; see the log."),
    "reloads": ("reloads", "Reloads, by SIGHUP."),
}
_GAUGES = {
    "nodes": ("nodes", "Nodes that have a key for this address."),
    "bindings": ("bindings", "Nodes that are bound to a care-of address."),
}


class FactsCollector(Collector):
    """The facts of `Status.facts` as metrics, one label `correspondent` on each, or
    `home_agent`."""

    def __init__(
        self, facts: Callable[[], dict[str, Any]], nodes: NodeMetrics | None = None
    ) -> None:
        """`facts` is called for each scrape; `nodes`: what there is to tell of them."""
        self._facts = facts
        self._nodes = nodes

    def collect(self) -> Iterator[Metric]:
        """The metrics of one scrape."""
        facts = self._facts()
        names, mine = [facts["role"].replace(" ", "_")], [facts["address"]]
        info = InfoMetricFamily("roamkey_build", "The version that runs.", labels=names)
        info.add_metric(mine, {"version": facts["version"]})
        yield info
        packets = CounterMetricFamily(
            "roamkey_packets",
            "Packets by what became of them; reasons as in `roamkey correspondent drops`.",
            labels=[*names, "outcome", "reason"],
        )
        for outcome, count in facts["packets"].items():
            for reason, part in facts.get(outcome, {"": count}).items():
                packets.add_metric([*mine, outcome, reason], part)
        yield packets
        for fact, (name, text) in _COUNTERS.items():
            counter = CounterMetricFamily(f"roamkey_{name}", text, labels=names)
            counter.add_metric(mine, facts[fact])
            yield counter
        for fact, (name, text) in _GAUGES.items():
            gauge = GaugeMetricFamily(f"roamkey_{name}", text, labels=names)
            gauge.add_metric(mine, facts[fact])
            yield gauge
        if "return_routability" in facts:
            yield from _routability(facts["return_routability"], names, mine)
        yield from _ways(facts["ways"], names, mine)
        yield from _data_plane(facts.get("data_plane", {}), names, mine)
        behind = GaugeMetricFamily(
            "roamkey_registry_behind",
            "Nodes that aren't served, since the registry is older than what was accepted before.",
            labels=names,
        )
        behind.add_metric(mine, facts.get("registry", {}).get("behind", 0))
        yield behind
        if self._nodes is not None:
            yield from self._nodes.collect(names, mine)
        bursts = SummaryMetricFamily(
            "roamkey_burst_duration_seconds",
            "From having read a burst of packets to having committed and answered it.",
            labels=names,
        )
        bursts.add_metric(mine, facts["bursts"], facts["burst_seconds"])
        yield bursts


def _routability(facts: dict[str, Any], names: list[str], mine: list[str]) -> Iterator[Metric]:
    bound = GaugeMetricFamily(
        "roamkey_return_routability_bindings", "Bindings of nodes without a key.", labels=names
    )
    bound.add_metric(mine, facts["bound"])
    most = GaugeMetricFamily(
        "roamkey_return_routability_most",
        "How many nodes without a key are bound, or their numbers remembered, at most.",
        labels=names,
    )
    most.add_metric(mine, facts["most"])
    yield from (bound, most)


def _ways(facts: dict[str, Any], names: list[str], mine: list[str]) -> Iterator[Metric]:
    labels = [*names, "way"]
    bound = GaugeMetricFamily(
        "roamkey_way_bindings", "Bindings by way: native, udp6, udp4.", labels=labels
    )
    received = CounterMetricFamily(
        "roamkey_way_packets", "Packets received by way.", labels=labels
    )
    for way, count in facts["bound"].items():
        bound.add_metric([*mine, way], count)
        received.add_metric([*mine, way], facts["received"][way])
    yield from (bound, received)


def _data_plane(facts: dict[str, Any], names: list[str], mine: list[str]) -> Iterator[Metric]:
    if "running" in facts:
        running = GaugeMetricFamily(
            "roamkey_data_plane_up", "1 while the data plane's process serves.", labels=names
        )
        running.add_metric(mine, facts["running"])
        yield running
        restarts = CounterMetricFamily(
            "roamkey_data_plane_restarts", "How often it was started anew.", labels=names
        )
        restarts.add_metric(mine, facts["restarts"])
        yield restarts
    if "packets" not in facts:  # no data plane, or no word from it yet
        return
    packets = CounterMetricFamily(
        "roamkey_data_plane_packets",
        "Data packets by what became of them.",
        None,
        [*names, "outcome"],
    )
    for outcome, count in facts["packets"].items():
        packets.add_metric([*mine, outcome], count)
    yield packets
    octets = CounterMetricFamily(
        "roamkey_data_plane_bytes", "Octets of inner packets.", None, [*names, "direction"]
    )
    for direction, count in facts["octets"].items():
        octets.add_metric([*mine, direction], count)
    yield octets


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of "[::1]:9464" or "127.0.0.1:9464"; raises BadInputError."""
    host, colon, port = text.rpartition(":")
    try:
        bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
        address = ip_address(bare)
        if not colon or (address.version == 6) != host.startswith("["):
            raise ValueError
        if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise ValueError
    except ValueError:
        raise BadInputError(f"{text!r} is not an address and port, as [::1]:9464") from None
    return str(address), int(port)


def serve(
    where: str, facts: Callable[[], dict[str, Any]], nodes: NodeMetrics | None = None
) -> Callable[[], None]:
    """Serve /metrics at `where`; what ends it. Raises BadInputError, SystemRefusedError."""
    host, port = parse_address(where)
    registry = CollectorRegistry()
    registry.register(FactsCollector(facts, nodes))
    ProcessCollector(registry=registry)
    try:
        server = _Server(host, port)
    except OSError as error:
        raise SystemRefusedError(f"metrics at {where}: {error.strerror}") from None
    server.set_app(make_wsgi_app(registry))
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()

    def end() -> None:
        server.shutdown()
        server.server_close()
        thread.join(_END_S)

    return end


class _Handler(WSGIRequestHandler):
    """One request on each connection, and not for long."""

    timeout = _REQUEST_S

    def log_message(self, *_: object) -> None:
        """Requests are no news."""


class _Server(ThreadingMixIn, WSGIServer):
    """Few connections at a time, and few new ones a second: whoever is silent makes room for the
    next, and signalling keeps its processor."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 16

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._open: deque[socket.socket] = deque()
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Without a look at the name service: it may take its time."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = map(str, self.server_address[:2])  # type: ignore[assignment]
        self.setup_environ()

    def get_request(self) -> tuple[socket.socket, Any]:
        """The next connection, in its time; the oldest one makes room for it."""
        time.sleep(_PAUSE_S)
        request, address = super().get_request()
        while len(self._open) >= _CONNECTIONS_MAX:
            with suppress(OSError):  # its thread closes it
                self._open.popleft().shutdown(socket.SHUT_RDWR)
        self._open.append(request)
        return request, address

    def shutdown_request(self, request: Any) -> None:
        """It has its answer, or never asked."""
        with suppress(ValueError):
            self._open.remove(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever asks and goes away is no news."""
