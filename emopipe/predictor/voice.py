"""The speech of a recording, whole and by windows, with what it expresses: windows and model as in the stages."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from emopipe.models.calibration import Prior, softmax, speech_prior
from emopipe.models.checkpoint import WEIGHTS_DIR, read_card
from emopipe.models.fusion.model import SpeechObservation, timbre
from emopipe.models.labels import SPEECH, Vocabulary
from emopipe.models.speech.features import Floats
from emopipe.models.speech.segmenter import Segment, SpeechSegmenter
from emopipe.models.speech.windower import SpeechWindower, Window
from emopipe.pipeline.clock import SECOND
from emopipe.predictor.inputs import AudioChunk
from emopipe.predictor.options import Options, own_vocabulary, torch_threads
from emopipe.predictor.prediction import VoicePrediction, WindowPrediction
from emopipe.stages.speech.inference import SpeechInference
from emopipe.stages.speech.windows import SpeechWindows

if TYPE_CHECKING:
    from emopipe.models.speech.model import SpeechModel
    from emopipe.models.speech.speaker import SpeakerStatistics

U = TypeVar("U", Window, Segment)

_FLOOR = 1e-12  # a classifier's zero is only a rounding


class Speech(NamedTuple):
    """What is said of a recording's speech, and its windows as fusion wants them, aged from the end of the speech."""

    prediction: VoicePrediction
    observations: list[SpeechObservation]


class VoicePredictor:
    """Predicts what a voice expresses; the model is loaded when it is first needed.

    Args:
        weights: of the model, by default the shipped ones.
        options: of the model.
        windows: the settings of windows of speech.
        inference: the settings of what is done with them.
        face_prior: shares over the labels of faces, which hold for voices too; None: the options' prior holds.

    Attributes:
        speaker: the statistics of who speaks, None if unknown; see `emopipe.models.speech.speaker`.
    """

    def __init__(
        self,
        weights: Path | None,
        options: Options,
        windows: SpeechWindows.Settings,
        inference: SpeechInference.Settings,
        face_prior: Prior | None,
    ) -> None:
        self._weights = weights or WEIGHTS_DIR / "speech.safetensors"
        self._options = options
        self._windows = windows
        self._inference = inference
        self._face_prior = face_prior
        self._model: SpeechModel | None = None
        self.speaker: SpeakerStatistics | None = None

    def predict(self, chunks: Iterable[AudioChunk]) -> Speech | None:
        """What a recording's sound expresses; None if nobody speaks."""
        model = self._load()
        with torch_threads(self._options.threads):
            segmenter = self._segment(chunks)
            heard, rows = self._voices(segmenter.windows)
            spoken, whole_rows = self._voices(segmenter.segments)
            if not spoken or not heard:
                return None
            windows, known = self._infer(heard, rows)
            segments = model.probabilities([known.apply(row) for row in whole_rows] if known else whole_rows)
        words = own_vocabulary(model.labels, self._inference)
        windows, segments = (_translated(each, words) for each in (windows, segments))
        seconds = np.array([segment.end - segment.start for segment in spoken]) / SECOND
        least = self._options.threshold(model.selective)
        end = heard[-1].end
        predictions, observations = [], []
        for window, row in zip(heard, windows, strict=True):
            predictions.append(
                WindowPrediction.of(
                    words.labels,
                    row.tolist(),
                    least,
                    start=window.start / SECOND,
                    end=window.end / SECOND,
                    voiced=window.voiced,
                    level=window.level,
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
        whole = _pooled(segments, seconds).tolist()
        prediction = VoicePrediction.of(words.labels, whole, least, seconds=float(seconds.sum()), windows=predictions)
        return Speech(prediction, observations)

    def hear(self, chunks: Iterable[AudioChunk]) -> tuple[list[Floats], list[Floats]]:
        """What the model takes of a recording's segments of speech, and of its windows."""
        with torch_threads(self._options.threads):
            segmenter = self._segment(chunks)
            return self._voices(segmenter.segments)[1], self._voices(segmenter.windows)[1]

    @property
    def own(self) -> bool:
        """Whether the model that was used has labels of its own."""
        return self._model is not None and self._model.labels != SPEECH

    def calibrate(self, recordings: Iterable[Iterable[AudioChunk]]) -> "SpeakerStatistics":
        """Learn the voice of one speaker from recordings; adds to what is known."""
        speaker = self.speaker or self._load().speaker()
        with torch_threads(self._options.threads):
            for chunks in recordings:
                for segment in self._segment(chunks).segments:
                    speaker.update(self._load().row(segment))
        self.speaker = speaker
        return speaker

    def unknown_speaker(self) -> "SpeakerStatistics":
        """Statistics of a speaker of whom nothing is known."""
        return self._load().speaker()

    def prior(self) -> Prior:
        """The chosen prior, over the labels of voices."""
        if self._face_prior is None:
            return self._options.prior
        return speech_prior(self._face_prior, read_card(self._weights).prior)

    def _load(self) -> "SpeechModel":
        with torch_threads(self._options.threads):
            if self._model is None:
                from emopipe.models.speech.model import SpeechModel

                self._model = SpeechModel.load(self._weights, self._options.device, self.prior())
            return self._model

    def _segment(self, chunks: Iterable[AudioChunk]) -> SpeechSegmenter:
        spec = self._load().mfcc_spec
        windower = SpeechWindower(
            window=self._windows.window,
            hop=self._windows.hop,
            aggressiveness=self._windows.aggressiveness,
            hangover=self._windows.hangover,
            min_speech=self._windows.min_speech,
            spec=spec,
        )
        segmenter = SpeechSegmenter(windower, spec)
        for chunk in chunks:
            if chunk.samples is None:
                segmenter.skip(chunk.pts + chunk.duration)
            else:
                segmenter.push(chunk.samples, chunk.pts)
        segmenter.finish()
        return segmenter

    def _voices(self, utterances: Sequence[U]) -> tuple[list[U], list[Floats]]:
        """Those that are voices, and what the model takes of each."""
        model = self._load()
        rows = [model.row(each) for each in utterances]
        likely = model.voice(rows) >= self._inference.min_voice
        places = [place for place in range(len(rows)) if likely[place]]
        return [utterances[place] for place in places], [rows[place] for place in places]

    def _infer(
        self, windows: Sequence[Window], rows: Sequence[Floats]
    ) -> tuple[NDArray[np.float32], "SpeakerStatistics | None"]:
        """Infer windows as the stage does, each normalised by what was heard up to its own end; and give what is known
        of the speaker then. Whoever is known beforehand stays as they are."""
        model, speaker = self._load(), self.speaker
        if speaker or not self._inference.speaker_calibration:
            return model.probabilities([speaker.apply(row) for row in rows] if speaker else rows), speaker
        speaker, until, normalised = model.speaker(), windows[0].start, []
        for window, row in zip(windows, rows, strict=True):
            speaker.update(row, (window.end - max(until, window.start)) / SECOND)
            normalised.append(speaker.apply(row))
            until = window.end
        return model.probabilities(normalised), speaker


def _translated(distributions: NDArray[np.float32], words: Vocabulary) -> NDArray[np.float32]:
    return np.array([words.translate(row) for row in distributions.tolist()], np.float32)


def _pooled(distributions: NDArray[np.float32], seconds: NDArray[np.float64]) -> NDArray[np.float32]:
    """One distribution of several, in the logarithmic pool, each by its length; a single one stays as it is."""
    if len(distributions) == 1:
        single: NDArray[np.float32] = distributions[0]
        return single
    logs = np.log(np.maximum(distributions.astype(np.float64), _FLOOR))
    together: NDArray[np.float64] = softmax((logs * (seconds / seconds.sum())[:, None]).sum(axis=0)[None])[0]
    return together.astype(np.float32)
