"""A face, a voice, a film of both, and predictors with weights of no use but to be the same each time."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from emopipe import EmotionPredictor
from emopipe.predictor.prediction import Prediction
from tests.support.media import every, make
from tests.support.random_weights import facial_weights, fusion_weights, speech_weights
from tests.support.voices import silence, voice

Image = NDArray[np.uint8]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    return {
        "facial": facial_weights(folder / "facial.safetensors"),
        "speech": speech_weights(folder / "speech.safetensors"),
        "fusion": fusion_weights(folder / "fusion.safetensors"),
    }


@pytest.fixture(scope="module")
def predictor(weights: dict[str, Path]) -> EmotionPredictor:
    return EmotionPredictor(**weights, device="cpu")


@pytest.fixture(scope="module")
def portrait() -> Image:
    """A real face, in RGB."""
    skimage_data = pytest.importorskip("skimage.data")
    picture: Image = skimage_data.astronaut()[:320, :480]
    return picture


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    return np.concatenate([silence(0.3), voice(1.4), silence(0.6)])


@pytest.fixture(scope="module")
def clip(portrait: Image, speech: NDArray[np.float32], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The face and the voice, with sound that begins after the picture: its windows lie on the film's grid."""
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"

    def draw(number: int) -> Image:
        return np.ascontiguousarray(np.roll(portrait, 3 * number, axis=1))

    sound = speech.astype(np.float64)
    return make(path, pictures=every(8, 2.2), draw=draw, sound=sound, audio="flac", sound_at=0.2, gop=1)


@pytest.fixture(scope="module")
def film(weights: dict[str, Path], clip: Path) -> Prediction:
    predictor = EmotionPredictor(facial=weights["facial"], speech=weights["speech"], device="cpu")
    return predictor.predict_from_file(video_path=clip)
