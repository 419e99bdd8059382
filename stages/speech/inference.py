"""Inference of what the voice expresses, window by window."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

import numpy as np

from emopipe.models.fusion.model import timbre
from emopipe.models.labels import SPEECH
from emopipe.models.speech.features import Floats, MfccSpec
from emopipe.models.speech.files import files_of
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import ModelError
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Port, about
from emopipe.pipeline.resources import PerStream
from emopipe.stages.inference import Inference
from emopipe.stages.types import SpeechEmotion, SpeechWindow

if TYPE_CHECKING:
    from emopipe.models.speech.model import SpeechModel
    from emopipe.models.speech.speaker import SpeakerStatistics


class _Sound(NamedTuple):
    """A stretch of speech, as `SpeechModel.row` takes it."""

    mfcc: Floats
    audio: Floats


class _Speaker:
    """What is known of a stream's speaker, and until when (ns) they were heard."""

    statistics: "SpeakerStatistics | None" = None
    until = 0


Row = tuple[SpeechWindow, _Speaker]


class SpeechInference(Inference[Row]):
    """Infers the emotion of every window of speech, batched over streams; silence passes in its place.

    A window that is no voice after all (music, a siren, applause) passes as silence too. With `speaker_calibration` a
    stream is taken for one person's voice, which is learnt while it speaks: a window is normalised by the speech up to
    its own end, whatever it is inferred together with.
    """

    name = "speech-inference"
    work_ms = 0.25
    memory_mb = 75.0
    inputs: ClassVar[dict[str, Port]] = {"windows": Port(SpeechWindow, "windows of speech", size=2)}
    outputs: ClassVar[dict[str, Port]] = {"emotions": Port(SpeechEmotion, "a calibrated distribution for each window")}

    class Settings(Inference.Settings, kw_only=True):
        task: ClassVar[str] = "speech"
        labels: ClassVar[tuple[str, ...]] = SPEECH

        speaker_calibration: Annotated[
            bool, about("normalise a stream's voice by what was heard of it; for one speaker, or one microphone")
        ] = True
        min_voice: Annotated[
            float,
            about("how likely a window is a voice at least, so that it is given an emotion; 0: all are", ge=0, le=1),
        ] = 0.5

        def loads(self) -> list[str]:
            return [str(path.resolve()) for path in files_of(self.weights_path)]

    settings: Settings

    async def setup(self) -> None:
        self._speakers: PerStream[_Speaker] = self.per_stream(_Speaker)
        await super().setup()

    def load(self, path: Path, device: str) -> "SpeechModel":
        from emopipe.models.speech.model import SpeechModel

        model = SpeechModel.load(path, device, self.settings.prior)
        if isinstance(model.spec, MfccSpec) and model.spec != MfccSpec():
            raise ModelError(
                f"{path}: trained on other features than speech-windows makes ({model.spec}); train it again"
            )
        sound = _Sound(np.zeros((100, MfccSpec().coefficients), np.float32), np.zeros(16000, np.float32))
        model.probabilities([model.row(sound)])
        return model

    def infer(self, model: "SpeechModel", rows: list[Row]) -> list[list[float]]:
        """A distribution for each window; none for what is no voice."""
        heard = [model.row(window) for window, _ in rows]
        voices = [place for place, likely in enumerate(model.voice(heard)) if likely >= self.settings.min_voice]
        if self.settings.speaker_calibration:
            for place in voices:
                heard[place] = self._normalised(model, heard[place], *rows[place])
        answers: list[list[float]] = [[] for _ in rows]
        distributions = model.probabilities([heard[place] for place in voices]).tolist()
        for place, distribution in zip(voices, distributions, strict=True):
            answers[place] = distribution
        return answers

    async def process(self, port: str, message: Message) -> None:
        row = (message.payload, self._speakers[message.stream])
        await self._batcher.put(message.stream, message.pts, message, [row])

    def _normalised(self, model: "SpeechModel", row: Floats, window: SpeechWindow, speaker: _Speaker) -> Floats:
        """Learn what of a window the one before it did not hold; give all of it, normalised."""
        if speaker.statistics is None:
            speaker.statistics = model.speaker()
        new = window.end - max(speaker.until, window.start)
        speaker.statistics.update(row, new / SECOND)
        speaker.until = window.end
        return speaker.statistics.apply(row)

    def result(self, payload: SpeechWindow, answers: list[list[float]]) -> SpeechEmotion | None:
        if not answers[0]:
            return None
        return speech_emotion(payload, answers[0], self.named())


def speech_emotion(payload: SpeechWindow, answer: list[float], labels: Sequence[str] = ()) -> SpeechEmotion:
    """The result for a window, from its distribution; `labels` are named of another maker's model."""
    return SpeechEmotion(
        start=payload.start,
        end=payload.end,
        voiced=payload.voiced,
        level=payload.level,
        probabilities=answer,
        timbre=timbre(payload.mfcc),
        envelope=payload.envelope,
        labels=list(labels),
    )
