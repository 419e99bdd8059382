import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, settings
from hypothesis import strategies as st

from emopipe.training.evaluation import metrics


def sample(temperature: float, count: int = 20_000, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that are over-confident by `temperature`, and targets drawn from what they should have said."""
    random = torch.Generator().manual_seed(0)
    honest = 2 * torch.randn(count, classes, generator=random, dtype=torch.float64)
    targets = torch.multinomial(honest.softmax(1), 1, generator=random).squeeze(1)
    return honest * temperature, targets


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_finds_the_temperature(temperature: float) -> None:
    logits, targets = sample(temperature)
    assert metrics.fit_temperature(logits.float(), targets) == pytest.approx(temperature, rel=0.05)


@given(st.floats(0.3, 4), st.integers(0, 2**16))
@settings(max_examples=25, deadline=None)
def test_no_other_temperature_is_better(scale: float, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    targets = torch.randint(0, 5, (200,), generator=random)
    logits = scale * (torch.randn(200, 5, generator=random) + 2 * F.one_hot(targets, 5))
    found = metrics.fit_temperature(logits, targets)
    nll = F.cross_entropy(logits.double() / found, targets)
    for other in (0.8 * found, 0.98 * found, 1.02 * found, 1.25 * found):
        assert nll <= F.cross_entropy(logits.double() / other, targets) + 1e-6


def test_fitting_leaves_grad_mode_and_inputs_alone() -> None:
    logits, targets = sample(2.0, 100)
    before = logits.clone()
    with torch.inference_mode(False), torch.no_grad():
        metrics.fit_temperature(logits, targets)
    torch.testing.assert_close(logits, before, rtol=0, atol=0)


def test_calibration_error_of_known_cases() -> None:
    sure = np.array([[0.9, 0.1]] * 10)
    assert metrics.expected_calibration_error(sure, np.array([0] * 9 + [1])) == pytest.approx(0.0)
    assert metrics.expected_calibration_error(sure, np.array([0] * 4 + [1] * 6)) == pytest.approx(0.5)
    certain = np.array([[1.0, 0.0]])
    assert metrics.expected_calibration_error(certain, np.array([1])) == pytest.approx(1.0)


def test_summary_of_a_known_confusion() -> None:
    predicted = torch.tensor([0, 0, 0, 1, 1, 0, 1, 1])
    targets = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    figures = metrics.summarise(5.0 * F.one_hot(predicted, 3), targets, ("a", "b", "c"), 1.0)
    assert figures["n"] == 8
    assert figures["accuracy"] == pytest.approx(6 / 8)
    assert (figures["recall_a"], figures["recall_b"]) == (0.75, 0.75)
    assert "recall_c" not in figures
    assert figures["uar"] == pytest.approx(0.75)
    assert figures["macro_f1"] == pytest.approx(0.75)
    assert figures["nll"] == figures["nll_uncalibrated"]


def test_calibrating_changes_confidence_and_no_decision() -> None:
    logits, targets = sample(3.0)
    figures = metrics.summarise(logits, targets, "abcd", metrics.fit_temperature(logits, targets))
    plain = metrics.summarise(logits, targets, "abcd", 1.0)
    assert figures["accuracy"] == plain["accuracy"]
    assert figures["nll"] < plain["nll"] == figures["nll_uncalibrated"]
    assert figures["ece"] < 0.02
    assert figures["ece_uncalibrated"] > 0.1


@settings(max_examples=30)
@given(st.integers(3, 6), st.integers(1, 80), st.integers(0, 2**16))
def test_agrees_with_formulas_written_out(classes: int, count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    logits, targets = random.normal(size=(count, classes)), random.integers(classes, size=count)
    figures = metrics.summarise(torch.from_numpy(logits), torch.from_numpy(targets), "abcdef"[:classes], 1.7)
    said = logits.argmax(axis=1)
    recalls, f1s = [], []
    for number in range(classes):
        hits = int(((said == number) & (targets == number)).sum())
        expressed, answered = int((targets == number).sum()), int((said == number).sum())
        if expressed + answered:
            f1s.append(2 * hits / (expressed + answered))
        name = "abcdef"[number]
        if not expressed:
            assert f"recall_{name}" not in figures
            continue
        recalls.append(hits / expressed)
        assert figures[f"n_{name}"] == expressed
        assert figures[f"recall_{name}"] == pytest.approx(recalls[-1], abs=1e-6)
        assert figures[f"precision_{name}"] == pytest.approx(hits / answered if answered else 0.0, abs=1e-6)
        assert figures[f"f1_{name}"] == pytest.approx(f1s[-1], abs=1e-6)
    assert figures["accuracy"] == pytest.approx(np.mean(said == targets), abs=1e-6)
    assert figures["uar"] == pytest.approx(np.mean(recalls), abs=1e-6)
    assert figures["macro_f1"] == pytest.approx(np.mean(f1s), abs=1e-6)
    exponential = np.exp(logits / 1.7)
    probabilities = exponential / exponential.sum(axis=1, keepdims=True)
    assert figures["nll"] == pytest.approx(-np.log(probabilities[np.arange(count), targets]).mean())
    assert figures["majority_accuracy"] == np.bincount(targets).max() / count
    assert figures["majority_uar"] == pytest.approx(1 / len(set(targets.tolist())))
    assert metrics.confusion(torch.from_numpy(logits), torch.from_numpy(targets), classes).sum() == count


@settings(max_examples=30)
@given(st.integers(1, 200), st.floats(0.1, 5), st.integers(0, 2**16))
def test_calibration_error_is_that_of_torchmetrics(count: int, scale: float, seed: int) -> None:
    from torchmetrics.functional.classification import multiclass_calibration_error

    random = torch.Generator().manual_seed(seed)
    probabilities = (scale * torch.randn(count, 4, generator=random)).softmax(dim=1)
    targets = torch.randint(0, 4, (count,), generator=random)
    ours = metrics.expected_calibration_error(probabilities.double().numpy(), targets.numpy())
    theirs = multiclass_calibration_error(probabilities, targets, 4, n_bins=15, norm="l1")
    assert ours == pytest.approx(float(theirs), abs=1e-5)


def test_reliability_of_a_known_case() -> None:
    probabilities = np.array([[0.99, 0.01], [0.95, 0.05], [0.4, 0.6], [1.0, 0.0]])
    found = metrics.reliability(probabilities, np.array([0, 1, 1, 0]), bins=10)
    assert found.counts.tolist() == [0, 0, 0, 0, 0, 0, 1, 0, 0, 3]
    assert found.confidence[9] == pytest.approx((0.99 + 0.95 + 1.0) / 3)
    assert found.accuracy[[6, 9]] == pytest.approx([1.0, 2 / 3])
    assert found.error == pytest.approx((0.4 + abs(2.94 - 2.0)) / 4)
