"""A node with a home agent: its registration, the tunnel, and correspondents without a key."""

from homeagents import AGENT, ROUTED, STRANGER, HomeAgent, Routed, keystore, routed, tunnelled
from peer import CN, COA1, COA2, HOME, Correspondent, drain, kcn, receive

from mip6 import addresses, messages, packets
from mip6.bindings import states
from mip6.bindings.update_list import BindingUpdateList
from mip6.homeagent.update_list import HomeUpdateList

IPV4 = addresses.parse("192.0.2.77")
AGENT4 = addresses.parse("198.51.100.1")
RESERVED = (4, 5, 6, 7, 27)  # octets of a routing header and of a Mobility Header


class Random:
    """Cookies that tell themselves apart."""

    def __init__(self):
        self.made = 0

    def __call__(self, octets):
        self.made += 1
        return self.made.to_bytes(octets, "big")


def node(*correspondents, **how):
    udp = how.pop("udp", False)
    return HomeUpdateList(keystore(*correspondents, **how), 0, udp=udp, random=Random())


def state(bindings, index=0):
    return states.STATES[bindings.bindings[index].state]


def registered(*correspondents, now=0, address=COA1, **how):
    """A node away from home that its home agent knows, and what it sent beside that."""
    bindings = node(*correspondents, **how)
    bindings.attach(address, now)
    sent = drain(bindings, now)
    agent = HomeAgent(how.get("agent_keys", 1))
    receive(bindings, agent.answer(agent.read(sent[0])), now + 20)
    assert state(bindings) == "bound"
    return bindings, agent, sent[1:]


def routed_node(now=0):
    """A node with a binding that return routability authorized."""
    bindings, agent, sent = registered(ROUTED, now=now)
    cn = Routed()
    for one in sent + drain(bindings, now + 20):
        receive(bindings, cn.take_test(one), now + 40)
    update = cn.read(drain(bindings, now + 40)[0])
    receive(bindings, cn.answer(update), now + 60)
    assert state(bindings, 1) == "bound"
    assert bindings.drops == {}
    return bindings, agent, cn, update


# The registration


def test_the_home_agent_is_told_under_its_key():
    bindings, _, _ = registered()
    binding = bindings.home_agent
    assert (binding.way[1], binding.generation, binding.sequence) == (COA1, 0, 0)
    assert bindings.keystore.peek(0) == 1
    assert 0 < binding.refresh_at < binding.expires_at == 400000


def test_a_registration_is_repeated_under_new_numbers():
    bindings = node()
    bindings.attach(COA1, 0)
    agent, now, numbers = HomeAgent(), 0, []
    for _ in range(5):
        numbers.append(agent.read(drain(bindings, now)[0]).sequence)
        now = bindings.wakes_at()
    assert numbers == [0, 1, 2, 3, 4]


def test_an_answer_under_another_key_is_none():
    bindings = node()
    bindings.attach(COA1, 0)
    agent = HomeAgent()
    update = agent.read(drain(bindings, 0)[0])
    receive(bindings, agent.answer(update, key=kcn(CN)), 20)
    stripped = HomeAgent(0).answer(update)
    receive(bindings, stripped, 20)
    assert state(bindings) == "registering"
    assert bindings.drops == {"authenticator": 2}


def test_every_bit_of_an_answer_counts():
    bindings = node()
    bindings.attach(COA1, 0)
    agent = HomeAgent()
    source, destination, next_header, whole = agent.answer(agent.read(drain(bindings, 0)[0]))
    for bit in range(8 * len(whole)):
        if bit // 8 in RESERVED:
            continue
        wrong = bytearray(whole)
        wrong[bit // 8] ^= 0x80 >> bit % 8
        receive(bindings, (source, destination, next_header, bytes(wrong)), 20)
        assert state(bindings) == "registering", bit
    for octets in range(len(whole)):
        receive(bindings, (source, destination, next_header, whole[:octets]), 20)
        assert state(bindings) == "registering", octets
    receive(bindings, (source, destination, next_header, whole), 20)
    assert state(bindings) == "bound"


def test_the_next_generation_has_the_next_spi():
    bindings = node(agent_keys=2)
    bindings.keystore.move_on(0)
    bindings.attach(COA1, 0)
    agent = HomeAgent(2)
    update = agent.read(drain(bindings, 0)[0])
    assert (update.generation, update.sequence) == (1, 0)
    receive(bindings, agent.answer(update), 20)
    assert state(bindings) == "bound"


def test_a_number_that_is_behind_goes_on_ahead():
    bindings = node()
    bindings.attach(COA1, 0)
    agent = HomeAgent()
    receive(bindings, agent.answer(agent.read(drain(bindings, 0)[0]), 135, sequence=700), 20)
    update = agent.read(drain(bindings, 400)[0])
    assert update.sequence == 701
    receive(bindings, agent.answer(update, 135, sequence=5), 420)  # backwards: not believed
    assert drain(bindings, 430) == []
    assert bindings.drops == {"old sequence": 1}


def test_a_home_agent_without_a_key_is_believed_as_it_is():
    bindings = node(agent_keys=0)
    bindings.attach(COA1, 0)
    agent = HomeAgent(0)
    update = agent.read(drain(bindings, 0)[0])
    receive(bindings, agent.answer(update), 20)
    assert state(bindings) == "bound"
    assert not bindings.home_agent.keyed
    bindings.attach(COA2, 1000)
    update = agent.read(drain(bindings, 1000)[0])
    assert update.sequence == 1
    receive(bindings, agent.answer(update, 135, sequence=300), 1020)
    assert agent.read(drain(bindings, 1400)[0]).sequence == 301


def test_home_again_the_home_agent_is_told():
    bindings, agent, _ = registered()
    bindings.attach(HOME, 5000)
    update = agent.read(drain(bindings, 5000)[0])
    assert (update.at_home, update.lifetime) == (True, 0)
    receive(bindings, agent.answer(update), 5020)
    assert state(bindings) == "home"


def test_a_home_agent_that_forgot_already_has_let_go():
    bindings, agent, _ = registered()
    bindings.attach(HOME, 5000)
    update = agent.read(drain(bindings, 5000)[0])
    receive(bindings, agent.answer(update, status=messages.NOT_HOME_AGENT, key=kcn(CN)), 5010)
    assert state(bindings) == "returning"
    receive(bindings, agent.answer(update, status=messages.NOT_HOME_AGENT), 5020)
    assert state(bindings) == "home"


def test_behind_a_nat_the_same_goes_inside_udp():
    bindings = node(udp=True, reach=[("198.51.100.1", 4191)])
    bindings.attach(IPV4, 0)
    agent = HomeAgent()
    update = agent.read(drain(bindings, 0)[0])
    assert update.outer == (IPV4, AGENT4, 4191)
    assert update.message.option(messages.IPV4_CARE_OF_ADDRESS) == bytes(2) + IPV4[12:]
    receive(bindings, agent.answer(update), 20)
    assert state(bindings) == "bound"
    source, outer, port, datagram = bindings.carry(STRANGER, packets.UDP, b"\0\1\0\2\0\x08xx")
    assert (source, outer, port) == (IPV4, AGENT4, packets.ENCAPSULATED + 4191)
    packet = packets.parse(datagram)
    assert (packet.source, packet.destination) == (HOME, STRANGER)
    payload = packets.udp(STRANGER, HOME, 5, 6, b"hello")
    inner = packets.ipv6_header(STRANGER, HOME, packets.UDP, len(payload)) + payload
    came = AGENT4, b"", packets.ENCAPSULATED + 4191, inner
    assert receive(bindings, came, 30).source == STRANGER
    assert receive(bindings, (COA2, b"", came[2], inner), 30) is None
    assert bindings.drops == {"unknown correspondent": 1}


# The tunnel


def test_data_to_anybody_go_through_the_home_agent():
    bindings = node()
    bindings.attach(COA1, 0)
    assert not bindings.reaches(STRANGER)
    bindings, _, _ = registered()
    assert bindings.reaches(STRANGER)
    source, destination, next_header, whole = bindings.carry(STRANGER, packets.UDP, b"datagram")
    assert (source, destination, next_header) == (COA1, AGENT, packets.IPV6)
    packet = packets.parse(whole)
    assert (packet.source, packet.destination, packet.protocol) == (HOME, STRANGER, packets.UDP)
    assert bytes(packet.payload) == b"datagram"


def test_data_to_a_correspondent_take_its_own_way_as_soon_as_there_is_one():
    bindings, _, sent = registered(CN)
    assert bindings.carry(CN, packets.UDP, b"x")[1] == AGENT
    cn = Correspondent()
    receive(bindings, cn.answer(cn.read(sent[0])), 40)
    assert bindings.carry(CN, packets.UDP, b"x")[1] == CN
    assert bindings.carry(AGENT, packets.UDP, b"x")[2] == packets.IPV6


def test_what_comes_through_the_home_agent_is_the_users():
    bindings, _, _ = registered()
    payload = packets.udp(STRANGER, HOME, 5, 6, b"hello")
    packet = receive(bindings, tunnelled(STRANGER, packets.UDP, payload, COA1), 30)
    assert packet.logical_source == STRANGER and bytes(packet.payload) == payload


def test_what_pretends_to_come_through_it_is_not():
    bindings, _, _ = registered()
    payload = packets.udp(STRANGER, HOME, 5, 6, b"hello")
    for wrong in (
        tunnelled(STRANGER, packets.UDP, payload, COA1, agent=CN),
        tunnelled(STRANGER, packets.UDP, payload, COA1, to=COA1),
        (AGENT, COA1, packets.IPV6, b"\x60" + bytes(20)),
    ):
        assert receive(bindings, wrong, 30) is None
    assert bindings.drops == {"tunnel": 2, "not for the home address": 1}
    bindings.detach(50)
    assert receive(bindings, tunnelled(STRANGER, packets.UDP, payload, COA1), 60) is None
    assert bindings.drops["tunnel"] == 3


def test_signalling_doesnt_come_through_it():
    bindings, _, sent = registered(CN)
    cn = Correspondent()
    answer = cn.answer(cn.read(sent[0]))
    header = answer[3][24:]
    receive(bindings, tunnelled(CN, packets.MOBILITY, header, COA1), 30)
    assert state(bindings, 1) == "registering"
    assert bindings.drops == {"unexpected": 1}


# Return routability


def test_tests_come_first_and_the_update_last():
    bindings, _, sent = registered(ROUTED)
    cn = Routed()
    (care_of_test,) = sent  # at once, beside the registration
    assert care_of_test[0] == COA1 and care_of_test[2] == packets.MOBILITY
    (home_test,) = drain(bindings, 20)  # as soon as there is a tunnel
    assert home_test[:3] == (COA1, AGENT, packets.IPV6)
    receive(bindings, cn.take_test(care_of_test), 30)
    assert drain(bindings, 30) == []
    receive(bindings, cn.take_test(home_test), 60)
    update = cn.read(drain(bindings, 60)[0])
    assert (update.care_of, update.lifetime, update.known) == (COA1, 420 // 4, True)
    receive(bindings, cn.answer(update), 80)
    assert state(bindings, 1) == "bound"
    assert bindings.carry(ROUTED, packets.UDP, b"x")[1] == ROUTED


def test_a_move_takes_the_care_of_test_alone():
    bindings, agent, cn, first = routed_node()
    bindings.attach(COA2, 10000)
    registration, test = drain(bindings, 10000)
    assert test[:3] == (COA2, ROUTED, packets.MOBILITY)
    receive(bindings, cn.take_test(test), 10040)
    update = cn.read(drain(bindings, 10040)[0])  # whatever becomes of the registration
    assert (update.care_of, update.sequence) == (COA2, first.sequence + 1)
    receive(bindings, cn.answer(update), 10080)
    assert state(bindings, 1) == "bound"
    receive(bindings, agent.answer(agent.read(registration)), 11100)
    assert state(bindings) == "bound"


def test_the_binding_is_renewed_with_fresh_tokens_before_it_ends():
    bindings, agent, cn, _ = routed_node()
    renewed = tests = 0
    now = 60
    while now < 1200000:
        for sent in drain(bindings, now):
            if sent[1] == AGENT and sent[2] != packets.IPV6:
                receive(bindings, agent.answer(agent.read(sent)), now)
            elif sent[2] == packets.DESTINATION_OPTIONS:
                update = cn.read(sent)
                assert update.known and state(bindings, 1) == "refreshing"
                receive(bindings, cn.answer(update), now)
                renewed += 1
            else:
                receive(bindings, cn.take_test(sent), now)
                tests += 1
        assert state(bindings, 1) in ("bound", "refreshing")
        assert bindings.bindings[1].usable
        now = max(now + 1, bindings.wakes_at())
    assert 2 <= renewed <= 4
    assert 8 <= tests <= 14
    assert bindings.drops == {}


def test_expired_nonces_cost_a_test_each_and_the_update_goes_again():
    bindings, _, cn, _ = routed_node()
    cn.renew()
    bindings.attach(COA2, 10000)
    drain(bindings, 10000)
    for status, tests in ((136, 1), (137, 1), (138, 2)):
        bindings, _, cn, _ = routed_node()
        receive(bindings, cn_request(cn), 100000)
        update = cn.read(drain(bindings, 100000)[0])
        cn.renew()
        receive(bindings, cn.answer(update, status), 100040)
        sent = drain(bindings, 100400)
        assert len(sent) == tests, status
        for one in sent:
            receive(bindings, cn.take_test(one), 100440)
        update = cn.read(drain(bindings, 100440)[0])
        assert state(bindings, 1) == "refreshing"


def cn_request(cn):
    message = messages.Message(messages.BINDING_REFRESH_REQUEST)
    return routed(cn.address, message.encode(), COA1)


def test_a_correspondent_that_always_says_so_is_asked_ever_more_seldom():
    bindings, _, cn, _ = routed_node()
    receive(bindings, cn_request(cn), 100000)
    now, updates, tests = 100000, 0, 0
    while now < 200000:
        for sent in drain(bindings, now):
            if sent[2] == packets.DESTINATION_OPTIONS and sent[1] == ROUTED:
                updates += 1
                receive(bindings, cn.answer(cn.read(sent), 138), now)
            elif sent[1] == ROUTED or sent[2] == packets.IPV6:
                tests += 1
                receive(bindings, cn.take_test(sent), now)
        now = max(now + 10, bindings.wakes_at())
    assert updates < 12 and tests <= 2 * updates + 2


def test_a_number_that_the_correspondent_remembers_is_passed():
    bindings, _, sent = registered(ROUTED)
    cn = Routed()
    for one in sent + drain(bindings, 20):
        receive(bindings, cn.take_test(one), 40)
    update = cn.read(drain(bindings, 40)[0])
    receive(bindings, cn.answer(update, 135, sequence=65535), 60)
    now = bindings.wakes_at()
    update = cn.read(drain(bindings, now)[0])
    assert update.sequence == 0  # modulo 2^16: RFC 6275 section 9.5.1
    receive(bindings, cn.answer(update), now + 20)
    assert state(bindings, 1) == "bound"


def test_answers_that_nobody_asked_for_are_none():
    bindings, _, sent = registered(ROUTED)
    cn = Routed()
    (care_of_test,) = sent
    (home_test,) = drain(bindings, 20)
    home, care_of = cn.take_test(home_test), cn.take_test(care_of_test)
    receive(bindings, (ROUTED, COA1, packets.MOBILITY, home[3][40:]), 30)  # not the tunnel's way
    receive(bindings, tunnelled(ROUTED, packets.MOBILITY, care_of[3], COA1), 30)
    wrong = bytearray(care_of[3])
    wrong[8] ^= 1
    wrong = messages.with_checksum(wrong, ROUTED, COA1)
    receive(bindings, (ROUTED, COA1, packets.MOBILITY, wrong), 30)
    receive(bindings, (CN, COA1, packets.MOBILITY, care_of[3]), 30)  # a stranger
    assert drain(bindings, 40) == []
    assert bindings.drops["cookie"] == 1
    for good in (home, care_of):
        receive(bindings, good, 50)
    assert len(drain(bindings, 50)) == 1
    receive(bindings, care_of, 60)  # again
    assert bindings.drops["cookie"] == 2


def test_an_update_under_tokens_of_before_isnt_acknowledged_by_later_ones():
    bindings, _, cn, _ = routed_node()
    receive(bindings, cn_request(cn), 100000)
    update = cn.read(drain(bindings, 100000)[0])
    update.kbm = bytes(20)
    receive(bindings, cn.answer(update), 100040)
    assert state(bindings, 1) == "refreshing"
    assert bindings.drops == {"authenticator": 1}


def test_home_again_the_correspondent_forgets_by_the_home_token_alone():
    bindings, agent, cn, _ = routed_node()
    bindings.attach(HOME, 5000)
    (registration,) = drain(bindings, 5000)  # that comes first
    receive(bindings, agent.answer(agent.read(registration)), 5020)
    (deletion,) = drain(bindings, 5020)
    assert deletion[:3] == (HOME, ROUTED, packets.MOBILITY)
    update = cn.read(deletion)
    assert (update.lifetime, update.indices[2:]) == (0, b"\0\0")
    receive(bindings, cn.answer(update), 5040)
    assert state(bindings, 1) == "home"


def test_a_home_agent_that_says_nothing_isnt_waited_for():
    bindings, agent, cn, _ = routed_node()
    bindings.attach(HOME, 5000)
    now, told = 5000, []
    while now < 30000:
        told += [sent[1] for sent in drain(bindings, now)]
        now = max(now + 1, bindings.wakes_at())
    assert told[:4] == [AGENT, AGENT, AGENT, ROUTED]


def test_at_home_the_home_test_goes_plainly():
    bindings, agent, cn, _ = routed_node()
    bindings.detach(1000)
    bindings.attach(HOME, 300000)  # the home token is no more
    (registration,) = drain(bindings, 300000)
    receive(bindings, agent.answer(agent.read(registration)), 300020)
    (test,) = drain(bindings, 300020)
    assert test[:3] == (HOME, ROUTED, packets.MOBILITY)
    receive(bindings, cn.take_test(test), 300040)
    update = cn.read(drain(bindings, 300040)[0])
    assert update.lifetime == 0


def test_where_there_is_no_ipv6_data_go_through_the_home_agent():
    bindings = node(ROUTED, udp=True, reach=[("198.51.100.1", 4191)])
    bindings.attach(IPV4, 0)
    agent = HomeAgent()
    sent = drain(bindings, 0)
    assert len(sent) == 1
    receive(bindings, agent.answer(agent.read(sent[0])), 20)
    assert bindings.reaches(ROUTED)
    assert bindings.carry(ROUTED, packets.UDP, b"x")[1] == AGENT4


def inside(packet):
    """A packet that went through the tunnel inside UDP, as one that went natively."""
    found = packets.parse_encapsulated(packet[3])
    whole = memoryview(packet[3])
    end = packets.IPV6_HEADER_OCTETS
    return bytes(whole[8:24]), bytes(whole[24:40]), whole[6], bytes(whole[end:]), found


def through(agent_to, peer, header):
    """A message from a correspondent on its way through the home agent, inside UDP."""
    whole = packets.ipv6_header(peer, HOME, packets.MOBILITY, len(header)) + header
    return AGENT4, agent_to, packets.ENCAPSULATED + 4191, whole


def test_where_there_is_no_ipv6_a_binding_from_before_is_deleted_through_the_home_agent():
    bindings, agent, sent = registered(ROUTED, udp=True, reach=[("198.51.100.1", 4191)])
    cn = Routed()
    for one in sent + drain(bindings, 20):
        receive(bindings, cn.take_test(one), 40)
    receive(bindings, cn.answer(cn.read(drain(bindings, 40)[0])), 60)
    assert state(bindings, 1) == "bound"
    bindings.detach(1000)
    bindings.attach(IPV4, 2000)
    (registration,) = drain(bindings, 2000)  # nothing leads to the correspondent without it
    receive(bindings, agent.answer(agent.read(registration)), 2020)
    (deletion,) = drain(bindings, 2020)
    assert deletion[:3] == (IPV4, AGENT4, packets.ENCAPSULATED + 4191)
    update = cn.read(inside(deletion)[:4])
    assert update.at_home and update.lifetime == 0
    _, _, _, header = cn.answer(update)
    receive(bindings, (ROUTED, IPV4, packets.MOBILITY, header), 2030)  # it comes as it went
    assert state(bindings, 1) == "returning"
    receive(bindings, through(IPV4, ROUTED, header), 2040)
    assert state(bindings, 1) == "home"
    assert bindings.carry(ROUTED, packets.UDP, b"x")[1] == AGENT4
    bindings.attach(COA2, 3000)  # from there a way leads to it again
    assert state(bindings, 1) == "registering"
    assert bindings.wakes_at() <= 3000


def test_where_updates_go_unanswered_the_home_agent_stands_for_the_node():
    bindings, agent, cn, _ = routed_node()
    bindings.detach(1000)
    bindings.attach(COA2, 2000)
    now, sent, deletion = 2000, [], None
    while state(bindings, 1) in ("detached", "registering"):
        for one in drain(bindings, now):
            if one[1] == AGENT and one[2] == packets.DESTINATION_OPTIONS:
                receive(bindings, agent.answer(agent.read(one)), now)
            elif one[1] == ROUTED and one[2] == packets.DESTINATION_OPTIONS:
                sent.append(cn.read(one))  # and it, or its answer, is dropped on the way
            elif one[2] == packets.IPV6 and one[3][42] == messages.BINDING_UPDATE:
                deletion = one[0], one[1], one[2], bytes(one[3])
            elif one[1] == ROUTED or one[2] == packets.IPV6:
                receive(bindings, cn.take_test(one), now)
        if state(bindings, 1) != "returning":
            now = max(now + 1, bindings.wakes_at())
    assert len(sent) == 3 and now < 12000
    assert state(bindings, 1) == "returning"
    assert deletion[:3] == (COA2, AGENT, packets.IPV6)
    whole = deletion[3]
    update = cn.read((bytes(whole[8:24]), bytes(whole[24:40]), whole[6], bytes(whole[40:])))
    assert (update.lifetime, update.at_home) == (0, True)
    _, _, _, header = cn.answer(update)
    receive(bindings, tunnelled(ROUTED, packets.MOBILITY, header, COA2), now + 20)
    assert state(bindings, 1) == "home"
    drain(bindings, now + 20)
    assert bindings.find(ROUTED).retry_at == now + 20 + 3600000
    bindings.attach(COA2, now + 30, IPV4)  # beside it: no news for this correspondent
    assert state(bindings, 1) == "home"
    bindings.attach(HOME, now + 40)
    assert bindings.find(ROUTED).retry_at is None
    bindings.attach(COA1, now + 50)
    assert state(bindings, 1) == "registering"


def test_no_way_to_a_correspondent_and_back_home_are_one_after_the_other():
    bindings = node(ROUTED, udp=True, reach=[("198.51.100.1", 4191)])
    bindings.attach(IPV4, 0)
    assert state(bindings, 1) == "returning"
    bindings.attach(HOME, 100)
    assert state(bindings, 1) == "returning"
    bindings.attach(IPV4, 200)
    bindings.detach(300)
    assert state(bindings, 1) == "detached"


def test_without_a_home_agent_a_peer_without_a_key_is_refused_as_ever():
    from peer import keystore as plain

    bindings = BindingUpdateList(plain([CN, ROUTED], keyless=ROUTED), 0)
    bindings.attach(COA1, 0)
    assert len(drain(bindings, 0)) == 1
    assert state(bindings, 1) == "unkeyed"
