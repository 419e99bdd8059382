"""Opinions about one moment: distributions over the labels both modalities share, how sure each is, and their pool.

Plain floats and `math`, not NumPy: seven numbers, and the same bits whatever the machine's vector units.
"""

import math
from collections.abc import Sequence

from emopipe.models.labels import FACE, SPEECH, SPEECH_TO_FACE

LABELS = FACE

# In a pool of logarithms one zero would veto a label for good, and a classifier's zero is only a rounding.
_MIN_PROBABILITY = 1e-6
_SHARED = [LABELS.index(SPEECH_TO_FACE[label]) for label in SPEECH]


def shared(speech: Sequence[float]) -> list[float]:
    """A distribution over `labels.SPEECH` as one over the shared labels; calm counts as neutral."""
    result = [0.0] * len(LABELS)
    for place, probability in zip(_SHARED, speech, strict=True):
        result[place] += probability
    return result


def normalised(values: Sequence[float]) -> list[float]:
    """`values` floored away from zero, and summing to 1."""
    floored = [max(value, _MIN_PROBABILITY) for value in values]
    total = math.fsum(floored)
    return [value / total for value in floored]


def certainty(distribution: Sequence[float]) -> float:
    """The certainty of a distribution: 1 less its normalised entropy; 0 (uniform) to 1 (one label)."""
    entropy = -math.fsum(p * math.log(p) for p in distribution if p > 0)
    return min(1.0, max(0.0, 1 - entropy / math.log(len(distribution))))


def shares(weights: Sequence[float]) -> list[float]:
    """Weights as shares that sum to 1; equal ones where no opinion has any weight."""
    total = math.fsum(weights)
    return [weight / total for weight in weights] if total > 0 else [1 / len(weights)] * len(weights)


def pool(distributions: Sequence[Sequence[float]], weights: Sequence[float]) -> list[float]:
    """The logarithmic opinion pool: p(label) ∝ Π p_i(label) ^ w_i, with weights that sum to 1.

    It is the pool that stays the same whether new evidence comes before or after pooling (externally Bayesian):
    Genest & Zidek (1986), Combining probability distributions, Statistical Science 1(1), 114-135.
    """
    logs = [[math.log(p) for p in normalised(each)] for each in distributions]
    return softmax([math.fsum(w * each[k] for w, each in zip(weights, logs, strict=True)) for k in range(len(logs[0]))])


def softmax(logits: Sequence[float]) -> list[float]:
    """exp, normalised."""
    top = max(logits)
    powers = [math.exp(value - top) for value in logits]
    total = math.fsum(powers)
    return [power / total for power in powers]


def named(distribution: Sequence[float], labels: Sequence[str] = LABELS) -> dict[str, float]:
    """Label to probability."""
    return dict(zip(labels, distribution, strict=True))


def likeliest(distribution: Sequence[float], labels: Sequence[str] = LABELS) -> tuple[str, float]:
    """The most probable label, the first of equals, and its probability."""
    place = max(range(len(distribution)), key=distribution.__getitem__)
    return labels[place], distribution[place]
