"""The host of one source: awaits its `run`, and puts what it emits into the epochs of its streams."""

import asyncio
from collections.abc import Callable, Iterable

from emopipe.pipeline.clock import Clock
from emopipe.pipeline.files import Journal
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Mode
from emopipe.pipeline.report import Report
from emopipe.pipeline.runtime.epochs import SourceEpochs
from emopipe.pipeline.runtime.host import StageHost
from emopipe.pipeline.runtime.recorder_host import RecorderHost
from emopipe.pipeline.source import Source
from emopipe.pipeline.stage import Recorder, Stage


class SourceHost(StageHost):
    """A source with its links: awaits its `run` instead of messages, and says which epoch its streams are in."""

    stage: Source

    def __init__(
        self,
        stage: Source,
        *,
        mode: Mode,
        clock: Clock,
        warn: Callable[[str, bool], None] = lambda text, damage: None,
        stall: float = 0.0,
        journal: Journal | None = None,
        finished: Iterable[str] = (),
    ) -> None:
        super().__init__(stage, mode=mode, clock=clock, warn=warn, stall=stall, journal=journal, finished=finished)
        self._epochs = SourceEpochs(stage.outputs)
        self._progress = (0, 0)
        self._running: asyncio.Task[None] | None = None
        self._drained = False

    def drain(self) -> None:
        self._drained = True
        if self._running is not None:
            self._running.cancel()

    def report(self) -> Report:
        report = super().report()
        report.done, report.total = self._progress
        return report

    async def writable(self, output: str, stream: str) -> None:
        await self._outputs[output].writable(stream)

    async def end(self, stream: str, output: str | None = None) -> None:
        if self._over:  # and that has been said
            return
        for name in self._outputs if output is None else [output]:
            await self._end(stream, name)

    def new_epoch(self, stream: str) -> None:
        self._epochs.jump(stream)
        self._forget(stream)

    async def forward(self, output: str, message: Message) -> None:
        if not self._over:
            await self._outputs[output].forward(message, self.clock.now())

    def progress(self, done: int, total: int) -> None:
        self._progress = (done, total)

    def epoch(self, stream: str) -> int:
        return self._epochs.epoch(stream)

    async def _epoch_of(self, output: str, stream: str, pts: int, cause: Message | None) -> int | None:
        """The epoch of what is to be emitted: a new one if the stream comes back and has jumped back in time."""
        if self._over:  # it has been drained, and a task of its own is still at work
            return None
        before = self.epoch(stream)
        ended = self._epochs.emit(stream, output, pts)
        epoch = self.epoch(stream)
        if epoch > before:
            self._forget(stream)
        for name in ended:
            await self._outputs[name].end(stream, epoch)
        return epoch

    async def _run(self) -> None:
        """Await the stage's `run` to its end, or until `drain`."""
        if self._drained:
            return
        self._running = asyncio.create_task(self.stage.run())
        try:
            await asyncio.wait([self._running])
        except asyncio.CancelledError:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            raise
        if not (self._drained and self._running.cancelled()):
            self._running.result()

    async def _end(self, stream: str, output: str) -> None:
        bound = self._outputs[output].watermark(stream)
        await super()._end(stream, output)
        if self._epochs.end(stream, output, bound):
            self._reset(stream)
            self.stage.stream_counters.end(stream)


def host_of(
    stage: Stage,
    *,
    mode: Mode,
    clock: Clock,
    warn: Callable[[str, bool], None] = lambda text, damage: None,
    stall: float = 0.0,
    journal: Journal | None = None,
    finished: Iterable[str] = (),
) -> StageHost:
    """The host that runs `stage`."""
    if isinstance(stage, Source):
        return SourceHost(stage, mode=mode, clock=clock, warn=warn, stall=stall, journal=journal, finished=finished)
    if isinstance(stage, Recorder):
        return RecorderHost(stage, mode=mode, clock=clock, warn=warn, stall=stall, journal=journal, finished=finished)
    return StageHost(stage, mode=mode, clock=clock, warn=warn, stall=stall, journal=journal, finished=finished)
