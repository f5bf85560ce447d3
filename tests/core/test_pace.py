"""When updates leave: by the round trips known, three a second at most, ever more seldom."""

from peer import CN, COA1, COA2, COA3, Correspondent, drain, receive
from test_bindings import bound, state

from mip6.bindings.pace import Pace


def sent_in(pace, milliseconds, first=False, ways=1, start=100000):
    """When the updates of a series leave of which none is answered, from its start on."""
    times = []
    now = pace.begin(first, start)
    while now < start + milliseconds:
        pace.soon = (pace.prompt or 350) if len(times) % ways < ways - 1 else 0
        times.append(now - start)
        now = pace.note(len(times), now, (0, COA1, None, 0))
    return times


def test_without_a_round_trip_the_numbers_of_rfc_6275_count():
    assert sent_in(Pace(), 20000) == [0, 1000, 3000, 7000, 15000]
    assert sent_in(Pace(), 20000, first=True) == [0, 1500, 4500, 10500]


def test_a_known_round_trip_hurries_the_first_retransmission_and_the_backoff_goes_on():
    for trip, gap in ((0, 350), (40, 350), (116, 350), (200, 600), (1000, 2000), (60000, 3000)):
        pace = Pace()
        pace.took(trip)
        times = sent_in(pace, 15 * gap, first=True)
        assert times == [0, gap, 3 * gap, 7 * gap], (trip, times)


def test_steady_round_trips_count_twice_and_others_by_how_far_they_vary():
    pace = Pace()
    for _ in range(50):
        pace.took(400)
    assert 800 <= pace.prompt <= 820
    pace.took(2000)  # another network, maybe: the next update waits as long as it may take
    assert pace.prompt >= 2000
    for _ in range(50):
        pace.took(20)
    assert pace.prompt == 350


def test_whoever_holds_answers_back_costs_three_seconds_at_most():
    pace = Pace()
    for _ in range(20):
        pace.took(3600000)
    assert pace.prompt == 3000
    pace.took(40)
    assert pace.prompt == 1000  # as where nothing is known
    for _ in range(40):
        pace.took(40)
    assert pace.prompt == 350


def test_another_way_is_a_retransmission_too():
    pace = Pace()
    assert sent_in(pace, 5000, ways=2) == [0, 350, 1350, 1700, 3700, 4050]
    pace.took(40)
    assert sent_in(pace, 5000, ways=2, start=200000) == [0, 350, 1050, 1400, 2800, 3150]


def test_never_more_than_three_in_any_second_however_many_ways():
    for trip in range(0, 1200, 30):
        for ways in (1, 2, 3, 4):
            pace = Pace()
            pace.took(trip)
            before = sent_in(pace, 900, ways=ways)  # then the node moves
            times = before + [900 + at for at in sent_in(pace, 40000, ways=ways, start=100900)]
            for at in range(3, len(times)):
                assert times[at] - times[at - 3] >= 1000, (trip, ways, times)
            assert len(times) <= 3 + 9 * ways, (trip, ways, times)


def test_silence_costs_two_numbers_more_than_without_a_round_trip():
    hour = 3600000
    known = Pace()
    known.took(40)
    assert len(sent_in(known, hour)) <= len(sent_in(Pace(), hour)) + 2


def test_round_trips_are_known_over_moves_and_by_number():
    bindings, cn, _ = bound()  # its first answer took 40 ms
    binding = bindings.find(CN)
    now = 10000
    for address in (COA2, COA3, COA1):
        bindings.attach(address, now)
        first = cn.read(drain(bindings, now)[0])
        assert drain(bindings, now + 349) == []
        second = cn.read(drain(bindings, now + 350)[0])
        assert second.sequence == first.sequence + 1
        receive(bindings, cn.answer(first), now + 360)  # to the first, after a retransmission
        assert state(bindings) == "bound" and binding.round_trip == 360
        binding.pace.prompt = 350
        now += 10000


def test_a_number_that_never_left_has_no_round_trip():
    bindings, cn, _ = bound()
    bindings.attach(COA2, 10000)
    assert drain_refused(bindings, 10000)
    now = bindings.wakes_at()
    update = cn.read(drain(bindings, now)[0])
    assert update.sequence == 1 and now > 10000
    receive(bindings, cn.answer(update), now + 40)
    assert bindings.find(CN).round_trip == 40


def drain_refused(bindings, now):
    """Draw what is due, which the platform refuses; whether there was anything."""
    packet = bindings.next_packet(now)
    bindings.unsent()
    return packet is not None


def test_three_a_second_over_moves_with_a_known_round_trip():
    bindings, cn, _ = bound()
    times = []
    for now in range(10000, 20000, 10):
        if now % 130 == 0:
            bindings.attach(COA2 if now % 260 else COA3, now)
        times.extend(now for _ in drain(bindings, now))
    for at in range(3, len(times)):
        assert times[at] - times[at - 3] >= 1000
    assert isinstance(cn, Correspondent) and len(times) <= 31
