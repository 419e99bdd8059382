"""A film of a real face that moves."""

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
