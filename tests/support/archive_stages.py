"""A stage for the tests of archives: a result for each picture; a recording's name says what happens in it.

The tests copy this file beside their graph, as a user's own stages lie there.
"""

import asyncio
import errno
import os
import signal
import threading
from pathlib import Path
from typing import Annotated, ClassVar

from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Port, about
from emopipe.pipeline.stage import Stage
from emopipe.stages.types import Emotions, VideoFrame


class Scripted(Stage):
    """Says nothing of a picture; what it does beside that stands in the stream's name."""

    name = "scripted"
    inputs: ClassVar[dict[str, Port]] = {"video": Port(VideoFrame, "pictures")}
    outputs: ClassVar[dict[str, Port]] = {"emotions": Port(Emotions, "a result for each")}

    class Settings(Stage.Settings):
        folder: Annotated[str, about("where it takes down that something has happened")]
        pause: Annotated[float, about("before each picture", unit="s", ge=0)] = 0.0

    settings: Settings

    async def process(self, port: str, message: Message) -> None:
        await asyncio.sleep(self.settings.pause)
        match message.stream.partition("-")[0]:
            case "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            case "falters" if self._first(message.stream):
                os.kill(os.getpid(), signal.SIGKILL)
            case "sticks":
                await self.compute(threading.Event().wait)
            case "fills":
                raise OSError(errno.ENOSPC, "No space left on device")
            case "calls":
                asyncio.get_running_loop().call_soon(self._raise)
                await asyncio.Event().wait()
            case "raises":
                raise RuntimeError("nobody expected this")
            case "explains":
                raise EmopipeError("this graph has no mind to play it")
        await self.emit("emotions", Emotions("face", [], None, None, False), cause=message)

    def _raise(self) -> None:
        raise RuntimeError("nobody awaits this")

    def _first(self, stream: str) -> bool:
        """Whether this has not happened yet."""
        mark = Path(self.settings.folder) / stream
        before = mark.exists()
        mark.touch()
        return not before
