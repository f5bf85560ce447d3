"""The measure of refusals: for each source, for all together, in bounded memory."""

from roamkey.correspondent.core.limiter import Limiter

A, B = b"a" * 16, b"b" * 16


def test_a_burst_and_then_a_rate():
    limiter = Limiter(rate=2, burst=3)
    assert [limiter.allow(A, 0) for _ in range(5)] == [True, True, True, False, False]
    assert limiter.allow(B, 0)
    assert limiter.allow(A, 500)
    assert not limiter.allow(A, 500)
    assert [limiter.allow(A, 60_000) for _ in range(4)] == [True, True, True, False]


def test_a_clock_that_goes_backwards_grants_nothing_and_starves_nobody():
    limiter = Limiter(rate=1, burst=1)
    assert limiter.allow(A, 1_000_000)
    assert not limiter.allow(A, 0)
    assert limiter.allow(A, 1000)


def test_all_sources_together_have_a_measure_too():
    limiter = Limiter(overall_rate=10, overall_burst=100)
    sources = [number.to_bytes(16, "big") for number in range(1000)]
    assert sum(limiter.allow(source, 0) for source in sources) == 100


def test_memory_is_bounded():
    limiter = Limiter(rate=0, burst=1, overall_burst=1e9, sources_max=4)
    for number in range(100):
        assert limiter.allow(number.to_bytes(16, "big"), 0)
    assert len(limiter._sources) == 4
    assert not limiter.allow((99).to_bytes(16, "big"), 0)
