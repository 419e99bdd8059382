"""A process that has died in live mode comes back while the others play on.

cut        its neighbours bind anew what it fed, lose what was on its way to it, and say which streams pass it
start      it is spawned, bound, connected and set up like any other, and plays
rejoined   sources begin a new epoch of each stream that passes it, so that all forget alike; then it is fed again
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Protocol

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.graph.load import Graph
from emopipe.pipeline.port import LinkId
from emopipe.pipeline.report import Interruption
from emopipe.pipeline.runtime import control
from emopipe.pipeline.runtime.channel import Endpoint
from emopipe.pipeline.source import Source
from emopipe.pipeline.supervision.restarts import Failure


class Neighbours(Protocol):
    """The crew, as far as a process needs it on its way back."""

    base_time: int

    async def spawn(self, name: str) -> None:
        """Start the process anew."""

    def send(self, name: str, message: control.ToWorker) -> None:
        """Tell one worker."""

    def send_all(self, message: control.ToWorker) -> None:
        """Tell every worker."""

    def plan(self, name: str, received: dict[LinkId, int], epochs: dict[str, int]) -> control.Prepare:
        """What a worker is to prepare."""

    async def cut_by(self, name: str) -> control.WasCut:
        """A worker's answer to `Cut`."""

    async def step(self, expected: type[control.FromWorker]) -> control.FromWorker:
        """The next step of the process that comes back.

        Raises:
            Failure: it has failed again.
        """


async def rejoin(crew: Neighbours, graph: Graph, failure: Failure, wait: float, failed_at: int) -> Interruption:
    """Bring the process back that has failed at `failed_at` (monotonic ns), `wait` s after its neighbours are cut.

    Raises:
        Failure: it has failed again.
    """
    name = failure.process
    cut = await _cut(crew, graph, name)
    await asyncio.sleep(wait)
    await crew.spawn(name)
    await crew.step(control.Hello)
    crew.send(name, crew.plan(name, cut.received, cut.epochs))
    bound = await crew.step(control.Bound)
    assert isinstance(bound, control.Bound)
    crew.send(name, control.Connect(cut.endpoints))
    await crew.step(control.Ready)
    crew.send(name, control.Play(crew.base_time))
    interruption = Interruption(
        stages=graph.processes[name],
        reason=failure.reason,
        seconds=(time.monotonic_ns() - failed_at) / SECOND,
        epochs=cut.epochs,
    )
    crew.send_all(control.Rejoined(interruption, bound.endpoints, cut.ended(graph, name)))
    return interruption


class _Cut:
    """What the neighbours of a process have said: see `control.WasCut`."""

    def __init__(self, answers: Sequence[control.WasCut]) -> None:
        self.received: dict[LinkId, int] = {}
        self.endpoints: dict[LinkId, Endpoint] = {}
        self.epochs: dict[str, int] = {}
        self._sent: set[str] = set()
        self._taken: dict[LinkId, dict[str, int]] = {}
        for answer in answers:
            self.received |= answer.received
            self.endpoints |= answer.endpoints
            self._sent |= answer.sent.keys()
            self._taken |= answer.taken
            for streams in (answer.sent, *answer.taken.values()):
                for stream, epoch in streams.items():
                    self.epochs[stream] = max(self.epochs.get(stream, 0), epoch + 1)

    def ended(self, graph: Graph, name: str) -> dict[LinkId, list[str]]:
        """The streams that its receivers take for open, and that nobody will bring any more."""
        classes = [graph.stages[stage].cls for stage in graph.processes[name]]
        returns = any(issubclass(cls, Source) and cls.returns for cls in classes)
        return {
            link: [stream for stream in streams if stream not in self._sent and not returns]
            for link, streams in self._taken.items()
        }


async def _cut(crew: Neighbours, graph: Graph, name: str) -> _Cut:
    links: dict[str, list[LinkId]] = defaultdict(list)
    for link in graph.links:
        ends = [graph.stages[stage].process for stage in (link.id.sender, link.id.receiver)]
        if name in ends and not link.local:
            links[next(end for end in ends if end != name)].append(link.id)
    for neighbour, theirs in links.items():
        crew.send(neighbour, control.Cut(theirs))
    return _Cut([await crew.cut_by(neighbour) for neighbour in links])
