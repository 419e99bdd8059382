"""Bootstrap intervals of figures, over images or over whole groups such as actors."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emopipe.training.evaluation import metrics

RESAMPLES = 2000
CONFIDENCE_LEVEL = 0.95
_MAX_COUNTS = 5_000_000  # counts drawn at a time, which bounds the memory

Matrix = NDArray[np.float64]


def intervals(
    logits: Tensor,
    targets: Tensor,
    temperature: float | Tensor,
    groups: Tensor | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, float]:
    """95 % percentile intervals of accuracy, macro F1, UAR, NLL and ECE, as `<figure>_low` and `<figure>_high`.

    Examples, or whole groups of them, are drawn with replacement (Efron 1979; Field & Welsh 2007 for groups: clips of
    one actor are no independent evidence). Every figure is a function of sums over the examples, so a resample is a
    row of counts times a matrix of sums. Drawing anew adds noise, of which ECE is made in part: its percentiles are
    shifted so that the resamples' mean is the figure itself.

    Args:
        logits: [N, classes].
        targets: [N] class indices.
        temperature: one for all, or one for each example [N].
        groups: [N] what is drawn as a whole; none where each example stands for itself.

    Returns:
        nothing where there are fewer than two groups (or examples) to draw from.
    """
    sums = _by_group(_sums(logits, targets, temperature), groups)
    if len(sums) < 2:
        return {}
    classes = logits.shape[1]
    drawn = _figures(_resampled(sums, resamples, seed), classes)
    itself = _figures(sums.sum(axis=0, keepdims=True), classes)
    drawn["ece"] = np.maximum(0.0, drawn["ece"] + itself["ece"] - drawn["ece"].mean())
    found: dict[str, float] = {}
    for name, values in drawn.items():
        found |= _ends(name, values)
    return found


def gain_interval(
    one: Tensor, other: Tensor, groups: Tensor | None = None, resamples: int = RESAMPLES, seed: int = 0
) -> dict[str, float]:
    """95 % interval of how much more often `one` is right than `other`, as `gain_low` and `gain_high`.

    Both answered the same examples, so they are drawn together: what is hard for both does not widen the interval.

    Args:
        one, other: [N] whether each answer is right.
        groups: as in `intervals`.
    """
    ahead = one.cpu().double().numpy() - other.cpu().double().numpy()
    sums = _by_group(np.stack([ahead, np.ones(len(ahead))], axis=1), groups)
    if len(sums) < 2:
        return {}
    drawn = _resampled(sums, resamples, seed)
    return _ends("gain", drawn[:, 0] / drawn[:, 1])


def calibration_noise(probabilities: NDArray[np.floating[Any]], resamples: int = 500, seed: int = 0) -> float:
    """The ECE that exactly true confidences would show on so few examples, on average.

    Each bin's accuracy is off by chance, so ECE is never nought (Roelofs et al. 2022, arXiv:2012.08668): with 1,000
    examples it is about 0.03. Right and wrong are drawn as the confidences say.
    """
    confidence = probabilities.max(axis=1)
    index, count = metrics.bin_of(confidence), len(confidence)
    member = np.zeros((count, metrics.BIN_COUNT))
    member[np.arange(count), index] = 1.0
    random, total, done = np.random.default_rng(seed), 0.0, 0
    while done < resamples:
        rows = min(resamples - done, max(1, _MAX_COUNTS // count))
        gaps = ((random.random((rows, count)) < confidence) - confidence) @ member
        total += float(np.abs(gaps).sum()) / count
        done += rows
    return total / resamples


def _ends(name: str, values: Matrix) -> dict[str, float]:
    tail = (1 - CONFIDENCE_LEVEL) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return {f"{name}_low": float(low), f"{name}_high": float(high)}


def _by_group(sums: Matrix, groups: Tensor | None) -> Matrix:
    """The sums of each group's examples; of each example, where there are no groups."""
    if groups is None:
        return sums
    owner = np.unique(groups.cpu().numpy(), return_inverse=True)[1]
    result = np.zeros((int(owner.max()) + 1, sums.shape[1]))
    np.add.at(result, owner, sums)
    return result


def _sums(logits: Tensor, targets: Tensor, temperature: float | Tensor) -> Matrix:
    """[N, classes² + bins + 2]: what each example adds to the confusion, the bins' gaps, the NLL, and the count."""
    calibrated = metrics.calibrate(logits, temperature)
    classes, count, truth = logits.shape[1], len(targets), targets.cpu().numpy()
    rows = np.arange(count)
    probabilities = calibrated.softmax(dim=1).numpy()
    predicted = logits.detach().cpu().argmax(dim=1).numpy()
    sums = np.zeros((count, classes**2 + metrics.BIN_COUNT + 2))
    sums[rows, truth * classes + predicted] = 1.0
    confidence = probabilities.max(axis=1)
    sums[rows, classes**2 + metrics.bin_of(confidence)] = confidence - (probabilities.argmax(axis=1) == truth)
    sums[:, -2] = torch.nn.functional.cross_entropy(calibrated, targets.cpu(), reduction="none").numpy()
    sums[:, -1] = 1.0
    return sums


def _resampled(sums: Matrix, resamples: int, seed: int) -> Matrix:
    """[resamples, …]: the sums over as many units as there are, drawn with replacement."""
    random, units = np.random.default_rng(seed), len(sums)
    parts: list[Matrix] = []
    done = 0
    while done < resamples:
        rows = min(resamples - done, max(1, _MAX_COUNTS // units))
        drawn = random.integers(units, size=(rows, units)) + units * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units)
        parts.append(counts @ sums)
        done += rows
    return np.concatenate(parts)


def _figures(sums: Matrix, classes: int) -> dict[str, Matrix]:
    """Each figure of each row of sums."""
    confusion = sums[:, : classes**2].reshape(-1, classes, classes)
    gaps, nll, count = sums[:, classes**2 : -2], sums[:, -2], sums[:, -1]
    hits = np.diagonal(confusion, axis1=1, axis2=2)
    support, answers = confusion.sum(axis=2), confusion.sum(axis=1)
    recall = np.divide(hits, support, out=np.zeros_like(hits), where=support > 0)
    f1 = np.divide(2 * hits, support + answers, out=np.zeros_like(hits), where=support + answers > 0)
    return {
        "accuracy": hits.sum(axis=1) / count,
        "macro_f1": f1.sum(axis=1) / (support + answers > 0).sum(axis=1),
        "uar": recall.sum(axis=1) / (support > 0).sum(axis=1),
        "nll": nll / count,
        "ece": np.abs(gaps).sum(axis=1) / count,
    }
