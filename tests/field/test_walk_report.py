"""A scripted walk, and its report's every number against the packet capture, read by tshark.

The board's clock and the laboratory's are of one machine here; the report doesn't know that and
aligns them by the updates alone. What it claims must hold within the error that it states. The
capture is taken at the router's end of the way: behind the board's network, before the delay for
updates, and for acknowledgements at the correspondent's end, before the delay back.

In `make test-slow` the errand, seven handovers, a power cut and a planned restart; `make fuzz`
sets CAMPAIGN=full for the walk of twenty moves over three networks with loss and two power cuts,
for the cafe, half of it through NATs, and for paths that drop extension headers.
"""

import collections
import itertools
import json
import os
import statistics

import oracle
import pytest
from json_output import checked
from typer.testing import CliRunner

from roamkey.cli import app
from roamkey.field import figures, folder, report
from roamkey.lab.walk import script
from roamkey.lab.walk.run import Walk

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(300)]

FULL = os.environ.get("CAMPAIGN") == "full"
SCRIPTS = ("campus", "cafe", "filters") if FULL else ("errand",)
# Processes of the laboratory (router, bridge, both ends) wait for their turn on a busy machine,
# one after the other: usually at most this long; at worst for less than a retransmission (a
# second), so that a number of another message is never taken for this one's.
USUAL_WAIT_MS = 60.0
LONGEST_WAIT_MS = 500.0
TICK_MS = 2.0  # two clock readings, each rounded down
PORT = 5005  # firmware/examples/sensor.py
ROUND_TRIP_LEFT_MS = 25.0  # beyond the delays set: what both ends usually take to answer


class Waits:
    """What is more than numbers of each kind should be, in ms: what the machine kept them
    waiting for. A median is of three at least."""

    def __init__(self):
        self._kinds = collections.defaultdict(list)

    def add(self, kind, more_ms):
        assert more_ms <= LONGEST_WAIT_MS, kind
        self._kinds[kind].append(more_ms)

    def check_usual(self, usual_ms=USUAL_WAIT_MS):
        known = [(kind, waits) for kind, waits in self._kinds.items() if len(waits) > 2]
        assert known
        for kind, waits in known:
            assert statistics.median(waits) <= usual_ms, (kind, waits)


@pytest.fixture(params=SCRIPTS)
def walked(tmp_path, request):
    oracle.tshark()
    path = script.find(request.param)
    Walk(script.read(path), tmp_path, lambda text: None).run()
    return script.read(path), tmp_path


def one_way_ms(scripted, message_at, walk):
    """The delay each way at a time: the script's, as changed by its steps."""
    delay = scripted.delay_ms
    for step in walk.steps:
        if (
            step["kind"] == "way"
            and step["text"].startswith("delay")
            and step["at_ms"] < message_at
        ):
            delay = float(step["text"].split()[1])
    return delay


def test_every_number_holds_against_the_capture(walked):
    scripted, out = walked
    walk = folder.read(out)
    made = report.make(walk)
    done = CliRunner().invoke(app, ["field", "report", str(out), "--json"])
    assert len(checked("field-report", done.stdout)["nodes"]) == 1
    (node,) = made.nodes
    seen = oracle.messages(out / "way.pcap")
    check_handovers_are_all(scripted, node)
    check_updates(node, seen)
    waits = Waits()
    for handover in node.handovers:
        if handover.on_board:
            check_times(scripted, walk, handover, seen, waits)
    waits.check_usual()
    check_spreads(made)
    check_keys(node, seen)
    check_data(scripted, node, walk, oracle.datagrams(out / "way.pcap", PORT))
    check_errors(scripted, walk, made)


def check_handovers_are_all(scripted, node):
    """One for each move and each restart, in order, at the network that it went to; a farewell
    is no return home."""
    wanted = []
    for step in scripted.steps:
        if step.kind == "move":
            wanted.append(step.network.replace("visited", "visited "))
        elif step.kind in ("cut", "reboot"):
            wanted.append(wanted[-1])
    assert [one.network for one in node.handovers] == wanted
    cuts = sum(step.kind in ("cut", "reboot") for step in scripted.steps)
    assert sum(one.why == "power" for one in node.handovers) == cuts


def check_updates(node, seen):
    """Each update of the report crossed the link, or was lost on it; and none is missing.

    A cut costs at most the events of ten seconds: only those updates may be on the wire alone.
    """
    sent = {one.sequence: one for one in seen if one.kind == oracle.UPDATE}
    answered = {one.sequence for one in seen if one.kind == oracle.ACKNOWLEDGEMENT}
    for one in node.handovers:
        update = sent[one.sequence]
        assert (update.care_of_address, update.way) == (one.care_of_address, one.way)
        assert (one.sequence in answered) or one.acknowledged_ms is None
        if one.on_board:
            last = one.first_sequence + one.updates - 1
            assert one.first_sequence <= one.sequence <= last


def check_times(scripted, walk, one, seen, waits):
    """The capture lies between what the report says before and after it, within its error."""
    updates = {message.sequence: message for message in seen if message.kind == oracle.UPDATE}
    update = updates[one.sequence]
    error = one.error_ms + TICK_MS
    way = update.at_ms - one.sent_ms
    assert -error <= way
    waits.add("sent", way - error)
    delay = one_way_ms(scripted, update.at_ms, walk)
    way = one.accepted_ms - update.at_ms  # the correspondent's clock is the capture's
    assert delay - TICK_MS <= way
    waits.add("accepted", way - delay)
    answers = [
        message
        for message in seen
        if message.kind == oracle.ACKNOWLEDGEMENT and message.sequence == one.sequence
    ]
    if one.acknowledged_ms is not None:
        (answer,) = answers
        assert answer.status < 128
        back = one.acknowledged_ms - (answer.at_ms + delay)
        assert -error <= back
        waits.add("acknowledged", back - error)
        # What the board's own clock measured alone, against the capture alone: no error of clocks.
        on_wire = answer.at_ms + delay - update.at_ms
        measured = one.acknowledged_ms - one.sent_ms
        assert measured - on_wire >= -TICK_MS
        waits.add("on the board's clock", measured - on_wire)
    if one.updates > 1 and one.first_sequence in updates:
        again = update.at_ms - updates[one.first_sequence].at_ms
        waits.add("again", abs(again - (one.sent_ms - one.first_ms)))
    lengths = one.phases()
    known = [one.left_ms, one.joined_ms, one.usable_ms, one.first_ms, one.sent_ms]
    if one.arrived_ms is not None:
        assert one.arrived_ms >= one.usable_ms - error
    known = [at for at in known if at is not None]
    assert known == sorted(known)
    if one.total_ms is not None and one.joined_ms is not None:
        parts = [length or 0.0 for name, length in lengths.items() if name != "data"]
        assert sum(parts) == pytest.approx(one.total_ms, abs=0.01)
    if one.link_up_to_datagram_ms is not None:
        parts = [one.network_ms, one.roamkey_ms]
        assert sum(parts) == pytest.approx(one.link_up_to_datagram_ms, abs=0.01)


def check_spreads(made):
    """Median, 95th and worst by their definition, counted by hand."""
    spreads = made.spreads
    for key, _, _ in report.MEASURES:
        values = made.measured(key)
        spread = spreads[key]
        assert spread.count == len(values) and spread.worst == max(values)
        for value, share in ((spread.median, 0.5), (spread.p95, 0.95)):
            assert sum(other <= value for other in values) >= share * len(values)
            assert sum(other < value for other in values) < share * len(values)


def check_keys(node, seen):
    """Numbers used are those that crossed the link; what remains is what the key has left.

    An update in the capture was not lost, so the correspondent accepted it; its answer may be.
    """
    accepted = {message.sequence for message in seen if message.kind == oracle.UPDATE}
    (key,) = node.keys
    assert (key.first, key.last) == (min(accepted), max(accepted))
    assert key.updates == len(accepted) and key.left == 65535 - max(accepted)
    assert key.skipped == max(accepted) - min(accepted) + 1 - len(accepted)


def check_data(scripted, node, walk, captured):
    """Losses and gaps as the capture has them: it holds what the bridge did not lose."""
    waits = Waits()
    recorded = walk.data[node.joined.home_address]
    arrived = [folder.Datagram(at, json.loads(data)["n"]) for at, data in captured]
    assert [one.number for one in arrived] == [one.number for one in recorded]
    assert figures.loss(arrived) == node.loss
    assert node.lost_at == sorted(node.lost_at) and len(node.lost_at) == node.loss.lost
    for one in node.handovers:
        if one.silence_ms is None:
            continue
        if one.on_board:  # nothing can have come while there was neither link nor address
            assert one.silence_ms >= one.usable_ms - one.left_ms - delay_most(scripted)
        assert one.gap_ms == max(0.0, one.silence_ms - (one.interval_ms or 0.0))
        if one.interval_ms is not None:
            assert one.interval_ms == pytest.approx(1000 * scripted.every_s, rel=0.5)
        # The capture's datagrams on either side of the acceptance, which is a way's delay later.
        delay = one_way_ms(scripted, one.accepted_ms, walk)
        ends = [at + delay for at, _ in captured]
        first, last = one.begin_ms - LONGEST_WAIT_MS, one.accepted_ms + LONGEST_WAIT_MS
        near = [
            after - before
            for before, after in itertools.pairwise(ends)
            if before < last and after > first
        ]
        waits.add("silence", min(abs(one.silence_ms - gap) for gap in near))
    waits.check_usual()


def delay_most(scripted):
    """The longest that a datagram may be on its way."""
    delays = [step.delay_ms for step in scripted.steps if step.delay_ms is not None]
    return max([scripted.delay_ms, *delays]) + LONGEST_WAIT_MS


def check_errors(scripted, walk, made):
    """The error stated is half a round trip and what both ends took, not more, not nothing."""
    assert not any(one.contradicted for _, one in made.nodes[0].joined.alignments)
    waits = Waits()
    for one in made.moves:
        if one.on_board:
            assert one.error_ms > 0
            waits.add("error", one.error_ms - one_way_ms(scripted, one.at_ms, walk))
    waits.check_usual(ROUND_TRIP_LEFT_MS)
