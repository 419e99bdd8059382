"""The stages' settings in a predictor."""

import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emopipe import EmotionPredictor
from emopipe.pipeline.errors import EmopipeError
from tests.support.voices import RATE

Image = NDArray[np.uint8]


def test_the_settings_of_the_stages_hold_for_pictures_and_sounds(portrait: Image, speech: NDArray[np.float32]) -> None:
    two = np.hstack([portrait[20:260, 110:350]] * 2)
    few = {"face-detection": {"max_faces": 1}, "speech-windows": {"hop": 0.25}}
    wide = {"face-detection": {"margin": 1.3}}
    with EmotionPredictor() as usual, EmotionPredictor(settings=few) as one, EmotionPredictor(settings=wide) as wider:
        assert [len(predictor.predict_image(two)) for predictor in (usual, one, wider)] == [2, 1, 2]
        assert wider.predict_image(portrait)[0].probabilities != usual.predict_image(portrait)[0].probabilities
        rare, often = (predictor.predict_audio(speech, RATE) for predictor in (usual, one))
    assert rare is not None
    assert often is not None
    assert len(often.windows) > len(rare.windows)


def test_what_is_given_by_itself_comes_before_the_settings(portrait: Image) -> None:
    settings = {"face-detection": {"min_confidence": 1.0}, "facial-inference": {"prior": {"neutral": 0.9}}}
    with EmotionPredictor(settings=settings, min_confidence=0.5) as mixed, EmotionPredictor(prior="training") as plain:
        (resting,), (usual,) = mixed.predict_image(portrait), plain.predict_image(portrait)
    assert resting.probabilities["neutral"] > usual.probabilities["neutral"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"face-detecton": {}}, 'no stage "face-detecton" in a predictor; did you mean "face-detection"?'),
        ({"face-detection": {"max_face": 3}}, 'face-detection: max_face: unknown setting; did you mean "max_faces"?'),
        ({"face-detection": {"max_faces": 200}}, "face-detection: max_faces: 200 is not between 1 and 100"),
        ({"speech-windows": {"hop": "often"}}, "speech-windows: hop: expected a number of seconds"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, dict[str, Any]], message: str) -> None:
    with pytest.raises(EmopipeError, match=re.escape(message)):
        EmotionPredictor(settings=settings)
