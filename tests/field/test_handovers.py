"""Hand-made logs of what a walk may hold: each handover is what it was, and no number another's.

Times are milliseconds since the board's boot 1 began; the way takes ten milliseconds.
"""

import json
import random
from pathlib import Path

import pytest
import samples
from samples import HOME, ONE, PEER, START, TWO

from roamkey.errors import BadInputError
from roamkey.field import boardlog, compare, figures, folder, output, page, report
from roamkey.field.folder import Datagram
from roamkey.field.registrations import Follower
from roamkey.field.silences import Intervals

OTHER = "2001:db8:c::3"
THREE = "2001:db8:3::ff:fe00:1"


class Logs:
    """A folder of logs."""

    def __init__(self, place):
        self.place = place

    def board(self, lines, name="board", board="aa", home=HOME, ms=99_000):
        log = boardlog.pull(samples.answers("\n".join(lines), ms=ms), board, home)
        boardlog.write(self.place / f"{name}.jsonl", log)

    def told(self, *updates, peer=None, name="correspondent", home=HOME):
        """(ms, sequence, care-of address or None: removed at home, generation)"""
        lines = [] if peer is None else [{"event": "ready", "address": peer}]
        for ms, sequence, care_of, *more in updates:
            lines.append({
                "time": samples.stamp(ms), "event": "accepted" if care_of else "removed",
                "home_address": home, "care_of_address": care_of or home, "sequence": sequence,
                "generation": more[0] if more else 0, "status": 0, "lifetime_s": 3600,
            })  # fmt: skip
        self.write(f"{name}.log", lines)

    def recorded(self, *events, name="events"):
        self.write(f"{name}.jsonl", [{"home_address": HOME, **one} for one in events])

    def data(self, arrivals, care_of=None):
        more = {} if care_of is None else {"care_of_address": care_of}
        self.write("data.jsonl", [
            {"at_ms": START + ms, "home_address": HOME, "number": number, **more}
            for ms, number in arrivals
        ])  # fmt: skip

    def write(self, name, objects):
        with (self.place / name).open("a") as file:
            file.writelines(json.dumps(one) + "\n" for one in objects)

    def report(self):
        return report.make(folder.read(self.place))

    def handovers(self):
        (node,) = self.report().nodes
        return node.handovers


@pytest.fixture
def logs(tmp_path):
    return Logs(tmp_path)


def registered(ms, care_of, sequence, peer=PEER, uplink="wlan0", data="waited"):
    """Lines of a board that registers at `ms`, and is answered twenty milliseconds later; at home
    data don't wait for that."""
    return [
        f"{ms} attached {care_of} {uplink}",
        f"{ms} update {peer} {sequence}",
        *([f"{ms} data {peer} {data}"] if care_of == HOME else []),
        f"{ms + 20} acknowledged {peer} 0",
        *([f"{ms + 20} data {peer} {data}"] if care_of != HOME else []),
    ]


def begun(*more):
    return ["0 boot 1 1 0", "10 link wlan0 up", *registered(100, ONE, 0), *more]


def sent(begin, end, every, silent=(), late=()):
    """(arrival, number) of a sensor; silent: spans in which nothing passes, and what is sent
    waits until their end; late: the same, and what was sent is lost."""
    found = []
    for number, ms in enumerate(range(begin, end, every)):
        at = ms
        for first, last in silent:
            at = last if first <= ms < last else at
        if not any(first <= ms < last for first, last in late):
            found.append((at + 10, number))
    return sorted(found)


# --- the data gap


def test_the_gap_of_a_return_home_is_the_silence_and_not_what_follows(logs):
    """At home data leave at once: when the removal is accepted, the silence is over."""
    logs.board(begun(
        "5000 link wlan0 down", "5000 detached", "5050 link wlan0 up",
        *registered(7140, HOME, 1),
    ))  # fmt: skip
    logs.told((110, 0, ONE), (7158, 1, None))
    logs.data(sent(120, 12_000, 100, silent=[(5000, 7140)]))
    home = logs.handovers()[1]
    assert home.why == "home" and home.silence_ms == 7150 - 4930
    assert home.gap_ms == 7150 - 4930 - 100
    assert home.link_up_to_datagram_ms == pytest.approx(2100, abs=home.error_ms + 1)
    assert home.network_ms == 2090 and home.radio_ms == 50


def test_a_walk_that_was_recorded_was_silent_as_long_as_it_had_no_address():
    """Both returns home waited two seconds for an address (data/README.md)."""
    made = report.make(folder.read(Path(__file__).parent / "data" / "returns"))
    handovers = made.nodes[0].handovers
    assert [one.why for one in handovers] == ["start"] + ["move", "move", "home"] * 2
    for one in handovers[1:]:
        assert one.silence_ms >= one.usable_ms - one.left_ms
        assert one.gap_ms == pytest.approx(one.silence_ms - 100, abs=10)
        felt = one.radio_ms + one.link_up_to_datagram_ms
        assert felt - 25 <= one.silence_ms <= felt + 125  # what is on its way, and an interval
    assert all(one.gap_ms > 1_900 for one in handovers if one.why == "home")


def test_the_same_from_the_correspondent_alone(logs):
    """The update may even have been sent again, a second after the data."""
    logs.told((110, 0, ONE), (8150, 2, None))
    logs.data(sent(120, 12_000, 100, silent=[(5000, 7140)]))
    home = logs.handovers()[1]
    assert home.why == "home" and home.gap_ms == 7150 - 4930 - 100


@pytest.mark.parametrize("every, gap", [(100, 1920), (1000, 1020), (10_000, 0)])
def test_a_sensor_that_speaks_now_and_then_is_not_interrupted_meanwhile(logs, every, gap):
    moves = begun(
        "25010 link wlan0 down", "25010 detached", "25060 link wlan0 up",
        *registered(27_000, TWO, 1, data="new" if every > 5000 else "waited"),
        "45000 link wlan0 down", "45000 detached", "45010 link wlan0 up",
        *registered(45_100, ONE, 2, data="new"),
    )  # fmt: skip
    moves[-1] = f"{45_120 if every < 5000 else 50_000} data {PEER} new"
    if every > 5000:
        moves = [line.replace("27020 data", "30000 data") for line in moves]
    logs.board(moves)
    logs.told((110, 0, ONE), (27_010, 1, TWO), (45_110, 2, ONE))
    logs.data(sent(0, 80_000, every, silent=[(25_010, 27_020), (45_000, 45_120)]))
    _, moved, again = logs.handovers()
    assert moved.interval_ms == pytest.approx(every, rel=0.03)
    assert moved.gap_ms == pytest.approx(gap, abs=0.05 * every)
    assert moved.gap_ms >= 0 and again.gap_ms <= 120
    # From the link up to the first datagram, but for what the sensor kept to itself.
    assert moved.link_up_to_datagram_ms == pytest.approx(27_030 - 25_060, abs=12)
    assert again.link_up_to_datagram_ms == pytest.approx(130 - 10, abs=12)


def test_boards_of_before_do_not_say_whether_data_waited_but_numbers_do(logs):
    logs.board([
        line.replace(" waited", "").replace(" new", "").replace(" wlan0", "", "attached" in line)
        for line in begun(
            "25010 link wlan0 down", "25010 detached", "25060 link wlan0 up",
            *registered(27_000, TWO, 1)[:3], f"30000 data {PEER}",
        )
    ])  # fmt: skip
    logs.told((110, 0, ONE), (27_010, 1, TWO))
    logs.data(sent(0, 80_000, 10_000))
    moved = logs.handovers()[1]
    assert moved.waited is None and moved.sensor_ms == pytest.approx(30_010 - 27_030, abs=12)
    assert moved.link_up_to_datagram_ms == pytest.approx(27_030 - 25_060, abs=12)


def test_what_waited_and_came_at_once_is_not_how_a_sensor_speaks():
    """Moves each three seconds, two of which nothing passes: most datagrams come in bursts."""
    silent = [(at, at + 2000) for at in range(1000, 60_000, 3000)]
    data = [Datagram(at, n) for at, n in sent(0, 60_000, 100, silent=silent)]
    intervals = Intervals(data)
    for index in range(0, len(data), 37):
        assert intervals.at(index) == pytest.approx(100, rel=0.1)
    assert Intervals(data[:2]).at(0) is None
    again = [Datagram(at, n) for at, n in sent(0, 900, 100)]
    again += [Datagram(5000 + at, n) for at, n in sent(0, 900, 100)]  # it began anew
    assert Intervals(again).at(3) == pytest.approx(100)


def test_datagrams_on_their_way_as_the_link_goes_end_no_silence(logs):
    logs.board(begun(
        "5000 link wlan0 down", "5000 detached", "5010 link wlan0 up", *registered(5020, TWO, 1),
    ))  # fmt: skip
    logs.told((110, 0, ONE), (5030, 1, TWO))
    data = [*sent(120, 4990, 10), (5035, 600)]
    logs.write("data.jsonl", [
        {"at_ms": START + ms, "home_address": HOME, "number": n, "care_of_address": ONE}
        for ms, n in data
    ] + [
        {"at_ms": START + 5050 + 10 * n, "home_address": HOME, "number": 601 + n,
         "care_of_address": TWO}
        for n in range(50)
    ])  # fmt: skip
    moved = logs.handovers()[1]
    assert moved.arrived_ms == START + 5050


# --- two uplinks


def test_where_another_uplink_carries_on_no_link_is_lost(logs):
    logs.board(begun(
        "5000 link eth0 up", "5100 router eth0",
        *registered(5140, TWO, 1, uplink="eth0"),
        "9000 link wlan0 down",  # nobody misses it
        "20000 link eth0 down", "20000 detached", "21000 link wlan0 up",
        *registered(21_500, ONE, 2),
    ))  # fmt: skip
    logs.told((110, 0, ONE), (5150, 1, TWO), (21_510, 2, ONE))
    logs.data(sent(120, 30_000, 100, silent=[(20_000, 21_520)]))
    _, over, back = logs.handovers()
    assert over.left_ms is None and over.uplink == "eth0" and over.total_ms is None
    assert over.phases()["link down"] is None
    assert (over.phases()["router"], over.phases()["address"]) == (100, 40)
    assert over.gap_ms == 0 and over.radio_ms is None
    assert (back.radio_ms, back.network_ms) == (1000, 500)


def test_an_uplink_that_was_there_already_was_not_waited_for(logs):
    logs.board(begun(
        "200 link eth0 up", "20000 link wlan0 down", *registered(20_003, TWO, 1, uplink="eth0"),
    ))  # fmt: skip
    logs.told((110, 0, ONE), (20_013, 1, TWO))
    moved = logs.handovers()[1]
    assert (moved.radio_ms, moved.network_ms, moved.total_ms) == (0, 3, 23)


def test_a_name_with_blanks_and_a_station_without_names_in_down(logs):
    logs.board([
        "0 boot 1 1 0", "10 link my  cafe up", *registered(100, ONE, 0, uplink="my  cafe"),
        "5000 link down", "5000 detached", "5300 link hotel up", "5320 router hotel",
        *registered(5400, TWO, 1, uplink="hotel"),
    ])  # fmt: skip
    logs.told((110, 0, ONE), (5410, 1, TWO))
    first, moved = logs.handovers()
    assert first.uplink == "my  cafe" and first.joined_ms is not None
    assert (moved.phases()["link down"], moved.phases()["router"]) == (300, 20)


def test_signal_strength_may_be_told_behind_an_address_that_was_there_at_once(logs):
    logs.board([
        "0 boot 1 1 0", "10 link cafe up", "11 signal -60",
        *registered(100, ONE, 0, uplink="cafe"),
        "5000 link hotel up", *registered(5004, TWO, 1, uplink="hotel"), "5030 signal -71",
    ])  # fmt: skip
    logs.told((110, 0, ONE), (5014, 1, TWO))
    assert [one.signal_dbm for one in logs.handovers()] == [-60, -71]


def test_a_router_that_is_heard_behind_a_remembered_address_took_no_time(logs):
    logs.board(begun(
        "5000 link wlan0 down", "5000 detached", "5200 link wlan0 up",
        *registered(5204, TWO, 1), "5290 router wlan0", "5300 router wlan0",
    ))  # fmt: skip
    logs.told((110, 0, ONE), (5214, 1, TWO))
    moved = logs.handovers()[1]
    assert moved.router_ms - moved.joined_ms == 90
    assert moved.phases()["router"] is None and moved.phases()["address"] == 4


# --- why a node registers


def farewell(ms, sequence):
    return [f"{ms} state {PEER} closing", f"{ms} update {PEER} {sequence}",
            f"{ms + 20} acknowledged {PEER} 0", f"{ms + 20} state {PEER} closed"]  # fmt: skip


def test_a_planned_reset_is_no_return_home(logs):
    """The node has its binding removed where it is: by its own log and by the record alone."""
    boot_2 = ["30000 boot 1", *farewell(30_500, 1), "0 boot 2 3 0", "5 link wlan0 up",
              *registered(50, ONE, 2), "9000 link wlan0 down", "9000 detached",
              "9010 link wlan0 up", *registered(9100, TWO, 3)]  # fmt: skip
    logs.board(begun(*boot_2))
    told = [(110, 0, ONE), (30_510, 1, ONE), (33_060, 2, ONE), (42_110, 3, TWO)]
    logs.told(*told)
    path = logs.place / "correspondent.log"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[1] |= {"event": "removed", "lifetime_s": 0}
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    wanted = [("start", ONE), ("power", ONE), ("move", TWO)]
    assert [(one.why, one.care_of_address) for one in logs.handovers()] == wanted
    (logs.place / "board.jsonl").unlink()
    assert [(one.why, one.care_of_address) for one in logs.handovers()] == wanted
    path.write_text(path.read_text().replace(ONE, THREE, 2))  # it was carried away meanwhile
    wanted = [("start", THREE), ("power", ONE), ("move", TWO)]
    assert [(one.why, one.care_of_address) for one in logs.handovers()] == wanted


@pytest.mark.parametrize(
    "home, following", [(True, ONE), (False, ONE), (True, TWO)], ids=["data", "none", "elsewhere"]
)
def test_of_records_that_do_not_say_where_it_was_removed_data_tell(logs, home, following):
    """Release 0.1.0 recorded no care-of address of what was removed."""
    common = {"correspondent": PEER, "generation": 0, "lifetime_s": 60}
    logs.recorded(
        {"at_ms": START + 100, "kind": "bound", "care_of_address": ONE, "sequence": 0, **common},
        {"at_ms": START + 9000, "kind": "removed", "previous": ONE, "sequence": 1, **common},
        {"at_ms": START + 20_000, "kind": "bound", "care_of_address": following,
         "sequence": 2, **common},
    )  # fmt: skip
    logs.data(sent(200, 30_000 if home and following == ONE else 9000, 100))
    if not home:
        logs.data([(20_100 + 100 * n, n) for n in range(20)])
    wanted = ["start", "home", "move"] if home else ["start", "power"]
    assert [one.why for one in logs.handovers()] == wanted


def test_restarts_are_not_among_handovers(logs):
    """The best of all would be one that has all it needs when it starts."""
    logs.board(begun(
        "5000 link wlan0 down", "5000 detached", "5200 link wlan0 up",
        *registered(5300, TWO, 1), "0 boot 2 1 0", "1 link wlan0 up", *registered(2, TWO, 2),
    ))  # fmt: skip
    logs.told((110, 0, ONE), (5310, 1, TWO), (50_012, 2, TWO))
    made = logs.report()
    assert [one.why for one in made.nodes[0].handovers] == ["start", "move", "power"]
    assert all(one is None or one.count == 1 for one in made.spreads.values())
    assert made.spreads["network"].median == 100
    assert {why: found.count for why, found in made.kinds.items()} == {"power": 1, "move": 1}
    assert made.ways["native"].count == 1


def test_a_restart_that_only_the_correspondent_saw_is_one_where_numbers_begin_anew(logs):
    logs.told((110, 0, ONE), (9000, 1, TWO), (20_000, 40, THREE))
    data = sent(120, 8000, 100) + [(9030 + 100 * n, 80 + n) for n in range(40)]
    logs.data(data + [(20_050 + 100 * n, n) for n in range(50)])
    assert [one.why for one in logs.handovers()] == ["start", "move", "power"]


def test_new_keys_on_a_board_that_goes_on_are_a_start(logs):
    logs.board(begun(*farewell(5000, 1), *registered(5500, ONE, 0)))
    logs.told((110, 0, ONE), (5010, 1, None), (5510, 0, ONE, 1))
    assert [one.why for one in logs.handovers()] == ["start", "power"]


# --- which update is which acceptance


def generations(told):
    """Two walks of one boot, the second under the next key with the same numbers."""

    def lines(begin, generation):
        found = [f"{begin} generation {PEER} {generation}"] if told else []
        for number in range(6):
            at = begin + 4000 * number
            found += [f"{at + 100} link wlan0 down", f"{at + 100} detached",
                      f"{at + 200} link wlan0 up",
                      *registered(at + 300, (ONE, TWO)[number % 2], number)]  # fmt: skip
        return found

    return ["0 boot 1 1 0", *lines(1000, 0), *lines(500_000, 1)]


@pytest.mark.parametrize("told", [True, False])
def test_two_keys_have_the_same_numbers(logs, told):
    """With the key in the board's log, and in those of before, where times have to tell."""
    logs.board(generations(told))
    logs.told(*(
        (begin + 4000 * number + 310, number, (ONE, TWO)[number % 2], generation)
        for generation, begin in enumerate((1000, 500_000)) for number in range(6)
    ))  # fmt: skip
    made = logs.report()
    (node,) = made.nodes
    assert len(node.handovers) == 12 and all(one.on_board for one in node.handovers)
    assert [one.generation for one in node.handovers] == [0] * 6 + [1] * 6
    assert all(one.error_ms < 12 for one in node.handovers)
    assert not any(one.contradicted for _, one in node.joined.alignments)
    assert [key.updates for key in node.keys] == [6, 6]


def test_a_number_lost_under_one_key_is_not_that_of_the_next(logs):
    """0 and 1 under key 7; 0 under key 8 is lost, and 1 is accepted."""
    logs.board([
        "0 boot 1 1 0", "10 link wlan0 up", f"90 generation {PEER} 7", *registered(100, ONE, 0),
        "5000 link wlan0 down", "5000 detached", "5010 link wlan0 up", *registered(5100, TWO, 1),
        "60000 link wlan0 down", "60000 detached", "60010 link wlan0 up",
        f"60100 attached {ONE} wlan0", f"60100 generation {PEER} 8", f"60100 update {PEER} 0",
        f"61100 update {PEER} 1", f"61120 acknowledged {PEER} 0",
    ])  # fmt: skip
    logs.told((110, 0, ONE, 7), (5110, 1, TWO, 7), (61_110, 1, ONE, 8))
    last = logs.handovers()[-1]
    assert (last.generation, last.sequence, last.updates) == (8, 1, 2)
    assert last.phases()["again"] == 1000 and last.error_ms < 12


def test_two_correspondents_of_one_board_have_the_same_numbers(logs):
    lines = ["0 boot 1 1 0"]
    for number in range(5):
        at, place = 1000 + 5000 * number, (ONE, TWO)[number % 2]
        lines += [f"{at} link wlan0 down", f"{at} detached", f"{at + 50} link wlan0 up",
                  f"{at + 100} attached {place} wlan0", f"{at + 100} update {PEER} {number}",
                  f"{at + 100} update {OTHER} {number}", f"{at + 120} acknowledged {PEER} 0",
                  f"{at + 300} acknowledged {OTHER} 0",
                  f"{at + 300} data {OTHER} waited"]  # fmt: skip
    logs.board(lines)
    for peer, name, late in ((PEER, "a", 10), (OTHER, "b", 100)):
        logs.told(*(
            (1100 + 5000 * n + late, n, (ONE, TWO)[n % 2]) for n in range(5)
        ), peer=peer, name=name)  # fmt: skip
    handovers = logs.handovers()
    assert len(handovers) == 10 and all(one.on_board for one in handovers)
    assert {(one.correspondent, one.accepted_ms - START - 1100 - 5000 * one.sequence)
            for one in handovers} == {(PEER, 10), (OTHER, 100)}  # fmt: skip
    # Known from the records alone: each correspondent's moves, and none twice.
    (logs.place / "board.jsonl").unlink()
    assert [one.why for one in logs.handovers()] == ["start", "start"] + ["move"] * 8


def test_a_record_that_lies_there_twice_counts_once(logs):
    logs.board(begun())
    for name in ("a", "b"):
        logs.told((110, 0, ONE), (5000, 1, TWO), name=name)
    made = logs.report()
    assert [one.sequence for one in made.nodes[0].handovers] == [0, 1]
    assert made.nodes[0].keys[0].updates == len(made.nodes[0].told) == 2


def test_an_acceptance_that_came_twice_is_the_first(logs):
    """An answer was lost, the update came again: with another number, or written down twice."""
    logs.board(begun())
    logs.told((110, 0, ONE), (1110, 0, ONE))
    (one,) = logs.handovers()
    assert one.accepted_ms == START + 110 and one.on_board


def test_two_boards_have_two_addresses_or_one_after_the_other(logs):
    logs.board(begun())
    logs.board(begun(), name="second", board="bb", home="2001:db8:a::ff:fe00:2")
    logs.told((110, 0, ONE))
    logs.told((70_110, 0, ONE), home="2001:db8:a::ff:fe00:2")
    one, other = logs.report().nodes
    assert [len(node.handovers) for node in (one, other)] == [1, 1]
    assert other.handovers[0].accepted_ms == START + 70_110
    # A board took the other's place, with its address and the next numbers.
    logs.board([line.replace(f"{PEER} 0", f"{PEER} 9", "update" in line) for line in begun()],
               name="third", board="cc")  # fmt: skip
    logs.told((90_110, 9, ONE))
    found = logs.report().nodes[0].handovers
    assert [(one.sequence, one.boot, one.accepted_ms - START) for one in found] == [
        (0, 1, 110), (9, 1, 90_110),
    ]  # fmt: skip


def test_a_board_that_got_another_address_keeps_what_was_before(logs):
    lines = begun()
    logs.board(lines)
    second = "2001:db8:a::ff:fe00:2"
    later = [*lines, *farewell(50_000, 1), *registered(60_000, TWO, 0)]
    logs.board(later, name="later", home=second)
    logs.told((110, 0, ONE))
    logs.told((60_010, 0, TWO), home=second)
    one, other = logs.report().nodes
    assert [each.care_of_address for each in one.handovers] == [ONE]
    assert [each.care_of_address for each in other.handovers] == [TWO]


def test_a_log_asked_for_over_the_air_is_its_board_s(logs):
    logs.board(begun())
    logs.board(begun("5000 link wlan0 down"), name="air", board=HOME)
    logs.told((110, 0, ONE))
    (node,) = logs.report().nodes
    assert node.joined.board == "aa" and len(node.handovers) == 1


def test_a_board_without_keys_is_one_line(logs):
    logs.board(["0 boot 1 1 0"], home=None)
    with pytest.raises(BadInputError, match="home address"):
        logs.report()


# --- whatever the lines


WORDS = (ONE, TWO, HOME, PEER, OTHER, "wlan0", "eth0", "up", "down", "0", "1", "2", "7", "300",
         "waited", "new", "udp4", "closing", "bound", "x", "", "-5",
         "99999999999999999999")  # fmt: skip
KINDS = ("boot", "link", "router", "signal", "attached", "detached", "update", "acknowledged",
         "data", "state", "generation", "way", "nonsense")  # fmt: skip


def likely(chance, ms):
    """A line that a board may write, somewhere."""
    peer, place = chance.choice((PEER, OTHER)), chance.choice((ONE, TWO, HOME))
    uplink, number = chance.choice(("wlan0", "eth0")), chance.randrange(6)
    return chance.choice((
        f"{ms} link {uplink} up", f"{ms} link {uplink} down", f"{ms} link down",
        f"{ms} router {uplink}", f"{ms} attached {place} {uplink}", f"{ms} attached {place}",
        f"{ms} detached", f"{ms} update {peer} {number}", f"{ms} update {peer} {number}",
        f"{ms} acknowledged {peer} 0", f"{ms} acknowledged {peer} 135", f"{ms} data {peer} new",
        f"{ms} data {peer} waited", f"{ms} data {peer}", f"{ms} state {peer} closing",
        f"{ms} generation {peer} {number % 2}", f"{ms} way {peer} udp4",
        f"0 boot {chance.randrange(1, 4)} 1 0",
    ))  # fmt: skip


def test_any_order_of_lines_is_read_and_nothing_takes_less_than_no_time(logs, tmp_path_factory):
    chance = random.Random(14)
    for trial in range(400):
        place = Logs(tmp_path_factory.mktemp(f"walk{trial}"))
        lines, ms = ["0 boot 1 1 0"], 0
        for _ in range(chance.randrange(60)):
            ms += chance.choice((0, 1, 20, 500, 9000))
            lines.append(likely(chance, ms))
            if chance.random() < 0.05:
                words = [chance.choice(WORDS) for _ in range(chance.randrange(4))]
                lines.append(" ".join([str(ms), chance.choice(KINDS), *words]))
        place.board(lines)
        for peer in chance.sample((PEER, OTHER, None), chance.randrange(3)):
            place.told(*(
                (chance.randrange(-5000, ms + 9000), chance.randrange(6),
                 chance.choice((ONE, TWO, None)), chance.randrange(2))
                for _ in range(chance.randrange(12))
            ), peer=peer, name=f"c{peer}".replace(":", ""))  # fmt: skip
        if chance.random() < 0.7:
            begin = chance.randrange(ms + 1)
            place.data([(begin + chance.randrange(ms + 2000), chance.randrange(80))
                        for _ in range(chance.randrange(90))])  # fmt: skip
        made = place.report()
        for one in (each for node in made.nodes for each in node.handovers):
            lengths = list(one.phases().values())
            lengths += [getattr(one, f"{key}_ms") for key, _, _ in report.MEASURES]
            lengths += [one.silence_ms, one.interval_ms, one.sensor_ms, one.lost]
            assert all(length is None or length >= 0 for length in lengths), (trial, one)
        if trial % 200 == 0:
            output.write(made, place.place / "out")
            compare.render(made, made)


def test_parts_add_up(logs):
    """Phases are those of the whole, wherever the clocks meet."""
    logs.board(begun(
        "5000 link wlan0 down", "5000 detached", "5200 link wlan0 up", "5203 router wlan0",
        *registered(5300, TWO, 1),
    ))  # fmt: skip
    logs.told((110, 0, ONE), (5310, 1, TWO))
    logs.data(sent(0, 9000, 20, silent=[(5000, 5320)]))
    one = logs.handovers()[1]
    phases = one.phases()
    assert phases.pop("test") is None  # a key authorizes
    assert sum(phases.values()) == pytest.approx(one.radio_ms + one.link_up_to_datagram_ms)
    assert one.network_ms + one.roamkey_ms == pytest.approx(one.link_up_to_datagram_ms)
    assert phases["router"] + phases["address"] == one.network_ms
    made = logs.report()
    assert "of the median network 100" in made.headline and "radio 200" in made.headline
    assert "Link up → first datagram" in page.render(made)


def test_what_return_routability_waited_for_is_a_phase(logs):
    """Its tests, from the address on; what was tested elsewhere, or is renewed, is none."""
    logs.board(begun(
        f"3000 tested {PEER} home", f"3001 tested {PEER} care-of",
        "5000 link wlan0 down", "5000 detached", "5200 link wlan0 up",
        f"5300 attached {TWO} wlan0", f"5340 tested {PEER} home", f"5362 tested {PEER} care-of",
        f"5364 update {PEER} 1", f"5384 acknowledged {PEER} 0", f"5384 data {PEER} waited",
        f"5400 tested {PEER} home",
    ))  # fmt: skip
    logs.told((110, 0, ONE), (5374, 1, TWO))
    first, moved = logs.handovers()
    assert first.phases()["test"] is None
    assert (moved.phases()["test"], moved.phases()["send"]) == (62, 2)


def test_a_link_that_came_before_an_update_was_sent_twice_is_followed():
    """The follower alone: an uplink that goes while another is in use isn't missed."""
    follower = Follower(HOME, {})
    for line in ("1 link a up", f"2 attached {ONE} a", "3 link b up", f"4 attached {TWO} b",
                 "5 link a down", f"6 update {PEER} 3"):  # fmt: skip
        at, kind, *detail = line.split()
        follower.take(boardlog.Event(1, int(at), kind, tuple(detail)))
    (one,) = follower.registrations
    assert (one.place.left, one.place.joined, one.place.uplink) == (None, 3, "b")
    assert figures.key_use([]) == []
