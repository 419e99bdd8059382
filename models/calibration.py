"""Calibration of probabilities: the temperature, the prior they rest on, the threshold below which one is uncertain.

Plain NumPy, shared by networks of faces, voices and both; nothing here knows how an answer was made.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emopipe.models.labels import FACE, SPEECH_TO_FACE
from emopipe.pipeline.errors import EmopipeError, ModelError
from emopipe.pipeline.text import instead, show

Doubles = NDArray[np.float64]

Prior = str | Mapping[str, float]
"""`training`, `uniform`, `neutral`, or shares by label."""

PRIORS = ("training", "uniform", "neutral")

NEUTRAL = 0.6
"""The share of neutral faces and voices in the prior `neutral`: a round figure for live use, where people mostly
listen, think or talk of nothing in particular, while data sets are collected for their expressions. The other labels
keep the proportions of the training data, so that only the question *expression or none* is decided anew."""


def softmax(logits: ArrayLike, temperature: ArrayLike = 1.0) -> Doubles:
    """Logits [N, classes] as probabilities, each row divided by the temperature, one for all or [N] (Guo et al. 2017,
    arXiv:1706.04599)."""
    scaled = np.asarray(logits, np.float64) / np.reshape(np.asarray(temperature, np.float64), (-1, 1))
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    result: Doubles = powers / powers.sum(axis=-1, keepdims=True)
    return result


Knot = tuple[float, float]
"""(place, temperature), both above 0."""


def temperature_at(knots: Sequence[Knot], places: ArrayLike) -> Doubles:
    """The temperature at each of `places` [N]: a face's distance from those trained on, or seconds of speech.

    Between two knots its logarithm is linear in the logarithm of the place; before the first and behind the last it
    stays.
    """
    at, temperatures = np.log(np.array(knots, np.float64)).T
    result: Doubles = np.exp(np.interp(np.log(np.maximum(np.asarray(places, np.float64), 1e-9)), at, temperatures))
    return result


# -- priors ------------------------------------------------------------------------------------------------------


def class_shares(targets: ArrayLike, labels: Sequence[str]) -> dict[str, float]:
    """The share of each label in `targets` [N] (class indices): the prior of a network that was trained on them."""
    counts = np.bincount(np.asarray(targets, np.int64), minlength=len(labels))
    return dict(zip(labels, (counts / max(1, counts.sum())).tolist(), strict=True))


def prior_problem(prior: Prior, labels: Sequence[str]) -> str:
    """The reason why `prior` cannot be one for `labels`, as a sentence for the user; empty if it can."""
    if isinstance(prior, str):
        if prior == "neutral" and not any(SPEECH_TO_FACE.get(label, label) == "neutral" for label in labels):
            return "neutral is none of the model's labels; give shares of those, or leave it at training"
        return "" if prior in PRIORS else _unknown(prior, PRIORS, "prior")
    for label, share in prior.items():
        if label not in labels:
            return _unknown(label, labels, "label")
        if not (math.isfinite(share) and share > 0):
            return f"the share of {label!r} is {share}, but it must be above 0"
    total = math.fsum(prior.values())
    if not prior:
        return "is an empty table; give a label its share, such as { neutral = 0.6 }"
    if len(prior) < len(labels) and total >= 1:
        return f"the shares add up to {total:g} and leave nothing to the labels that are not named; lower them"
    return ""


def shares_of(prior: Prior, labels: Sequence[str], training: Mapping[str, float]) -> dict[str, float]:
    """The share of each label under `prior`; they sum to 1.

    In a table the labels that are not named divide what is left in the proportions of `training`; where all are
    named, only the proportions count.

    Raises:
        EmopipeError: `prior` is not one of `PRIORS`, names an unknown label, or leaves nothing to the others.
        ModelError: `training` is not known for every label.
    """
    if problem := prior_problem(prior, labels):
        raise EmopipeError(f"prior: {problem}")
    lacking = [label for label in labels if not training.get(label)]
    if lacking:
        raise ModelError(
            f"the weights do not say how often {', '.join(lacking)} stood in the training data, which another prior "
            "needs; train them again, or use the prior `training`"
        )
    given: Mapping[str, float] = {}
    if not isinstance(prior, str):
        given = prior
    elif prior == "uniform":
        given = dict.fromkeys(labels, 1.0)
    elif prior == "neutral":
        resting = [label for label in labels if SPEECH_TO_FACE.get(label, label) == "neutral"]
        mass = math.fsum(training[label] for label in resting)
        given = {label: NEUTRAL * training[label] / mass for label in resting}
    left = math.fsum(training[label] for label in labels if label not in given)
    rest = 1 - math.fsum(given.values())
    shares = {label: given[label] if label in given else rest * training[label] / left for label in labels}
    total = math.fsum(shares.values())
    return {label: share / total for label, share in shares.items()}


def speech_prior(prior: Prior, training: Mapping[str, float]) -> Prior:
    """A prior over `labels.FACE` as one over `labels.SPEECH`: labels that are one there divide its share as they do in
    `training`, the shares of a voice's labels. One that has a name keeps it."""
    if isinstance(prior, str):
        return prior
    if problem := prior_problem(prior, FACE):
        raise EmopipeError(f"prior: {problem}")
    named = {label: face for label, face in SPEECH_TO_FACE.items() if face in prior}
    mass = {face: math.fsum(training.get(label, 1.0) for label, of in named.items() if of == face) for face in prior}
    return {label: prior[face] * training.get(label, 1.0) / mass[face] for label, face in named.items()}


def prior_odds(prior: Prior, labels: Sequence[str], training: Mapping[str, float]) -> Doubles | None:
    """New share over old share of each label, [classes]; none where the prior stays. Raises as `shares_of`."""
    if prior == "training":
        return None
    new = shares_of(prior, labels, training)
    return np.array([new[label] / training[label] for label in labels])


def reweighed(probabilities: ArrayLike, odds: Doubles | None) -> Doubles:
    """p'(y) ∝ p(y) · odds(y), for each row of [N, classes]: what p says once the prior changes by `odds`."""
    before = np.asarray(probabilities, np.float64)
    if odds is None:
        return before
    products = before * odds
    result: Doubles = products / products.sum(axis=-1, keepdims=True)
    return result


def with_prior(probabilities: ArrayLike, training_prior: ArrayLike, prior: ArrayLike) -> Doubles:
    """Probabilities [N, classes] of a classifier trained where labels had the shares `training_prior` [classes], for
    a place where they have the shares `prior`: p'(y) ∝ p(y) · prior(y) / training_prior(y).

    Right where faces and voices of each label look and sound as in training, and only their numbers differ (Saerens,
    Latinne & Decaestecker 2002, Neural Computation 14(1), 21-41, eq. 2.4).
    """
    return reweighed(probabilities, np.asarray(prior, np.float64) / np.asarray(training_prior, np.float64))


def _unknown(name: str, known: Sequence[str], kind: str) -> str:
    return f"{show(name)} is {'no label' if kind == 'label' else 'unknown'}; {instead(name, known)}"


# -- uncertainty -------------------------------------------------------------------------------------------------


class Selection(NamedTuple):
    """Where only answers of at least `threshold` confidence are given, no more than the share `risk` of them are wrong;
    `coverage` is the share of questions that get one."""

    risk: float
    threshold: float
    coverage: float


RISKS = tuple(round(0.01 * percent, 2) for percent in range(1, 100))


def selective(
    probabilities: ArrayLike, targets: ArrayLike, risks: Sequence[float] = RISKS, delta: float = 0.05
) -> list[Selection]:
    """The smallest threshold for each risk that can be promised with the certainty 1 - `delta`, by rising risk.

    Selection with guaranteed risk (Geifman & El-Yaniv 2017, arXiv:1705.08500, algorithm 1): a threshold is taken if
    an upper confidence bound of the error rate above it, exact (Clopper & Pearson 1934) and with `delta` shared out
    over all thresholds tried, lies below the risk. The plain error rate would be broken by new data every second time.

    Args:
        probabilities: [N, classes], of examples that were neither trained nor calibrated on. The promise holds for
            examples drawn as these were, whatever else they are.
        targets: [N] class indices.
        risks: those to try; one that no threshold reaches is left out, and so is every one above a risk that already
            covers all.
    """
    confidence = np.asarray(probabilities, np.float64)
    wrong = confidence.argmax(axis=1) != np.asarray(targets)
    confidence = confidence.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    confidence, errors = confidence[order], np.cumsum(wrong[order])
    total = len(confidence)
    if not total:
        return []
    # Equal confidences stand or fall together: a threshold is tried at the last of them only.
    ends = np.append(np.flatnonzero(np.diff(confidence)), total - 1)
    share = delta / (math.ceil(math.log2(len(ends) + 1)) + 1)
    result: list[Selection] = []
    for risk in sorted(risks):
        low, high, place = -1, len(ends) - 1, len(ends) - 1  # the first try is to answer everything
        while low < high:
            count = int(ends[place]) + 1
            low, high = (place, high) if error_bound(int(errors[count - 1]), count, share) <= risk else (low, place - 1)
            place = (low + high + 1) // 2
        if low == len(ends) - 1:
            result.append(Selection(risk, 0.0, 1.0))
            break
        if low >= 0:
            result.append(Selection(risk, float(confidence[ends[low]]), (int(ends[low]) + 1) / total))
    return result


def threshold(selections: Sequence[Selection], risk: float) -> float:
    """The confidence below which an answer is uncertain, so that at most the share `risk` of the others is wrong.

    Raises:
        ModelError: there is no table, or it promises no risk as low.
    """
    if risk >= 1:
        return 0.0
    if not selections:
        raise ModelError("the weights have no table of risks; train them again, or use the risk 1 (never uncertain)")
    reached = [selection.threshold for selection in selections if selection.risk <= risk + 1e-9]
    if not reached:
        raise ModelError(f"a risk of {risk:g} cannot be promised; the lowest is {selections[0].risk:g}")
    return reached[-1]


@lru_cache(maxsize=4096)
def error_bound(errors: int, count: int, delta: float) -> float:
    """The upper bound of an error rate that showed `errors` in `count` independent trials, exceeded with at most the
    probability `delta` (Clopper & Pearson 1934)."""
    if errors >= count:
        return 1.0
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])
    k = np.arange(errors + 1)
    ways = logs[count] - logs[k] - logs[count - k]
    low, high = errors / count, 1.0
    for _ in range(40):
        rate = (low + high) / 2
        terms = ways + k * math.log(rate) + (count - k) * math.log1p(-rate)
        low, high = (rate, high) if np.exp(terms).sum() > delta else (low, rate)
    return high
