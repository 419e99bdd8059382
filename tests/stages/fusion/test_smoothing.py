"""Smoothing in seconds, by certainty, each face for itself."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emopipe.models.labels import FACE
from emopipe.pipeline.clock import MS, SECOND
from emopipe.stages.fusion.smoothing import Smoother

K = len(FACE)
HAPPY = [0.7] + [0.05] * (K - 1)
SAD = [0.05] * (K - 1) + [0.7]


def test_the_first_observation_comes_out_as_it_went_in() -> None:
    assert Smoother(0.3, 2.0).push(0, 5 * SECOND, HAPPY, 0.4) == pytest.approx(HAPPY)


def test_a_step_is_followed_with_the_time_constant() -> None:
    """After τ of the new, the old has e^-1 of the weight that the sum of both gives it."""
    smoother = Smoother(0.3, 2.0)
    step = 10 * MS
    for n in range(300):
        smoother.push(0, n * step, HAPPY, 1.0)
    for n in range(300, 330):
        result = smoother.push(0, n * step, SAD, 1.0)
    old_share = math.log(result[0] / result[-1]) / math.log(HAPPY[0] / HAPPY[-1]) / 2 + 0.5
    assert old_share == pytest.approx(math.exp(-1), abs=0.001)


@pytest.mark.parametrize("fps", [15, 60])
def test_the_response_does_not_depend_on_the_frame_rate(fps: int) -> None:
    smoother = Smoother(0.3, 2.0)
    for n in range(3 * fps):
        smoother.push(0, n * SECOND // fps, HAPPY, 1.0)
    for n in range(3 * fps, 3 * fps + fps * 2 // 5):  # 0.4 s
        result = smoother.push(0, n * SECOND // fps, SAD, 1.0)
    old_share = math.log(result[0] / result[-1]) / math.log(HAPPY[0] / HAPPY[-1]) / 2 + 0.5
    assert old_share == pytest.approx(math.exp(-0.4 / 0.3), abs=0.001)


def test_what_is_sure_counts_for_more() -> None:
    shy, sure = Smoother(0.3, 2.0), Smoother(0.3, 2.0)
    for smoother, weight in ((shy, 0.1), (sure, 0.9)):
        smoother.push(0, 0, HAPPY, 0.5)
        smoother.push(0, 40 * MS, SAD, weight)
    assert sure.push(0, 41 * MS, SAD, 0.1)[-1] > shy.push(0, 41 * MS, SAD, 0.1)[-1]


def test_each_key_has_its_own_past() -> None:
    smoother = Smoother(0.3, 2.0)
    smoother.push(0, 0, HAPPY, 1.0)
    assert smoother.push(1, 40 * MS, SAD, 1.0) == pytest.approx(SAD)
    assert smoother.push("voice", 40 * MS, SAD, 1.0) == pytest.approx(SAD)


def test_who_was_away_for_longer_than_forget_starts_anew() -> None:
    smoother = Smoother(10.0, 2.0)
    smoother.push(0, 0, HAPPY, 1.0)
    assert smoother.push(0, 2 * SECOND, SAD, 1.0) != pytest.approx(SAD)
    assert smoother.push(0, 4 * SECOND + 1, SAD, 1.0) == pytest.approx(SAD)


def test_a_time_constant_of_0_changes_nothing() -> None:
    smoother = Smoother(0.0, 2.0)
    smoother.push(0, 0, HAPPY, 1.0)
    assert smoother.push(0, 1, SAD, 1.0) == SAD


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3 * SECOND),
            st.lists(st.floats(0, 1), min_size=K, max_size=K).filter(any),
            st.floats(0, 2),
        ),
        min_size=1,
    )
)
def test_whatever_comes_the_result_is_a_distribution(steps: list[tuple[int, list[float], float]]) -> None:
    smoother = Smoother(0.3, 2.0)
    pts = 0
    for step, values, weight in steps:
        pts += step
        result = smoother.push(0, pts, [value / sum(values) for value in values], weight)
        assert math.fsum(result) == pytest.approx(1)
        assert all(p > 0 for p in result)
