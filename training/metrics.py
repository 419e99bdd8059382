"""How good a classifier is, and how far its confidence can be believed. Shared by faces and voices."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor


def fit_temperature(logits: Tensor, targets: Tensor) -> float:
    """The T that minimises the NLL of softmax(logits / T) (Guo et al. 2017, arXiv:1706.04599).

    The NLL is convex in 1/T, so LBFGS over log T, where T cannot turn negative, finds the one minimum.

    Args:
        logits: [N, classes], of data the network was not trained on.
        targets: [N] class indices.
    """
    log_t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    logits = logits.detach().double().cpu()
    targets = targets.cpu()
    optimizer = torch.optim.LBFGS([log_t], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(logits / log_t.exp(), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    return float(log_t.detach().exp())


def expected_calibration_error(
    probabilities: NDArray[np.floating[Any]], targets: NDArray[Any], bins: int = 15
) -> float:
    """Mean gap between confidence and accuracy over `bins` equal-width bins of the top class's probability."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == targets
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(index, weights=correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(targets))


def summarise(logits: Tensor, targets: Tensor, labels: Sequence[str], temperature: float) -> dict[str, float]:
    """Every figure of an evaluation, by name. UAR is the mean recall over the classes present.

    Args:
        logits: [N, classes].
        targets: [N] class indices.
        labels: the classes' names; `recall_<label>` is left out for a class without examples.
        temperature: as the checkpoint carries it; NLL and ECE are given before and after it.
    """
    logits, targets = logits.detach().double().cpu(), targets.cpu()
    predicted = logits.argmax(dim=1)
    classes = len(labels)
    confusion = torch.bincount(targets * classes + predicted, minlength=classes**2).reshape(classes, classes).double()
    hits, support, predictions = confusion.diagonal(), confusion.sum(dim=1), confusion.sum(dim=0)
    present = support > 0
    recall = hits[present] / support[present]
    f1 = 2 * hits[present] / (support + predictions)[present]
    raw, calibrated = logits.softmax(dim=1), (logits / temperature).softmax(dim=1)
    figures = {
        "n": float(len(targets)),
        "accuracy": float(hits.sum() / len(targets)),
        "macro_f1": float(f1.mean()),
        "uar": float(recall.mean()),
        "nll_uncalibrated": float(F.cross_entropy(logits, targets)),
        "nll": float(F.cross_entropy(logits / temperature, targets)),
        "ece_uncalibrated": expected_calibration_error(raw.numpy(), targets.numpy()),
        "ece": expected_calibration_error(calibrated.numpy(), targets.numpy()),
        "temperature": temperature,
    }
    named = zip((label for label, there in zip(labels, present, strict=True) if there), recall, strict=True)
    return figures | {f"recall_{label}": float(value) for label, value in named}
