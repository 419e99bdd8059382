"""Stages for the tests of restarts in live mode: a camera that ticks, a stage with a memory, a sink that notes all."""

import asyncio
import json
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.message import Message, Payload
from emopipe.pipeline.port import Port, about
from emopipe.pipeline.report import Interruption
from emopipe.pipeline.source import Source
from emopipe.pipeline.stage import Stage
from emopipe.stages.sinks.line_file import LineFile

PERIOD_NS = 10 * MS
PICTURE_BYTES = 50_000  # so large that it stays in its sender's memory


class Tick(Payload):
    value: int
    picture: NDArray[np.uint8]  # all of it the value, or its last byte
    count: int = 0


class Ticks(Source):
    """A tick each 10 ms, for ever."""

    name = "ticks"
    outputs: ClassVar[dict[str, Port]] = {"ticks": Port(Tick, "the ticks")}

    class Settings(Stage.Settings):
        stream: Annotated[str, about("the stream's name")] = "camera"

        def plays(self) -> list[str]:
            return [self.stream]

    settings: Settings

    async def run(self) -> None:
        value = 0
        while True:
            now = self.running_time()
            picture = np.full(PICTURE_BYTES, value % 256, np.uint8)
            await self.emit("ticks", Tick(value=value, picture=picture), stream=self.settings.stream, pts=now)
            value += 1
            await asyncio.sleep(PERIOD_NS / SECOND)


class Count(Stage):
    """Counts the ticks of a stream, as a tracker counts faces."""

    name = "count"
    inputs: ClassVar[dict[str, Port]] = {"ticks": Port(Tick, "ticks", policy="drop-oldest", size=4)}
    outputs: ClassVar[dict[str, Port]] = {"ticks": Port(Tick, "ticks, counted")}

    async def setup(self) -> None:
        self._counts = self.per_stream(int)

    async def process(self, port: str, message: Message) -> None:
        self._counts[message.stream] += 1
        tick = Tick(value=message.payload.value, picture=message.payload.picture, count=self._counts[message.stream])
        await self.emit("ticks", tick, cause=message)


class Note(Stage):
    """Notes what comes, how old it is, what ends, and what it is told of interruptions."""

    name = "note"
    inputs: ClassVar[dict[str, Port]] = {"ticks": Port(Tick, "ticks", size=1000)}

    class Settings(Stage.Settings):
        path: Annotated[str, about("where to")]

    settings: Settings

    async def setup(self) -> None:
        self._file = LineFile(self.settings.path, journal=self.host.journal, append=True)
        self.exit.callback(self._file.close)

    async def process(self, port: str, message: Message) -> None:
        tick = message.payload
        if not (tick.picture == tick.value % 256).all():
            raise EmopipeError(f"the picture of {tick.value} is another's")
        age = (self.running_time() - message.pts) / SECOND
        self._note(
            {"stream": message.stream, "value": tick.value, "count": tick.count, "epoch": message.epoch, "age": age}
        )

    async def flush(self, stream: str) -> None:
        self._note({"ended": stream})

    def interrupted(self, interruption: Interruption) -> None:
        self._note({"gap": interruption.stages, "streams": interruption.epochs})

    def _note(self, what: dict[str, object]) -> None:
        self._file.write(json.dumps(what).encode() + b"\n")
