"""What the voice expresses, window by window."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from models.features import MfccSpec
from models.labels import SPEECH
from pipeline.errors import ModelError
from pipeline.stage import Port
from stages.inference import Inference
from stages.types import SpeechEmotion, SpeechWindow

if TYPE_CHECKING:
    from models.speech import SpeechModel

Mfcc = NDArray[np.float32]


class SpeechInference(Inference[Mfcc]):
    """Infers the emotion of every window of speech, batched over streams; silence passes in its place."""

    name = "speech-inference"
    inputs: ClassVar[dict[str, Port]] = {"windows": Port(SpeechWindow, "windows of speech, as MFCC")}
    outputs: ClassVar[dict[str, Port]] = {"emotions": Port(SpeechEmotion, "a calibrated distribution for each window")}
    task = "speech"
    labels = SPEECH

    def load(self, path: Path, device: str) -> "SpeechModel":
        from models.speech import SpeechModel

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

    def result(self, payload: SpeechWindow, answers: list[list[float]]) -> SpeechEmotion:
        return SpeechEmotion(
            start=payload.start,
            end=payload.end,
            voiced=payload.voiced,
            level=payload.level,
            probabilities=answers[0],
        )
