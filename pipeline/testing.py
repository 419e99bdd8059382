"""Drive one stage alone, without processes or sockets: send these, expect those, with a fake clock.

    outputs = run_stage(Brightness(), [("video", data(frame, pts=0)), ("video", data(frame, pts=40_000_000))])
    assert [level.mean for level in outputs.payloads("levels")] == [128.0, 128.0]

`run_stage` sends everything, ends the streams and returns what came out. For a step-by-step test with time that
passes, use the harness it is made of:

    async with StageHarness(MyStage(), mode="live") as stage:
        await stage.send("video", data(frame, pts=0))
        await stage.clock.advance(50 * MS)
        assert stage.outputs.payloads("levels") == [...]
"""

import asyncio
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any

from emopipe.pipeline.clock import FakeClock, settle
from emopipe.pipeline.files import Journal
from emopipe.pipeline.message import FOREVER, Codec, Message, Payload
from emopipe.pipeline.port import LinkId, Mode, Queue
from emopipe.pipeline.runtime.source_host import host_of
from emopipe.pipeline.runtime.transport import LocalInlet, LocalOutlet, Outlet
from emopipe.pipeline.stage import Stage

__all__ = ["Outputs", "StageHarness", "data", "eos", "gap", "run_stage", "watermark"]


def data(
    payload: Payload,
    pts: int = 0,
    *,
    stream: str = "test",
    duration: int = 0,
    watermark: int | None = None,
    epoch: int = 0,
) -> Message:
    """A data message as a stage before would send it; its watermark says that nothing else comes up to `pts`."""
    return Message(
        kind="data",
        stream=stream,
        pts=pts,
        duration=duration,
        watermark=pts + 1 if watermark is None else watermark,
        epoch=epoch,
        type=type(payload).__name__,
        payload=payload,
    )


def gap(pts: int, duration: int, *, stream: str = "test", watermark: int | None = None, epoch: int = 0) -> Message:
    """Nothing from `pts` for `duration` (ns)."""
    bound = pts + 1 if watermark is None else watermark
    return Message(kind="gap", stream=stream, pts=pts, duration=duration, watermark=bound, epoch=epoch)


def watermark(bound: int, *, stream: str = "test", epoch: int = 0) -> Message:
    """Nothing with a pts below `bound` (ns) will come."""
    return Message(kind="watermark", stream=stream, watermark=bound, epoch=epoch)


def eos(stream: str = "test", *, epoch: int = 0) -> Message:
    """The end of a stream."""
    return Message(kind="eos", stream=stream, watermark=FOREVER, epoch=epoch)


class Outputs:
    """What a stage has emitted, by output, in order; and what it warned of."""

    def __init__(self, stage: Stage) -> None:
        self.messages: dict[str, list[Message]] = {output: [] for output in stage.outputs}
        self.warnings: list[str] = []
        self.damage: list[str] = []

    def data(self, output: str, stream: str | None = None) -> list[Message]:
        """The data messages of one output."""
        return [m for m in self.messages[output] if m.kind == "data" and stream in (None, m.stream)]

    def payloads(self, output: str, stream: str | None = None) -> list[Any]:
        """The payloads of one output."""
        return [message.payload for message in self.data(output, stream)]

    def gaps(self, output: str) -> list[Message]:
        """The gaps of one output."""
        return [message for message in self.messages[output] if message.kind == "gap"]


class _Collector(Outlet):
    """An outlet that keeps what it is given, and checks the promises every stage makes."""

    def __init__(self, clock: FakeClock, kept: list[Message], payload: type[Payload]) -> None:
        super().__init__(Queue(size=1_000_000), clock)
        self._codec = Codec(payload)
        self._kept = kept
        self._bounds: dict[tuple[str, int], int] = {}  # by stream and epoch
        self._taken = 0
        self.held = False

    def has_room(self, stream: str) -> bool:
        return not self.held and super().has_room(stream)

    def hold(self, held: bool) -> None:
        self.held = held
        self._moved.set()

    def _transmit(self, message: Message) -> None:
        time_line = (message.stream, message.epoch)
        bound = self._bounds.get(time_line, 0)
        if message.kind in ("data", "gap") and message.pts < bound:
            raise AssertionError(f"{message.stream}: pts {message.pts} came below the watermark {bound}")
        if message.watermark < bound and message.kind != "eos":
            raise AssertionError(f"{message.stream}: the watermark went back from {bound} to {message.watermark}")
        self._bounds[time_line] = 0 if message.kind == "eos" else message.watermark  # the stream may begin anew
        self._codec.decode([bytes(part) for part in self._codec.encode(message)])  # as between processes
        self._kept.append(message)
        self._taken += 1
        asyncio.get_running_loop().call_soon(self.acknowledge, self._taken)


class _Source(LocalOutlet):
    """The sending end of an input link; `idle` once the stage has consumed everything."""

    @property
    def idle(self) -> bool:
        return self._queue.empty


class StageHarness:
    """One stage with in-memory links on a fake clock; an async context manager.

    Args:
        stage: not set up yet.
        mode: `replay` or `live`.
        connect: the inputs to connect; all of them where not given.
        journal, finished: what the stage has left behind, and the streams that are done for good, in a run that goes
            on after a crash.
    """

    def __init__(
        self,
        stage: Stage,
        *,
        mode: Mode = "replay",
        connect: Sequence[str] | None = None,
        journal: Journal | None = None,
        finished: Iterable[str] = (),
    ) -> None:
        self.stage = stage
        self.clock = FakeClock()
        self.outputs = Outputs(stage)
        self._mode = mode
        self._journal = journal
        self._finished = finished
        self._connect = list(stage.inputs) if connect is None else list(connect)
        self._sources: dict[str, _Source] = {}
        self._collectors: dict[str, _Collector] = {}
        self._playing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "StageHarness":
        self._host = host_of(
            self.stage,
            mode=self._mode,
            clock=self.clock,
            warn=self._warn,
            journal=self._journal,
            finished=self._finished,
        )
        for port in self._connect:
            link = LinkId("test", port, self.stage.label, port)
            inlet = LocalInlet(link, self._host.inbox, self.clock, window=1)
            self._host.inlets[port] = [inlet]
            self._sources[port] = _Source(Queue(size=1), self.clock, inlet)
        for output, kept in self.outputs.messages.items():
            collector = _Collector(self.clock, kept, self.stage.outputs[output].type)
            link = LinkId(self.stage.label, output, "test", output)
            self._host.outlets[output][link] = self._collectors[output] = collector
        try:
            await self._host.setup()
        except BaseException:
            await self._host.close()
            raise
        self._playing = asyncio.create_task(self._host.play(self.clock.now()))
        return self

    async def send(self, port: str, message: Message) -> None:
        """Send one message, and return once the stage has handled it."""
        await self._alive(self._sources[port].send(message))
        await self._alive(self._sources[port].drain())
        await settle()

    async def hold(self, output: str, held: bool = True) -> None:
        """Let `Source.writable` of an output wait, as if a receiver were busy, until it is called with `held=False`."""
        self._collectors[output].hold(held)
        await settle()

    async def drain(self) -> None:
        """Stop a source as Ctrl-C does in live mode, and return once the stage has ended."""
        self._host.drain()
        assert self._playing is not None
        await self._playing

    async def finish(self) -> None:
        """End every input that has not ended, and return once the stage has."""
        for source in self._sources.values():
            await self._alive(source.send(Message(kind="eos", stream="", watermark=FOREVER)))
        assert self._playing is not None
        await self._playing

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._playing is not None:
            self._playing.cancel()
            await asyncio.gather(self._playing, return_exceptions=True)
        await self._host.close()
        if error is None and self._playing is not None and not self._playing.cancelled():
            self._playing.result()  # raises what ended the stage after the test's last step

    async def _alive(self, work: Any) -> None:
        """Await `work`, or raise what ended the stage."""
        assert self._playing is not None
        task = asyncio.ensure_future(work)
        await asyncio.wait({task, self._playing}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await self._playing
            raise RuntimeError(f"{self.stage.label} has ended and takes no more messages")
        await task

    def _warn(self, text: str, damage: bool) -> None:
        (self.outputs.damage if damage else self.outputs.warnings).append(text)


def run_stage(
    stage: Stage,
    send: Sequence[tuple[str, Message]] = (),
    *,
    mode: Mode = "replay",
    connect: Sequence[str] | None = None,
    journal: Journal | None = None,
    finished: Iterable[str] = (),
) -> Outputs:
    """Set a stage up, send it (port, message) pairs in order, end its inputs, and return what it emitted.

    For a source `send` stays empty. Raises what the stage raises.
    """

    async def drive() -> Outputs:
        async with StageHarness(stage, mode=mode, connect=connect, journal=journal, finished=finished) as harness:
            for port, message in send:
                await harness.send(port, message)
            await harness.finish()
        return harness.outputs

    return asyncio.run(drive())
