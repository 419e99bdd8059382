"""Inference of what the voice expresses, window by window."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from emopipe.models.fusion.model import timbre
from emopipe.models.labels import SPEECH
from emopipe.models.speech.features import MfccSpec
from emopipe.pipeline.clock import MS
from emopipe.pipeline.errors import ModelError
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Port, about
from emopipe.pipeline.resources import PerStream
from emopipe.stages.inference import Inference
from emopipe.stages.types import SpeechEmotion, SpeechWindow

if TYPE_CHECKING:
    from emopipe.models.speech.model import SpeechModel
    from emopipe.models.speech.speaker import SpeakerStatistics

Mfcc = NDArray[np.float32]
_FRAME = 10 * MS  # from one frame of MFCC to the next


class SpeechInference(Inference[Mfcc]):
    """Infers the emotion of every window of speech, batched over streams; silence passes in its place.

    With `speaker_calibration` a stream is taken for one person's voice, which is learnt while it speaks: a window is
    normalised by the speech up to its own end, whatever it is inferred together with.
    """

    name = "speech-inference"
    inputs: ClassVar[dict[str, Port]] = {"windows": Port(SpeechWindow, "windows of speech, as MFCC", size=2)}
    outputs: ClassVar[dict[str, Port]] = {"emotions": Port(SpeechEmotion, "a calibrated distribution for each window")}

    class Settings(Inference.Settings, kw_only=True):
        task: ClassVar[str] = "speech"
        labels: ClassVar[tuple[str, ...]] = SPEECH

        speaker_calibration: Annotated[
            bool,
            about("normalise a stream's voice by what was heard of it, from 50 s of speech on; for one speaker"),
        ] = False

    settings: Settings

    async def setup(self) -> None:
        # What is known of each stream's speaker, and until when (ns) they were heard.
        self._speakers: PerStream[tuple[SpeakerStatistics, int] | None] = self.per_stream(lambda: None)
        await super().setup()

    def load(self, path: Path, device: str) -> "SpeechModel":
        from emopipe.models.speech.model import SpeechModel

        model = SpeechModel.load(path, device, self.settings.prior)
        if model.spec != MfccSpec():
            raise ModelError(
                f"{path}: trained on other features than speech-windows makes ({model.spec}); train it again"
            )
        model.probabilities([np.zeros((100, model.spec.coefficients), np.float32)])
        return model

    def infer(self, model: "SpeechModel", rows: list[Mfcc]) -> list[list[float]]:
        answers: list[list[float]] = model.probabilities(rows).tolist()
        return answers

    def rows(self, payload: SpeechWindow) -> Sequence[Mfcc]:
        return [payload.mfcc]

    async def process(self, port: str, message: Message) -> None:
        if self.settings.speaker_calibration:
            mfcc = self._normalised(message.stream, message.payload)
            await self._batcher.put(message.stream, message.pts, message, [mfcc])
        else:
            await super().process(port, message)

    def _normalised(self, stream: str, window: SpeechWindow) -> Mfcc:
        """Learn the frames of a window that the one before it did not hold; give all of them, normalised."""
        speaker, until = self._speakers[stream] or (self._model.speaker(), window.start)
        fresh = round((window.end - max(until, window.start)) / _FRAME)
        speaker.update(window.mfcc[max(0, len(window.mfcc) - fresh) :])
        self._speakers[stream] = speaker, window.end
        return speaker.apply(window.mfcc)

    def result(self, payload: SpeechWindow, answers: list[list[float]]) -> SpeechEmotion:
        return SpeechEmotion(
            start=payload.start,
            end=payload.end,
            voiced=payload.voiced,
            level=payload.level,
            probabilities=answers[0],
            timbre=timbre(payload.mfcc),
            envelope=payload.envelope,
        )
