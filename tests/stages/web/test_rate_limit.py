"""Token buckets, for all and for each."""

from emopipe.stages.web.rate_limit import FairRateLimit, RateLimit


def test_no_network_gets_more_than_half() -> None:
    now = 0.0
    limit = FairRateLimit(10, 10, clock=lambda: now)
    assert [limit.take("a") for _ in range(20)].count(True) == 5
    assert [limit.take("b") for _ in range(20)].count(True) == 5
    assert not limit.take(None)
    now = 1.0
    assert [limit.take(f"{n}") for n in range(20)].count(True) == 10


def test_a_rate_limit_lets_so_many_through_and_a_burst_after_a_pause() -> None:
    now = 0.0
    limit = RateLimit(10, 5, clock=lambda: now)
    assert [limit.take() for _ in range(6)] == [True] * 5 + [False]
    assert limit.retry_after == 1
    now = 0.1
    assert [limit.take() for _ in range(2)] == [True, False]
    now = 100.0
    assert sum(limit.take() for _ in range(20)) == 5
