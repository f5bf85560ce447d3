"""Ways to a correspondent: inside UDP, raced with the native one, remembered; names."""

from peer import CN, COA1, COA2, HOME, Correspondent, drain, keystore, receive
from test_bindings import state

from mip6 import addresses, messages, packets
from mip6.bindings import silence, ways
from mip6.bindings.update_list import BindingUpdateList

IPV4 = addresses.parse("10.0.0.5")
IPV4_LATER = addresses.parse("10.1.0.5")
OUTSIDE = addresses.parse("192.0.2.1")
OUTSIDE6 = addresses.parse("2001:db8:99::1")
REACH = [("192.0.2.1", 4191)]
ONE_WAY = 20


def node(reach=REACH, native=True, now=0):
    """The bindings of a node that has everything, and its correspondent."""
    events = []
    bindings = BindingUpdateList(
        keystore(reach=reach), now, lambda *event: events.append(event), native, True
    )
    bindings.told = events
    return bindings, Correspondent()


def kinds(bindings, now):
    """The updates that the node sends now: (kind, update)."""
    sent = []
    for packet in drain(bindings, now):
        update = Correspondent().read(packet)
        kind = ways.NATIVE
        if update.outer is not None:
            kind = ways.UDP4 if addresses.is_ipv4(update.outer[1]) else ways.UDP6
        sent.append((kind, update))
    return sent


def way_of(bindings):
    """The kind of way that data go."""
    return bindings.find(CN).way[0]


def bound(by, now=0, **how):
    """A node on a network with both, bound by a way of this kind, the others silent."""
    bindings, cn = node(now=now, **how)
    bindings.attach(COA1, now, IPV4, "net")
    while True:
        for kind, update in kinds(bindings, now):
            if kind == by:
                receive(bindings, cn.answer(update, nat=0), now + 2 * ONE_WAY)
                return bindings, cn, now + 2 * ONE_WAY
        now = bindings.wakes_at()


def test_where_udp_goes_over_ipv4_alone_no_way_is_inside_udp_over_ipv6():
    for native in (True, False):
        bindings, _ = node([(addresses.text(OUTSIDE6), 4191), ("192.0.2.1", 4191)], native)
        bindings.ways.udp6 = False
        bindings.attach(COA1, 0, IPV4, "net")
        wanted = [ways.NATIVE, ways.UDP4][1 - native :]
        assert [way[0] for way in bindings.ways.of(0)] == wanted
        assert bindings.ways.leads(COA1) == native and bindings.ways.leads(IPV4)


def test_ipv4_alone_registers_and_carries_data_inside_udp():
    bindings, cn = node()
    bindings.attach(IPV4, 0, None, "net")
    ((kind, update),) = kinds(bindings, 0)
    assert kind == ways.UDP4 and update.care_of == IPV4 and update.outer[1:] == (OUTSIDE, 4191)
    receive(bindings, cn.answer(update), 40)
    assert state(bindings) == "bound" and bindings.reaches(CN)
    assert ("way", CN, "udp4") in bindings.told
    datagram = packets.udp(HOME, CN, 5005, 5006, b"21.5")
    source, destination, next_header, whole = bindings.carry(CN, packets.UDP, datagram)
    assert (source, destination, next_header) == (IPV4, OUTSIDE, packets.ENCAPSULATED + 4191)
    packet = packets.parse_encapsulated(whole)
    assert packet.checksum_ok() and bytes(packet.payload) == datagram
    answer = packets.udp(CN, HOME, 5006, 5005, b"thanks")
    inside = packets.ipv6_header(CN, HOME, packets.UDP, len(answer)) + answer
    got = receive(bindings, (OUTSIDE, b"", packets.ENCAPSULATED + 4191, inside), 50)
    assert got.checksum_ok() and bytes(got.payload) == answer


def test_the_native_way_comes_first_and_the_next_after_350_ms():
    bindings, cn = node(reach=[("2001:db8:99::1", 4191), ("192.0.2.1", 4191)])
    bindings.attach(COA1, 0, IPV4, "net")
    sent = []
    now = 0
    while now <= 1000:
        sent += [(now, kind) for kind, _ in kinds(bindings, now)]
        now = bindings.wakes_at()
    assert sent == [(0, ways.NATIVE), (350, ways.UDP6), (700, ways.UDP4)]


def known(network="net", **how):
    """A node that had answers on "net", and gets another address at 10,000 ms; it and what it sent
    within a second."""
    bindings, cn, _ = bound(ways.NATIVE, **how)
    bindings.attach(COA2, 10000, IPV4, network)
    sent, now = [], 10000
    while now <= 11000:
        sent += [(now - 10000, kind, update) for kind, update in kinds(bindings, now)]
        now = bindings.wakes_at()
    return bindings, cn, sent


def test_on_an_unknown_network_the_ways_are_tried_in_turn():
    _, _, sent = known("another")
    assert [(at, kind) for at, kind, _ in sent] == [(0, ways.NATIVE), (350, ways.UDP4)]


def test_where_answers_came_before_the_first_retransmission_goes_by_both_ways():
    _, _, sent = known()
    assert [(at, kind) for at, kind, _ in sent] == [
        (0, ways.NATIVE), (350, ways.UDP4), (351, ways.NATIVE),
    ]  # fmt: skip
    _, _, sent = known(reach=[("2001:db8:99::1", 4191), ("192.0.2.1", 4191)])
    assert [(at, kind) for at, kind, _ in sent] == [
        (0, ways.NATIVE), (350, ways.UDP6), (700, ways.UDP4),
    ]  # fmt: skip


def test_of_two_that_left_together_the_answer_by_the_better_way_is_awaited():
    bindings, cn, sent = known()
    left = bindings.find(CN).pace.sent
    receive(bindings, cn.answer(sent[1][2], nat=0), 10392)
    assert way_of(bindings) == ways.UDP4 and kinds(bindings, 10392) == []
    receive(bindings, cn.answer(sent[2][2]), 10394)  # the correspondent believes the last
    assert way_of(bindings) == ways.NATIVE
    assert kinds(bindings, 11500) == [] and bindings.find(CN).pace.sent == left


def test_where_the_second_answer_is_lost_the_correspondent_is_told_once_more():
    bindings, cn, sent = known()
    receive(bindings, cn.answer(sent[1][2], nat=0), 10392)
    now = bindings.wakes_at()
    while not (again := kinds(bindings, now)):
        now = bindings.wakes_at()
    ((kind, update),) = again
    assert (now, kind) == (11000, ways.UDP4) and bindings.reaches(CN)
    receive(bindings, cn.answer(update, nat=0), 11040)
    assert state(bindings) == "bound" and way_of(bindings) == ways.UDP4


def test_never_more_than_three_updates_a_second():
    reach = [("192.0.2.%d" % last, 4191) for last in range(1, 5)]
    bindings, _ = node(reach=reach)
    bindings.attach(COA1, 0, IPV4, "net")
    times = []
    now = 0
    while now < 20000:
        times += [now for _ in kinds(bindings, now)]
        now = bindings.wakes_at()
    for i in range(3, len(times)):
        assert times[i] - times[i - 3] >= 1000
    assert len(times) == 20, "four rounds of five ways, ever farther apart"


def test_where_nothing_answers_all_ways_are_tried_again_and_again():
    """So a lost answer costs no more where a way leads nowhere. In the end they take turns."""
    bindings, _ = node()
    bindings.attach(COA1, 0, IPV4, "net")
    found = []
    now = 0
    while len(found) < 24:
        found += [(now, kind) for kind, _ in kinds(bindings, now)]
        now = bindings.wakes_at()
    times = [at for at, _ in found]
    assert [kind for _, kind in found] == [ways.NATIVE, ways.UDP4] * 12
    assert [times[at + 1] - times[at] for at in range(0, 10, 2)] == [350] * 5
    pauses = [times[at + 2] - times[at + 1] for at in range(0, 10, 2)]
    assert pauses == [1500, 3000, 6000, 12000, 24000]
    assert times[13] - times[12] == times[14] - times[13] == 32000
    assert times[23] - times[22] > 100000


def test_the_answer_wins_and_is_remembered_for_the_network():
    bindings, cn, now = bound(ways.UDP4)
    assert state(bindings) == "bound" and way_of(bindings) == ways.UDP4
    assert bindings.ways.changed
    bindings.attach(COA2, now + 1000, IPV4_LATER, "other")
    ((kind, _),) = kinds(bindings, now + 1000)
    assert kind == ways.NATIVE
    bindings.attach(COA1, now + 9000, IPV4, "net")
    ((kind, update),) = kinds(bindings, now + 9000)
    assert kind == ways.UDP4
    receive(bindings, cn.answer(update), now + 9040)
    assert state(bindings) == "bound" and drain(bindings, now + 9100) == []


def test_the_record_says_what_won_and_survives_nonsense():
    bindings, _, _ = bound(ways.UDP4)
    record = bindings.ways.record()
    again, _ = node()
    for nonsense in (b"", b"{", b"[]", b"null", b'{"won": [["net", 9]], "names": {}}',
                     b'{"won": 3, "names": {}}', b'{"won": [], "names": {"x": "y"}}'):  # fmt: skip
        again.ways.restore(nonsense)
    again.ways.restore(record)
    again.attach(COA1, 0, IPV4, "net")
    assert kinds(again, 0)[0][0] == ways.UDP4


def test_sixteen_networks_are_remembered_at_most():
    bindings, cn, now = bound(ways.UDP4)
    for number in range(40):
        now += 10000
        bindings.attach(COA2 if number % 2 else COA1, now, IPV4, "net %d" % number)
        while state(bindings) != "bound":
            for kind, update in kinds(bindings, now):
                if kind == ways.UDP4:
                    receive(bindings, cn.answer(update), now + 40)
            now = bindings.wakes_at() if state(bindings) != "bound" else now
    assert len(bindings.ways._won) == 16


def test_a_late_answer_by_the_better_way_has_the_correspondent_told_again():
    bindings, cn = node()
    bindings.attach(COA1, 0, IPV4, "net")
    ((_, native),) = kinds(bindings, 0)
    ((kind, inside),) = kinds(bindings, 350)
    assert kind == ways.UDP4
    receive(bindings, cn.answer(native), 400)  # the correspondent has the later one by now
    assert way_of(bindings) == ways.NATIVE and bindings.reaches(CN)
    ((kind, last),) = kinds(bindings, 400)
    assert kind == ways.NATIVE and last.sequence == 2
    receive(bindings, cn.answer(inside), 410)
    assert way_of(bindings) == ways.NATIVE
    receive(bindings, cn.answer(last), 440)
    assert state(bindings) == "bound" and way_of(bindings) == ways.NATIVE
    assert drain(bindings, 2000) == []


def test_a_datagram_counts_only_from_where_the_correspondent_is_reached():
    bindings, cn = node()
    bindings.attach(IPV4, 0, None, "net")
    ((_, update),) = kinds(bindings, 0)
    _, _, next_header, answer = cn.answer(update)
    for outer, port in ((OUTSIDE, 4192), (addresses.parse("192.0.2.2"), 4191), (OUTSIDE6, 4191)):
        receive(bindings, (outer, b"", packets.ENCAPSULATED + port, answer), 40)
    assert bindings.drops == {"endpoint": 3} and state(bindings) == "registering"
    other = packets.ipv6_header(COA2, HOME, packets.UDP, 8) + bytes(8)
    receive(bindings, (OUTSIDE, b"", next_header, other), 40)
    assert bindings.drops["unknown correspondent"] == 1
    receive(bindings, (OUTSIDE, b"", next_header, answer), 40)
    assert state(bindings) == "bound"


def test_a_port_is_kept_while_nothing_else_is_sent():
    bindings, _, now = bound(ways.UDP4)
    assert bindings.find(CN).nat
    assert bindings.wakes_at() == now + 25000
    assert drain(bindings, now + 24999) == []
    ((source, destination, _, keepalive),) = drain(bindings, now + 25000)
    assert (source, destination) == (IPV4, OUTSIDE)
    assert keepalive == packets.keepalive(HOME, CN)
    bindings.carry(CN, packets.UDP, bytes(24))
    bindings.carried(now + 40000)
    assert drain(bindings, now + 64999) == []
    bindings.carry(CN, packets.UDP, bytes(23))  # shorter than the error that might be due
    bindings.carried(now + 64999)
    assert len(drain(bindings, now + 65000)) == 1


def test_a_keepalive_costs_no_number_where_the_platform_refuses_it():
    bindings, _, now = bound(ways.UDP4)
    sequence = bindings.find(CN).sequence
    assert len(drain(bindings, now + 25000)) == 1
    bindings.unsent()
    assert bindings.find(CN).unused is None and bindings.find(CN).sequence == sequence


def test_how_often_is_said_by_nat_detection_and_by_the_user():
    for nat, own, expected in (
        (None, 25, 25000),
        (0, 25, 25000),
        (7, 25, 7000),
        (0xFFFFFFFF, 25, None),
        (7, 0, None),
        (0, 100, 100000),
    ):
        bindings, cn = node()
        bindings.keepalive_s = own
        bindings.attach(IPV4, 0, None, "net")
        ((_, update),) = kinds(bindings, 0)
        receive(bindings, cn.answer(update, nat=nat), 40)
        at = bindings.find(CN).keepalive_at
        assert at == (None if expected is None else 40 + expected)


def test_a_binding_error_by_the_same_way_has_it_register_anew():
    bindings, cn, now = bound(ways.UDP4)
    error = messages.Message(messages.BINDING_ERROR, status=1, home_address=HOME).encode()
    assert len(drain(bindings, now + 25000)) == 1  # a keepalive
    receive(bindings, cn.inside(error, OUTSIDE), now + 25100)
    assert state(bindings) == "refreshing"
    ((kind, update),) = kinds(bindings, now + 25100)
    assert kind == ways.UDP4
    receive(bindings, cn.inside(error, OUTSIDE), now + 25110)
    assert drain(bindings, now + 25120) == []
    receive(bindings, cn.answer(update), now + 25140)
    assert state(bindings) == "bound"


def test_a_refresh_goes_the_same_way_twice_before_another():
    bindings, _, _ = bound(ways.UDP4)
    now = bindings.find(CN).refresh_at
    found = []
    while len(found) < 4:
        for packet in drain(bindings, now):
            if len(packet[3]) != packets.KEEPALIVE_OCTETS:
                native = packet[2] < packets.ENCAPSULATED
                found.append((now, native))
        now = bindings.wakes_at()
    times = [at - found[0][0] for at, _ in found]
    assert [native for _, native in found] == [False, False, True, False]
    assert times[:3] == [0, 350, 700]


def test_a_better_way_is_tried_again_now_and_then_and_data_flow_meanwhile():
    bindings, cn, now = bound(ways.UDP4)
    tried = 0
    end = now + 3 * 3600000
    while now < end:
        for packet in drain(bindings, now):
            if packet[2] < packets.ENCAPSULATED:
                tried += 1
                assert bindings.reaches(CN)
            elif len(packet[3]) != packets.KEEPALIVE_OCTETS:
                receive(bindings, cn.answer(cn.read(packet)), now + 40)
        now = bindings.wakes_at()
    assert 1 <= tried <= 3
    assert way_of(bindings) == ways.UDP4


def test_an_ipv4_address_that_comes_later_is_a_way_as_well():
    bindings, cn = node()
    bindings.attach(COA1, 0, None, "net")
    assert [kind for kind, _ in kinds(bindings, 0)] == [ways.NATIVE]
    bindings.attach(COA1, 2000, IPV4, "net")
    ((kind, update),) = kinds(bindings, 2000)
    assert kind == ways.UDP4
    receive(bindings, cn.answer(update), 2040)
    assert way_of(bindings) == ways.UDP4
    bindings.attach(COA1, 3000, None, "net")  # and goes
    assert state(bindings) == "registering"
    assert [kind for kind, _ in kinds(bindings, 3000)] == [ways.NATIVE]


def test_ipv6_that_comes_to_a_node_on_ipv4_breaks_nothing():
    bindings, cn = node()
    bindings.attach(IPV4, 0, None, "net")
    ((_, update),) = kinds(bindings, 0)
    receive(bindings, cn.answer(update), 40)
    bindings.attach(COA1, 1000, IPV4, "net")
    assert bindings.reaches(CN) and way_of(bindings) == ways.UDP4
    ((kind, update),) = kinds(bindings, 1000)
    assert kind == ways.NATIVE
    receive(bindings, cn.answer(update), 1040)
    assert way_of(bindings) == ways.NATIVE and state(bindings) == "bound"


def test_without_native_packets_there_is_udp_alone():
    bindings, _ = node(native=False, reach=())
    bindings.attach(COA1, 0, None, "net")
    ((kind, update),) = kinds(bindings, 0)
    assert kind == ways.UDP6 and update.outer[1:] == (CN, 4191)
    assert not bindings.ways.leads(HOME) and not bindings.ways.leads(IPV4)


def test_without_a_way_it_waits_and_says_so():
    bindings, _ = node(reach=())
    bindings.attach(IPV4, 0, None, "net")
    assert drain(bindings, 0) == [] and bindings.wakes_at() is None
    bindings.attach(COA1, 100, IPV4, "net")
    assert [kind for kind, _ in kinds(bindings, 100)] == [ways.NATIVE]


def test_at_home_there_is_the_native_way_alone():
    bindings, cn, now = bound(ways.UDP4)
    bindings.attach(HOME, now + 1000, IPV4, "home")
    ((kind, update),) = kinds(bindings, now + 1000)
    assert kind == ways.NATIVE and update.at_home


def test_a_goodbye_goes_the_way_that_works():
    bindings, cn, now = bound(ways.UDP4)
    bindings.shutdown(now + 1000)
    ((kind, update),) = kinds(bindings, now + 1000)
    assert kind == ways.UDP4 and update.lifetime == 0
    receive(bindings, cn.answer(update, lifetime=0), now + 1040)
    assert bindings.closed


def test_a_refused_packet_has_the_next_way_tried_at_once():
    bindings, _ = node()
    bindings.attach(COA1, 0, IPV4, "net")
    packet = bindings.next_packet(0)
    assert packet[2] < packets.ENCAPSULATED
    number = bindings.find(CN).sequence
    bindings.unsent()
    ((kind, update),) = kinds(bindings, 0)
    assert kind == ways.UDP4 and update.sequence == number


# Names


def test_a_name_is_looked_up_where_nothing_else_leads_on():
    bindings, _ = node(reach=[("here.example", 4191)])
    bindings.attach(IPV4, 0, None, "net")
    assert drain(bindings, 0) == []
    assert silence.stuck_at(bindings) <= 0 and bindings.ways.wanted(0, False) == "here.example"
    assert not bindings.ways.learn("here.example", [], 0)
    assert bindings.ways.wanted(0, False) is None and bindings.ways.wanted_at() == 2000
    assert not bindings.ways.learn("here.example", [], 2000, 5000)  # all stood still
    assert bindings.ways.wanted_at() == 42000
    bindings.again(3000)  # the uplink's route came
    assert bindings.ways.wanted(3000, False) == "here.example"
    assert bindings.ways.learn("here.example", [OUTSIDE], 3000)
    bindings.more_ways(3000)
    assert [kind for kind, _ in kinds(bindings, 3000)] == [ways.UDP4]


def test_a_route_that_comes_has_what_went_unanswered_sent_again():
    bindings, cn = node()
    bindings.attach(IPV4, 0, None, "net")
    drain(bindings, 0)
    bindings.again(200)
    ((kind, update),) = kinds(bindings, 200)
    assert kind == ways.UDP4 and update.sequence == 1
    receive(bindings, cn.answer(update), 240)
    bindings.again(300)
    assert drain(bindings, 300) == [] and state(bindings) == "bound"


def test_the_address_that_answered_is_kept_whatever_a_resolver_says():
    bindings, cn = node(reach=[("here.example", 4191)])
    bindings.attach(IPV4, 0, None, "net")
    bindings.ways.learn("here.example", [OUTSIDE], 0)
    bindings.more_ways(0)
    ((_, update),) = kinds(bindings, 0)
    receive(bindings, cn.answer(update), 40)
    assert bindings.ways.changed
    lies = [addresses.parse("198.51.100.%d" % last) for last in range(1, 9)]
    bindings.ways.learn("here.example", lies, 60000)
    first = bindings.ways.of(0)
    assert first[0][2] == OUTSIDE and len(first) == 4
    again, _ = node(reach=[("here.example", 4191)])
    again.ways.restore(bindings.ways.record())
    again.attach(IPV4, 0, None, "net")
    ((_, update),) = kinds(again, 0)
    assert update.outer[1] == OUTSIDE


def test_a_name_that_nobody_knows_is_asked_ever_more_seldom():
    bindings, _ = node(reach=[("here.example", 4191)])
    bindings.attach(IPV4, 0, None, "net")
    asked = 0
    for now in range(0, 24 * 3600000, 5000):
        if bindings.ways.wanted(now, False):
            bindings.ways.learn("here.example", [], now)
            asked += 1
    assert asked < 100


def test_a_local_correspondent_is_looked_for_outside_first_from_a_global_address():
    home, cn = addresses.parse("fd00:1::5"), addresses.parse("fd00:1:c::1")

    class Ends:
        correspondent = cn
        reach = REACH
        generations = [(0, bytes(20))]

    found = ways.Ways([Ends], home)
    found.at("net", COA1, IPV4)
    assert [way[0] for way in found.of(0)] == [ways.UDP4, ways.NATIVE]
    found.at("net", addresses.parse("fd00:1:9::7"), IPV4)
    assert [way[0] for way in found.of(0)] == [ways.NATIVE, ways.UDP4]
