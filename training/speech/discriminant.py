"""Training a head: a linear discriminant whose covariance says how strangers may differ from those who were heard.

Classic discriminant analysis asks how much the clips of one class differ. Among the clips of one speaker that is
little; between speakers, microphones and rooms it is a lot, and a stranger's differs in ways that no training speaker's
does. So what is between classes is learnt within speakers, and the covariance that it is weighed against is the sum of

- the covariance within speaker and class,
- that of the speakers' means, and again its diagonal, for strangers who are like none of them,
- that of what noise, rooms and telephones do to a clip (`emopipe.training.speech.degradation`),

shrunk towards the identity. There is one answer, worked out in a second.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emopipe.models.labels import SPEECH
from emopipe.models.speech.heads import ABOUT, LIMIT, Head
from emopipe.pipeline.errors import DataError
from emopipe.training.speech.clips import Clip
from emopipe.training.speech.settings import Settings

Matrix = NDArray[np.float64]


def fit_head(clips: Sequence[Clip], noises: NDArray[np.floating], settings: Settings) -> Head:
    """A head for these clips' vectors, and for those [M, D] of sounds that are no voice.

    Where nobody is calm, it is taken for half of what is neutral.

    Raises:
        DataError: another emotion is missing, or there is one speaker only.
    """
    vectors = np.stack([clip.vectors[0] for clip in clips]).astype(np.float64)
    degraded = [index for index, clip in enumerate(clips) if len(clip.degraded)]
    changes = np.stack([clips[index].degraded for index in degraded]) - vectors[degraded] if degraded else None
    windows = np.concatenate([clip.vectors[1:][::_EVERY] for clip in clips]).astype(np.float64)
    groups = _Groups.of(clips)
    mean = groups.weights @ vectors
    deviation = np.sqrt(groups.weights @ (vectors - mean) ** 2) + 1e-3
    standard = _standard(vectors, mean, deviation)
    spread = _Spread.of(standard, groups)
    covariance = spread.within + settings.speakers * spread.between
    covariance += settings.strangers * np.diag(np.diag(spread.between))
    if changes is not None:
        moved = np.clip(changes[:, ABOUT:] / deviation[ABOUT:], -LIMIT, LIMIT)
        covariance += settings.degradation * moved.T @ moved / len(moved)
    weight = np.linalg.solve(_shrunk(covariance, settings.shrinkage), spread.classes.T).T.astype(np.float64)
    # Classes count alike: how often an emotion is acted says nothing of how often it is met.
    bias = -0.5 * (weight * spread.classes).sum(1) - weight @ spread.centre
    if not (groups.labels == _CALM).any():
        weight[_CALM], bias[_CALM] = weight[_NEUTRAL], bias[_NEUTRAL]
        bias[[_CALM, _NEUTRAL]] -= np.log(2)
    voices = np.concatenate([standard, _standard(windows, mean, deviation)])
    gate, gate_bias = _gate(voices, _standard(noises.astype(np.float64), mean, deviation), settings.shrinkage)
    centred = spread.classes - spread.classes.mean(0)
    total = spread.within + spread.between + centred.T @ centred / len(centred)
    directions, variances = _distances(_shrunk(total, _DISTANCE_SHRINKAGE), settings.directions)
    weights = {
        "mean": mean,
        "scale": 1 / deviation,
        "linear.weight": weight,
        "linear.bias": bias,
        "gate.weight": gate,
        "gate.bias": gate_bias,
        "directions": directions,
        "variances": variances,
    }
    return Head(weights, inputs=vectors.shape[1], directions=len(directions))


_EVERY = 5
"""One window in five teaches the gate what short speech is: they overlap by five sixths."""
_DISTANCE_SHRINKAGE = 0.03
_NEUTRAL, _CALM = SPEECH.index("neutral"), SPEECH.index("calm")


class _Groups(NamedTuple):
    """Who says what: indices [N] of speakers and of labels, and how much each clip counts.

    Within a corpus each class counts alike; a corpus counts as the square root of its clips.
    """

    speakers: NDArray[np.int64]
    labels: NDArray[np.int64]
    weights: Matrix

    @classmethod
    def of(cls, clips: Sequence[Clip]) -> "_Groups":
        labels = np.array([clip.name.label for clip in clips])
        if missing := sorted(set(range(len(SPEECH))) - {*labels.tolist(), _CALM}):
            names = ", ".join(SPEECH[label] for label in missing)
            raise DataError(f"nobody is {names} in the clips to train on; add a corpus such as RAVDESS that has it")
        speakers = np.unique([clip.name.speaker for clip in clips], return_inverse=True)[1]
        if not speakers.any():
            raise DataError(f"only {clips[0].name.speaker} is there to train on: at least two speakers are needed")
        corpora = np.unique([clip.name.corpus for clip in clips], return_inverse=True)[1]
        pairs = corpora * len(SPEECH) + labels
        alike = 1 / np.bincount(pairs)[pairs]
        weights = alike / np.bincount(corpora, alike)[corpora] * np.sqrt(np.bincount(corpora))[corpora]
        return cls(speakers, labels, weights / weights.sum())


class _Spread(NamedTuple):
    """How vectors [N, D] differ: the classes' means [classes, D] within speakers, covariances [D, D] within speaker and
    class and between speakers, and the mean of the speakers' means [D]."""

    classes: Matrix
    within: Matrix
    between: Matrix
    centre: Matrix

    @classmethod
    def of(cls, standard: Matrix, groups: _Groups) -> "_Spread":
        # A speaker's mean is that of their classes' means: who is recorded mostly sad is not a sad voice.
        means = np.stack(
            [
                np.mean(
                    [standard[own & (groups.labels == label)].mean(0) for label in np.unique(groups.labels[own])], 0
                )
                for own in (groups.speakers == speaker for speaker in range(groups.speakers.max() + 1))
            ]
        )
        centred = standard - means[groups.speakers]
        shares = np.stack([groups.weights * (groups.labels == label) for label in range(len(SPEECH))])
        classes = shares / np.maximum(shares.sum(1, keepdims=True), 1e-12) @ centred
        rest = centred - classes[groups.labels]
        apart = means - means.mean(0)
        within = (rest * groups.weights[:, None]).T @ rest
        return cls(classes, within, apart.T @ apart / len(apart), means.mean(0))


def _standard(vectors: Matrix, mean: Matrix, deviation: Matrix) -> Matrix:
    result: Matrix = np.clip(((vectors - mean) / deviation)[:, ABOUT:], -LIMIT, LIMIT)
    return result


def _shrunk(covariance: Matrix, share: float) -> Matrix:
    size = len(covariance)
    result: Matrix = (1 - share) * covariance + share * np.trace(covariance) / size * np.eye(size)
    return result


def _gate(voices: Matrix, noises: Matrix, shrinkage: float) -> tuple[Matrix, Matrix]:
    """The plane between voices and other sounds, scaled so that its logit is 1 where one in a hundred voices lies."""
    covariance = _shrunk((np.cov(voices.T) + np.cov(noises.T)) / 2, shrinkage)
    weight = np.linalg.solve(covariance, voices.mean(0) - noises.mean(0))
    low, high = np.percentile(voices @ weight, 1), np.percentile(noises @ weight, 99)
    middle, half = (low + high) / 2, max(abs(low - high) / 2, 1e-6)
    return weight[None] / half, np.array([-middle / half])


def _distances(covariance: Matrix, most: int) -> tuple[Matrix, Matrix]:
    """What the distance needs: the directions of most variance, `most` at most, their variances, and the mean variance
    of all others."""
    values, vectors = np.linalg.eigh(covariance)
    first = np.argsort(-values)[:most]
    rest = np.delete(values, first)
    return vectors[:, first].T, np.append(values[first], rest.mean() if len(rest) else 1.0)
