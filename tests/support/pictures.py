"""Pictures to send, and JPEGs to look at."""

from typing import Any

import av
import numpy as np

from emopipe.stages.media.frames import FrameConverter
from emopipe.stages.types import VideoFrame


def striped() -> VideoFrame:
    """Red, green and blue side by side, and fine black lines that only the luma plane can hold."""
    rgb = np.zeros((360, 640, 3), np.uint8)
    rgb[:, :214, 0] = rgb[:, 214:427, 1] = rgb[:, 427:, 2] = 255
    rgb[100:110:2] = 0
    return FrameConverter().read(av.VideoFrame.from_ndarray(rgb, "rgb24"))


def decoded(picture: bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    decoder = av.CodecContext.create("mjpeg", "r")
    (frame,) = decoder.decode(av.Packet(picture))
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
