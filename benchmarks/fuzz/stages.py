"""Three small stages whose results tell at a glance that nothing was lost, changed or added."""

import asyncio
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray

from emopipe.pipeline import MS, Message, Payload, Port, Source, Stage, about


class Tick(Payload):
    number: int
    picture: NDArray[np.uint8]


class Ticks(Source):
    """Counts, about a thousand a second, until there is a file that says `stop`."""

    name = "ticks"
    outputs: ClassVar[dict[str, Port]] = {"ticks": Port(Tick, "the numbers")}

    class Settings(Stage.Settings):
        stop: Annotated[str, about("the file")]

    settings: Settings

    async def run(self) -> None:
        number = 0
        while not await asyncio.to_thread(Path(self.settings.stop).exists):
            for _ in range(10):
                picture = np.full((24, 32, 3), number % 256, np.uint8)
                await self.emit("ticks", Tick(number=number, picture=picture), stream="clock", pts=number * MS)
                number += 1
            await asyncio.sleep(0.01)


class Relay(Stage):
    """Hands on what comes."""

    name = "relay"
    inputs: ClassVar[dict[str, Port]] = {"ticks": Port(Tick, "the numbers")}
    outputs: ClassVar[dict[str, Port]] = {"ticks": Port(Tick, "the same")}

    async def process(self, port: str, message: Message) -> None:
        await self.emit("ticks", message.payload, cause=message)


class Tally(Stage):
    """Counts the numbers that came in their order, and those that did not."""

    name = "tally"
    inputs: ClassVar[dict[str, Port]] = {"ticks": Port(Tick, "the numbers")}

    async def setup(self) -> None:
        self._next = 0

    async def process(self, port: str, message: Message) -> None:
        tick = message.payload
        right = tick.number == self._next and bool((tick.picture == tick.number % 256).all())
        self.counters["right" if right else "wrong"] += 1
        self._next = tick.number + 1
