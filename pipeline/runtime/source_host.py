"""The host of one source: awaits its `run`, and puts what it emits into the epochs of its streams.

An epoch says when a stream's time line begins anew, and which of its outputs had ended.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping

import msgspec

from emopipe.pipeline.clock import Clock
from emopipe.pipeline.counters import REMEMBERED
from emopipe.pipeline.files import Journal
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Mode
from emopipe.pipeline.report import Interruption, Report
from emopipe.pipeline.runtime.host import StageHost
from emopipe.pipeline.runtime.recorder_host import RecorderHost
from emopipe.pipeline.source import Source
from emopipe.pipeline.stage import Recorder, Stage


class _End(msgspec.Struct):
    epoch: int  # in which it was last said
    bound: int  # how far the output had come (ns)


class _Open(msgspec.Struct):
    epoch: int
    bound: int  # ns; beginning below it is a jump back in time
    ends: dict[str, _End] = {}  # of the outputs that have ended


class SourceEpochs:
    """The epoch that each stream of a source is in.

    A stream is over when it has ended on every output. What comes back goes on in its epoch, or in the next one if it
    begins before it had ended: whoever joins the outputs may not have come to that end on all of them, and can tell
    the old from the new only by the epoch. Of streams that are over the last few are remembered.
    """

    def __init__(self, outputs: Iterable[str], begin: Mapping[str, int] | None = None) -> None:
        self._outputs = list(outputs)
        self._open: dict[str, _Open] = {}
        # Epoch and bound, in the order they ended; those of a source that is restarted are in `begin`.
        self._over: dict[str, tuple[int, int]] = {stream: (epoch, 0) for stream, epoch in (begin or {}).items()}

    @property
    def open(self) -> list[str]:
        """The streams that have begun and are not over."""
        return list(self._open)

    def epoch(self, stream: str) -> int:
        return self._open[stream].epoch if stream in self._open else self._over.get(stream, (0, 0))[0]

    def jump(self, stream: str) -> None:
        """Begin a new epoch."""
        line = self._line(stream)
        line.epoch += 1
        line.bound = 0

    def emit(self, stream: str, output: str, pts: int) -> list[str]:
        """Something is about to be emitted; gives the outputs whose end must be said again, for it is a new epoch."""
        line = self._line(stream)
        end = line.ends.pop(output, None)
        if pts < line.bound or (end is not None and end.epoch == line.epoch and pts < end.bound):
            line.epoch += 1
        line.bound = 0
        again = [name for name, end in line.ends.items() if end.epoch < line.epoch]
        for name in again:
            line.ends[name].epoch = line.epoch
        return again

    def end(self, stream: str, output: str, bound: int) -> bool:
        """The stream has ended on one output, having come to `bound` (ns); whether it is over now."""
        line = self._line(stream)
        line.ends[output] = _End(line.epoch, bound)
        if len(line.ends) < len(self._outputs):
            return False
        del self._open[stream]
        self._over[stream] = line.epoch, max([line.bound, *(end.bound for end in line.ends.values())])
        while len(self._over) > REMEMBERED:
            del self._over[next(iter(self._over))]
        return True

    def _line(self, stream: str) -> _Open:
        if stream not in self._open:
            epoch, bound = self._over.pop(stream, (0, 0))
            self._open[stream] = _Open(epoch, bound)
        return self._open[stream]


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

    def begin_at(self, epochs: Mapping[str, int]) -> None:
        """Before it plays: its streams begin in these epochs, for a source before this one had them."""
        self._epochs = SourceEpochs(self.stage.outputs, epochs)

    def interrupted(self, interruption: Interruption) -> None:
        super().interrupted(interruption)
        for stream, epoch in interruption.epochs.items():
            while stream in self._epochs.open and self._epochs.epoch(stream) < epoch:
                self.new_epoch(stream)

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
