"""Reading, joining, aligning and judging logs of a walk that is known to the millisecond."""

import csv
import json
import random
import shutil
import time
from datetime import datetime, timezone

import pytest
import samples
from json_output import checked
from samples import HOME, ONE, START, TWO
from typer.testing import CliRunner

from roamkey.cli import app
from roamkey.errors import BadInputError, BoardError, RefusedError
from roamkey.field import boardlog, clocks, compare, figures, folder, output, page, report


@pytest.fixture
def walk(tmp_path):
    first, second = samples.BOOT_1[:300], samples.BOOT_1[300:]
    cut = samples.BOOT_1.index("\n", 300)
    first, second = samples.BOOT_1[:cut], "5000 boot 1\n" + samples.BOOT_1[cut + 1 :]
    log = boardlog.pull(samples.answers(first, second), "aa", HOME)
    boardlog.write(tmp_path / "board.jsonl", log)
    (tmp_path / "correspondent.log").write_text(samples.correspondent_log())
    data = [(1100 + 100 * n, n) for n in range(39)] + [(6390, 40), (6400, 39), (6500, 42)]
    data += [(15_200, 0), (15_300, 1)]  # the board began anew
    lines = [
        json.dumps({"at_ms": START + ms, "home_address": HOME, "number": number})
        for ms, number in data
    ]
    (tmp_path / "data.jsonl").write_text("\n".join(lines))
    return tmp_path


def test_blocks_become_events_once_and_in_order():
    log = boardlog.pull(
        samples.answers(samples.BOOT_1, "9200 boot 1\n9300 warning 80"), "aa", HOME
    )
    assert [event.ms for event in log.events] == sorted(event.ms for event in log.events)
    assert log.events[-1] == boardlog.Event(1, 9300, "warning", ("80",))
    assert [event.kind for event in log.events].count("boot") == 1
    again = boardlog.merge(map(json.loads, boardlog.as_lines(log).splitlines() * 2), "x")
    assert again[0].events == log.events and len(again[0].clocks) == 1


def test_damaged_lines_and_answers():
    torn = "\x00\xff 3 boot\nboot\n12 boot x\n7\n\n5 boot 3 1 0\n6 attached"
    log = boardlog.pull(samples.answers(torn), "aa", None)
    assert [(event.boot, event.kind) for event in log.events] == [(3, "boot"), (3, "attached")]
    for answer in ({}, {"block": 1, "oldest": 1, "ms": 1}, {"block": "1", "text": ""}):
        with pytest.raises(BoardError):
            boardlog.pull(lambda number, answer=answer: answer, "aa", None)


def test_every_phase_of_every_handover(walk):
    made = report.make(folder.read(walk))
    start, moved, home, power = made.nodes[0].handovers
    assert [one.why for one in (start, moved, home, power)] == ["start", "move", "home", "power"]
    assert (moved.sequence, moved.first_sequence, moved.updates) == (2, 1, 2)
    phases = {name: length for name, length in moved.phases().items() if length is not None}
    assert phases.pop("there") + phases.pop("back") == 52
    data = moved.arrived_ms - moved.acknowledged_ms
    assert phases.pop("data") == data and abs(data - 38) <= moved.error_ms
    assert phases == {"link down": 200, "address": 100, "send": 0, "again": 1000}
    assert (moved.radio_ms, moved.network_ms) == (200, 100)
    assert moved.link_up_to_datagram_ms == 100 + moved.roamkey_ms == 1152 + data
    assert (moved.total_ms, moved.signalling_ms) == (1352, 1052)
    assert home.phases()["link down"] == 0  # the link was there
    assert home.phases()["data"] is None
    assert power.total_ms is None and power.accepted_ms == START + 15_050 and not power.on_board
    for one in (start, moved, home):  # the truth lies within the error stated
        assert (
            abs(one.usable_ms - (START + {ONE: 1000, TWO: 5300, HOME: 9100}[one.care_of_address]))
            <= one.error_ms
        )
        assert one.error_ms <= 27


def test_loss_gaps_and_keys(walk):
    made = report.make(folder.read(walk))
    (node,) = made.nodes
    assert (node.loss.sent, node.loss.lost) == (45, 1)
    assert node.lost_at == [START + 6445]
    assert node.handovers[1].silence_ms == 6390 - 4900
    assert node.handovers[1].gap_ms == 6390 - 4900 - 100 and node.handovers[1].lost == 1
    assert node.keys == [figures.KeyUse(0, 0, 20, 4, 65_515)] and node.keys[0].skipped == 17


def test_recorded_events_say_the_same_as_the_log(walk):
    by_log = report.plain(report.make(folder.read(walk)))
    (walk / "events.json").write_text(json.dumps(samples.events()))
    assert report.plain(report.make(folder.read(walk)))["nodes"] == by_log["nodes"]
    (walk / "correspondent.log").unlink()
    (walk / "data.jsonl").unlink()
    made = report.make(folder.read(walk))
    assert [one.gap_ms for one in made.nodes[0].handovers] == [None, 1400, None, None]
    by_events = report.plain(made)["nodes"][0]["handovers"]
    for one, other in zip(by_events, by_log["nodes"][0]["handovers"], strict=True):
        for name in ("usable_ms", "accepted_ms", "sequence", "total_ms"):
            assert one[name] == other[name]
        assert {**one["phases"], "data": 0} == {**other["phases"], "data": 0}


def test_a_log_that_is_pulled_again_keeps_what_the_board_forgot(tmp_path):
    path = tmp_path / "board.jsonl"
    lines = samples.BOOT_1.splitlines()
    boot, half = lines[0], len(lines) // 2
    for some in (lines[: half + 2], [boot, *lines[half:]], lines[: half + 2]):
        boardlog.write(path, boardlog.pull(samples.answers("\n".join(some)), "aa", HOME))
    (kept,) = boardlog.merge(map(json.loads, path.read_text().splitlines()), "x")
    whole = boardlog.pull(samples.answers(samples.BOOT_1), "aa", HOME)
    assert kept.events == whole.events
    before = path.read_text()
    with pytest.raises(RefusedError, match="another log of board aa"):
        anew = boardlog.pull(samples.answers(samples.BOOT_NATTED), "aa", HOME)
        boardlog.write(path, anew)
    assert path.read_text() == before
    path.write_text("mine\n")
    with pytest.raises(BadInputError, match="not a board's log"):
        boardlog.write(path, whole)
    assert path.read_text() == "mine\n"


def test_a_board_alone_is_aligned_by_the_host_and_says_so(tmp_path):
    log = boardlog.pull(samples.answers(samples.BOOT_1), "aa", HOME)
    boardlog.write(tmp_path / "board.jsonl", log)
    made = report.make(folder.read(tmp_path))
    assert made.by_host and len(made.nodes[0].handovers) == 3
    assert "aligned by the host" in page.render(made)
    assert made.nodes[0].handovers[1].sequence is None


@pytest.mark.parametrize("drift", [-90e-6, 0.0, 90e-6])
def test_the_true_offset_is_within_the_error_under_drift_and_asymmetry(drift):
    bounds = []
    for i in range(60):
        sent = i * 60_000
        there, back = (5 + i % 40, 60 - i % 40)
        true = sent * (1 + drift) + 1e6
        bounds.append(clocks.from_pair(sent, int(true + there), int(sent + there + back)))
    alignment = clocks.Alignment(bounds)
    assert not alignment.contradicted
    for ms in range(0, 3_600_000, 7_777):
        offset, error = alignment.offset(ms)
        assert abs(offset - (1e6 + ms * drift)) <= error <= 40


def test_a_clock_that_was_set_is_noticed(walk):
    bounds = [clocks.from_pair(0, 1020, 40), clocks.from_pair(1000, 9020, 1040)]
    assert clocks.Alignment(bounds).contradicted
    text = (walk / "correspondent.log").read_text()
    (walk / "correspondent.log").write_text(text.replace(samples.stamp(6325), samples.stamp(7999)))
    assert "contradicts" in page.render(report.make(folder.read(walk)))


def test_percentiles_are_by_nearest_rank():
    assert figures.spread([]) is None and figures.spread([None]) is None
    assert figures.spread([3.0, None, 1.0]) == figures.Spread(2, 1.0, 3.0, 3.0)
    assert figures.spread(range(1, 101)) == figures.Spread(100, 50, 95, 100)
    assert compare.interval([1, 2, 3, 4, 5]) is None
    assert compare.interval(range(1, 7)) == (1, 6)  # 1 - 2 / 2**6 = 96.9 %
    assert compare.interval(range(1, 21)) == (6, 15)  # of tables for the binomial distribution


def test_what_is_written_agrees_and_needs_nothing_else(walk):
    made = report.make(folder.read(walk))
    made.nodes[0].handovers[1].network = made.name = "<b>&"
    place = output.write(made, walk / "out")
    text = place.read_text()
    assert "<b>&" not in text and "&lt;b&gt;&amp;" in text
    assert "http://" not in text.replace("http://www.w3.org/", "") and "https://" not in text
    assert "<script" not in text and "#0f1e" not in text
    told = json.loads((walk / "out" / "report.json").read_text())
    with (walk / "out" / "handovers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, one in zip(rows, told["nodes"][0]["handovers"], strict=True):
        for name in ("sequence", "total_ms", "signalling_ms", "gap_ms", "accepted_ms"):
            assert (
                row[name] == ""
                if one[name] is None
                else float(row[name]) == pytest.approx(one[name], abs=1e-3)
            )
    for chart in ("timeline", "handovers", "spread"):
        assert (walk / "out" / f"{chart}.png").read_bytes()[:4] == b"\x89PNG"
    assert compare.write(made, made, walk / "out").exists()
    differences = json.loads((walk / "out" / "compare.json").read_text())["differences"]
    assert all(not any(one.values()) for one in differences.values())


def test_the_command_prints_a_walk_and_two_walks(walk):
    script = {"name": "errand", "networks": {}, "steps": [{"at_ms": START, "kind": "move"}]}
    (walk / "walk.json").write_text(json.dumps(script))

    def printed(*options):
        done = CliRunner().invoke(app, ["field", "report", str(walk), *options, "--json"])
        assert done.exit_code == 0, done.output
        return checked("field-report", done.stdout)

    told = printed()
    assert (told["name"], len(told["nodes"][0]["handovers"])) == ("errand", 4)
    both = printed("--compare", str(walk))
    assert both["first"] == both["second"] == told
    assert not any(both["differences"]["total"].values())
    assert not (walk / "report").exists()


def test_folders_that_hold_nothing_or_nonsense(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(BadInputError):
            folder.read(path)
    (tmp_path / "a.jsonl").write_text('{"type": "event", "boot": 1}\n')
    with pytest.raises(BadInputError):
        folder.read(tmp_path)
    (tmp_path / "a.jsonl").write_text('[{"kind": "bound", ')
    with pytest.raises(BadInputError):
        folder.read(tmp_path)
    (tmp_path / "a.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInputError):
        folder.read(tmp_path)


def test_signal_strength_is_of_the_network_joined(tmp_path):
    lines = ["0 boot 1 1 0", "10 link cafe up", "11 signal -61", f"900 attached {ONE}"]
    lines += [f"901 update {samples.PEER} 0", f"950 acknowledged {samples.PEER} 0"]
    lines += ["2000 link down", "2001 detached", "2500 link my  office up", "2501 signal None"]
    lines += [f"3000 attached {TWO}", f"3001 update {samples.PEER} 1"]
    log = boardlog.pull(samples.answers("\n".join(lines)), "aa", HOME)
    boardlog.write(tmp_path / "board.jsonl", log)
    made = report.make(folder.read(tmp_path))
    first, second = made.nodes[0].handovers
    assert first.signal_dbm == -61 and second.joined_ms - second.left_ms == 500
    assert "dBm" in page.render(made) and len(made.nodes[0].joined.signal) == 1


def test_a_value_that_is_none_is_one_line(walk):
    """Whatever stands in a field of a log: a report, or an error that names the folder or file."""
    events = [
        {"at_ms": START + 10, "kind": "bound", "home_address": HOME, "care_of_address": ONE,
         "sequence": 9, "generation": 0, "lifetime_s": 4, "reason": None, "gap_ms": None},
        {"at_ms": START + 20, "kind": "gap", "home_address": HOME, "gap_ms": 7, "count": 1},
    ]  # fmt: skip
    (walk / "events.jsonl").write_text("".join(json.dumps(one) + "\n" for one in events))
    strange = (None, "", "x", "1", -1, 0.5, 1e300, 2**70, True, [], ["x"], {})
    refused = 0
    for path in sorted(walk.iterdir()):
        lines = path.read_text().splitlines()
        for number in {0, 1, 2, len(lines) // 2, len(lines) - 1} & set(range(len(lines))):
            try:
                whole = json.loads(lines[number])
            except ValueError:  # one of those is there on purpose
                continue
            for name in whole:
                for value in strange:
                    torn = json.dumps({**whole, name: value})
                    path.write_text("\n".join([*lines[:number], torn, *lines[number + 1 :]]))
                    try:
                        report.make(folder.read(walk))
                    except BadInputError as error:
                        refused += 1
                        assert str(walk) in str(error)
        path.write_text("\n".join(lines))
    assert refused > 100


def test_a_number_out_of_nowhere_is_no_loss_and_costs_nothing(walk):
    """Nor do a million that were lost: they are counted, not listed."""
    good = report.make(folder.read(walk)).loss
    path = walk / "data.jsonl"
    lines = path.read_text()
    for number in (9007199254740991, 1 << 52, 100_000_000):
        line = {"at_ms": START + 1500, "home_address": HOME, "number": number}
        path.write_text(f"{lines}\n{json.dumps(line)}\n")
        made = report.make(folder.read(walk))
        assert (made.loss.sent, made.loss.lost) == (good.sent + 1, good.lost)
    line = {"at_ms": START + 15_400, "home_address": HOME, "number": 900_000}
    path.write_text(f"{lines}\n{json.dumps(line)}\n")
    made = report.make(folder.read(walk))
    assert made.loss.lost == good.lost + 899_998
    assert (
        len(made.nodes[0].lost_at) < 5_000
        and sum(gap.lost for gap in made.nodes[0].gaps) > 899_998
    )
    assert made.nodes[0].handovers[-1].lost == 899_998


def test_lost_datagrams_are_counted_between_instants_as_if_listed():
    chance = random.Random(3)
    for _ in range(200):
        begin = chance.uniform(0, 100)
        end = begin + chance.choice((0.0, chance.uniform(0, 50)))
        gap = figures.Gap(begin, end, chance.randrange(1, 40))
        listed = [gap.at_ms(place) for place in range(1, gap.lost + 1)]
        for _ in range(20):
            first, last = sorted(chance.uniform(-10, 160) for _ in range(2))
            assert gap.between(first, last) == sum(first <= at < last for at in listed)


def test_the_offset_is_what_all_bounds_together_allow():
    """As found by asking each of them."""
    chance = random.Random(4)
    bounds = []
    for _ in range(60):
        ms, middle = chance.randrange(10**7), 1e12 + chance.uniform(-5, 5)
        low = chance.choice((middle - chance.uniform(0, 90), float("-inf")))
        bounds.append(clocks.Bound(ms, low, middle + chance.uniform(0, 90)))
    alignment = clocks.Alignment(bounds)
    for ms in [0.0, 1e7, *(chance.uniform(0, 1e7) for _ in range(200))]:
        drifts = [abs(ms - bound.ms) * clocks.DRIFT for bound in bounds]
        low = max(bound.low - drift for bound, drift in zip(bounds, drifts, strict=True))
        high = min(bound.high + drift for bound, drift in zip(bounds, drifts, strict=True))
        offset, error = alignment.offset(ms)
        assert offset == pytest.approx((low + high) / 2, abs=0.01)
        assert error == pytest.approx(abs(high - low) / 2, abs=0.01)


def test_confidence_is_the_same_for_few_and_many():
    for count in (499, 500, 501, 502):
        low, high = compare.interval(range(count))
        assert abs(low - (count / 2 - 0.98 * count**0.5)) < 3 and low + high == count - 1
    low, high = compare.interval(range(1_000_000))
    assert 499_000 < low < 499_100 and low + high == 999_999


def test_lists_of_events_are_read_one_by_one(walk):
    events = samples.events()
    for text, good in (
        (json.dumps(events, indent=2), True), (json.dumps(events), True), ("[]", True),
        (f"\n[{{}},3, null ,{json.dumps(events[0])}]\n", True), ("[,]", False), ("[1,]", False),
        ("[1 2]", False), (json.dumps(events)[:-1], False), ("[" * 100_000, False),
    ):  # fmt: skip
        (walk / "events.json").write_text(text)
        if good:
            folder.read(walk)
        else:
            with pytest.raises(BadInputError, match="damaged JSON"):
                folder.read(walk)


def walk_through_a_nat(folder_, *, told, pulled):
    """Logs of a walk whose second network is IPv4 behind a NAT."""
    (folder_ / "correspondent.log").write_text(samples.natted(samples.correspondent_log(), told))
    if pulled:
        log = boardlog.pull(samples.answers(samples.BOOT_NATTED), "aa", HOME)
        (folder_ / "board.jsonl").unlink(missing_ok=True)
        boardlog.write(folder_ / "board.jsonl", log)
    script = {"name": "natted", "networks": {"192.168.4.0/24": "cafe"}, "steps": []}
    (folder_ / "walk.json").write_text(json.dumps(script))
    return report.make(folder.read(folder_))


def test_the_way_stands_before_the_acknowledgement_or_behind_it(tmp_path):
    """And a way that changes later, without a move, is of no handover before it."""
    for first, second in (
        ("way {} udp4", "acknowledged {} 0"),
        ("acknowledged {} 0", "way {} udp4"),
    ):
        lines = ["0 boot 1 1 0", f"900 attached {ONE}", f"901 update {samples.PEER} 0"]
        lines += [f"950 {first.format(samples.PEER)}", f"950 {second.format(samples.PEER)}"]
        lines += [f"5000 update {samples.PEER} 1"]
        lines += [f"5001 {second.replace('udp4', 'udp6').format(samples.PEER)}"]
        lines += [f"5001 {first.replace('udp4', 'udp6').format(samples.PEER)}"]
        lines += ["6000 detached", f"6100 attached {TWO}", f"6101 update {samples.PEER} 2"]
        lines += [f"6150 acknowledged {samples.PEER} 0"]
        log = boardlog.pull(samples.answers("\n".join(lines)), "aa", HOME)
        (tmp_path / "board.jsonl").unlink(missing_ok=True)
        boardlog.write(tmp_path / "board.jsonl", log)
        made = report.make(folder.read(tmp_path))
        assert [one.way for one in made.nodes[0].handovers] == ["udp4", "udp6"]


@pytest.mark.parametrize("told, pulled", [(True, False), (True, True), (False, True)])
def test_the_way_of_a_handover_is_told_by_either_end(tmp_path, told, pulled):
    made = walk_through_a_nat(tmp_path, told=told, pulled=pulled)
    found = [(one.care_of_address, one.way) for one in made.nodes[0].handovers]
    assert found == [
        (ONE, "native"), (samples.NATTED, "udp4"), (HOME, "native"), (ONE, "native"),
    ]  # fmt: skip
    assert made.nodes[0].handovers[1].network == "cafe"
    assert list(made.ways) == ["native", "udp4"]
    signalling = made.ways["udp4"]
    assert (signalling and signalling.median) == (1052 if pulled else None)


def test_the_way_is_shown_everywhere_and_only_where_it_is_news(tmp_path, walk):
    native = report.make(folder.read(walk))
    made = walk_through_a_nat(tmp_path, told=True, pulled=True)
    place = output.write(made, tmp_path / "out")
    text = place.read_text()
    assert "inside UDP" in text and "udp4</text>" in text and "cafe, udp4" in text
    assert "Signalling, udp4" in text
    with (tmp_path / "out" / "handovers.csv").open(newline="") as file:
        assert [row["way"] for row in csv.DictReader(file)] == ["native", "udp4"] + ["native"] * 2
    done = CliRunner().invoke(app, ["field", "report", str(tmp_path), "--json"])
    told = checked("field-report", done.stdout)
    assert told["ways"]["udp4"]["median"] == 1052
    printed = CliRunner().invoke(app, ["field", "report", str(tmp_path)]).output
    assert "Signalling, udp4" in printed
    assert "udp" not in page.render(native).lower()
    both = compare.render(native, made)
    assert "Signalling, udp4" in both and "Signalling, udp4" not in compare.render(native, native)


def test_a_way_that_is_none_is_refused_and_a_word_in_the_boards_log_is_left_alone(tmp_path):
    text = samples.correspondent_log().replace('"status": 0', '"way": "pigeon"')
    (tmp_path / "correspondent.log").write_text(text)
    with pytest.raises(BadInputError):
        folder.read(tmp_path)
    (tmp_path / "correspondent.log").unlink()
    log = boardlog.pull(samples.answers(samples.BOOT_NATTED.replace("udp4", "pigeon")), "aa", HOME)
    boardlog.write(tmp_path / "board.jsonl", log)
    made = report.make(folder.read(tmp_path))
    assert {one.way for one in made.nodes[0].handovers} == {"native"}


def test_addresses_of_events_are_ipv6_or_ipv4_in_dots(tmp_path):
    for text, good in (
        ("192.0.2.1", True), ("::ffff:192.0.2.1", True), ("192.0.2", False), ("1.2.3.4/8", False),
        ("fe80::1%eth0", False),
    ):  # fmt: skip
        lines = samples.natted(samples.correspondent_log()).replace(samples.NATTED, text)
        (tmp_path / "correspondent.log").write_text(lines)
        if good:
            told = folder.read(tmp_path).told
            assert told[1].care_of_address == "192.0.2.1"
        else:
            with pytest.raises(BadInputError):
                folder.read(tmp_path)


def test_since_when_and_what_networks_are_called(walk):
    runner = CliRunner()

    def printed(*options):
        done = runner.invoke(app, ["field", "report", str(walk), *options, "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)["nodes"][0]["handovers"]

    whole = printed()
    moment = datetime.fromtimestamp((START + 9050) / 1000, timezone.utc).isoformat()
    later = printed("--since", moment)
    assert len(later) == 2 and later == whole[-2:] and len(whole) == 4
    (walk / "networks.json").write_text('{"2001:db8:2::/64": "yard", "2001:db8:1::5": "shed"}')
    assert [one["network"] for one in printed()][:2] == ["shed", "yard"]
    named = printed("--network", "2001:db8:2::7=the café")
    assert [one["network"] for one in named][:2] == ["shed", "the café"]
    for wrong in ("2001:db8::/32=x", "cafe", "2001:db8:2::=", "=x"):
        done = runner.invoke(app, ["field", "report", str(walk), "--network", wrong])
        assert done.exit_code == 2
    done = runner.invoke(app, ["field", "report", str(walk), "--since", "2100-01-01"])
    assert isinstance(done.exception, BadInputError) and "of that time" in str(done.exception)
    (walk / "networks.json").write_text("[]")
    with pytest.raises(BadInputError, match="no names of networks"):
        folder.read(walk)


def test_the_later_walk_is_better_or_worse():
    slow, fast = range(100, 140), range(50, 90)
    assert compare.verdict(slow, fast) == "better" and compare.verdict(fast, slow) == "worse"
    assert compare.verdict(slow, slow) == "no clear difference"
    assert compare.verdict(slow, [1, 2]) == "too few to tell"


def test_what_it_is_compared_with_came_before(walk, tmp_path):
    other = tmp_path / "before"
    shutil.copytree(walk, other)
    done = CliRunner().invoke(
        app, ["field", "report", str(walk), "--compare", str(other), "--json"]
    )
    assert done.exit_code == 0, done.output
    both = json.loads(done.stdout)
    assert both["first"]["name"] == "before"
    page_ = compare.render(report.make(folder.read(other)), report.make(folder.read(walk)))
    assert "before" in page_ and "less is better" in page_


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("UTC", "(UTC)"),
        ("Europe/Berlin", "(CET, UTC+01:00)"),
        ("Asia/Kolkata", "(IST, UTC+05:30)"),
    ],
)
def test_times_are_local_and_say_so(monkeypatch, zone, shown):
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert page.local(datetime.fromtimestamp(START / 1000, timezone.utc)).endswith(shown)
    finally:
        monkeypatch.undo()
        time.tzset()
