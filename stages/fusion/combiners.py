"""One distribution of a face and the voice: by the opinion pool, or by a trained network."""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from emopipe.models.calibration import Doubles
from emopipe.models.fusion.model import FusionModel, SpeechObservation, centred_log_ratios, moment_from_arrays
from emopipe.models.fusion.networks import Moment
from emopipe.models.fusion.opinion_pool import certainty, pool, shared, shares
from emopipe.models.labels import FACE
from emopipe.pipeline.clock import SECOND
from emopipe.stages.types import FaceEmotion, SpeechEmotion

SATURATION_NS = 2 * SECOND  # of speech; to the pool a longer window is worth no more


class Combined(NamedTuple):
    """A distribution over the shared labels, the face's weight in it (0..1; the rest is the voice's), and its weight
    in the smoothing."""

    probabilities: list[float]
    face_weight: float
    evidence: float


class Combiner(Protocol):
    """The interface of a fuser's combiner, for one stream in the order of time; of `windows` the newest is the last."""

    def person(self, pts: int, face: FaceEmotion, windows: Sequence[SpeechEmotion], share: float = 1.0) -> Combined:
        """A face at `pts` (ns), with the voice unless `windows` is empty; `share` is how far the voice is its own."""

    def voice(self, pts: int, windows: Sequence[SpeechEmotion]) -> Combined:
        """The voice alone."""


class PoolCombiner:
    """The opinion pool (`opinion_pool.pool`) of the newest of both.

    The weight of an opinion is prior × quality × certainty: the setting of its modality; the crop's quality, or how
    far the window can be trusted (`_reliability`); and 1 less the distribution's normalised entropy.
    """

    def __init__(self, face_weight: float = 1.0, voice_weight: float = 1.0) -> None:
        self._face_weight, self._voice_weight = face_weight, voice_weight

    def person(self, pts: int, face: FaceEmotion, windows: Sequence[SpeechEmotion], share: float = 1.0) -> Combined:
        weight = self._face_weight * face.quality * certainty(face.probabilities)
        alone = Combined(pool([face.probabilities], [1.0]), 1.0, weight)
        if not windows:
            return alone
        weights = [weight, self._weight(windows[-1])]
        own = shares(weights)
        both = Combined(pool([face.probabilities, shared(windows[-1].probabilities)], own), own[0], sum(weights))
        return _mixed(both, alone, share)

    def voice(self, pts: int, windows: Sequence[SpeechEmotion]) -> Combined:
        return Combined(pool([shared(windows[-1].probabilities)], [1.0]), 0.0, self._weight(windows[-1]))

    def _weight(self, window: SpeechEmotion) -> float:
        return self._voice_weight * _reliability(window) * certainty(shared(window.probabilities))


class NetworkCombiner:
    """A trained network (`models.fusion.model`) over the last windows of speech and each face's recent history.

    Args:
        model: may be shared by streams.
        history: how far back a face counts, in ns.
        forget: a face away for longer than this (ns) starts anew.
        face_weight, voice_weight: multiply the evidence, its log-ratios; at 0 a half is as good as not there.
    """

    def __init__(
        self, model: FusionModel, history: int, forget: int, face_weight: float = 1.0, voice_weight: float = 1.0
    ) -> None:
        self._model = model
        self._history, self._forget = history, forget
        self._face_weight, self._voice_weight = face_weight, voice_weight
        self._histories: dict[int, deque[tuple[int, Doubles]]] = {}

    def person(self, pts: int, face: FaceEmotion, windows: Sequence[SpeechEmotion], share: float = 1.0) -> Combined:
        history = self._extend_history(pts, face)
        ages = np.array([pts - at for at, _ in history], np.float64) / SECOND
        faces = np.concatenate([evidence for _, evidence in history]).reshape(len(history), -1)
        if not self._face_weight:
            ages, faces = ages[:0], faces[:0]
        both = moment_from_arrays(ages, faces, self._observations(pts, windows))
        if not both.heard.any():
            fused = self._fuse(both)
            return Combined(fused, 1.0, certainty(fused))
        fused, seen, heard = (shared(each) for each in self._model.halves(both).tolist())
        weight = shares([_distance(fused, heard), _distance(fused, seen)])[0]
        return _mixed(Combined(fused, weight, certainty(fused)), Combined(seen, 1.0, certainty(seen)), share)

    def voice(self, pts: int, windows: Sequence[SpeechEmotion]) -> Combined:
        nobody = np.empty(0), np.empty((0, len(FACE)))
        fused = self._fuse(moment_from_arrays(*nobody, self._observations(pts, windows)))
        return Combined(fused, 0.0, certainty(fused))

    def _extend_history(self, pts: int, face: FaceEmotion) -> deque[tuple[int, Doubles]]:
        # Faces leave for good: without this a long recording would keep them all.
        self._histories = {
            name: history for name, history in self._histories.items() if pts - history[-1][0] <= self._forget
        }
        history = self._histories.setdefault(face.id, deque())
        # A crop of quality q counts as its distribution raised to q.
        history.append((pts, centred_log_ratios(face.probabilities) * face.quality * self._face_weight))
        while pts - history[0][0] > self._history:
            history.popleft()
        return history

    def _observations(self, pts: int, windows: Sequence[SpeechEmotion]) -> list[SpeechObservation]:
        if not self._voice_weight:
            return []
        weight = self._voice_weight
        return [
            SpeechObservation(
                age=(pts - window.end) / SECOND,
                seconds=(window.end - window.start) / SECOND,
                probabilities=window.probabilities if weight == 1 else _sharpened(window.probabilities, weight),
                timbre=window.timbre if len(window.timbre) else None,
            )
            for window in windows
        ]

    def _fuse(self, moment: Moment) -> list[float]:
        return shared(self._model.probabilities(moment)[0].tolist())


def _mixed(both: Combined, alone: Combined, share: float) -> Combined:
    """What is said of a face whose voice it may be or not: either way's distribution, by how likely it is."""
    if share >= 1:
        return both
    rest = 1 - share
    return Combined(
        [share * a + rest * b for a, b in zip(both.probabilities, alone.probabilities, strict=True)],
        1 - share * (1 - both.face_weight),
        share * both.evidence + rest * alone.evidence,
    )


def _distance(one: Sequence[float], other: Sequence[float]) -> float:
    """Total variation, 0..1: the largest difference of what both say of any set of labels."""
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / 2


def _sharpened(probabilities: Sequence[float], power: float) -> Doubles:
    """p^power, normalised."""
    powers = np.exp(centred_log_ratios(probabilities) * power)
    result: Doubles = powers / powers.sum()
    return result


def _reliability(window: SpeechEmotion) -> float:
    """The weight of a window in the pool, 0..1: by how much of it was voiced, and by its length.

    On unseen actors the UAR above chance grows with the length and levels off at about two seconds
    (docs/models/speech.md: 20 points below one second, 42 up to two, 54 beyond).
    """
    return window.voiced * min(1.0, (window.end - window.start) / SATURATION_NS)
