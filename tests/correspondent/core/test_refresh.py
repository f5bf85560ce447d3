"""When a node is asked to renew its binding (RFC 6275 section 9.5.5)."""

from ipaddress import IPv6Address

import pytest

from mip6 import messages, packets
from roamkey.correspondent.core.refresh import ALWAYS, NEVER, USED, Refresher
from roamkey.registry.records import Binding

US = IPv6Address("2001:db8:c::2").packed
HOME = IPv6Address("2001:db8:a::1").packed
CARE_OF = IPv6Address("2001:db8:1::1").packed
START = 1_700_000_000_000


class Cache:
    def __init__(self, lifetime=400):
        self.binding = Binding(CARE_OF, lifetime, START, START + 1000 * lifetime, 1)

    def find(self, home, now):
        return self.binding if home == HOME and self.binding.expires_ms > now else None


def scene(policy=USED, lifetime=400):
    cache = Cache(lifetime)
    return cache, Refresher(US, cache.find, policy)


def times(refresher, until, step=100):
    """Seconds after the start at which requests leave."""
    return [
        (now - START) / 1000
        for now in range(START, START + 1000 * until, step)
        for _ in refresher.due(now)
    ]


def test_a_request_goes_to_the_home_address_by_way_of_the_care_of_address():
    _, refresher = scene()
    refresher.used(HOME, START + 200_000)
    (request,) = refresher.due(START + 380_000)
    assert (request.destination, request.next_header) == (CARE_OF, packets.ROUTING)
    packet = packets.parse_payload(packets.ROUTING, request.payload, US, CARE_OF)
    assert packet.logical_destination == HOME and packet.checksum_ok()
    assert messages.decode(packet.payload).kind == messages.BINDING_REFRESH_REQUEST
    assert refresher.requests == 1


def test_it_is_asked_for_in_the_last_twentieth_and_again_until_the_end():
    _, refresher = scene()
    refresher.used(HOME, START + 200_000)
    assert times(refresher, 500) == [380, 381, 383, 387, 395]
    assert refresher._watched == {}


def test_long_lifetimes_are_asked_for_half_a_minute_before_their_end():
    _, refresher = scene(lifetime=262_140)
    refresher.used(HOME, START + 262_000_000)
    assert refresher.due(START + 262_109_999) == []
    assert refresher.due(START + 262_110_000) != []


@pytest.mark.parametrize(("lifetime", "first"), [(4, 3.2), (8, 6.4), (12, 10.0), (60, 57.0)])
def test_short_lifetimes_leave_time_for_an_answer(lifetime, first):
    """After the node's own renewal, three quarters into the lifetime, and before the end."""
    _, refresher = scene(lifetime=lifetime)
    refresher.used(HOME, START)
    assert refresher.wakes_at() == START + 1000 * first
    assert times(refresher, lifetime)[0] == first


def test_many_are_asked_a_few_at_a_time():
    ends = START + 400_000
    cache = Binding(CARE_OF, 400, START, ends, 1)
    refresher = Refresher(US, lambda home, now: cache if now < ends else None, ALWAYS)
    homes = [HOME[:14] + n.to_bytes(2, "big") for n in range(1000)]
    for home in homes:
        refresher.registered(home, START)
    at = refresher.wakes_at()
    assert len(refresher.due(at)) == 512
    assert refresher.wakes_at() == at + 1000 and refresher.due(at + 999) == []
    asked = {request.payload[8:24] for request in refresher.due(at + 1000)}
    assert asked <= set(homes) and len(asked) == 512
    assert refresher.due(at) == []  # the clock was set back: nothing is due yet
    assert refresher.due(START - 10_000_000) == [] and refresher.wakes_at() <= at + 2000


@pytest.mark.parametrize(("policy", "asked"), [(USED, 0), (ALWAYS, 5), (NEVER, 0)])
def test_a_binding_that_nobody_uses(policy, asked):
    _, refresher = scene(policy)
    refresher.registered(HOME, START)
    assert len(times(refresher, 500)) == asked


def test_data_long_ago_are_no_use():
    _, refresher = scene()
    refresher.used(HOME, START)
    assert times(refresher, 500) == []
    refresher.used(HOME, START + 399_000)  # too late for the margin, not too late at all
    assert len(refresher.due(START + 399_000)) == 1


def test_without_a_binding_there_is_nothing_to_renew():
    cache, refresher = scene()
    refresher.used(CARE_OF, START)
    refresher.used(HOME, START + 400_000)
    assert refresher._watched == {}


def test_a_renewed_binding_is_left_alone_until_its_own_end():
    cache, refresher = scene()
    refresher.used(HOME, START + 300_000)
    assert len(refresher.due(START + 380_000)) == 1
    cache.binding = Binding(CARE_OF, 400, START + 380_500, START + 780_500, 1)
    refresher.registered(HOME, START + 380_500)
    refresher.used(HOME, START + 700_000)
    assert times(refresher, 1000)[0] == 760.5
    assert len(refresher._heap) <= 1


def test_a_shorter_lifetime_is_noticed():
    cache, refresher = scene(lifetime=262_140)
    refresher.used(HOME, START)
    cache.binding = Binding(CARE_OF, 40, START, START + 40_000, 1)
    refresher.registered(HOME, START)
    assert times(refresher, 50)[0] == 38


def test_use_by_the_packet_takes_no_memory():
    _, refresher = scene()
    for ms in range(10_000):
        refresher.used(HOME, START + ms)
    assert len(refresher._heap) == len(refresher._watched) == 1
