"""The rules of time and of keys: rate, lifetimes, moves, generations, exhaustion."""

from counter import counter_of
from peer import (
    CN,
    CN2,
    COA1,
    COA2,
    COA3,
    HOME,
    Correspondent,
    MemoryStore,
    drain,
    keystore,
    receive,
)
from test_bindings import bound, state

from mip6 import keys, messages, packets
from mip6.bindings import silence, updates
from mip6.bindings.update_list import BindingUpdateList
from mip6.status import of_bindings


def test_three_updates_a_second_and_the_last_address_wins():
    bindings, cn, _ = bound()
    sent = []
    for now in range(5000, 7000, 50):  # twenty moves a second
        bindings.attach(COA2 if now % 100 else COA3, now)
        sent.extend((now, cn.read(packet)) for packet in drain(bindings, now))
    for i in range(3, len(sent)):
        assert sent[i][0] - sent[i - 3][0] >= 1000
    assert 5 <= len(sent) <= 9
    at = bindings.wakes_at()
    update = cn.read(drain(bindings, at)[0])
    assert update.care_of == bindings.care_of
    receive(bindings, cn.answer(update), at + 40)
    assert state(bindings) == "bound"


def test_several_moves_within_one_round_trip():
    bindings, cn, _ = bound()
    bindings.attach(COA2, 10000)
    second = cn.read(drain(bindings, 10000)[0])
    bindings.attach(COA3, 10020)
    third = cn.read(drain(bindings, 10020)[0])
    receive(bindings, cn.answer(second), 10040)
    assert state(bindings) == "registering"
    assert bindings.drops == {"old sequence": 1}
    receive(bindings, cn.answer(third), 10060)
    assert state(bindings) == "bound"
    assert bindings.find(CN).care_of == COA3


def test_the_same_address_back_before_an_update_left_costs_nothing():
    bindings, _, _ = bound()
    for now in range(1000, 3000, 100):
        bindings.detach(now)
        bindings.attach(COA1, now + 50)
        assert drain(bindings, now + 50) == []
        assert state(bindings) == "bound"
    assert bindings.find(CN).sequence == 0


def test_an_answer_to_any_update_under_way_counts():
    bindings = BindingUpdateList(keystore(), 0)
    cn = Correspondent()
    bindings.attach(COA1, 0)
    first = cn.read(drain(bindings, 0)[0])
    drain(bindings, 1500)
    receive(bindings, cn.answer(first), 1600)
    assert state(bindings) == "bound"
    assert bindings.find(CN).expires_at == 400000  # from when it was sent


def test_granted_lifetime_shortens():
    bindings, cn, update = bound(lifetime=4000)
    binding = bindings.find(CN)
    assert binding.expires_at == 4000000
    assert binding.refresh_at == 4000000 - 60000
    drain(bindings, binding.refresh_at)
    assert state(bindings) == "refreshing"
    update = cn.read(drain(bindings, binding.transmit_at)[0])
    now = 4000000
    receive(bindings, cn.answer(update, lifetime=10), now)
    assert binding.granted == 40000
    assert binding.expires_at - binding.refresh_at == 10000


def test_a_correspondent_grants_no_more_than_was_asked():
    bindings, cn, _ = bound()
    bindings.attach(COA2, 1000)
    update = cn.read(drain(bindings, 1000)[0])
    receive(bindings, cn.answer(update, lifetime=65535), 1040)
    assert bindings.find(CN).granted == 400000


def test_refresh_advice():
    for advice, refresh_at in ((25, 100000), (99, 396000), (100, 340000), (0, 340000)):
        bindings = BindingUpdateList(keystore(), 0)
        cn = Correspondent()
        bindings.attach(COA1, 0)
        update = cn.read(drain(bindings, 0)[0])
        receive(bindings, cn.answer(update, advice=advice), 40)
        assert state(bindings) == "bound"
        assert bindings.find(CN).refresh_at == refresh_at, advice


def test_an_unanswered_refresh_ends_with_the_lifetime():
    bindings, cn, _ = bound()
    binding = bindings.find(CN)
    now = binding.refresh_at
    sent = 0
    while state(bindings) != "registering":
        sent += len(drain(bindings, now))
        assert binding.usable == (now < binding.granted)
        now = bindings.wakes_at()
        if now >= binding.granted:
            drain(bindings, now)
    assert sent >= 5
    assert not binding.usable


def test_every_refusing_status():
    for status in (128, 130, 132, 133, 134, 136, 137, 138, 139, 174, 200, 255):
        bindings = BindingUpdateList(keystore(), 0)
        cn = Correspondent()
        bindings.attach(COA1, 0)
        update = cn.read(drain(bindings, 0)[0])
        receive(bindings, cn.answer(update, status=status), 40)
        assert state(bindings) == "refused", status
        assert of_bindings(bindings, 40)[0]["reason"].startswith("refused: "), status
        assert bindings.wakes_at() == 32040
        update = cn.read(drain(bindings, 32040)[0])
        assert bindings.wakes_at() == 64040
        receive(bindings, cn.answer(update), 32080)
        assert state(bindings) == "bound"
        assert of_bindings(bindings, 32080)[0]["reason"] == ""


def test_accepting_statuses():
    for status in (0, 1, 127):
        bindings = BindingUpdateList(keystore(), 0)
        cn = Correspondent()
        bindings.attach(COA1, 0)
        receive(bindings, cn.answer(cn.read(drain(bindings, 0)[0]), status=status), 40)
        assert state(bindings) == "bound", status


def test_no_lifetime_granted_is_no_binding():
    bindings = BindingUpdateList(keystore(), 0)
    cn = Correspondent()
    bindings.attach(COA1, 0)
    receive(bindings, cn.answer(cn.read(drain(bindings, 0)[0]), lifetime=0), 40)
    assert state(bindings) == "refused"
    assert of_bindings(bindings, 40)[0]["reason"] == "refused: no lifetime granted"


def test_behind_is_followed_forwards_only_and_kept_first():
    store = MemoryStore()
    bindings = BindingUpdateList(keystore(store=store), 0)
    cn = Correspondent()
    bindings.attach(COA1, 0)
    update = cn.read(drain(bindings, 0)[0])
    receive(bindings, cn.answer(update, status=135, sequence=500), 40)
    fresh = keystore_again(store)
    assert counter_of(fresh, 0).peek > 500  # in flash before it is used
    update = cn.read(drain(bindings, 40)[0])
    assert update.sequence == 501
    for number in (500, 200, 0):
        receive(bindings, cn.answer(update, status=135, sequence=number), 80)
    assert bindings.drops == {"old sequence": 3}
    assert counter_of(bindings.keystore, 0).peek == 502
    receive(bindings, cn.answer(update), 90)
    assert state(bindings) == "bound"


def keystore_again(store):
    """The key store of the same flash after a restart."""
    from mip6.keystore.keystore import Keystore

    found = Keystore(store)
    found.load()
    return found


def test_behind_without_a_good_authenticator_moves_nothing():
    bindings = BindingUpdateList(keystore(), 0)
    cn = Correspondent()
    bindings.attach(COA1, 0)
    update = cn.read(drain(bindings, 0)[0])
    forged = cn.answer(update, status=135, sequence=60000, key_of=Correspondent(CN2))
    receive(bindings, forged, 40)
    assert bindings.drops == {"authenticator": 1}
    assert counter_of(bindings.keystore, 0).peek == 1


def test_behind_again_and_again_does_not_hurry_the_key_to_its_end():
    bindings = BindingUpdateList(keystore(), 0)
    cn = Correspondent()
    bindings.attach(COA1, 0)
    now, sent = 0, 0
    while now < 60000:
        for packet in drain(bindings, now):
            sent += 1
            update = cn.read(packet)
            receive(bindings, cn.answer(update, status=135, sequence=update.sequence), now + 1)
            receive(bindings, cn.answer(update, status=135, sequence=update.sequence + 1), now + 2)
        now = bindings.wakes_at()
    assert sent < 10


def test_behind_with_flash_that_fails_blocks():
    store = MemoryStore()
    bindings = BindingUpdateList(keystore(store=store), 0)
    cn = Correspondent()
    bindings.attach(COA1, 0)
    update = cn.read(drain(bindings, 0)[0])
    store.broken = True
    receive(bindings, cn.answer(update, status=135, sequence=500), 40)
    assert state(bindings) == "blocked"
    assert "sequence counter" in of_bindings(bindings, 40)[0]["reason"]
    store.broken = False
    assert cn.read(drain(bindings, bindings.wakes_at())[0]).sequence == 1


def test_the_next_generation_takes_over():
    events = []
    bindings = BindingUpdateList(keystore(generations=2), 0, lambda *event: events.append(event))
    cn = Correspondent(generations=2)
    counter_of(bindings.keystore, 0).advance(65534)
    bindings.attach(COA1, 0)
    update = cn.read(drain(bindings, 0)[0])
    assert (update.generation, update.sequence) == (0, 65535)
    update = cn.read(drain(bindings, 1500)[0])
    assert (update.generation, update.sequence) == (1, 0)
    assert [event for event in events if event[0] == "generation"] == [
        ("generation", CN, 0), ("generation", CN, 1),
    ]  # fmt: skip
    receive(bindings, cn.answer(update), 1540)
    assert state(bindings) == "bound"
    assert of_bindings(bindings, 1540)[0]["generation"] == 1
    counter_of(bindings.keystore, 0).advance(65535)
    bindings.attach(COA2, 5000)
    assert drain(bindings, 5000) == []
    assert state(bindings) == "exhausted"
    assert "provision new keys" in of_bindings(bindings, 5000)[0]["reason"]
    assert bindings.wakes_at() is None


def test_behind_at_the_last_number_moves_on():
    bindings = BindingUpdateList(keystore(generations=2), 0)
    cn = Correspondent(generations=2)
    bindings.attach(COA1, 0)
    update = cn.read(drain(bindings, 0)[0])
    receive(bindings, cn.answer(update, status=135, sequence=65535), 40)
    update = cn.read(drain(bindings, 40)[0])
    assert (update.generation, update.sequence) == (1, 0)


def test_spent_while_bound_uses_the_binding_to_its_end():
    bindings, cn, _ = bound()
    counter_of(bindings.keystore, 0).advance(65535)
    binding = bindings.find(CN)
    assert drain(bindings, binding.refresh_at) == []
    assert binding.usable
    assert bindings.wakes_at() == 400000
    drain(bindings, 400000)
    assert state(bindings) == "exhausted"


def test_without_a_key_nothing_is_sent_and_the_reason_says_what_is_missing():
    store = keystore((CN, CN2), keyless=CN)
    bindings = BindingUpdateList(store, 0)
    bindings.prepare(COA1)
    bindings.attach(COA1, 0)
    (packet,) = drain(bindings, 0)
    assert packet[1] == CN2
    status = of_bindings(bindings, 0)[0]
    assert status["state"] == "unkeyed"
    assert "no home agent for return routability" in status["reason"]


def test_a_deletion_is_given_up_when_the_binding_must_have_expired():
    bindings, cn, _ = bound()
    bindings.attach(HOME, 10000)
    now, sent = 10000, 0
    while now is not None:
        sent += len(drain(bindings, now))
        last, now = now, bindings.wakes_at()
    assert state(bindings) == "home"
    assert last == 400000
    assert sent > 5


def test_at_home_from_the_start_an_older_binding_is_deleted():
    bindings = BindingUpdateList(keystore(), 0)
    cn = Correspondent()
    bindings.attach(HOME, 0)
    update = cn.read(drain(bindings, 0)[0])
    assert update.at_home and update.lifetime == 0
    receive(bindings, cn.answer(update), 40)
    assert state(bindings) == "home"


def test_an_update_is_what_the_encoder_would_make():
    home, cn = packets_of(COA1)
    options = [(messages.PADN, bytes(4)), (messages.BINDING_AUTHORIZATION_DATA, bytes(12))]
    template = updates.Update(HOME, CN)
    for number in (0, 1, 255, 256, 40000, 65535):
        for lifetime in (1, 105, 65535):
            key = keys.hmac_key(bytes([number & 255, lifetime & 255]) * 10)
            template.aim((0, COA1, None, 0), key, lifetime)
            template.number(number)
            message = messages.Message(
                messages.BINDING_UPDATE,
                options,
                sequence=number,
                flags=messages.FLAG_ACKNOWLEDGE,
                lifetime=lifetime,
            ).encode(align=False)
            message = message[:-12] + keys.authenticator(key, COA1, CN, message)
            message = messages.with_checksum(message, HOME, CN)
            assert bytes(template.payload) == home + message


def packets_of(care_of):
    """The header with the Home Address option, and the correspondent."""
    return packets.home_address_option(HOME, packets.MOBILITY), CN


def test_with_kbm_ready_an_update_costs_one_hmac():
    bindings = BindingUpdateList(keystore((CN, CN2)), 0)
    bindings.prepare(COA1)
    bindings.prepare(COA2)
    calls = []
    plain = keys.hmac_sha1

    def counted(*arguments):
        calls.append(len(arguments))
        return plain(*arguments)

    keys.hmac_sha1 = counted
    try:
        for now, address in ((0, COA1), (5000, COA2), (9000, COA1)):
            bindings.attach(address, now)
            assert len(drain(bindings, now)) == 2
        assert len(calls) == 6
        bindings.attach(COA3, 13000)  # unprepared: one more for the care-of keygen token
        assert len(drain(bindings, 13000)) == 2
        assert len(calls) == 10
    finally:
        keys.hmac_sha1 = plain


def test_the_first_packet_is_drawn_before_the_second_is_made():
    bindings = BindingUpdateList(keystore((CN, CN2)), 0)
    bindings.attach(COA1, 0)
    assert bindings.next_packet(0)[1] == CN
    assert bindings.find(CN2).sequence is None


def test_warns_before_the_last_key_is_used_up():
    bindings, cn, _ = bound(generations=2)
    cn = Correspondent(generations=2)
    counter = counter_of(bindings.keystore, 0)
    now = 10000
    warned, events = [], []
    bindings.emit = lambda *event: events.append(event)
    for used in (60000, 65535, 1000, 58990, 63580):
        counter.advance(used)
        bindings.attach(COA2 if bindings.care_of == COA1 else COA1, now)
        receive(bindings, cn.answer(cn.read(drain(bindings, now)[0])), now + 40)
        counter = counter_of(bindings.keystore, 0)
        for event in events:
            if event[0] == "warning":
                warned.append((counter.generation, event[2]))
        events.clear()
        now += 5000
    assert warned == [(1, 90), (1, 97)]
    key = of_bindings(bindings, now)[0]["key"]
    assert key["warning"] == 97
    assert key["uses_left"] == counter.uses_left


def test_what_the_platform_refuses_costs_no_number():
    bindings = BindingUpdateList(keystore(), 0)
    cn = Correspondent()
    bindings.attach(COA1, 0)
    for now in range(0, 3600000, 500):
        if bindings.next_packet(now):
            bindings.unsent()
    assert counter_of(bindings.keystore, 0).peek == 1
    bindings.attach(COA2, 3600000)
    update = cn.read(drain(bindings, 3600000)[0])
    assert (update.sequence, update.care_of) == (0, COA2)
    receive(bindings, cn.answer(update), 3600040)
    assert state(bindings) == "bound"
    bindings.attach(COA1, 3700000)
    assert cn.read(drain(bindings, 3700000)[0]).sequence == 1


def test_a_number_that_never_left_is_not_used_behind_a_later_one():
    bindings = BindingUpdateList(keystore(), 0)
    cn = Correspondent()
    bindings.attach(COA1, 0)
    first = cn.read(drain(bindings, 0)[0])
    bindings.next_packet(1500)
    bindings.unsent()  # number 1
    receive(bindings, cn.answer(first, status=135, sequence=500), 1600)
    now = bindings.wakes_at()
    assert cn.read(drain(bindings, now)[0]).sequence == 501


def test_the_lifetime_does_not_outlast_the_address():
    for valid_ms, units in ((None, 100), (10000000, 100), (300000, 75), (9000, 2), (100, 1)):
        bindings = BindingUpdateList(keystore(), 0)
        bindings.valid_until = valid_ms
        bindings.attach(COA1, 0)
        assert Correspondent().read(drain(bindings, 0)[0]).lifetime == units


def test_of_several_answers_the_newest_updates_counts():
    bindings = BindingUpdateList(keystore(), 0)
    cn = Correspondent()
    bindings.attach(COA1, 0)
    first = cn.read(drain(bindings, 0)[0])
    second = cn.read(drain(bindings, 1500)[0])
    receive(bindings, cn.answer(first, lifetime=50), 2000)
    assert state(bindings) == "bound" and bindings.find(CN).granted == 200000
    receive(bindings, cn.answer(second, lifetime=25), 2010)
    assert bindings.find(CN).granted == 100000
    receive(bindings, cn.answer(first, lifetime=50), 2020)  # late: it counts no more
    assert bindings.find(CN).granted == 100000 and bindings.drops == {"old sequence": 1}
    refused = BindingUpdateList(keystore(), 0)
    refused.attach(COA1, 0)
    first, second = cn.read(drain(refused, 0)[0]), cn.read(drain(refused, 1500)[0])
    receive(refused, cn.answer(first), 2000)
    receive(refused, cn.answer(second, status=130), 2010)
    assert state(refused) == "refused"


def test_who_hears_nothing_asks_ever_more_seldom():
    bindings = BindingUpdateList(keystore(), 0)
    bindings.attach(COA1, 0)
    times = []
    now = 0
    while now < 24 * 3600000:
        times.append(now)
        assert len(drain(bindings, now)) == 1
        now = bindings.wakes_at()
    gaps = [times[i + 1] - times[i] for i in range(len(times) - 1)]
    assert gaps[:5] == [1500, 3000, 6000, 12000, 24000] and gaps[5:12] == [32000] * 7
    assert gaps[-1] == 3600000 and max(gaps) == 3600000
    assert len(times) < 60
    bindings.attach(COA2, now)  # a move is as quick as ever
    assert len(drain(bindings, now)) == 1


def test_moves_are_immediate_until_the_budget_is_spent_and_renewals_always():
    bindings, cn, _ = bound()
    held = bindings.keystore
    while held.budget.tokens[0] > 3:
        held.budget.spend(0)
    now = 10000
    for address in (COA2, COA3, COA1):
        bindings.attach(address, now)
        receive(bindings, cn.answer(cn.read(drain(bindings, now)[0])), now + 40)
        assert state(bindings) == "bound"
        now += 5000
    bindings.attach(COA2, now)
    assert drain(bindings, now) == []  # not now, but within a token's time
    assert state(bindings) == "registering"
    now = bindings.wakes_at()
    assert now <= 960000
    receive(bindings, cn.answer(cn.read(drain(bindings, now)[0])), now + 40)
    assert state(bindings) == "bound"
    for _ in range(20):  # renewals of what was acknowledged
        now = bindings.wakes_at()
        receive(bindings, cn.answer(cn.read(drain(bindings, now)[0])), now + 40)
        assert state(bindings) == "bound"


def test_a_silent_address_is_told_and_one_answer_is_enough():
    bindings = BindingUpdateList(keystore((CN, CN2)), 0)
    cn = Correspondent()
    bindings.attach(COA1, 0)
    sent = drain(bindings, 0)
    assert silence.silent_at(bindings) is None and silence.silent_since(bindings, 2500) is None
    drain(bindings, 1500)
    assert silence.silent_at(bindings) == 2500
    assert (
        silence.silent_since(bindings, 2499) is None and silence.silent_since(bindings, 2500) == 0
    )
    receive(bindings, cn.answer(cn.read(sent[0])), 2510)
    assert (
        silence.silent_since(bindings, 4000) is None
    )  # the other may be away: the address is not


def test_another_router_has_the_node_look_whether_its_address_works():
    bindings, cn, _ = bound()
    for now in range(1000, 9000, 100):
        silence.verify(bindings, now)
        for packet in drain(bindings, now):
            receive(bindings, cn.answer(cn.read(packet)), now + 40)
    assert counter_of(bindings.keystore, 0).peek <= 3  # seldom, whoever advertises
    assert state(bindings) == "bound"
