"""EmotionPredictor: both together, and what is said of what cannot be used."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emopipe import EmotionPredictor
from emopipe.models.labels import FACE
from emopipe.pipeline.errors import DataError, EmopipeError, MediaError, ModelError
from tests.support.media import every, make
from tests.support.voices import RATE, silence, voice, write

Image = NDArray[np.uint8]


def rounded(values: Any) -> list[float]:
    return [round(float(value), 6) for value in values]


def test_a_picture_and_a_sound_are_fused(
    predictor: EmotionPredictor, portrait: Image, speech: NDArray[np.float32]
) -> None:
    both = predictor.predict(portrait, speech, RATE)
    (fused,) = both.fused
    assert list(fused.probabilities) == list(FACE)
    assert sum(fused.probabilities.values()) == pytest.approx(1)
    assert fused.confidence == max(fused.probabilities.values()) == fused.probabilities[fused.emotion]
    (face_only,) = predictor.predict(portrait, silence(1.0), RATE).fused
    (voice_only,) = predictor.predict(np.zeros((64, 64), np.uint8), speech, RATE).fused
    assert len({str(rounded(a.probabilities.values())) for a in (fused, face_only, voice_only)}) == 3
    assert predictor.predict(np.zeros((64, 64), np.uint8), silence(1.0), RATE).fused == []


def test_what_is_wrong_is_said(predictor: EmotionPredictor, weights: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(EmopipeError, match="nothing to predict"):
        predictor.predict_from_file()
    with pytest.raises(EmopipeError, match="a film has its own"):
        predictor.predict_from_file(image_path="a", video_path="b")
    with pytest.raises(MediaError, match=r"none\.jpg: no such file"):
        predictor.predict_from_file(image_path=tmp_path / "none.jpg")
    write(tmp_path / "sound.wav", voice(0.5))
    with pytest.raises(MediaError, match="holds no picture"):
        predictor.predict_from_file(image_path=tmp_path / "sound.wav")
    make(tmp_path / "mute.mkv", pictures=every(5, 1))
    with pytest.raises(MediaError, match="holds no sound"):
        predictor.predict_from_file(audio_path=tmp_path / "mute.mkv")
    with pytest.raises(DataError, match=r"an image is uint8 .* but this is float64 \[4, 4\]"):
        predictor.predict_image(np.zeros((4, 4)))
    with pytest.raises(DataError, match=r"sound is float or int16"):
        predictor.predict_audio(np.zeros((4, 4, 4)), RATE)
    with pytest.raises(DataError, match="no numbers"):
        predictor.predict_audio(np.full(1000, np.nan), RATE)
    with pytest.raises(DataError, match="a sample rate of 16 Hz"):
        predictor.predict_audio(np.zeros(1000), 16)
    with pytest.raises(EmopipeError, match=r"risk: 1\.5 is not above 0"):
        EmotionPredictor(risk=1.5)
    with pytest.raises(EmopipeError, match='prior: "calm" is no label'):
        EmotionPredictor(prior={"calm": 0.5})
    with pytest.raises(ModelError, match="have no table of risks"):
        EmotionPredictor(**weights, risk=0.2).predict_image(np.zeros((48, 48), np.uint8), whole=True)
