"""Stages that measure a hop: blocks of bytes, first now and then, then as fast as they go."""

import asyncio
import time
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.transport.arrivals import Arrivals
from emopipe.pipeline.message import Message, Payload
from emopipe.pipeline.port import Port, about
from emopipe.pipeline.source import Source
from emopipe.pipeline.stage import Stage

ARRAYS = 40  # in turn, more than are under way: one that is in shared memory still would not be put there again


class Block(Payload):
    """So many bytes, and when they were sent (monotonic ns)."""

    sent: int
    data: NDArray[np.uint8]


class Blocks(Source):
    """Sends blocks of each size in turn, a stream a size."""

    name = "blocks"
    outputs: ClassVar[dict[str, Port]] = {"blocks": Port(Block, "blocks")}

    class Settings(Source.Settings, kw_only=True):
        sizes: Annotated[list[int], about("of the blocks", unit="bytes")]
        paced: Annotated[int, about("how many are sent now and then", ge=1)]
        pause: Annotated[float, about("between those", unit="s", gt=0)]
        fast: Annotated[int, about("how many follow as fast as they go", ge=2)]

    settings: Settings

    async def run(self) -> None:
        for size in self.settings.sizes:
            arrays = [np.full(size, number, np.uint8) for number in range(ARRAYS)]
            for number in range(self.settings.paced + self.settings.fast):
                if number < self.settings.paced:
                    await asyncio.sleep(self.settings.pause)
                block = Block(sent=time.monotonic_ns(), data=arrays[number % ARRAYS])
                await self.emit("blocks", block, stream=str(size), pts=number)
            await self.end(str(size))


class Received(Stage):
    """Tells how long blocks were under way, and how many came in a second; counters by stream."""

    name = "received"
    inputs: ClassVar[dict[str, Port]] = {"blocks": Port(Block, "blocks")}

    class Settings(Stage.Settings, kw_only=True):
        paced: Annotated[int, about("how many are sent now and then", ge=1)]

    settings: Settings

    async def setup(self) -> None:
        self._arrivals = self.per_stream(lambda: Arrivals(self.settings.paced))

    async def process(self, port: str, message: Message) -> None:
        block: Block = message.payload
        self._arrivals[message.stream].take(block.sent, time.monotonic_ns())

    async def flush(self, stream: str) -> None:
        for name, value in self._arrivals[stream].figures().items():
            self.counters[f"{stream} {name}"] = round(value)
