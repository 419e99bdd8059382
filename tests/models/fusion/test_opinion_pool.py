"""Distributions in shared labels, their certainty, and the logarithmic opinion pool."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emopipe.models.fusion.opinion_pool import certainty, likeliest, named, pool, shared, shares
from emopipe.models.labels import FACE, SPEECH

K = len(FACE)
UNIFORM = [1 / K] * K
distributions = st.lists(st.floats(0.001, 1.0), min_size=K, max_size=K).map(lambda v: [x / sum(v) for x in v])


def sure(label: str, share: float = 0.94) -> list[float]:
    return [share if each == label else (1 - share) / (K - 1) for each in FACE]


def test_speech_in_shared_labels_counts_calm_as_neutral() -> None:
    speech = {"neutral": 0.2, "calm": 0.3, "happy": 0.05, "sad": 0.1, "angry": 0.15, "fearful": 0.08, "disgust": 0.07}
    result = named(shared([speech.get(label, 0.05) for label in SPEECH]))
    assert result == pytest.approx(
        {"neutral": 0.5, "happy": 0.05, "sad": 0.1, "angry": 0.15, "fear": 0.08, "disgust": 0.07, "surprise": 0.05}
    )
    assert list(result) == list(FACE)


def test_certainty_is_0_for_a_uniform_distribution_and_1_for_a_single_label() -> None:
    assert certainty(UNIFORM) == pytest.approx(0, abs=1e-12)
    assert certainty([1.0] + [0.0] * (K - 1)) == 1
    half = certainty([0.5, 0.5] + [0.0] * (K - 2))
    assert half == pytest.approx(1 - math.log(2) / math.log(K))


def test_the_pool_is_the_weighted_geometric_mean() -> None:
    a, b = sure("happy"), sure("sad", 0.7)
    means = [x**0.75 * y**0.25 for x, y in zip(a, b, strict=True)]
    assert pool([a, b], [0.75, 0.25]) == pytest.approx([mean / sum(means) for mean in means])


def test_a_zero_vetoes_nothing() -> None:
    never_happy = [0.0 if label == "happy" else 1 / (K - 1) for label in FACE]
    assert likeliest(pool([sure("happy", 0.999), never_happy], [0.8, 0.2]))[0] == "happy"


def test_shares_are_equal_where_nobody_has_any_weight() -> None:
    assert shares([0.0, 0.0]) == [0.5, 0.5]
    assert shares([3.0, 1.0]) == [0.75, 0.25]


@given(distributions, distributions, st.floats(0, 1))
def test_a_pool_is_a_distribution_between_its_opinions(a: list[float], b: list[float], weight: float) -> None:
    pooled = pool([a, b], [weight, 1 - weight])
    assert math.fsum(pooled) == pytest.approx(1)
    odds = [math.log(p[0] / p[1]) for p in (a, b, pooled)]
    assert min(odds[:2]) - 1e-9 <= odds[2] <= max(odds[:2]) + 1e-9


@given(distributions, distributions, distributions)
def test_the_pool_is_externally_bayesian(a: list[float], b: list[float], evidence: list[float]) -> None:
    def updated(p: list[float]) -> list[float]:
        joint = [x * y for x, y in zip(p, evidence, strict=True)]
        return [value / sum(joint) for value in joint]

    if min(updated(a) + updated(b)) > 1e-6:  # below lies the floor
        before = pool([updated(a), updated(b)], [0.3, 0.7])
        assert before == pytest.approx(updated(pool([a, b], [0.3, 0.7])), rel=1e-6)
