"""Home addresses from a prefix."""

import os
from pathlib import Path

import pytest

from mip6 import addresses
from roamkey.enroll.home import Pool
from roamkey.errors import BadInputError, RefusedError
from roamkey.registry import Registry
from roamkey.registry.records import GenerationKey, PairKeys

PREFIX = "2001:db8:a::/64"


def octets(text: str) -> bytes:
    address: bytes = addresses.parse(text)
    return address


def hold(registry: Registry, board: str, home_address: str) -> None:
    """Have the registry say that a board holds this home address."""
    keys = (GenerationKey(0, os.urandom(32)),)
    pair = PairKeys(octets(home_address), octets("2001:db8:c::2"), bytes(8), bytes(8), keys)
    set_id = os.urandom(8)
    registry.add_sent(set_id, board, [pair], 600)
    registry.confirm(set_id)


def test_never_one_that_is_or_was_in_use(tmp_path: Path) -> None:
    with Registry.open(tmp_path / "registry.sqlite") as registry:
        hold(registry, "b1", "2001:db8:a::1")
        hold(registry, "b3", "2001:db8:a::3")
        registry.retire(octets("2001:db8:a::3"))
        pool = Pool(registry, PREFIX, [octets("2001:db8:a::4")])
        assert pool.address_for("b9") == octets("2001:db8:a::2")
        assert pool.address_for("b8") == octets("2001:db8:a::5")
        assert pool.address_for("b9") == octets("2001:db8:a::2"), "asked again"
        assert pool.address_for("b1") == octets("2001:db8:a::1"), "its own"
        hold(registry, "far", "2001:db8:b::1")
        assert pool.address_for("far") == octets("2001:db8:a::6"), "of another prefix"


def test_two_commands_that_give_out_addresses_at_once(tmp_path: Path) -> None:
    """Each pool thinks of the same address first; who comes second takes the next."""
    with Registry.open(tmp_path / "registry.sqlite") as registry:
        pools = [Pool(registry, PREFIX), Pool(registry, PREFIX)]
        assert {pool.address_for(f"b{i}") for i, pool in enumerate(pools)} == {
            octets("2001:db8:a::1")
        }
        hold(registry, "b0", "2001:db8:a::1")
        pools[1].drop("b1")
        assert pools[1].address_for("b1") == octets("2001:db8:a::2")


def test_a_prefix_that_is_used_up(tmp_path: Path) -> None:
    with Registry.open(tmp_path / "registry.sqlite") as registry:
        pool = Pool(registry, "2001:db8:a::/126")
        given = {pool.address_for(board) for board in ("b1", "b2", "b3")}
        assert len(given) == 3 and octets("2001:db8:a::") not in given
        with pytest.raises(RefusedError, match="no address is left"):
            pool.address_for("b4")


@pytest.mark.parametrize(
    "prefix", ["2001:db8::1/64", "fe80::/64", "10.0.0.0/8", "x", "ff00::/8", "2001:db8::/127"]
)
def test_bad_prefixes(prefix: str, tmp_path: Path) -> None:
    with (
        Registry.open(tmp_path / "registry.sqlite") as registry,
        pytest.raises(BadInputError, match="prefix"),
    ):
        Pool(registry, prefix)
