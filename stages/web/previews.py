"""Pictures for observers: few, small, the newest only, as JPEG."""

import asyncio
import json

import numpy as np
from numpy.typing import NDArray

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.message import Message
from emopipe.stages.types import VideoFrame

JPEG_QUALITY = 80  # of the JPEG: some 25 KB at 640 × 360


class Previews:
    """Chooses which pictures are drawn: at most `fps` of each stream, and the newest where drawing takes longer.

    Args:
        size: the longer side of what is drawn, in pixels, at most.
    """

    def __init__(self, fps: float, size: int) -> None:
        self._period = round(SECOND / fps)
        self._size = size
        self._due: dict[str, int] = {}  # by stream: the pts from which on a picture is wanted again
        self._waiting: dict[str, Message] = {}
        self._wake_up = asyncio.Event()

    def offer(self, message: Message) -> None:
        """A frame that somebody watches; taken if its stream's next picture is due."""
        due = self._due.get(message.stream, message.pts)
        if message.pts < due:
            return
        # On a fixed grid, so that the rate is right whatever the frames' own is; anew after a pause.
        behind = message.pts - due > self._period
        self._due[message.stream] = (message.pts if behind else due) + self._period
        self._waiting[message.stream] = message
        self._wake_up.set()

    def forget(self, stream: str) -> None:
        """The stream has ended, or its time has jumped."""
        self._due.pop(stream, None)
        self._waiting.pop(stream, None)

    async def newest(self) -> Message:
        """The newest frame of the stream that has waited longest."""
        while not self._waiting:
            self._wake_up.clear()
            await self._wake_up.wait()
        return self._waiting.pop(next(iter(self._waiting)))

    def draw(self, message: Message) -> bytes:
        """The binary message of a frame: the length of a JSON header (4 bytes, big-endian), the header, the JPEG."""
        header = json.dumps({"type": "picture", "stream": message.stream, "pts": message.pts}).encode()
        return len(header).to_bytes(4, "big") + header + jpeg(message.payload, self._size)


def jpeg(frame: VideoFrame, size: int) -> bytes:
    """A frame in colour: brightness from the luma plane, colour from the small picture, as 4:2:0 video has it too.

    Both are in full range, as JPEG wants them (JFIF: BT.601 coefficients, 0 to 255).
    """
    import cv2  # 0.2 s, and only a graph that feeds pictures needs it

    height, width = frame.luma.shape
    scale = min(1.0, size / max(height, width))
    to = max(1, round(width * scale)), max(1, round(height * scale))
    chroma = cv2.cvtColor(frame.small, cv2.COLOR_RGB2YCrCb)[:, :, 1:]
    luma = frame.luma if scale == 1.0 else cv2.resize(frame.luma, to, interpolation=cv2.INTER_AREA)
    picture = np.dstack([luma, cv2.resize(np.ascontiguousarray(chroma), to, interpolation=cv2.INTER_LINEAR)])
    encoded: NDArray[np.uint8]
    done, encoded = cv2.imencode(
        ".jpg", cv2.cvtColor(picture, cv2.COLOR_YCrCb2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    if not done:
        raise ValueError(f"a picture of {width} × {height} cannot be written as JPEG")
    return encoded.tobytes()
