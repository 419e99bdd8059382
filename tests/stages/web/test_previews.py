"""The pictures that observers see: their size."""

import asyncio

import av
import numpy as np
import pytest

from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.testing import data
from emopipe.stages.media.frames import FrameConverter
from emopipe.stages.web.previews import Previews
from tests.support.pictures import decoded, striped


@pytest.mark.parametrize("shape", [(1, 1), (33, 7), (720, 1280), (1280, 719)])
def test_a_picture_of_any_size_fits(shape: tuple[int, int]) -> None:
    frame = FrameConverter().read(av.VideoFrame.from_ndarray(np.full((*shape, 3), 200, np.uint8), "rgb24"))
    message = Previews(12.0, 320).draw(data(frame, 0))
    height, width, _ = decoded(message[4 + int.from_bytes(message[:4], "big") :]).shape
    assert max(height, width) == min(320, max(shape))
    assert abs(width / height - shape[1] / shape[0]) < 0.05 * shape[1] / shape[0]


@pytest.mark.slow("real time")
@pytest.mark.parametrize("fps", [25, 30, 60])
def test_so_many_pictures_a_second_are_drawn(fps: int) -> None:
    pictures = Previews(12.0, 64)
    taken = 0
    for number in range(10 * fps):
        pictures.offer(data(striped(), round(number * SECOND / fps)))
        taken += len(pictures._waiting)
        pictures._waiting.clear()
    assert abs(taken - 120) <= 1


def test_where_drawing_is_slow_the_newest_picture_is_drawn() -> None:
    async def run() -> list[int]:
        pictures = Previews(12.0, 64)
        for number in range(30):
            pictures.offer(data(striped(), number * 40 * MS))
        return [(await pictures.newest()).pts, len(pictures._waiting)]

    newest, waiting = asyncio.run(run())
    assert newest > 1000 * MS
    assert waiting == 0
