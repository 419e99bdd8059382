"""A process that has died in live mode comes back while the others play on.

cut        its neighbours bind anew what it fed, lose what was on its way to it, and say which streams pass it
start      it is spawned, bound, connected and set up like any other
rejoined   those without a source are told first, so that they know what is missing when what follows it comes; then it
           plays, and sources begin a new epoch of each stream that passes it, so that all forget alike
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.graph.load import Graph
from emopipe.pipeline.port import LinkId
from emopipe.pipeline.report import Interruption
from emopipe.pipeline.runtime import control
from emopipe.pipeline.runtime.channel import Endpoint
from emopipe.pipeline.runtime.processes.launcher import Place
from emopipe.pipeline.source import Source
from emopipe.pipeline.supervision.restarts import Failure

NOTING_TIMEOUT_S = 1.0  # a worker that is held up, as by a terminal that is stopped, holds up nobody else


class Neighbours(Protocol):
    """All workers, as far as one needs them on its way back."""

    base_time: int
    playing: bool
    processes: dict[str, Place]

    async def spawn(self, name: str) -> None:
        """Start the process anew."""

    def send(self, name: str, message: control.ToWorker) -> None:
        """Tell one worker."""

    def plan(self, name: str, received: dict[LinkId, int], epochs: dict[str, int]) -> control.Prepare:
        """What a worker is to prepare."""

    def rejoined(self, interruption: Interruption) -> None:
        """A process is back."""

    def fail(self, error: Exception) -> None:
        """The run cannot go on."""


class Rejoining:
    """The processes that come back while the others play on, one at a time.

    Args:
        workers: all of them.
        graph: that it plays.
        rejoins: the wait (s) after which a process that has failed comes back; None where the run fails with it.
        timeout: s until it has to be there.
    """

    def __init__(
        self, workers: Neighbours, graph: Graph, rejoins: Callable[[Failure], float | None], timeout: float
    ) -> None:
        self._workers = workers
        self._graph = graph
        self._rejoins = rejoins
        self._timeout = timeout
        self._name: str | None = None  # who comes back
        self._ignored: set[str] = set()  # to what it may have said before, until the next says hello
        self._replaced: set[Place] = set()
        self._answers: dict[str, asyncio.Queue[control.WasCut]] = defaultdict(asyncio.Queue)
        self._steps: asyncio.Queue[control.FromWorker | Failure] = asyncio.Queue()
        self._noting: set[str] = set()  # who has not gone on yet with what was said last
        self._epochs: dict[str, int] = {}  # that were said last
        self._noted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def lost(self, failure: Failure) -> None:
        """A process has failed: bring it back while the others play on, where that is possible."""
        if failure.process == self._name:
            self._steps.put_nowait(failure)
        elif not self._possible(failure.process) or (wait := self._rejoins(failure)) is None:
            self._workers.fail(failure)
        else:
            self._name = failure.process
            self._task = asyncio.create_task(self._bring_back(failure, wait))

    def replaced(self, worker: Place) -> bool:
        """Whether another has taken its place."""
        return worker in self._replaced

    def ignores(self, sender: str, message: control.FromWorker) -> bool:
        """Whether a message is of a process that is gone."""
        if isinstance(message, control.Hello):
            self._ignored.discard(sender)
        return sender in self._ignored

    def takes(self, sender: str, message: control.FromWorker) -> bool:
        """Whether a message is about a process that comes back."""
        if isinstance(message, control.WasCut):
            self._answers[sender].put_nowait(message)
        elif isinstance(message, control.Noted):
            if message.epochs == self._epochs:
                self._noting.discard(sender)
            if not self._noting:
                self._noted.set()
        elif sender == self._name:
            self._steps.put_nowait(message)
        else:
            return False
        return True

    async def stop(self) -> None:
        """Nobody comes back any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _possible(self, name: str) -> bool:
        """Whether it can: one at a time, and with no links to other hosts, which know it by its old key."""
        stages = set(self._graph.processes[name])
        far = name in self._graph.remote.processes or any(
            link.remote and {link.id.sender, link.id.receiver} & stages for link in self._graph.links
        )
        return self._workers.playing and self._name is None and not far

    async def _bring_back(self, failure: Failure, wait: float | None) -> None:
        failed_at = time.monotonic_ns()
        try:
            while wait is not None:
                await self._retire(failure.process)
                try:
                    async with asyncio.timeout(self._timeout):
                        self._workers.rejoined(await self._rejoin(failure, wait, failed_at))
                    return
                except Failure as again:
                    failure, wait = again, self._rejoins(again)
            self._workers.fail(failure)
        except Exception as error:
            self._workers.fail(error)
        finally:
            self._name = None

    async def _retire(self, name: str) -> None:
        """End what there is of a process, and hear nothing more of it."""
        self._ignored.add(name)
        worker = self._workers.processes[name]
        self._replaced.add(worker)
        worker.kill()
        await worker.exited
        worker.close()
        self._steps = asyncio.Queue()

    async def _rejoin(self, failure: Failure, wait: float, failed_at: int) -> Interruption:
        """Bring the process back that has failed at `failed_at` (monotonic ns), `wait` s after its neighbours are cut.

        Raises:
            Failure: it has failed again.
        """
        workers, name = self._workers, failure.process
        cut = await self._cut(name)
        await asyncio.sleep(wait)
        await workers.spawn(name)
        await self._step(control.Hello)
        workers.send(name, workers.plan(name, cut.received, cut.epochs))
        bound = await self._step(control.Bound)
        assert isinstance(bound, control.Bound)
        workers.send(name, control.Connect(cut.endpoints))
        await self._step(control.Ready)
        interruption = Interruption(
            stages=self._graph.processes[name],
            reason=failure.reason,
            seconds=(time.monotonic_ns() - failed_at) / SECOND,
            epochs=cut.epochs,
        )
        await self._tell(control.Rejoined(interruption, bound.endpoints, cut.ended(self._graph, name)), name)
        return interruption

    async def _tell(self, rejoined: control.Rejoined, name: str) -> None:
        """Tell all, and those first that would take what is sent anew for what they have waited for.

        Raises:
            Failure: the process has failed again.
        """
        sending = {name} | {stage.process for stage in self._graph.stages.values() if issubclass(stage.cls, Source)}
        self._epochs = rejoined.interruption.epochs
        self._noting = self._graph.processes.keys() - sending
        self._noted.clear()
        for process in sorted(self._noting):
            self._workers.send(process, rejoined)
        if self._noting:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._noted.wait(), NOTING_TIMEOUT_S)
        if not self._steps.empty() and isinstance(failure := self._steps.get_nowait(), Failure):
            raise failure
        self._workers.send(name, control.Play(self._workers.base_time))
        for process in sorted(sending):
            self._workers.send(process, rejoined)

    async def _cut(self, name: str) -> "_Cut":
        links: dict[str, list[LinkId]] = defaultdict(list)
        for link in self._graph.links:
            ends = [self._graph.stages[stage].process for stage in (link.id.sender, link.id.receiver)]
            if name in ends and not link.local:
                links[next(end for end in ends if end != name)].append(link.id)
        for neighbour, theirs in links.items():
            self._workers.send(neighbour, control.Cut(theirs))
        return _Cut([await self._answers[neighbour].get() for neighbour in links])

    async def _step(self, expected: type[control.FromWorker]) -> control.FromWorker:
        """The next step of the process that comes back.

        Raises:
            Failure: it has failed again.
        """
        answer = await self._steps.get()
        if isinstance(answer, Failure):
            raise answer
        assert isinstance(answer, expected), f"{self._name} said {answer}, expected {expected.__name__}"
        return answer


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
