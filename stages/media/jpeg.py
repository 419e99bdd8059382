"""A `VideoFrame` as a JPEG in colour."""

import cv2
import numpy as np
from numpy.typing import NDArray

from emopipe.stages.types import VideoFrame


def encode_jpeg(frame: VideoFrame, width: int, height: int, quality: int) -> bytes:
    """Brightness from the luma plane, colour from the small picture, as 4:2:0 video has it too.

    Both are in full range, as JPEG wants them (JFIF: BT.601 coefficients, 0 to 255).

    Args:
        width, height: of the picture, in pixels.
        quality: 0 to 100.
    """
    size = width, height
    chroma = cv2.cvtColor(frame.small, cv2.COLOR_RGB2YCrCb)[:, :, 1:]
    luma = frame.luma
    if luma.shape != (height, width):
        shrinks = luma.shape[0] > height
        luma = cv2.resize(luma, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    picture = np.dstack([luma, cv2.resize(np.ascontiguousarray(chroma), size, interpolation=cv2.INTER_LINEAR)])
    encoded: NDArray[np.uint8]
    done, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_YCrCb2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not done:
        raise ValueError(f"a picture of {width} × {height} cannot be written as JPEG")
    return encoded.tobytes()
