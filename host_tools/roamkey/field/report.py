"""A report: everything that the page, the charts, the CSV and the JSON show, computed once."""

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from roamkey.errors import BadInputError
from roamkey.field import figures, silences
from roamkey.field.boardlog import BoardLog
from roamkey.field.figures import Gap, KeyUse, Loss, Spread
from roamkey.field.folder import Datagram, Told, Walk
from roamkey.field.handovers import PHASES, Handover
from roamkey.field.joined import Joined, join
from roamkey.field.values import WAYS

#: Why a node registered. After a power cut or a reset (power) it is no handover.
WHY = {"start": "start", "power": "restart", "move": "move", "home": "return home"}
HANDOVERS = ("move", "home")

_LOST_SHOWN = 2_000

#: What is spread over all handovers: key, title, what it is.
MEASURES = (
    ("link_up_to_datagram", "Link up → first datagram", "accepted at the correspondent"),
    ("radio", "Radio", "link lost → link up"),
    ("network", "Network", "link up → address usable: router and address"),
    ("roamkey", "roamkey", "address usable → first datagram: update, answer, data"),
    ("gap", "Data gap", "the longest silence at the correspondent, less the usual interval"),
    ("link_up_to_bound", "Link up → bound", "update accepted at the correspondent"),
    ("signalling", "Signalling", "address usable → acknowledgement at the board"),
    ("total", "Link lost → acknowledged", "acknowledgement at the board"),
)
#: Those that are drawn, and stand at the top of the page.
SHOWN = MEASURES[:5]


@dataclass
class Node:
    """One board on the walk."""

    name: str
    joined: Joined
    told: list[Told]
    data: list[Datagram]
    loss: Loss
    gaps: list[Gap]
    keys: list[KeyUse]

    @property
    def lost_at(self) -> list[float]:
        """When lost datagrams would have arrived; of very many, some."""
        return figures.lost_at(self.gaps, _LOST_SHOWN)

    @property
    def handovers(self) -> list[Handover]:
        """In order."""
        return self.joined.handovers

    @property
    def moves(self) -> list[Handover]:
        """The handovers proper: neither the first registration ever, nor those of restarts."""
        return [one for one in self.handovers if one.why in HANDOVERS]


@dataclass
class Report:
    """A walk, judged. Times are milliseconds since 1970 by the correspondent's clock."""

    name: str
    nodes: list[Node]
    begin_ms: float
    end_ms: float
    steps: list[dict[str, Any]] = field(default_factory=list)

    @cached_property
    def moves(self) -> list[Handover]:
        """The handovers of all nodes, starts and restarts left out."""
        return [handover for node in self.nodes for handover in node.moves]

    @property
    def moves_with_data(self) -> bool:
        """Whether any silence could be told from how the application speaks anyhow."""
        return any(one.interval_ms is not None for one in self.moves)

    @property
    def clock_error_ms(self) -> float | None:
        """The largest error of a board's clock against the correspondent's."""
        errors = [one.error_ms for one in self.moves if one.error_ms is not None]
        return max(errors, default=None)

    @property
    def by_host(self) -> bool:
        """Whether a boot could only be aligned by the host's clock."""
        return any(
            alignment.by_host for node in self.nodes for _, alignment in node.joined.alignments
        )

    @property
    def loss(self) -> Loss:
        """Of all nodes together."""
        return Loss(
            sum(node.loss.sent for node in self.nodes), sum(node.loss.lost for node in self.nodes)
        )

    def measured(self, key: str) -> list[float]:
        """One of `MEASURES` of every handover that has it, in ascending order."""
        values = [getattr(one, f"{key}_ms") for one in self.moves]
        return sorted(value for value in values if value is not None)

    @cached_property
    def kinds(self) -> dict[str, Spread | None]:
        """By why a node registered: the spread from the link up to the first datagram."""
        known = [one for node in self.nodes for one in node.handovers if one.why != "start"]
        return {
            why: figures.spread(one.link_up_to_datagram_ms for one in known if one.why == why)
            for why in WHY
            if any(one.why == why for one in known)
        }

    @property
    def headline(self) -> str:
        """What users felt, and whose part of it is what; "" where nothing tells."""
        whole = self.spreads["link_up_to_datagram"]
        if whole is None:
            return ""
        parts = [
            f"{key} {'–' if found is None else format(found.median, ',.0f')}"
            for key in ("network", "roamkey", "radio")
            for found in [self.spreads[key]]
        ]
        return (
            f"link up → first datagram: median {whole.median:,.0f} ms, 95th {whole.p95:,.0f}, "
            f"worst {whole.worst:,.0f}; of the median {parts[0]}, {parts[1]}; before it {parts[2]}"
        )

    @cached_property
    def ways(self) -> dict[str, Spread | None]:
        """The ways by which moves were registered: the spread of the signalling of each."""
        taken = {one.way for one in self.moves}
        return {
            way: figures.spread(one.signalling_ms for one in self.moves if one.way == way)
            for way in WAYS
            if way in taken
        }

    @cached_property
    def spreads(self) -> dict[str, Spread | None]:
        """The measures of `MEASURES` and each phase, over all moves."""
        phases = [one.phases() for one in self.moves]
        found = {key: figures.spread(self.measured(key)) for key, _, _ in MEASURES}
        for name, _ in PHASES:
            found[f"phase {name}"] = figures.spread(one[name] for one in phases)
        return found


def make(walk: Walk, since_ms: float = 0.0) -> Report:
    """Judge what was read from a folder, or what of it is not before `since_ms` (since 1970).

    Raises BadInputError where nobody has a home address, or nothing is left.
    """
    homes: dict[str, str] = {}
    logs: dict[str, list[BoardLog]] = {}
    for log in walk.boards:
        if log.home_address:
            logs.setdefault(log.home_address, []).append(log)
    for address in [*logs, *(one.home_address for one in walk.told)]:
        if address is not None and address not in homes:
            homes[address] = f"board {len(homes) + 1}"
    nodes = []
    told_of: dict[str, list[Told]] = {}
    for one in walk.told:
        told_of.setdefault(one.home_address, []).append(one)
    for address, name in homes.items():
        told = told_of.get(address, [])
        data = walk.data.get(address, [])
        joined = join(logs.get(address, []), told, address, data)
        missing = figures.gaps(data)
        silences.attribute(joined.handovers, data, told, missing)
        if since_ms:  # clocks and silences are told by all there is
            joined.handovers = [one for one in joined.handovers if one.at_ms >= since_ms]
            joined.signal = [one for one in joined.signal if one[0] >= since_ms]
            told = [one for one in told if one.at_ms >= since_ms]
            data = [one for one in data if one.at_ms >= since_ms]
            missing = figures.gaps(data)
            if not (joined.handovers or told or data):
                continue
        for handover in joined.handovers:
            handover.network = figures.network_of(handover.care_of_address, walk.networks)
        nodes.append(
            Node(
                name, joined, told, data, figures.loss(data), missing,
                figures.key_use(told),
            )
        )  # fmt: skip
    if not nodes:
        why = "nothing in it is of that time" if homes else "no log names a home address"
        raise BadInputError(f"{walk.name}: {why}")
    instants = [at for node in nodes for at in _instants(node)]
    steps = [one for one in walk.steps if one["at_ms"] >= since_ms]
    return Report(walk.name, nodes, min(instants), max(instants), steps)


def _instants(node: Node) -> list[float]:
    found: list[float] = [one.at_ms for one in node.told if one.outcome in ("accepted", "removed")]
    found += [one.at_ms for one in node.data]
    found += [one.at_ms for one in node.handovers]
    return found or [0.0]


def plain(report: Report) -> dict[str, Any]:
    """The report in plain values, for JSON."""
    spreads = {name: asdict(one) if one else None for name, one in report.spreads.items()}
    return {
        "name": report.name,
        "begin_ms": report.begin_ms,
        "end_ms": report.end_ms,
        "clock_error_ms": report.clock_error_ms,
        "clock_by_host": report.by_host,
        "loss": {**asdict(report.loss), "percent": report.loss.percent},
        "spreads": spreads,
        "kinds": {why: asdict(one) if one else None for why, one in report.kinds.items()},
        "ways": {way: asdict(one) if one else None for way, one in report.ways.items()},
        "steps": report.steps,
        "nodes": [_plain_node(node) for node in report.nodes],
    }


def _plain_node(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "board": node.joined.board,
        "home_address": node.joined.home_address,
        "loss": {**asdict(node.loss), "percent": node.loss.percent},
        "keys": [{**asdict(key), "skipped": key.skipped} for key in node.keys],
        "clock": _plain_clocks(node),
        "boots_without_a_clock": node.joined.unaligned,
        "signal": [{"at_ms": at, "dbm": dbm} for at, dbm in node.joined.signal],
        "handovers": [_plain_handover(one) for one in node.handovers],
    }


def _plain_clocks(node: Node) -> dict[str, dict[str, bool]]:
    """By boot; of boards that had a home address one after the other, what holds for any."""
    found: dict[str, dict[str, bool]] = {}
    for boot, alignment in node.joined.alignments:
        one = found.setdefault(str(boot), {"by_host": False, "contradicted": False})
        one["by_host"] |= alignment.by_host
        one["contradicted"] |= alignment.contradicted
    return found


def _plain_handover(one: Handover) -> dict[str, Any]:
    return {
        **vars(one),
        "on_board": one.on_board,
        **{f"{key}_ms": getattr(one, f"{key}_ms") for key, _, _ in MEASURES},
        "phases": one.phases(),
    }


COLUMNS = (
    "node", "home_address", "number", "why", "network", "uplink", "way", "care_of_address",
    "correspondent", "boot", "generation", "first_sequence", "sequence", "updates", "error_ms",
    "left_ms", "joined_ms", "router_ms", "usable_ms", "tested_ms", "first_ms", "sent_ms",
    "accepted_ms", "acknowledged_ms", "data_ms", "arrived_ms", "sensor_ms",
    "link_up_to_datagram_ms", "radio_ms", "network_ms", "roamkey_ms", "link_up_to_bound_ms",
    "signalling_ms", "total_ms", "silence_ms", "interval_ms", "gap_ms", "lost", "signal_dbm",
)  # fmt: skip


def rows(report: Report) -> list[list[Any]]:
    """The handovers as rows under `COLUMNS`, for CSV; what isn't known is empty."""
    found = []
    for node in report.nodes:
        for number, one in enumerate(node.handovers, 1):
            known = {**_plain_handover(one), "node": node.name, "number": number}
            values = [known[column] for column in COLUMNS]
            found.append(["" if value is None else _short(value) for value in values])
    return found


def _short(value: Any) -> Any:
    return round(value, 3) if isinstance(value, float) else value
