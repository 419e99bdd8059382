"""Pictures for observers: few, small, the newest only, as JPEG."""

import asyncio
import json

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.message import Message

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
        from emopipe.stages.media.jpeg import (
            encode_jpeg,  # 0.2 s for OpenCV, which only a graph that feeds pictures needs
        )

        height, width = message.payload.luma.shape
        scale = min(1.0, self._size / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        header = json.dumps({"type": "picture", "stream": message.stream, "pts": message.pts}).encode()
        return len(header).to_bytes(4, "big") + header + encode_jpeg(message.payload, *size, JPEG_QUALITY)
