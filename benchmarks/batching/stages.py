"""Stages around facial inference: crops of faces in, answers out, without a camera or a detector."""

import asyncio
import time
from typing import Annotated, ClassVar

import numpy as np

from emopipe.models.facial.crops import SIZE
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Port, about
from emopipe.pipeline.source import Source
from emopipe.pipeline.stage import Stage
from emopipe.stages.types import Face, FaceEmotions, Faces


class Crops(Source):
    """Sends a frame's faces for each stream in turn: noise, which costs as much as a face."""

    name = "crops"
    outputs: ClassVar[dict[str, Port]] = {"faces": Port(Faces, "as many a message as are set")}

    class Settings(Source.Settings, kw_only=True):
        count: Annotated[int, about("how many of each stream", ge=1)]
        streams: Annotated[int, about("how many there are", ge=1)] = 1
        faces: Annotated[int, about("in a frame", ge=1)] = 1
        rate: Annotated[float, about("of each stream; 0: as fast as they are taken", unit="1/s", ge=0)] = 0.0

    settings: Settings

    async def run(self) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (64, SIZE, SIZE), dtype=np.uint8)
        settings = self.settings
        began = time.monotonic_ns()
        for number in range(settings.count):
            if settings.rate:
                due = began + round(number / settings.rate * SECOND)
                await asyncio.sleep(max(0, due - time.monotonic_ns()) / SECOND)
            pts = self.running_time(time.monotonic_ns()) if settings.rate else number
            for stream in range(settings.streams):
                crops = (noise[(number + stream + each) % len(noise)] for each in range(settings.faces))
                faces = [
                    Face(id=number, box=(0.0, 0.0, 1.0, 1.0), score=1.0, quality=1.0, crop=crop)
                    for number, crop in enumerate(crops)
                ]
                await self.emit("faces", Faces(faces=faces), stream=f"stream{stream}", pts=pts)


class Answers(Stage):
    """Counts the faces that come back, and tells when the first and the last message came (monotonic ns)."""

    name = "answers"
    inputs: ClassVar[dict[str, Port]] = {"emotions": Port(FaceEmotions, "what the faces express")}

    async def process(self, port: str, message: Message) -> None:
        now = time.monotonic_ns()
        assert isinstance(message.payload, FaceEmotions)
        if not self.counters["last_ns"]:
            self.counters["first_ns"] = now
        else:
            self.counters["after_first"] += len(message.payload.faces)
        self.counters["last_ns"] = now
