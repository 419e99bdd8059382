"""A face and a voice together: what both showed up to one moment in, a calibrated distribution out.

Usable from a notebook, without the runtime and without torch:

    model = FusionModel.load()
    faces = [FaceObservation(age=0.04, probabilities=face)]
    model.fuse(faces, [SpeechObservation(age=0.1, seconds=2.0, probabilities=voice)])
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emopipe.models import checkpoint
from emopipe.models.calibration import Doubles, Selection, softmax
from emopipe.models.fusion.networks import MAX_WINDOWS, NETWORKS, STEP_S, STEPS, TIMBRE_SIZE, FusionNetwork, Moment
from emopipe.models.labels import FACE, SPEECH
from emopipe.pipeline.errors import ModelError

HISTORY_S = STEP_S * STEPS  # s: nothing older is looked at
_MAX_WINDOW_S = 3.0  # s: the longest window of speech in a stream
_MIN_PROBABILITY = 1e-4  # a classifier's zero is only a rounding


class FaceObservation(NamedTuple):
    """A face in one frame: how long ago (s), its distribution over `labels.FACE`, and how far the crop can be trusted.

    A crop of quality q counts as its distribution raised to q: at 0 it says nothing.
    """

    age: float
    probabilities: ArrayLike
    quality: float = 1.0


class SpeechObservation(NamedTuple):
    """A window of speech: how long ago it ended (s), its length (s), its distribution over `labels.SPEECH`, and its
    `timbre` (none: unknown, and taken as that of the average voice)."""

    age: float
    seconds: float
    probabilities: ArrayLike
    timbre: NDArray[np.float32] | None = None


def centred_log_ratios(probabilities: ArrayLike) -> Doubles:
    """Distributions [..., labels] as centred log-ratios: log p less its mean; see `Moment`."""
    logs = np.log(np.maximum(np.asarray(probabilities, np.float64), _MIN_PROBABILITY))
    result: Doubles = logs - logs.mean(-1, keepdims=True)
    return result


def timbre(mfcc: NDArray[np.float32]) -> NDArray[np.float32]:
    """The timbre of a window of speech, independent of any network: MFCC [T, 40] -> [120].

    Mean and deviation of each coefficient, and the deviation of its change over 50 ms: the classic functionals
    (Schuller et al. 2009, The INTERSPEECH 2009 emotion challenge).
    """
    frames = np.asarray(mfcc, np.float64)
    change = frames[5:] - frames[:-5] if len(frames) > 5 else np.zeros((1, frames.shape[1]))
    functionals: NDArray[np.float32] = np.concatenate([frames.mean(0), frames.std(0), change.std(0)]).astype(np.float32)
    return functionals


def make_moment(face: Sequence[FaceObservation], voice: Sequence[SpeechObservation]) -> Moment:
    """The networks' input for one moment (N = 1), from what was seen and heard up to it, in any order."""
    return moment_from_arrays(
        np.array([each.age for each in face], np.float64),
        np.stack([centred_log_ratios(each.probabilities) * each.quality for each in face])
        if face
        else np.empty((0, len(FACE))),
        voice,
    )


def moment_from_arrays(ages: Doubles, faces: Doubles, voice: Sequence[SpeechObservation]) -> Moment:
    """The same as `make_moment`, from ages [T] (s) and centred log-ratios [T, 7] of faces."""
    step = STEPS - 1 - np.floor(ages / STEP_S).astype(int)
    kept = (step >= 0) & (step < STEPS)
    counts = np.bincount(step[kept], minlength=STEPS)
    places = step[kept][:, None] * len(FACE) + np.arange(len(FACE))
    sums = np.bincount(places.ravel(), faces[kept].ravel(), STEPS * len(FACE)).reshape(STEPS, -1)
    newest = sorted((each for each in voice if each.age <= HISTORY_S), key=lambda each: -each.age)[-MAX_WINDOWS:]
    windows, length, heard = np.zeros((MAX_WINDOWS, len(SPEECH))), np.zeros(MAX_WINDOWS), np.zeros(MAX_WINDOWS)
    if newest:
        last = slice(MAX_WINDOWS - len(newest), MAX_WINDOWS)
        windows[last] = centred_log_ratios([np.asarray(each.probabilities) for each in newest])
        length[last] = [min(1.0, each.seconds / _MAX_WINDOW_S) for each in newest]
        heard[last] = 1
    sound = newest[-1].timbre if newest else None
    return Moment(
        face=(sums / np.maximum(counts, 1)[:, None])[None],
        seen=(counts > 0).astype(np.float64)[None],
        voice=windows[None],
        length=length[None],
        heard=heard[None],
        timbre=np.zeros((1, TIMBRE_SIZE)) if sound is None else np.asarray(sound, np.float64)[None],
    )


class FusionModel:
    """A trained network with its calibration. Answers are over `labels`, which are `labels.SPEECH`.

    Each moment is worked out by itself, its halves with it, in float64 and in one order of sums, so that its bits
    depend on nothing else.
    """

    labels = SPEECH

    def __init__(
        self,
        network: FusionNetwork,
        weights: Mapping[str, Doubles],
        temperature: float,
        selective: Sequence[Selection] = (),
        name: str = "",
    ) -> None:
        self.network = network
        self.weights = {key: np.asarray(value, np.float64) for key, value in weights.items()}
        self.temperature = temperature
        self.selective = list(selective)
        self.name = name

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """Read a checkpoint, by default the one trained here.

        Raises:
            ModelError: the file is missing, damaged or of another task, its network is unknown or does not fit
                its weights.
        """
        path = path or checkpoint.WEIGHTS_DIR / "fusion.safetensors"
        state, card = checkpoint.load_arrays(path, "fusion")
        if card.network not in NETWORKS:
            raise ModelError(f"{path}: network {card.network!r} is unknown; the networks are {', '.join(NETWORKS)}")
        if tuple(card.labels) != SPEECH:
            raise ModelError(f"{path}: gives the labels {', '.join(card.labels)}, not {', '.join(SPEECH)}")
        try:
            network = NETWORKS[card.network](**card.options)
        except TypeError as error:
            raise ModelError(f"{path}: {error}; train it again") from None
        expected = {name: value.shape for name, value in network.initial(np.random.default_rng(0)).items()}
        if {name: value.shape for name, value in state.items()} != expected:
            raise ModelError(f"{path}: its weights do not fit the network {card.network!r}; train it again")
        return cls(network, state, card.temperature, card.selective, card.network)

    def fuse(self, face: Sequence[FaceObservation] = (), voice: Sequence[SpeechObservation] = ()) -> Doubles:
        """The calibrated distribution [8] of one moment; either half may be empty.

        Args:
            face: the frames of one face up to the moment; those older than `HISTORY_S` do not count.
            voice: the windows of speech up to the moment, of which the newest is the one that counts most.
        """
        distribution: Doubles = self.probabilities(make_moment(face, voice))[0]
        return distribution

    def logits(self, moment: Moment) -> Doubles:
        """[N, 8], before the temperature."""
        rows = [Moment(*(part[row : row + 1] for part in moment)) for row in range(len(moment.face))]
        answers = [self.network.logits(self.weights, row) for row in rows]
        result: Doubles = np.concatenate(answers) if answers else np.empty((0, len(SPEECH)))
        return result

    def halves(self, moment: Moment) -> Doubles:
        """[3, 8], calibrated: of one moment (N = 1), of its face alone, and of its voice alone; worked out together."""
        face, voice = np.array([1.0, 1.0, 0.0]), np.array([1.0, 0.0, 1.0])
        of_each = (face, face, voice, voice, voice, voice)
        parts = [part * kept.reshape(-1, *[1] * (part.ndim - 1)) for part, kept in zip(moment, of_each, strict=True)]
        result: Doubles = softmax(self.network.logits(self.weights, Moment(*parts)), self.temperature)
        return result

    def probabilities(self, moment: Moment) -> Doubles:
        """[N, 8], calibrated."""
        result: Doubles = softmax(self.logits(moment), self.temperature)
        return result
