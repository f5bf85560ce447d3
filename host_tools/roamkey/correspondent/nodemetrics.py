"""Nodes and their keys as metrics: how many are quiet, and whose keys end.

They come from the registry, so they know what other daemons accepted, and a restart forgets
nothing. It is asked once in a quarter of a minute at most, however often anybody scrapes; whoever
comes meanwhile is told what was found last. There are as many series as thresholds, whatever the
number of nodes; series of single nodes only where they were asked for, and for no more than that.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from prometheus_client.core import GaugeMetricFamily, Metric

from mip6 import addresses
from roamkey.errors import RoamkeyError
from roamkey.registry.records import Figures, NodeUse

EVERY_S = 15.0

Read = Callable[[], tuple[Figures, list[NodeUse]]]
_S = 1000


class _Found(NamedTuple):
    at_s: float  # since 1970
    figures: Figures
    nodes: list[NodeUse]


class NodeMetrics:
    """Call `collect` from any thread."""

    def __init__(self, read: Read, nodes_max: int = 0, every_s: float = EVERY_S) -> None:
        """`read` asks the registry, for single nodes too where `nodes_max` isn't 0, and may raise
        RoamkeyError; `nodes_max`: how many nodes may have series of their own."""
        self._read = read
        self._nodes_max = nodes_max
        self._every_s = every_s
        self._reading = threading.Lock()
        self._next_at = 0.0
        self._found: _Found | None = None

    def collect(self, names: list[str], mine: list[str]) -> Iterator[Metric]:
        """The metrics of one scrape, none where the registry never answered. `names`, `mine`:
        labels that all have, and their values."""
        if time.monotonic() >= self._next_at and self._reading.acquire(blocking=False):
            try:
                self._next_at = time.monotonic() + self._every_s
                self._found = _Found(time.time(), *self._read())
            except RoamkeyError:  # the daemon says so; here what was told last gets old
                pass
            finally:
                self._reading.release()
        found = self._found
        if found is not None:
            yield from _figures(found, names, mine)
            if self._nodes_max:
                yield from _single(found.nodes, self._nodes_max, names, mine)


def _figures(found: _Found, names: list[str], mine: list[str]) -> Iterator[Metric]:
    figures = found.figures
    for name, text, value in (
        ("nodes_read_timestamp_seconds", "When the registry told the following.", found.at_s),
        ("nodes_never_seen", "Nodes that nothing was ever heard of.", figures.never),
        ("node_quiet_seconds_max", "How long the quietest node is silent.", figures.quietest_s),
        ("key_uses_left_min", "The least uses that a node's keys have left.", figures.least_uses),
        (
            "key_ends_seconds_min",
            "When the first node's keys end, at the rate of the last day.",
            figures.soonest_end_s,
        ),
    ):
        gauge = GaugeMetricFamily(f"roamkey_{name}", text, labels=names)
        if value is not None:
            gauge.add_metric(mine, value)
        yield gauge
    for name, text, label, counts in (
        (
            "nodes_quiet",
            "Nodes that nothing was heard of for longer, or ever.",
            "longer_than_seconds",
            figures.quiet,
        ),
        (
            "nodes_key_uses_below",
            "Nodes whose keys have fewer uses left.",
            "uses",
            figures.uses_left,
        ),
        (
            "nodes_key_ends_within",
            "Nodes whose keys end sooner, at the rate of the last day.",
            "seconds",
            figures.ends,
        ),
    ):
        yield _counts(name, text, label, counts, names, mine)


def _counts(
    name: str, text: str, label: str, counts: Mapping[int, int], names: list[str], mine: list[str]
) -> Metric:
    gauge = GaugeMetricFamily(f"roamkey_{name}", text, labels=[*names, label])
    for threshold, count in counts.items():
        gauge.add_metric([*mine, str(threshold)], count)
    return gauge


def _single(
    nodes: list[NodeUse], nodes_max: int, names: list[str], mine: list[str]
) -> Iterator[Metric]:
    """Of all nodes, or of none where there are too many: which ones would be chance."""
    told = nodes if len(nodes) <= nodes_max else []
    without = GaugeMetricFamily(
        "roamkey_nodes_without_series", "Nodes, where they are too many to tell.", labels=names
    )
    without.add_metric(mine, len(nodes) - len(told))
    yield without
    labels = [*names, "home_address", "name"]
    seen = GaugeMetricFamily(
        "roamkey_node_last_seen_timestamp_seconds", "When it was last heard of.", labels=labels
    )
    left = GaugeMetricFamily(
        "roamkey_node_key_uses_left", "Uses that its keys have left.", labels=labels
    )
    ends = GaugeMetricFamily(
        "roamkey_node_key_ends_seconds", "When its keys end, at the present rate.", labels=labels
    )
    for one in told:
        values = [*mine, addresses.text(one.home_address), one.name or ""]
        for gauge, value in (
            (seen, None if one.last_ms is None else one.last_ms / _S),
            (left, one.uses_left),
            (ends, one.ends_s),
        ):
            if value is not None:
                gauge.add_metric(values, value)
    yield from (seen, left, ends)
