"""The stages of a shard: those of emopipe but for their kernels, which take a simulated machine's time."""

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar, ParamSpec, TypeVar

import numpy as np

from benchmarks.live.camera import FPS
from benchmarks.live.measurement import BESIDE
from benchmarks.simulation.machine import Machine
from emopipe.models.envelope import STEP_NS
from emopipe.models.labels import FACE, SPEECH
from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.mailbox import Mailbox
from emopipe.pipeline.message import Message, Placement
from emopipe.pipeline.port import Port
from emopipe.pipeline.source import Source
from emopipe.pipeline.stage import Stage
from emopipe.stages.faces.detection import FaceDetection
from emopipe.stages.faces.inference import FacialInference
from emopipe.stages.fusion.stage import Fusion
from emopipe.stages.media.audio import BLOCK_S
from emopipe.stages.speech.inference import SpeechInference
from emopipe.stages.types import Emotions, Face, Faces, SpeechWindow, VideoFrame

P = ParamSpec("P")
T = TypeVar("T")

BLOCK_NS = round(BLOCK_S * SECOND)  # of sound
HOP_NS = SECOND // 2  # between the ends of two windows
WARM_UP_NS = SECOND


class Camera(Source):
    """One camera with a microphone, by which somebody speaks now and then; the newest picture wins."""

    name = "simulated-camera"
    outputs: ClassVar[dict[str, Port]] = {
        "video": Port(VideoFrame, "pictures"),
        "windows": Port(SpeechWindow, "windows of speech"),
    }

    def __init__(self, machine: Machine, label: str, fps: float, phase: int, talk: float, end: int) -> None:
        super().__init__(label=label)
        self._machine = machine
        self._interval = round(SECOND / fps)
        self._phase = phase  # ns of its first picture
        self._talk = talk  # how far it has come when the run begins, 0..1
        self._end = end
        self._pictures: Mailbox[int] = Mailbox(most=1)
        self.offered = 0

    async def run(self) -> None:
        await asyncio.gather(self._see(), self._show(), self._speak())
        await self.end(self.label)

    async def _see(self) -> None:
        """Take pictures in as they come, each decoded, wanted or not."""
        decode = self._machine.costs.decode
        for pts in range(self._phase, self._end, self._interval):
            await self.host.clock.sleep_until(pts)
            if decode:
                await self._machine.work(f"{self.label} decoder", decode)
            self.offered += pts >= WARM_UP_NS
            self._pictures.put(pts)
        self._pictures.close()

    async def _show(self) -> None:
        picture = VideoFrame(np.zeros((1, 1), np.uint8), np.zeros((1, 1, 3), np.uint8))
        while await self._pictures.arrived():
            await self.writable("video", self.label)
            [pts], _ = self._pictures.take()
            await self._machine.take("capture")
            await self.emit("video", picture, stream=self.label, pts=pts, duration=self._interval, watermark=pts + 1)

    async def _speak(self) -> None:
        """Hand each window over when the block of sound is there that its end is in."""
        costs, end = self._machine.costs, HOP_NS
        for heard in range(BLOCK_NS, self._end, BLOCK_NS):
            await self.host.clock.sleep_until(heard)
            await self._machine.take("windows", FPS * BLOCK_NS / SECOND)
            while end <= heard:
                window = SpeechWindow(
                    start=max(0, end - 3 * HOP_NS),
                    end=end,
                    mfcc=np.zeros((1, 40), np.float32),
                    audio=np.zeros(1, np.float32),
                    voiced=1.0,
                    level=-20.0,
                    envelope=np.zeros(HOP_NS // STEP_NS, np.float32),
                )
                # The next one ends a hop later, and none before.
                placement = Placement(stream=self.label, pts=end, duration=HOP_NS, watermark=end + HOP_NS)
                if (self._talk + end / SECOND / costs.turn_s) % 1 < costs.speaking:
                    await self.emit("windows", window, **placement)
                else:
                    await self.emit_gap("windows", **placement)
                end += HOP_NS


class _OnMachine(Stage):
    """A stage whose thread takes the machine's time."""

    machine: Machine
    kernel: ClassVar[str]

    async def compute(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        await self.machine.take(self.kernel)
        return function(*args, **kwargs)


class SimulatedDetection(_OnMachine):
    """One face in every picture."""

    name = "simulated-detection"
    kernel = "faces"
    inputs = FaceDetection.inputs
    outputs = FaceDetection.outputs

    async def process(self, port: str, message: Message) -> None:
        faces = await self.compute(Faces, [_FACE])
        await self.emit("faces", faces, cause=message)


_FACE = Face(id=0, box=(0.4, 0.3, 0.2, 0.3), score=0.9, quality=1.0, crop=np.zeros((48, 48), np.uint8), mouth=1.0)


class SimulatedFacial(_OnMachine, FacialInference):
    kernel = "facial"

    async def _infer(self, rows: list[Any]) -> list[list[float]]:
        await self.machine.take(self.kernel, len(rows))
        return [[1 / len(FACE)] * len(FACE)] * len(rows)

    def open(self) -> None:
        """There is no model."""

    async def compute(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)  # only `open`: batches take their time above


class SimulatedSpeech(_OnMachine, SpeechInference):
    kernel = "speech"

    async def _infer(self, rows: list[Any]) -> list[list[float]]:
        spoken = self.machine.costs.speaking * SECOND / HOP_NS  # windows a second
        await self.machine.take(self.kernel, len(rows) * FPS / spoken)
        return [[1 / len(SPEECH)] * len(SPEECH)] * len(rows)

    def open(self) -> None:
        """There is no model."""

    async def compute(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)


class SimulatedFusion(_OnMachine, Fusion):
    kernel = "fusion"

    async def process(self, port: str, message: Message) -> None:
        if port == "faces":
            await self.machine.take(self.kernel)
        await super().process(port, message)


class SimulatedSink(_OnMachine):
    """Takes the ages of results."""

    name = "simulated-sink"
    kernel = "sink"
    inputs: ClassVar[dict[str, Port]] = {"emotions": Port(Emotions, "results")}

    def __init__(self) -> None:
        super().__init__()
        self.ages: list[float] = []

    async def process(self, port: str, message: Message) -> None:
        await self.machine.take(self.kernel)
        self.machine.begin(self._receive(message))

    async def _receive(self, message: Message) -> None:
        await self.machine.hop(BESIDE, True)
        self.machine.follow(BESIDE)
        if message.pts >= WARM_UP_NS and message.payload.source == "face":
            self.ages.append((self.running_time() - message.pts) / MS)
