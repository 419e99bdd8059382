"""emopipe.pipeline.report: percentiles from buckets stay within their stated error, and merging loses nothing."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from emopipe.pipeline.report import Latency

durations = st.lists(st.integers(1, 10**11), min_size=1, max_size=200)


def of(values: list[int]) -> Latency:
    latency = Latency()
    for value in values:
        latency.add(value)
    return latency


@given(durations, st.sampled_from([50, 95, 99, 100]))
def test_percentiles_are_within_five_per_cent(values: list[int], percent: float) -> None:
    exact = float(np.percentile(values, percent, method="inverted_cdf"))
    assert math.isclose(of(values).percentile(percent), exact, rel_tol=0.05)


@given(durations, durations)
def test_merging_is_adding(first: list[int], second: list[int]) -> None:
    merged = of(first)
    merged.merge(of(second))
    assert merged == of(first + second)


@given(durations, durations)
def test_what_came_since_is_what_was_added(first: list[int], second: list[int]) -> None:
    assert of(first + second).since(of(first)) == of(second)


def test_nothing_has_no_percentile() -> None:
    assert math.isnan(Latency().percentile(50))
