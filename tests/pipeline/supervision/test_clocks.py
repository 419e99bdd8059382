"""supervision.clocks: other hosts' clocks, known as well as the quickest answer allows, and watched for drift."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.supervision.clocks import EXCHANGES, Clocks, Comparison

AHEAD = -5000 * SECOND  # our clock against the other's
DELAYS = st.tuples(st.integers(0, 100 * MS), st.integers(0, 100 * MS))


def exchange(comparison: Comparison, asked: int, there: int, back: int, ahead: int = AHEAD) -> None:
    """One exchange, whose question and answer take so long (ns)."""
    comparison.take(asked, asked + there - ahead, asked + there + back)


@given(st.lists(DELAYS, min_size=EXCHANGES, max_size=EXCHANGES))
def test_the_clock_lies_within_the_error_whatever_the_ways_take(delays: list[tuple[int, int]]) -> None:
    comparison = Comparison()
    for number, (there, back) in enumerate(delays):
        exchange(comparison, number * SECOND, there, back)
    assert abs(comparison.shift - AHEAD) <= comparison.error
    assert comparison.error <= (min(map(sum, delays)) + 1) // 2


@given(DELAYS)
def test_slow_answers_while_it_plays_are_no_drift(delay: tuple[int, int]) -> None:
    comparison = Comparison()
    for number in range(EXCHANGES):
        exchange(comparison, number, 0, 0)
    exchange(comparison, SECOND, *delay)
    assert (comparison.shift, comparison.error) == (AHEAD, 0)


def test_drift_makes_the_error_larger_and_leaves_the_clock() -> None:
    comparison = Comparison()
    for number in range(EXCHANGES):
        exchange(comparison, number, MS, MS)
    exchange(comparison, SECOND, MS, MS, ahead=AHEAD + 30 * MS)
    assert (comparison.shift, comparison.error) == (AHEAD, 29 * MS)


@pytest.fixture
def clocks() -> Clocks:
    """One other host, whose answers take 80 ms."""
    asked: list[int] = []
    times = iter(range(0, 1000 * SECOND, 80 * MS))
    clocks = Clocks(lambda name, at: asked.append(at), now=lambda: next(times))
    clocks.add("vision")
    while not clocks.compared:
        clocks.ask()
        clocks.told("vision", asked[-1], asked[-1] + 40 * MS - AHEAD)
    return clocks


def test_a_clock_that_is_not_known_well_enough_for_the_budget_is_named(clocks: Clocks) -> None:
    assert clocks.shifts == {"vision": AHEAD}
    assert clocks.error("vision") == 40 * MS
    assert clocks.uncertain(None) == {}
    assert clocks.uncertain(0.4) == {}
    text = "the clock of its host is known to ± 40.0 ms, and a live graph allows ± 20.0 ms for its ages"
    assert clocks.uncertain(0.2) == {"vision": text}


def test_a_process_of_this_host_is_certain_and_what_it_tells_is_nothing(clocks: Clocks) -> None:
    clocks.told("here", 0, 10)
    assert clocks.error("here") == 0
    assert clocks.shifts == {"vision": AHEAD}
