"""Inference of what the voice shows, by a model of another maker."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emopipe.models.labels import SPEECH
from emopipe.models.onnx.files import OnnxFile
from emopipe.models.onnx.network import OnnxNetwork
from emopipe.models.onnx.sounds import COEFFICIENTS, Features, SoundInput, sound_input
from emopipe.pipeline.port import Port, about
from emopipe.stages.onnx import OnnxInference
from emopipe.stages.speech.inference import SpeechInference, speech_emotion
from emopipe.stages.types import SpeechEmotion, SpeechWindow


class OnnxSpeechInference(OnnxInference[SpeechWindow]):
    """Infers what every window of speech shows by an ONNX model of your own, with labels of its own.

    The model hears the windows of speech-windows, as sound (16 kHz mono) or as MFCC; silence passes in its place. The
    window's length is a setting there.
    """

    name = "onnx-speech-inference"
    work_ms = 5.0
    inputs: ClassVar[dict[str, Port]] = SpeechInference.inputs
    outputs: ClassVar[dict[str, Port]] = {"emotions": Port(SpeechEmotion, "a distribution for each window")}

    class Settings(OnnxInference.Settings, kw_only=True):
        shared: ClassVar[tuple[str, ...]] = SPEECH

        features: Annotated[
            Features, about("what it hears: the sound itself, or MFCC; auto: as the input's shape shows")
        ] = "auto"
        standardise: Annotated[
            bool, about("bring each window to mean 0 and deviation 1, as wav2vec2 and its like want it")
        ] = False

        def fed(self, file: OnnxFile) -> SoundInput:
            return sound_input(file, self.features, self.standardise)

    settings: Settings
    fed: SoundInput

    def probe(self, fed: SoundInput, seed: int) -> NDArray[Any]:
        noise = np.random.default_rng(seed)
        mfcc = noise.normal(0, 10, (100, COEFFICIENTS)).astype(np.float32)
        return fed.read(mfcc, noise.uniform(-0.3, 0.3, 16_000).astype(np.float32))

    def infer(self, model: OnnxNetwork, rows: list[SpeechWindow]) -> list[list[float]]:
        heard = [self.fed.read(window.mfcc, window.audio) for window in rows]
        return [self.vocabulary.translate(model.probabilities(row)) for row in heard]

    def rows(self, payload: SpeechWindow) -> Sequence[SpeechWindow]:
        return [payload]

    def result(self, payload: SpeechWindow, answers: list[list[float]]) -> SpeechEmotion:
        return speech_emotion(payload, answers[0], self.vocabulary.labels)
