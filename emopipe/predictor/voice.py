"""The speech of a recording, whole and by windows, with what it expresses: windows and model as in the stages."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emopipe.models.calibration import Prior, softmax, speech_prior
from emopipe.models.checkpoint import WEIGHTS_DIR, read_card
from emopipe.models.fusion.model import SpeechObservation, timbre
from emopipe.models.speech.segmenter import SpeechSegmenter
from emopipe.models.speech.windower import SpeechWindower
from emopipe.pipeline.clock import SECOND
from emopipe.predictor.inputs import Piece
from emopipe.predictor.options import Chosen, threads
from emopipe.predictor.prediction import VoiceAnswer, WindowAnswer, answer

if TYPE_CHECKING:
    from emopipe.models.speech.model import SpeechModel
    from emopipe.models.speech.speaker import SpeakerStatistics

_FLOOR = 1e-12  # a classifier's zero is only a rounding


class Voice(NamedTuple):
    """What is said of a recording's speech, and its windows as fusion wants them, aged from the end of the speech."""

    answer: VoiceAnswer
    observations: list[SpeechObservation]


class VoicePredictor:
    """Hears what a voice expresses; the model is loaded when it is first needed.

    Args:
        weights: of the model, by default the shipped ones.
        chosen: by the user, for all models.

    Attributes:
        speaker: who speaks, where it is known; see `emopipe.models.speech.speaker`.
    """

    def __init__(self, weights: Path | None, chosen: Chosen) -> None:
        self._weights = weights or WEIGHTS_DIR / "speech.safetensors"
        self._chosen = chosen
        self._model: SpeechModel | None = None
        self.speaker: SpeakerStatistics | None = None

    def hear(self, pieces: Iterable[Piece]) -> Voice | None:
        """What a recording's sound expresses; none where nobody speaks."""
        model = self._load()
        with threads(self._chosen.threads):
            segmenter = self._segment(pieces)
            if not segmenter.segments:
                return None
            segments = self._infer([segment.mfcc for segment in segmenter.segments])
            windows = self._infer([window.mfcc for window in segmenter.windows])
        seconds = np.array([segment.end - segment.start for segment in segmenter.segments]) / SECOND
        least = self._chosen.threshold(model.selective)
        end = segmenter.windows[-1].end
        answers, observations = [], []
        for window, row in zip(segmenter.windows, windows, strict=True):
            answers.append(
                WindowAnswer(
                    start=window.start / SECOND,
                    end=window.end / SECOND,
                    voiced=window.voiced,
                    level=window.level,
                    **answer(model.labels, row.tolist(), least),
                )
            )
            observations.append(
                SpeechObservation(
                    age=(end - window.end) / SECOND,
                    seconds=(window.end - window.start) / SECOND,
                    probabilities=row,
                    timbre=timbre(window.mfcc),
                )
            )
        whole = answer(model.labels, _pooled(segments, seconds).tolist(), least)
        return Voice(VoiceAnswer(seconds=float(seconds.sum()), windows=answers, **whole), observations)

    def learn(self, recordings: Iterable[Iterable[Piece]]) -> "SpeakerStatistics":
        """Learn the voice of one speaker from recordings; adds to what is known."""
        speaker = self.speaker or self._load().speaker()
        with threads(self._chosen.threads):
            for pieces in recordings:
                for segment in self._segment(pieces).segments:
                    speaker.update(segment.mfcc)
        self.speaker = speaker
        return speaker

    def stranger(self) -> "SpeakerStatistics":
        """Statistics of a speaker of whom nothing is known."""
        return self._load().speaker()

    def prior(self) -> Prior:
        """The chosen prior, over the labels of voices."""
        if isinstance(self._chosen.prior, str):
            return self._chosen.prior
        return speech_prior(self._chosen.prior, read_card(self._weights).prior)

    def _load(self) -> "SpeechModel":
        if self._model is None:
            from emopipe.models.speech.model import SpeechModel

            self._model = SpeechModel.load(self._weights, self._chosen.device, self.prior())
        return self._model

    def _segment(self, pieces: Iterable[Piece]) -> SpeechSegmenter:
        spec = self._load().spec
        segmenter = SpeechSegmenter(SpeechWindower(spec=spec), spec)
        for piece in pieces:
            if piece.samples is None:
                segmenter.skip(piece.pts + piece.duration)
            else:
                segmenter.push(piece.samples, piece.pts)
        segmenter.finish()
        return segmenter

    def _infer(self, mfcc: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        speaker = self.speaker
        return self._load().probabilities([speaker.apply(each) for each in mfcc] if speaker else mfcc)


def _pooled(distributions: NDArray[np.float32], seconds: NDArray[np.float64]) -> NDArray[np.float32]:
    """One distribution of several, in the logarithmic pool, each by its length; a single one stays as it is."""
    if len(distributions) == 1:
        single: NDArray[np.float32] = distributions[0]
        return single
    logs = np.log(np.maximum(distributions.astype(np.float64), _FLOOR))
    together: NDArray[np.float64] = softmax((logs * (seconds / seconds.sum())[:, None]).sum(axis=0)[None])[0]
    return together.astype(np.float32)
