"""One shard in virtual time: cameras, and the graph that they share on some cores.

Stages are those of emopipe but for their kernels; hosts, links, batcher and join are the real ones.
"""

import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, ParamSpec, TypeVar

import numpy as np

from benchmarks.live.camera import FPS
from benchmarks.simulation.virtual_time import Cores, VirtualClock, run
from emopipe.models.envelope import STEP_NS
from emopipe.models.labels import FACE, SPEECH
from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.message import Message, Placement
from emopipe.pipeline.port import LinkId, Port, Queue
from emopipe.pipeline.runtime.host import StageHost
from emopipe.pipeline.runtime.source_host import host_of
from emopipe.pipeline.runtime.transport import LocalInlet, LocalOutlet
from emopipe.pipeline.source import Source
from emopipe.pipeline.stage import Stage
from emopipe.stages.faces.detection import FaceDetection
from emopipe.stages.faces.inference import FacialInference
from emopipe.stages.fusion.stage import Fusion
from emopipe.stages.speech.inference import SpeechInference
from emopipe.stages.types import Emotions, Face, Faces, SpeechWindow, VideoFrame

P = ParamSpec("P")
T = TypeVar("T")

FRAME_NS = SECOND // FPS
BLOCKS_A_SECOND = 20  # of sound
BLOCKS_A_WINDOW = 10
HOP_NS = SECOND * BLOCKS_A_WINDOW // BLOCKS_A_SECOND  # between the ends of two windows
SPREAD = 0.39  # of the logarithm of a kernel's time: the 99th percentile is 2.5 times the median
WARM_UP_NS = SECOND

COSTS_MS = {
    "capture": 6.3,
    "faces": 3.8,
    "facial": 3.2,
    "fusion": 1.2,
    "windows": 0.6,
    "sink": 0.35,
    "speech": 0.26,
}
"""CPU that each stage takes for a picture, or for what comes along with one, with its share of hops (ms; the measured
ones of docs/performance.md, "Where the time goes")."""

OVERHEAD = 1.06
"""What there is beside the stages: of two cores that eight streams filled, 0.11 were the supervisor's, the system's and
the subscriber's (2 - 108.4 results/s of 17.4 ms; the same)."""

HOP_MS = 0.4
"""Between two processes (the same, "A hop")."""


@dataclass
class Shard:
    """What a shard has done after its first second.

    Attributes:
        streams: cameras.
        seconds: simulated.
        offered: pictures that came.
        ages: of the results (ms), from when a picture was due.
        busy: of the cores, 0..1.
    """

    streams: int
    seconds: float
    offered: int = 0
    ages: list[float] = field(default_factory=list)
    busy: float = 0.0

    @property
    def dropped(self) -> float:
        """The share of pictures without a result."""
        return max(0.0, 1 - len(self.ages) / self.offered) if self.offered else 0.0


class Machine:
    """Cores, the costs of kernels, and chance."""

    def __init__(self, cores: Cores, costs: dict[str, float], seed: int) -> None:
        self.cores = cores
        self._costs = costs
        self._chance = random.Random(seed)

    async def take(self, kernel: str, times: float = 1.0) -> None:
        """Work as long as a kernel takes, by chance."""
        spread = math.exp(self._chance.gauss(-SPREAD * SPREAD / 2, SPREAD))
        await self.cores.work(round(self._costs[kernel] * OVERHEAD * times * spread * MS))


class Camera(Source):
    """One camera with a microphone, by which somebody speaks all the time; the newest picture wins."""

    name = "simulated-camera"
    outputs: ClassVar[dict[str, Port]] = {
        "video": Port(VideoFrame, "pictures"),
        "windows": Port(SpeechWindow, "windows of speech"),
    }

    def __init__(self, machine: Machine, label: str, phase: int, end: int) -> None:
        super().__init__(label=label)
        self._machine = machine
        self._phase = phase  # ns of its first picture
        self._end = end
        self.offered = 0

    async def run(self) -> None:
        await asyncio.gather(self._show(), self._speak())
        await self.end(self.label)

    async def _show(self) -> None:
        clock, taken = self.host.clock, -1
        picture = VideoFrame(np.zeros((1, 1), np.uint8), np.zeros((1, 1, 3), np.uint8))
        while True:
            due = self._phase + (taken + 1) * FRAME_NS
            if due >= self._end:
                break
            await clock.sleep_until(due)
            await self.writable("video", self.label)
            taken = (min(clock.now(), self._end - 1) - self._phase) // FRAME_NS  # the newest; others are left out
            pts = self._phase + taken * FRAME_NS
            await self._machine.take("capture")
            await self.emit("video", picture, stream=self.label, pts=pts, duration=FRAME_NS, watermark=pts + 1)
        self.offered = sum(pts >= WARM_UP_NS for pts in range(self._phase, self._end, FRAME_NS))

    async def _speak(self) -> None:
        block = SECOND // BLOCKS_A_SECOND
        for number in range(1, self._end // block):
            await self.host.clock.sleep_until(number * block)
            await self._machine.take("windows", FPS / BLOCKS_A_SECOND)
            if number % BLOCKS_A_WINDOW == 0:
                end = number * block
                window = SpeechWindow(
                    start=max(0, end - 3 * HOP_NS),
                    end=end,
                    mfcc=np.zeros((1, 40), np.float32),
                    audio=np.zeros(1, np.float32),
                    voiced=1.0,
                    level=-20.0,
                    envelope=np.zeros(HOP_NS // STEP_NS, np.float32),
                )
                placement = Placement(stream=self.label, pts=end, duration=HOP_NS, watermark=end + HOP_NS)
                await self.emit("windows", window, **placement)  # the next one ends a hop later, and none before


class _OnMachine(Stage):
    """A stage whose thread takes the machine's time."""

    machine: Machine
    kernel: ClassVar[str]

    async def compute(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        await self.machine.take(self.kernel)
        return function(*args, **kwargs)


class _Detection(_OnMachine):
    """One face in every picture."""

    name = "simulated-detection"
    kernel = "faces"
    inputs = FaceDetection.inputs
    outputs = FaceDetection.outputs

    async def process(self, port: str, message: Message) -> None:
        faces = await self.compute(Faces, [_FACE])
        await self.emit("faces", faces, cause=message)


_FACE = Face(id=0, box=(0.4, 0.3, 0.2, 0.3), score=0.9, quality=1.0, crop=np.zeros((48, 48), np.uint8), mouth=1.0)


class _Facial(_OnMachine, FacialInference):
    kernel = "facial"

    async def _infer(self, rows: list[Any]) -> list[list[float]]:
        await self.machine.take(self.kernel, len(rows))
        return [[1 / len(FACE)] * len(FACE)] * len(rows)

    def open(self) -> None:
        """There is no model."""

    async def compute(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)  # only `open`: batches take their time above


class _Speech(_OnMachine, SpeechInference):
    kernel = "speech"

    async def _infer(self, rows: list[Any]) -> list[list[float]]:
        await self.machine.take(self.kernel, len(rows) * FPS * BLOCKS_A_WINDOW / BLOCKS_A_SECOND)
        return [[1 / len(SPEECH)] * len(SPEECH)] * len(rows)

    def open(self) -> None:
        """There is no model."""

    async def compute(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return function(*args, **kwargs)


class _Fusion(_OnMachine, Fusion):
    kernel = "fusion"

    async def process(self, port: str, message: Message) -> None:
        if port == "faces":
            await self.machine.take(self.kernel)
        await super().process(port, message)


class _Sink(_OnMachine):
    """Takes the ages of results."""

    name = "simulated-sink"
    kernel = "sink"
    inputs: ClassVar[dict[str, Port]] = {"emotions": Port(Emotions, "results")}

    def __init__(self) -> None:
        super().__init__()
        self.ages: list[float] = []

    async def process(self, port: str, message: Message) -> None:
        await self.machine.take(self.kernel)
        if message.pts >= WARM_UP_NS and message.payload.source == "face":
            self.ages.append((self.running_time() - message.pts) / MS)


class _HopOutlet(LocalOutlet):
    """A link between two processes: what is sent arrives after a hop, and so does what is acknowledged."""

    def __init__(self, queue: Queue, clock: VirtualClock, inlet: LocalInlet, hop: float) -> None:
        super().__init__(queue, clock, inlet)
        self._hop = hop
        self._sent: list[Message] = []
        self._acknowledged: list[int] = []

    def _transmit(self, message: Message) -> None:
        self._sent.append(message)
        asyncio.get_running_loop().call_later(self._hop, lambda: self._inlet.deliver(self._sent.pop(0)))

    def acknowledge(self, total: int) -> None:
        self._acknowledged.append(total)
        asyncio.get_running_loop().call_later(self._hop, self._take_acknowledgement)

    def _take_acknowledgement(self) -> None:
        super().acknowledge(self._acknowledged.pop(0))


def simulate(
    streams: int,
    cores: int,
    seconds: float,
    *,
    costs: dict[str, float] | None = None,
    hop: float = HOP_MS,
    together: bool = False,
    seed: int = 1,
) -> Shard:
    """Play so many cameras of 720p30 on one shard.

    Args:
        costs: ms of each kernel (`COSTS_MS`).
        hop: ms between two stages.
        together: all pictures come at the same moments, as in `emopipe bench live`; by chance otherwise.
    """
    return run(_simulate(streams, cores, seconds, costs or COSTS_MS, hop / 1000, together, seed))


async def _simulate(
    streams: int, cores: int, seconds: float, costs: dict[str, float], hop: float, together: bool, seed: int
) -> Shard:
    machine = Machine(Cores(cores), costs, seed)
    chance = random.Random(seed)
    end = round(seconds * SECOND)
    phases = [0 if together else chance.randrange(FRAME_NS) for _ in range(streams)]
    cameras = [Camera(machine, f"camera{n}", phase, end) for n, phase in enumerate(phases)]
    facial, speech, sink = _Facial(label="facial"), _Speech(label="speech"), _Sink()
    stages = [_Detection(label="faces"), facial, speech, _Fusion(Fusion.Settings(method="pool"), "fusion"), sink]
    for stage in stages:
        stage.machine = machine
    clock = VirtualClock()
    hosts = {each.label: host_of(each, mode="live", clock=clock) for each in (*cameras, *stages)}
    for camera in cameras:
        _link(hosts, f"{camera.label}.video", "faces.video", clock, hop)
        _link(hosts, f"{camera.label}.windows", "speech.windows", clock, hop)
    for source, target in (
        ("faces.faces", "facial.faces"),
        ("facial.emotions", "fusion.faces"),
        ("speech.emotions", "fusion.speech"),
        ("fusion.emotions", f"{sink.label}.emotions"),
    ):
        _link(hosts, source, target, clock, hop)
    for host in hosts.values():
        await host.setup()
    async with asyncio.TaskGroup() as group:
        for host in hosts.values():
            group.create_task(host.play(0))
    for host in hosts.values():
        await host.close()
    busy = machine.cores.busy / (cores * seconds * SECOND)
    return Shard(streams, seconds, sum(camera.offered for camera in cameras), sink.ages, busy)


def _link(hosts: dict[str, StageHost], source: str, target: str, clock: VirtualClock, hop: float) -> None:
    (sender, output), (receiver, port) = source.split("."), target.split(".")
    link = LinkId(sender, output, receiver, port)
    queue = Queue.of(hosts[receiver].stage.inputs[port], "live")
    inlet = LocalInlet(link, hosts[receiver].inbox, clock, queue.window)
    hosts[receiver].inlets.setdefault(port, []).append(inlet)
    hosts[sender].outlets[output][link] = _HopOutlet(queue, clock, inlet, hop)
