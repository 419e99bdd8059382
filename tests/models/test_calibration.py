"""Priors, and the thresholds below which an answer is uncertain."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emopipe.models import calibration
from emopipe.models.calibration import (
    Selection,
    class_shares,
    prior_odds,
    reweighed,
    selective,
    shares_of,
    softmax,
    temperature_at,
    with_prior,
)
from emopipe.models.labels import FACE, SPEECH
from emopipe.pipeline.errors import EmopipeError, ModelError

FACES = dict(zip(FACE, (0.14, 0.02, 0.14, 0.25, 0.17, 0.11, 0.17), strict=True))
VOICES = dict.fromkeys(SPEECH, 2 / 15) | {"neutral": 1 / 15}

distributions = st.lists(st.floats(0.01, 1), min_size=7, max_size=7).map(lambda row: np.array(row) / sum(row))


def test_temperatures_between_and_beyond_the_knots() -> None:
    knots = [(0.5, 1.0), (2.0, 4.0)]
    assert temperature_at(knots, [0.1, 0.5, 1.0, 2.0, 9.0]) == pytest.approx([1.0, 1.0, 2.0, 4.0, 4.0])
    assert temperature_at([(1.0, 1.3)], [0.2, 5.0]) == pytest.approx([1.3, 1.3])


def test_softmax_takes_a_temperature_for_all_rows_or_one_for_each() -> None:
    logits = np.array([[1.0, 2.0, 4.0], [0.0, 0.0, 1000.0]])
    expected = np.exp(logits[:1] / 2) / np.exp(logits[:1] / 2).sum()
    np.testing.assert_allclose(softmax(logits, 2.0)[:1], expected)
    np.testing.assert_allclose(softmax(logits, [2.0, 1.0])[:1], expected)
    np.testing.assert_allclose(softmax(logits)[1], [0, 0, 1])


def test_the_shares_of_the_labels_are_counted() -> None:
    assert class_shares([0, 2, 2, 2], ("a", "b", "c")) == {"a": 0.25, "b": 0.0, "c": 0.75}


@given(distributions, distributions, distributions)
def test_a_new_prior_is_bayes_rule(likelihood: Any, old: Any, new: Any) -> None:
    posterior = likelihood * old / (likelihood * old).sum()
    expected = likelihood * new / (likelihood * new).sum()
    np.testing.assert_allclose(with_prior(posterior[None], old, new)[0], expected, rtol=1e-9)
    np.testing.assert_allclose(with_prior(with_prior(posterior, old, new), new, old), posterior, rtol=1e-9)


def test_the_priors_that_have_names() -> None:
    assert shares_of("training", FACE, FACES) == pytest.approx(FACES)
    assert shares_of("uniform", FACE, FACES) == pytest.approx(dict.fromkeys(FACE, 1 / 7))
    resting = shares_of("neutral", FACE, FACES)
    assert resting["neutral"] == pytest.approx(0.6)
    assert sum(resting.values()) == pytest.approx(1)
    assert resting["happy"] / resting["sad"] == pytest.approx(FACES["happy"] / FACES["sad"])


def test_a_calm_voice_is_a_neutral_one() -> None:
    resting = shares_of("neutral", SPEECH, VOICES)
    assert resting["neutral"] + resting["calm"] == pytest.approx(0.6)
    assert resting["calm"] == pytest.approx(2 * resting["neutral"])


def test_a_table_names_some_shares_or_all_proportions() -> None:
    some = shares_of({"happy": 0.5}, FACE, FACES)
    assert some["happy"] == pytest.approx(0.5)
    assert some["sad"] / some["fear"] == pytest.approx(FACES["sad"] / FACES["fear"])
    all_of_them = shares_of(dict.fromkeys(FACE, 3) | {"sad": 6}, FACE, FACES)
    assert all_of_them == pytest.approx(dict.fromkeys(FACE, 1 / 8) | {"sad": 2 / 8})


@pytest.mark.parametrize(
    ("prior", "message"),
    [
        ("neutrl", 'prior: "neutrl" is unknown; did you mean "neutral"?'),
        ("x", '"x" is unknown; known are "training", "uniform" and "neutral"'),
        ({"hapy": 0.2}, '"hapy" is no label; did you mean "happy"?'),
        ({"happy": 0.0}, "the share of 'happy' is 0.0, but it must be above 0"),
        ({"happy": float("inf")}, "must be above 0"),
        ({"happy": 0.7, "sad": 0.3}, "leave nothing to the labels that are not named"),
        ({}, "is an empty table"),
    ],
)
def test_a_prior_that_cannot_be_is_refused(prior: Any, message: str) -> None:
    with pytest.raises(EmopipeError, match=message.replace("?", r"\?")):
        shares_of(prior, FACE, FACES)


def test_another_prior_needs_to_know_the_old_one() -> None:
    with pytest.raises(ModelError, match="do not say how often disgust stood in the training data"):
        prior_odds("neutral", FACE, FACES | {"disgust": 0.0})


def test_the_prior_as_trained_changes_no_bit() -> None:
    assert prior_odds("training", FACE, {}) is None
    row = np.random.default_rng(0).dirichlet(np.ones(7), 3)
    assert reweighed(row, None).tobytes() == row.tobytes()


def test_a_bound_of_an_error_rate_is_that_of_clopper_and_pearson() -> None:
    assert calibration.error_bound(0, 100, 0.05) == pytest.approx(1 - 0.05 ** (1 / 100), abs=1e-9)
    assert calibration.error_bound(10, 100, 0.025) == pytest.approx(0.17622, abs=1e-5)  # from printed tables
    assert calibration.error_bound(100, 100, 0.05) == 1.0


def answers(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated ones: each is right as often as it is confident."""
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(7, 0.3), count)
    return probabilities, (probabilities.cumsum(axis=1) > random.random((count, 1))).argmax(axis=1)


def test_thresholds_keep_their_promise_on_new_answers() -> None:
    probabilities, targets = answers(3000)
    table = selective(probabilities, targets)
    assert [selection.risk for selection in table] == sorted(selection.risk for selection in table)
    assert [s.threshold for s in table] == sorted((s.threshold for s in table), reverse=True)
    assert table[-1] == Selection(table[-1].risk, 0.0, 1.0)
    new, wanted = answers(200_000, seed=1)
    wrong = new.argmax(axis=1) != wanted
    for risk, least, coverage in table:
        given = new.max(axis=1) >= least
        assert wrong[given].mean() <= risk
        assert given.mean() == pytest.approx(coverage, abs=0.05)


def test_a_promise_needs_evidence() -> None:
    few, many = (selective(*answers(count), risks=[0.2]) for count in (100, 10_000))
    assert not few or few[0].coverage < many[0].coverage
    assert selective(*answers(3)) == [] or selective(*answers(3))[0].risk > 0.5
    assert selective(np.empty((0, 7)), []) == []


def test_equal_confidences_stand_or_fall_together() -> None:
    probabilities = np.tile([[0.9, 0.1]], (1000, 1))
    targets = np.arange(1000) % 10 == 0  # one in ten is wrong
    assert selective(probabilities, targets.astype(int), risks=[0.05, 0.2]) == [Selection(0.2, 0.0, 1.0)]


def test_the_threshold_of_a_risk() -> None:
    table = [Selection(0.1, 0.9, 0.2), Selection(0.2, 0.7, 0.5), Selection(0.3, 0.0, 1.0)]
    assert calibration.threshold(table, 0.2) == 0.7
    assert calibration.threshold(table, 0.29) == 0.7
    assert calibration.threshold(table, 0.9) == 0.0
    assert calibration.threshold([], 1) == 0.0
    with pytest.raises(ModelError, match=r"a risk of 0.05 cannot be promised; the lowest is 0.1"):
        calibration.threshold(table, 0.05)
    with pytest.raises(ModelError, match="have no table of risks"):
        calibration.threshold([], 0.2)
