"""One shard in virtual time: cameras, and the graph that they share on some cores.

Stages are those of emopipe but for their kernels; hosts, links, batcher and join are the real ones.
"""

import asyncio
import math
import random
from collections import defaultdict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, ClassVar, ParamSpec, TypeVar

import numpy as np

from benchmarks.live.camera import FPS
from benchmarks.live.measurement import BESIDE
from benchmarks.simulation.cores import Cores, Thread
from benchmarks.simulation.costs import Costs, default
from benchmarks.simulation.virtual_time import VirtualClock, run
from emopipe.models.envelope import STEP_NS
from emopipe.models.labels import FACE, SPEECH
from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.mailbox import Mailbox
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
from emopipe.stages.media.audio import BLOCK_S
from emopipe.stages.speech.inference import SpeechInference
from emopipe.stages.types import Emotions, Face, Faces, SpeechWindow, VideoFrame

P = ParamSpec("P")
T = TypeVar("T")

BLOCK_NS = round(BLOCK_S * SECOND)  # of sound
HOP_NS = SECOND // 2  # between the ends of two windows
WARM_UP_NS = SECOND

HAND_OVERS = 6
"""Threads that the work of a stage passes through, and as many beside it; each waits for a core anew. A picture of one
camera takes 64 in all (voluntary context switches of the workers): of loops, stages' threads, MediaPipe's, ZeroMQ's."""


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
    """Cores and the threads on them, the costs of stages, and chance."""

    def __init__(self, cores: Cores, costs: Costs, seed: int) -> None:
        self.cores = cores
        self.costs = costs
        self._chance = random.Random(seed)
        self._threads: dict[str, Thread] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)  # of who share a stage's threads

    async def take(self, stage: str, times: float = 1.0) -> None:
        """Work as long as a stage takes for a picture; its process does what is beside that before the next one."""
        await self.work(stage, self.costs.work[stage] * times)
        self.follow(stage)

    def follow(self, stage: str) -> None:
        """Have a process do what it does beside a stage."""
        if ms := self.costs.beside.get(stage, 0.0):
            self.begin(self.work(stage, ms))

    async def hop(self, process: str, large: bool) -> None:
        """Have the sockets of a process take a message in, in order; one without data costs nothing."""
        name = f"{process} sockets"
        async with self._turns[name]:
            await self._thread(name).work(round(self.costs.hop * MS) if large else 0)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something be done meanwhile."""
        self._tasks.add(task := asyncio.create_task(work))
        task.add_done_callback(self._tasks.discard)

    async def work(self, process: str, ms: float) -> None:
        """Work about so long, by chance, in a process that does one thing at a time, as Python does."""
        spread = self.costs.spread
        factor = math.exp(self._chance.gauss(-spread * spread / 2, spread))
        async with self._turns[process]:
            for number in range(HAND_OVERS):
                await self._thread(f"{process} {number}").work(round(ms * factor / HAND_OVERS * MS))

    def _thread(self, name: str) -> Thread:
        if name not in self._threads:
            self._threads[name] = Thread(self.cores)
        return self._threads[name]


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
        spoken = self.machine.costs.speaking * SECOND / HOP_NS  # windows a second
        await self.machine.take(self.kernel, len(rows) * FPS / spoken)
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
        self.machine.begin(self._receive(message))

    async def _receive(self, message: Message) -> None:
        await self.machine.hop(BESIDE, True)
        self.machine.follow(BESIDE)
        if message.pts >= WARM_UP_NS and message.payload.source == "face":
            self.ages.append((self.running_time() - message.pts) / MS)


class _HopOutlet(LocalOutlet):
    """A link between two processes: what is sent arrives after a hop, and so does what is acknowledged."""

    def __init__(self, queue: Queue, clock: VirtualClock, inlet: LocalInlet, machine: Machine) -> None:
        super().__init__(queue, clock, inlet)
        self._machine = machine
        self._acknowledged: list[int] = []

    def _transmit(self, message: Message) -> None:
        self._machine.begin(self._carry(message))

    async def _carry(self, message: Message) -> None:
        await self._machine.hop(self._inlet.link.receiver, message.kind == "data")
        self._inlet.deliver(message)

    def acknowledge(self, total: int) -> None:
        self._acknowledged.append(total)
        asyncio.get_running_loop().call_later(self._machine.costs.hop / 1000, self._take_acknowledgement)

    def _take_acknowledgement(self) -> None:
        super().acknowledge(self._acknowledged.pop(0))


def simulate(
    streams: int,
    cores: int,
    seconds: float,
    *,
    costs: Costs | None = None,
    fps: float = FPS,
    together: bool = False,
    seed: int = 1,
) -> Shard:
    """Play so many cameras of 720p on one shard.

    Args:
        costs: of stages; the default ones where not given.
        fps: pictures a second.
        together: all say and show the same at the same moments, as in `emopipe bench live`; by chance otherwise.
    """
    return run(_simulate(streams, cores, seconds, costs or default(), fps, together, seed))


async def _simulate(
    streams: int, cores: int, seconds: float, costs: Costs, fps: float, together: bool, seed: int
) -> Shard:
    machine = Machine(Cores(cores, costs.warm), costs, seed)
    chance = random.Random(seed)
    end = round(seconds * SECOND)
    begun = [0.0 if together else chance.random() for _ in range(streams)]
    phases = [round(each * SECOND / fps) for each in begun]
    talks = [0.0 if together else chance.random() for _ in range(streams)]
    cameras = [
        Camera(machine, f"camera{n}", fps, phase, talk, end)
        for n, (phase, talk) in enumerate(zip(phases, talks, strict=True))
    ]
    facial, speech, sink = _Facial(label="facial"), _Speech(label="speech"), _Sink()
    stages = [_Detection(label="faces"), facial, speech, _Fusion(Fusion.Settings(method="pool"), "fusion"), sink]
    for stage in stages:
        stage.machine = machine
    clock = VirtualClock()
    hosts = {each.label: host_of(each, mode="live", clock=clock) for each in (*cameras, *stages)}
    for camera in cameras:
        _link(hosts, f"{camera.label}.video", "faces.video", clock, machine)
        _link(hosts, f"{camera.label}.windows", "speech.windows", clock, machine)
    for source, target in (
        ("faces.faces", "facial.faces"),
        ("facial.emotions", "fusion.faces"),
        ("speech.emotions", "fusion.speech"),
        ("fusion.emotions", f"{sink.label}.emotions"),
    ):
        _link(hosts, source, target, clock, machine)
    for host in hosts.values():
        await host.setup()
    async with asyncio.TaskGroup() as group:
        for host in hosts.values():
            group.create_task(host.play(0))
    for host in hosts.values():
        await host.close()
    busy = machine.cores.busy / (cores * seconds * SECOND)
    return Shard(streams, seconds, sum(camera.offered for camera in cameras), sink.ages, busy)


def _link(hosts: dict[str, StageHost], source: str, target: str, clock: VirtualClock, machine: Machine) -> None:
    (sender, output), (receiver, port) = source.split("."), target.split(".")
    link = LinkId(sender, output, receiver, port)
    queue = Queue.of(hosts[receiver].stage.inputs[port], "live")
    inlet = LocalInlet(link, hosts[receiver].inbox, clock, queue.window)
    hosts[receiver].inlets.setdefault(port, []).append(inlet)
    hosts[sender].outlets[output][link] = _HopOutlet(queue, clock, inlet, machine)
