"""A stage for the tests of LSL: a camera's results without a camera."""

import asyncio
from typing import Annotated, ClassVar

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.port import Port, about
from emopipe.pipeline.source import Source
from emopipe.stages.types import Emotions
from tests.support.factories import make_emotions

PERIOD_NS = SECOND // 40
LATE_NS = SECOND // 50  # by which each result is later than what it is about


class Moments(Source):
    """So many results, each about the moment 20 ms before; `base_time_ns` says when the run began to play."""

    name = "moments"
    outputs: ClassVar[dict[str, Port]] = {"emotions": Port(Emotions, "the results")}

    class Settings(Source.Settings):
        count: Annotated[int, about("how many")] = 40

    settings: Settings

    async def run(self) -> None:
        self.counters["base_time_ns"] = self.host.base_time
        for number in range(self.settings.count):
            await asyncio.sleep(PERIOD_NS / SECOND)
            seen = max(self.host.clock.now() - LATE_NS, self.host.base_time)
            emotions = make_emotions(
                {0: "happy"} if number % 4 else {}, "sad" if number % 3 == 0 else None, source="face"
            )
            pts = self.running_time(seen)
            await self.emit(
                "emotions", emotions, stream="webcam", pts=pts, duration=PERIOD_NS, watermark=pts, seen=seen
            )
        await self.end("webcam")
