"""The speed of a mouth: of what is drawn, and of a real face whose lips are pulled apart."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from emopipe.models.face_detection.detection import EYES_Y, Framing
from emopipe.models.face_detection.mouth import mouth_speed

Gray = NDArray[np.uint8]
SIDE = 120
FRAMING = Framing(100.0, 100.0, float(SIDE), 0.0)


@pytest.fixture(scope="module")
def face() -> Gray:
    """Smooth texture everywhere in 200 × 200 pixels, with a dark mouth."""
    noise = np.random.default_rng(0).normal(128, 400, (200, 200))
    picture = np.clip(cv2.GaussianBlur(noise, (0, 0), 5), 0, 255).astype(np.uint8)
    cv2.ellipse(picture, (100, round(100 + (0.8 - 0.5) * SIDE)), (18, 5), 0, 0, 360, 30, -1, cv2.LINE_AA)
    return picture


def opened(picture: Gray, by: float) -> Gray:
    """The picture with all around the mouth stretched from its middle, by `by` times the distance."""
    rows, columns = np.indices(picture.shape, np.float32)
    middle = 100 + (0.8 - 0.5) * SIDE
    near = np.exp(-(((rows - middle) / 25) ** 2) - ((columns - 100) / 30) ** 2)
    stretched: Gray = cv2.remap(picture, columns, rows - by * (rows - middle) * near, cv2.INTER_CUBIC)
    return stretched


def noisy(picture: Gray, seed: int) -> Gray:
    noise = np.random.default_rng(seed).normal(0, 1, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def shifted(picture: Gray, x: float, y: float) -> Gray:
    moved: Gray = cv2.warpAffine(
        picture,
        np.array([[1.0, 0.0, x], [0.0, 1.0, y]]),
        (200, 200),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REFLECT,
    )
    return moved


@pytest.mark.parametrize("by", [0.1, -0.1])
def test_lips_that_part_or_close_are_fast(face: Gray, by: float) -> None:
    still = mouth_speed(noisy(face, 1), noisy(face, 2), FRAMING)
    moving = mouth_speed(noisy(opened(face, by), 1), noisy(face, 2), FRAMING)
    assert still is not None
    assert moving is not None
    assert moving > 4
    assert still < 1


def test_a_head_that_moves_and_a_light_that_changes_are_no_speech(face: Gray) -> None:
    speaking = mouth_speed(opened(face, 0.1), face, FRAMING)
    assert speaking is not None
    for other in (shifted(face, 0.7, 0.4), (face * 0.9).astype(np.uint8), face - np.uint8(9) * (face > 9)):
        speed = mouth_speed(other, face, FRAMING)
        assert speed is not None
        assert speed < speaking / 3


def test_a_repeated_picture_says_nothing(face: Gray) -> None:
    assert mouth_speed(face, face.copy(), FRAMING) is None


def test_the_mouth_of_the_framing_counts(face: Gray) -> None:
    """FER2013's framing has the eyes above the middle, and the mouth well below it."""
    assert EYES_Y < 0.5
    below = FRAMING._replace(y=FRAMING.y + SIDE)
    away = mouth_speed(opened(face, 0.1), face, below)
    here = mouth_speed(opened(face, 0.1), face, FRAMING)
    assert here is not None
    assert away is None or away < here / 3
