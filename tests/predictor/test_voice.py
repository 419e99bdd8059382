"""The speech of a recording: nobody, somebody, somebody known."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from emopipe import EmotionPredictor
from tests.support.voices import RATE, silence, voice, write

Image = NDArray[np.uint8]


def test_where_nobody_speaks_there_is_no_voice(predictor: EmotionPredictor) -> None:
    assert predictor.predict_audio(silence(2.0), RATE) is None
    assert predictor.predict_audio(np.empty(0, np.float32), RATE) is None


def test_a_prior_holds_for_voices_too(weights: dict[str, Path], speech: NDArray[np.float32]) -> None:
    resting = []
    for share in (0.1, 0.5, 0.9):
        answer = EmotionPredictor(**weights, prior={"neutral": share}).predict_audio(speech, RATE)
        assert answer is not None
        resting.append(answer.probabilities["neutral"] + answer.probabilities["calm"])
    assert resting == sorted(set(resting))


def test_a_speaker_who_is_known_is_heard_otherwise_and_can_be_kept(
    weights: dict[str, Path], speech: NDArray[np.float32], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emopipe.models.speech.model.MIN_CLIPS", 0.0)  # in use it takes 50 s of speech
    write(tmp_path / "other.wav", np.concatenate([silence(0.2), voice(2.5, pitch=180), silence(0.4)]))
    predictor = EmotionPredictor(**weights)
    strange = predictor.predict_audio(speech, RATE)
    predictor.calibrate([tmp_path / "other.wav"]).save(tmp_path / "speaker.json")
    known = predictor.predict_audio(speech, RATE)
    assert known != strange
    predictor.forget()
    assert predictor.predict_audio(speech, RATE) == strange
    predictor.load_speaker(tmp_path / "speaker.json")
    assert predictor.predict_audio(speech, RATE) == known
