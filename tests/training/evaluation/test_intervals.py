import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emopipe.training.evaluation.intervals import calibration_noise, gain_interval, intervals
from emopipe.training.evaluation.metrics import expected_calibration_error, summarise

BOUNDED = ("accuracy", "macro_f1", "uar", "nll", "ece")


def answers(count: int, right: float, classes: int = 4, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that point at the target with probability `right`, else anywhere."""
    random = np.random.default_rng(seed)
    targets = random.integers(classes, size=count)
    said = np.where(random.random(count) < right, targets, random.integers(classes, size=count))
    logits = random.normal(size=(count, classes))
    logits[np.arange(count), said] += 4
    return torch.from_numpy(logits), torch.from_numpy(targets)


def test_agrees_with_the_figures_of_each_resample() -> None:
    logits, targets = answers(60, 0.6)
    temperature = torch.linspace(0.5, 2.0, 60)
    found = intervals(logits, targets, temperature, resamples=20, seed=5)

    draws = np.random.default_rng(5).integers(60, size=(20, 60))
    each = [
        summarise(logits[drawn], targets[drawn], "abcd", temperature[drawn]) for drawn in map(torch.from_numpy, draws)
    ]
    itself = summarise(logits, targets, "abcd", temperature)
    for name in BOUNDED:
        values = np.array([figures[name] for figures in each])
        if name == "ece":
            values = np.maximum(0, values + itself["ece"] - values.mean())
        low, high = np.quantile(values, [0.025, 0.975])
        assert found[f"{name}_low"] == pytest.approx(low, abs=1e-6), name
        assert found[f"{name}_high"] == pytest.approx(high, abs=1e-6), name


def test_the_width_is_that_of_the_normal_approximation() -> None:
    logits, targets = answers(2000, 0.7)
    found = intervals(logits, targets, 1.0)
    accuracy = summarise(logits, targets, "abcd", 1.0)["accuracy"]
    half = 1.96 * (accuracy * (1 - accuracy) / 2000) ** 0.5
    assert found["accuracy_low"] == pytest.approx(accuracy - half, abs=0.003)
    assert found["accuracy_high"] == pytest.approx(accuracy + half, abs=0.003)


def test_they_hold_the_truth_as_often_as_they_say() -> None:
    truth = 0.6 + 0.4 / 4
    held = 0
    for seed in range(60):
        found = intervals(*answers(200, 0.6, seed=seed), 1.0, resamples=200)
        held += found["accuracy_low"] <= truth <= found["accuracy_high"]
    assert 51 <= held <= 60  # 57 expected; fewer than 51 has a chance of 1 in 300


def test_people_are_drawn_whole() -> None:
    """Ten people, each always right or always wrong: a hundred clips of each tell no more than one."""
    targets = torch.zeros(1000, dtype=torch.long)
    people = torch.arange(1000) // 100
    logits = torch.where((people < 6)[:, None], torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0]))
    alone = intervals(logits, targets, 1.0)
    whole = intervals(logits, targets, 1.0, groups=people)
    assert alone["accuracy_high"] - alone["accuracy_low"] == pytest.approx(0.061, abs=0.01)
    assert whole["accuracy_high"] - whole["accuracy_low"] == pytest.approx(0.6, abs=0.11)


def test_one_person_has_no_interval() -> None:
    logits, targets = answers(50, 0.5)
    assert intervals(logits, targets, 1.0, groups=torch.full((50,), 7)) == {}


def test_the_same_seed_gives_the_same_interval() -> None:
    logits, targets = answers(50, 0.5)
    assert intervals(logits, targets, 1.0, seed=3) == intervals(logits, targets, 1.0, seed=3)
    assert intervals(logits, targets, 1.0, seed=3) != intervals(logits, targets, 1.0, seed=4)


@settings(max_examples=20)
@given(st.integers(2, 40), st.integers(0, 2**16), st.floats(0.2, 5))
def test_bounds_are_in_order_and_hold_the_figure(count: int, seed: int, temperature: float) -> None:
    logits, targets = answers(count, 0.5, seed=seed)
    found = intervals(logits, targets, temperature, resamples=100)
    figures = summarise(logits, targets, "abcd", temperature)
    for name in BOUNDED:
        assert found[f"{name}_low"] <= found[f"{name}_high"]
    for name in ("accuracy", "nll"):
        assert found[f"{name}_low"] <= figures[name] + 1e-9
        assert figures[name] <= found[f"{name}_high"] + 1e-9


def test_calibration_noise_is_the_error_of_true_confidences() -> None:
    random = np.random.default_rng(1)
    probabilities = random.dirichlet([0.5] * 4, size=800)
    noise = calibration_noise(probabilities)
    measured = [
        expected_calibration_error(probabilities, np.array([random.choice(4, p=row) for row in probabilities]))
        for _ in range(20)
    ]
    assert noise == pytest.approx(np.mean(measured), abs=0.005)
    assert calibration_noise(np.tile(probabilities, (10, 1))) < noise / 2


def test_a_gain_is_bounded_pair_by_pair() -> None:
    random = np.random.default_rng(0)
    other = torch.from_numpy(random.random(1000) < 0.5)
    one = other | torch.from_numpy(random.random(1000) < 0.1)
    gain = float((one.double() - other.double()).mean())
    found = gain_interval(one, other)
    half = 1.96 * (gain * (1 - gain) / 1000) ** 0.5
    assert found["gain_low"] == pytest.approx(gain - half, abs=0.004)
    assert found["gain_high"] == pytest.approx(gain + half, abs=0.004)
    people = torch.arange(1000) // 100
    assert gain_interval(one, one, people) == {"gain_low": 0.0, "gain_high": 0.0}
    assert gain_interval(one, other, torch.zeros(1000)) == {}
