"""What the peer of a pair is to its node: a correspondent, or its home agent."""

from ipaddress import IPv6Address

import pytest
from sqlalchemy import text

from roamkey.enroll import transferfile
from roamkey.enroll.plan import Plan
from roamkey.errors import BadInputError, RefusedError, RoamkeyError
from roamkey.registry import CORRESPONDENT, HOME_AGENT, GenerationKey, PairKeys, Registry
from roamkey.registry.records import pairs_of

HOME = IPv6Address("2001:db8:a::1").packed
PEER = IPv6Address("2001:db8:a::ff").packed
OTHER = IPv6Address("2001:db8:c::2").packed
LIFETIME = 3600


def pair(number, role, home=HOME):
    key = GenerationKey(0, b"secret-key-material-%02d" % number)
    return PairKeys(home, PEER, b"home-non", b"careof-n", (key,), role)


@pytest.fixture
def registry(registry_url):
    with Registry.open(registry_url) as opened:
        yield opened


def test_the_role_is_kept_with_the_pair(registry):
    registry.add_sent(bytes(8), "board", [pair(1, HOME_AGENT)], LIFETIME)
    registry.add_sent(b"12345678", "other", [pair(2, CORRESPONDENT, bytes(PEER[:15]) + b"2")], 600)
    roles = [one.role for one in registry.pairs_for_correspondent(PEER)]
    assert roles == [HOME_AGENT, CORRESPONDENT]
    assert [one.role for one in registry.live_keys()] == roles
    assert registry.knows_correspondent(PEER)


def test_a_home_agent_is_no_correspondent(registry):
    registry.add_sent(bytes(8), "board", [pair(1, HOME_AGENT)], LIFETIME)
    assert not registry.knows_correspondent(PEER)


def test_a_boards_set_has_its_home_agents_key_beside_the_others():
    plan = Plan(HOME, (OTHER,), LIFETIME, home_agent=PEER)
    credentials = plan.make({PEER: 0, OTHER: 0})
    found = {one.correspondent: one.role for one in pairs_of(credentials)}
    assert found == {PEER: HOME_AGENT, OTHER: CORRESPONDENT}


def test_a_key_has_one_use(registry):
    registry.add_sent(bytes(8), "board", [pair(1, HOME_AGENT)], LIFETIME)
    with pytest.raises(RefusedError, match="is the node's home agent already"):
        registry.add_sent(b"12345678", "board", [pair(2, CORRESPONDENT)], LIFETIME)
    with pytest.raises(BadInputError, match="a peer is a correspondent or a home agent"):
        registry.add_sent(b"12345678", "board", [pair(2, "router")], LIFETIME)
    with pytest.raises(RoamkeyError, match="pair_role"), registry.writing() as c:
        c.execute(text("UPDATE pairs SET role = 'router'"))


def test_it_goes_along_to_another_machine(registry, tmp_path):
    registry.add_sent(bytes(8), "board", [pair(1, HOME_AGENT)], LIFETIME)
    transferfile.export_to(registry, PEER, tmp_path / "file", b"passphrase")
    with Registry.open(tmp_path / "there.sqlite") as there:
        transferfile.import_from(there, tmp_path / "file", b"passphrase")
        assert [one.role for one in there.pairs_for_correspondent(PEER)] == [HOME_AGENT]
