"""Streams of pictures and results for the tests of sinks that show them."""

from pathlib import Path

import av
import numpy as np

from emopipe.pipeline.clock import MS
from emopipe.pipeline.message import Message
from emopipe.pipeline.testing import data
from emopipe.stages.media.audio import SAMPLE_RATE_HZ
from emopipe.stages.types import AudioBlock, VideoFrame
from tests.support.factories import result

STEP = 40 * MS  # from picture to picture


def picture(number: int, *, width: int = 160, height: int = 96, stream: str = "test", epoch: int = 0) -> Message:
    """The picture at `number` steps: grey."""
    frame = VideoFrame(luma=np.full((height, width), 90, np.uint8), small=np.full((height, width, 3), 90, np.uint8))
    return data(frame, number * STEP, stream=stream, duration=STEP, epoch=epoch)


def told(
    number: int, faces: dict[int, str], voice: str | None = None, *, stream: str = "test", epoch: int = 0
) -> Message:
    """The result of that picture."""
    message = result(number * STEP, faces, voice, stream=stream, duration=STEP)
    message.payload.source = "face"
    message.epoch = epoch
    return message


def sound(number: int, seconds: float, *, stream: str = "test") -> Message:
    """Noise from the time of a picture on."""
    samples = np.random.default_rng(number).uniform(-0.2, 0.2, round(seconds * SAMPLE_RATE_HZ)).astype(np.float32)
    pts = number * STEP
    duration = round(seconds * 1000) * MS
    return data(AudioBlock(samples=samples), pts, stream=stream, duration=duration, watermark=pts + duration)


def shown(path: Path) -> list[np.ndarray]:
    """The pictures of a film, RGB."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]


def coloured(image: np.ndarray) -> int:
    """How many pixels are not grey: what was drawn."""
    return int(((image.max(-1) - image.min(-1)) > 40).sum())
