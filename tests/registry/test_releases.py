"""A registry of an earlier release opens with all that is in it, and is worked with further."""

import sqlite3
from contextlib import closing
from ipaddress import IPv6Address
from pathlib import Path

import pytest

from roamkey.errors import RefusedError
from roamkey.registry import GenerationKey, PairKeys, Registry
from roamkey.registry.records import Binding, Change

DATA = Path(__file__).parent / "data"
CN = IPv6Address("2001:db8:c::2").packed
CN2 = IPv6Address("2001:db8:c::3").packed
HOMES = [IPv6Address(f"2001:db8:a::10{number}").packed for number in (1, 2, 3)]
CARE_OF = IPv6Address("2001:db8:1::1").packed
NOW = 1_795_000_001_000
FOREVER = 4_102_444_800_000


def kcn(home: bytes, cn: bytes, generation: int) -> bytes:
    return f"Kcn of a test {home[-1]:02x} {cn[-1]:02x} {generation:02d}".encode()


@pytest.fixture(params=["registry", "encrypted"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path | None]:
    """The file of a registry of 0.1.0, and its passphrase's."""
    path, passphrase = tmp_path / "registry.sqlite", tmp_path / "passphrase"
    for made in (path, passphrase):
        made.touch(0o600)
    with closing(sqlite3.connect(path)) as c:
        c.executescript((DATA / f"{request.param}-0.1.0.sql").read_text(encoding="utf-8"))
    passphrase.write_text("passphrase of a test\n")
    return path, passphrase if request.param == "encrypted" else None


def test_all_that_was_in_it(place: tuple[Path, Path | None]) -> None:
    path, passphrase = place
    with Registry.open(path, create=False, passphrase_file=passphrase) as registry:
        found = {pair.home_address: pair for pair in registry.pairs_for_correspondent(CN)}
        assert [
            (key.generation, key.kcn, key.state, key.last_sequence, key.lifetime)
            for home in HOMES
            for key in found[home].keys
        ] == [
            (0, kcn(HOMES[0], CN, 0), "confirmed", 41, 600),
            (1, kcn(HOMES[0], CN, 1), "confirmed", None, 600),
            (1, kcn(HOMES[1], CN, 1), "confirmed", None, 4000),
            (2, kcn(HOMES[1], CN, 2), "confirmed", None, 4000),
            (0, kcn(HOMES[2], CN, 0), "sent", None, 600),
        ]
        assert [found[home].refused for home in HOMES] == [False, True, False]
        assert found[HOMES[0]].board_id == "b0a4d1"
        (other,) = registry.pairs_for_correspondent(CN2)
        assert other.keys[0].kcn == kcn(HOMES[0], CN2, 0)
        assert other.keys[0].home_nonce == b"home nonce"
        (bound,) = registry.current_bindings(NOW)
        assert (bound.care_of_address, bound.last_sequence) == (CARE_OF, 41)
        seal = registry.seal_of("b0a4d1")
        assert seal is not None and seal.state == "confirmed"
        assert seal.key == b"key of the seal of a test board."


def test_numbers_and_keys_go_on(place: tuple[Path, Path | None]) -> None:
    path, passphrase = place
    with Registry.open(path, create=False, passphrase_file=passphrase) as registry:
        pair, *_ = registry.pairs_for_correspondent(CN, home_addresses=[HOMES[0]])
        key = pair.keys[0]
        binding = Binding(CARE_OF, 600, NOW, FOREVER, key.key_id)
        again, higher = (
            Change(pair.pair_id, key.key_id, 0, number, False, binding) for number in (41, 42)
        )
        assert registry.commit([again]) == {0}
        assert registry.commit([higher]) == set()
        (bound,) = registry.current_bindings(NOW)
        assert bound.last_sequence == 42
        # Who was given a Kcn, or a generation, is still known, even where the key is gone.
        for generation, secret in ((0, b"a Kcn that is quite new"), (3, kcn(HOMES[1], CN, 0))):
            with pytest.raises(RefusedError):
                registry.add_sent(bytes(8), "b0a4d2", [given(generation, secret)], 600)
        assert registry.next_generation(HOMES[1], CN) == 3
        registry.add_sent(bytes(8), "b0a4d2", [given(3, b"a Kcn that is quite new")], 600)
        registry.confirm(bytes(8))


def given(generation: int, secret: bytes) -> PairKeys:
    """New keys for the second board."""
    key = GenerationKey(generation, secret)
    return PairKeys(HOMES[1], CN, b"home nonce", b"away nonce", (key,))
