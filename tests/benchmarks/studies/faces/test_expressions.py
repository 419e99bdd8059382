"""Areas under ROC curves, and their intervals, of `benchmarks.studies.faces.expressions`."""

import numpy as np
import pytest

from benchmarks.studies.faces.expressions import area, gain


def test_an_area_is_how_often_one_exceeds_the_other_and_ties_count_half() -> None:
    more, less = np.array([1.0, 2.0, 2.0, 5.0]), np.array([0.0, 2.0, 3.0])
    wins = [(a > b) + (a == b) / 2 for a in more for b in less]
    assert area(more, less).value == pytest.approx(np.mean(wins))
    assert area(less, more).value == pytest.approx(1 - np.mean(wins))
    assert area(less, more).error == pytest.approx(area(more, less).error)


def test_a_measure_that_is_always_right_has_no_error() -> None:
    assert area(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == (1.0, 0.0)


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    held = gained = 0
    for _ in range(1000):
        more, less = random.normal(1, 1, 60), random.normal(0, 1, 80)
        found = area(more, less)
        held += abs(found.value - 0.7602) <= found.half_width  # of normal values one standard deviation apart: Φ(1/√2)
        noise_more, noise_less = random.normal(0, 0.5, 60), random.normal(0, 0.5, 80)
        change = gain((more + noise_more, more), (less + noise_less, less))
        gained += abs(change.value - (0.7364 - 0.7602)) <= change.half_width  # Φ(1/√2.5)
    assert held / 1000 == pytest.approx(0.95, abs=0.025)
    assert gained / 1000 == pytest.approx(0.95, abs=0.025)


def test_a_definition_gains_nothing_over_itself() -> None:
    more, less = np.array([1.0, 4.0, 2.0]), np.array([0.0, 2.0, 3.0])
    assert gain((more, more), (less, less)) == (0.0, 0.0)
