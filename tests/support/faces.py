"""A film of a real face that moves, and what is seen in a place of a picture."""

import av
import numpy as np
import pytest

from emopipe.stages.media.frames import FrameConverter
from emopipe.stages.types import VideoFrame


def face_film(count: int = 40) -> list[VideoFrame]:
    """Frames of 640 × 360 in which a face moves from left to right; the first fifth shows nobody."""
    picture = pytest.importorskip("skimage.data").astronaut()[:320, :480]
    converter = FrameConverter()
    frames = []
    for number in range(count):
        image = np.full((360, 640, 3), 90, np.uint8)
        if number >= count // 5:
            left = round(150 * number / count)
            image[20:340, left : left + 480] = picture
        frames.append(converter.read(av.VideoFrame.from_ndarray(image, "rgb24")))
    return frames


def within(image: np.ndarray, box: tuple[float, float, float, float]) -> np.ndarray:
    """What of a picture [H, W, 3] lies in a box (left, top, width, height, of the picture)."""
    height, width = image.shape[:2]
    left, top, right, bottom = box[0] * width, box[1] * height, (box[0] + box[2]) * width, (box[1] + box[3]) * height
    return image[round(top) : round(bottom), round(left) : round(right)]


def colours(image: np.ndarray) -> float:
    """How far red, green and blue are apart, on average."""
    return float(np.ptp(image.astype(int), axis=2).mean())
