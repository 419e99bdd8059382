"""Stages for the tests of pictures that do not travel: a source of them, a stage that keeps some, a sink of digests."""

import asyncio
import hashlib
from collections import deque
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emopipe.pipeline.graph.load import Graph, graph_from_table
from emopipe.pipeline.message import Message, Payload
from emopipe.pipeline.port import Port, about
from emopipe.pipeline.source import Source
from emopipe.pipeline.stage import Stage
from tests.support.restart_stages import Lines

HEADER = "pictures\n"
KEPT_PICTURES = 20  # more than may be under way
GATES = 10, 25
SHAPE = 300, 400
STREAMS, COUNT = 2, 60


class Picture(Payload):
    image: NDArray[np.uint8]


def picture(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, SHAPE, np.uint8)


def digest(image: NDArray[np.uint8]) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()


def picture_graph(folder: Path, gate: str = "") -> Graph:
    """Pictures for two receivers, one of which keeps them for a while and sends them on."""
    use = f"{__name__}:"
    stages: dict[str, Any] = {
        "pictures": {"use": f"{use}Pictures", "gate": gate},
        "keep": {"use": f"{use}Keep", "inputs": {"pictures": "pictures.pictures"}},
        "late": {"use": f"{use}Digests", "inputs": {"pictures": "keep.pictures"}, "path": str(folder / "late")},
        "soon": {"use": f"{use}Digests", "inputs": {"pictures": "pictures.pictures"}, "path": str(folder / "soon")},
    }
    return graph_from_table({"pipeline": {"supervision": {"backoff": 0.0}}, "stages": stages}, "toy.toml")


def expected_digests(kept: int) -> str:
    """What `Digests` writes of each stream but the last `kept`."""
    digests = [digest(picture(number)) for number in range(COUNT - kept)]
    return HEADER + "".join(f"s{stream} {each}\n" for stream in range(STREAMS) for each in digests)


class Pictures(Source):
    """Pictures, one stream after the other."""

    name = "pictures"
    repeatable = True
    outputs: ClassVar[dict[str, Port]] = {"pictures": Port(Picture, "the pictures")}

    class Settings(Stage.Settings):
        gate: Annotated[
            str, about("if not empty, before some pictures a file must be there: this and their number")
        ] = ""

    settings: Settings

    async def run(self) -> None:
        for stream in (f"s{number}" for number in range(STREAMS)):
            if stream in self.host.finished:
                continue
            for number in range(COUNT):
                while number in GATES and not self._open(number):
                    await asyncio.sleep(0.02)
                await self.emit("pictures", Picture(image=picture(number)), stream=stream, pts=number)
            await self.end(stream)

    def _open(self, number: int) -> bool:
        return not self.settings.gate or Path(f"{self.settings.gate}{number}").exists()


class Keep(Stage):
    """Passes each picture on when `KEPT_PICTURES` more have come."""

    name = "keep"
    inputs: ClassVar[dict[str, Port]] = {"pictures": Port(Picture, "pictures")}
    outputs: ClassVar[dict[str, Port]] = {"pictures": Port(Picture, "the same, later")}

    async def setup(self) -> None:
        self._kept = self.per_stream(deque[Payload])

    async def process(self, port: str, message: Message) -> None:
        kept = self._kept[message.stream]
        kept.append(message.payload)
        if len(kept) > KEPT_PICTURES:
            await self.emit("pictures", kept.popleft(), cause=message)


class Digests(Lines):
    """Writes a line a picture, as `Lines` does."""

    name = "digests"
    inputs: ClassVar[dict[str, Port]] = {"pictures": Port(Picture, "pictures")}

    def text(self, payload: Any) -> str:
        return digest(payload.image)
