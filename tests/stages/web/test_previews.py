"""The pictures that observers see: their size."""

import av
import numpy as np
import pytest

from emopipe.pipeline.testing import data
from emopipe.stages.media.frames import FrameConverter
from emopipe.stages.web.previews import Previews
from tests.support.pictures import decoded


@pytest.mark.parametrize("shape", [(1, 1), (33, 7), (720, 1280), (1280, 719)])
def test_a_picture_of_any_size_fits(shape: tuple[int, int]) -> None:
    frame = FrameConverter().read(av.VideoFrame.from_ndarray(np.full((*shape, 3), 200, np.uint8), "rgb24"))
    message = Previews(12.0, 320).draw(data(frame, 0))
    height, width, _ = decoded(message[4 + int.from_bytes(message[:4], "big") :]).shape
    assert max(height, width) == min(320, max(shape))
    assert abs(width / height - shape[1] / shape[0]) < 0.05 * shape[1] / shape[0]
