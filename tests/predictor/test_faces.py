"""Faces of pictures: alone, in batches, and by how common expressions are."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from emopipe import EmotionPredictor

Image = NDArray[np.uint8]


def test_many_pictures_give_what_each_gives_alone(predictor: EmotionPredictor, portrait: Image) -> None:
    empty = np.full((200, 300, 3), 128, np.uint8)
    two = np.hstack([portrait[20:260, 110:350]] * 2)
    pictures = [portrait, empty, np.ascontiguousarray(portrait[:, ::-1]), two]
    together = predictor.predict_images(pictures)
    assert [len(faces) for faces in together] == [1, 0, 1, 2]
    assert together == [predictor.predict_image(picture) for picture in pictures]
    assert predictor.predict_images([]) == []


def test_a_whole_picture_may_be_a_face(predictor: EmotionPredictor, weights: dict[str, Path]) -> None:
    from emopipe.models.facial.model import FacialModel

    crop = np.random.default_rng(0).integers(0, 256, (48, 48), np.uint8)
    (face,) = predictor.predict_image(crop, whole=True)
    expected = FacialModel.load(weights["facial"], "cpu").probabilities(crop[None])[0]
    np.testing.assert_allclose(list(face.probabilities.values()), expected, atol=1e-6)
    assert predictor.predict_image(crop) == []


def test_a_real_face_is_the_more_neutral_the_more_common_neutral_faces_are(portrait: Image) -> None:
    neutral, others = [], []
    for share in (0.1, 0.3, 0.6, 0.9):
        with EmotionPredictor(device="cpu", prior={"neutral": share}) as shipped:
            (face,) = shipped.predict_image(portrait)
        neutral.append(face.probabilities["neutral"])
        others.append(face.probabilities["sad"] / face.probabilities["happy"])
    assert neutral == sorted(set(neutral))
    assert others == pytest.approx([others[0]] * 4, rel=1e-3)
