"""One shard in virtual time: cameras, and the graph that they share on some cores.

Stages are simulated; hosts, links, batcher and join are the real ones.
"""

import asyncio
import random
from dataclasses import dataclass, field

from benchmarks.live.camera import FPS
from benchmarks.simulation.cores import Cores
from benchmarks.simulation.costs import Costs, default
from benchmarks.simulation.machine import Machine
from benchmarks.simulation.stages import (
    Camera,
    SimulatedDetection,
    SimulatedFacial,
    SimulatedFusion,
    SimulatedSink,
    SimulatedSpeech,
)
from benchmarks.simulation.virtual_time import VirtualClock, run
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import LinkId, Queue
from emopipe.pipeline.runtime.host import StageHost
from emopipe.pipeline.runtime.source_host import host_of
from emopipe.pipeline.runtime.transport import LocalInlet, LocalOutlet


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
    facial, speech, sink = SimulatedFacial(label="facial"), SimulatedSpeech(label="speech"), SimulatedSink()
    stages = [
        SimulatedDetection(label="faces"),
        facial,
        speech,
        SimulatedFusion(SimulatedFusion.Settings(method="pool"), "fusion"),
        sink,
    ]
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
