"""Metrics of a classifier and of its calibration, shared by faces, voices and both together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.functional.classification import (
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_precision,
    multiclass_recall,
)

BIN_COUNT = 15


def fit_temperature(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> float:
    """The T that minimises the NLL of softmax(logits / T) (Guo et al. 2017, arXiv:1706.04599).

    The NLL is convex in 1/T, so LBFGS over log T, where T cannot turn negative, finds the one minimum.

    Args:
        logits: [N, classes], of data the network was not trained on.
        targets: [N] class indices.
        smoothing: the share of each target that is divided among all classes; without it few answers, all of which
            are right, would make T vanish (Platt 1999, who gives it as 1 / (N + 2) in other words).
    """
    log_t = torch.zeros((), dtype=torch.float64, requires_grad=True)
    logits = logits.detach().double().cpu()
    targets = targets.cpu()
    optimizer = torch.optim.LBFGS([log_t], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(logits / log_t.exp(), targets, label_smoothing=smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    return float(log_t.detach().exp())


def calibrate(logits: Tensor, temperature: float | Tensor) -> Tensor:
    """Logits [N, classes] divided by one temperature, or by one each [N]; float64 on the CPU."""
    logits = logits.detach().double().cpu()
    if isinstance(temperature, Tensor):
        return logits / temperature.detach().double().cpu().reshape(-1, 1)
    return logits / temperature


@dataclass(frozen=True)
class Reliability:
    """Answers by their confidence, in equal-width bins: `counts`, mean `confidence` and `accuracy` of each bin.

    An empty bin has confidence and accuracy 0.
    """

    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def error(self) -> float:
        """The expected calibration error: the gap between confidence and accuracy, averaged over the answers."""
        return float(np.abs(self.confidence - self.accuracy) @ self.counts / self.counts.sum())


def bin_of(confidence: NDArray[np.floating[Any]], bins: int = BIN_COUNT) -> NDArray[np.int64]:
    """The bin of each confidence. The last one is closed: an answer that is certain belongs to it."""
    index: NDArray[np.int64] = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    return index


def reliability(probabilities: NDArray[np.floating[Any]], targets: NDArray[Any], bins: int = BIN_COUNT) -> Reliability:
    """The top class's probability against how often it is right."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == targets
    index = bin_of(confidence, bins)
    counts = np.bincount(index, minlength=bins)
    some = np.maximum(counts, 1)
    return Reliability(
        counts,
        np.bincount(index, weights=confidence, minlength=bins) / some,
        np.bincount(index, weights=correct, minlength=bins) / some,
    )


def expected_calibration_error(
    probabilities: NDArray[np.floating[Any]], targets: NDArray[Any], bins: int = BIN_COUNT
) -> float:
    """Mean gap between confidence and accuracy over `bins` equal-width bins of the top class's probability.

    torchmetrics has it too, but its bins are not to be had, and the diagram and the intervals need them.
    """
    return reliability(probabilities, targets, bins).error


def confusion(logits: Tensor, targets: Tensor, classes: int) -> Tensor:
    """[classes, classes] counts: rows are what was expressed, columns what was answered."""
    return multiclass_confusion_matrix(logits.detach().cpu().argmax(dim=1), targets.cpu(), classes)


def summarise(logits: Tensor, targets: Tensor, labels: Sequence[str], temperature: float | Tensor) -> dict[str, float]:
    """Every figure of an evaluation, by name. UAR is the mean recall over the classes present.

    `majority_accuracy` and `majority_uar` are what always giving the most frequent class would get.

    Args:
        logits: [N, classes].
        targets: [N] class indices.
        labels: the classes' names; `recall_<label>`, `precision_<label>`, `f1_<label>` and `n_<label>` are left out
            for a class without examples.
        temperature: one for all (then a figure as well), or one for each example [N]; NLL and ECE are given before
            and after it.
    """
    targets, classes = targets.cpu(), len(labels)
    logits, calibrated = calibrate(logits, 1.0), calibrate(logits, temperature)
    predicted = logits.argmax(dim=1)
    support = torch.bincount(targets, minlength=classes)
    present = [index for index in range(classes) if support[index]]
    recall, precision, f1 = (
        score(predicted, targets, classes, average="none")
        for score in (multiclass_recall, multiclass_precision, multiclass_f1_score)
    )
    truth = targets.numpy()
    figures = {
        "n": float(len(targets)),
        "accuracy": float((predicted == targets).double().mean()),
        "macro_f1": float(multiclass_f1_score(predicted, targets, classes, average="macro")),
        "uar": float(recall[present].mean()),
        "nll_uncalibrated": float(F.cross_entropy(logits, targets)),
        "nll": float(F.cross_entropy(calibrated, targets)),
        "ece_uncalibrated": expected_calibration_error(logits.softmax(dim=1).numpy(), truth),
        "ece": expected_calibration_error(calibrated.softmax(dim=1).numpy(), truth),
        "majority_accuracy": float(support.max()) / len(targets),
        "majority_uar": 1 / len(present),
    }
    if not isinstance(temperature, Tensor):
        figures["temperature"] = temperature
    for name, values in {"recall": recall, "precision": precision, "f1": f1, "n": support}.items():
        figures |= {f"{name}_{labels[index]}": float(values[index]) for index in present}
    return figures
