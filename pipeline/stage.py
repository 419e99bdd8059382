"""The base of every stage: what comes in, what goes out, its settings, and what it does to one message.

A stage is one class in one file. It declares its ports and typed settings, and overrides what it needs of
`setup`, `process`, `gap`, `flush`, `reset`, `watermark` and `close`; a source overrides `run` instead of
`process`. The host (`emopipe.pipeline.runtime.host`) calls them one at a time, moves watermarks, and forwards EOS:

    class Brightness(Stage):
        \"""How bright each frame is.\"""

        name = "brightness"
        inputs = {"video": Port(VideoFrame, "frames")}
        outputs = {"levels": Port(Level, "mean luma of each frame")}

        async def process(self, port: str, message: Message) -> None:
            await self.emit("levels", Level(mean=float(message.payload.luma.mean())), cause=message)

`emopipe.pipeline.testing.run_stage` drives one stage alone.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, ClassVar, Literal, ParamSpec, Protocol, TypeVar

from emopipe.pipeline.clock import Clock
from emopipe.pipeline.counters import StreamCounters
from emopipe.pipeline.message import Message, Payload
from emopipe.pipeline.port import Mode, Port, Settings

if TYPE_CHECKING:
    from emopipe.pipeline.report import Report

P = ParamSpec("P")
T = TypeVar("T")


class Host(Protocol):
    """What a stage needs of whatever runs it."""

    clock: Clock
    mode: Mode
    base_time: int  # monotonic ns that are running time 0, the same in all processes of a run; known from play on

    async def emit(self, output: str, message: Message) -> None: ...

    def input_watermark(self, stream: str) -> int: ...

    def epoch(self, stream: str) -> int: ...

    def new_epoch(self, stream: str) -> None: ...

    async def room(self, output: str, stream: str) -> None: ...

    async def advance(self, stream: str) -> None: ...

    async def end(self, stream: str, output: str | None = None) -> None: ...

    def connected(self, port: str) -> bool: ...

    def warn(self, text: str, damage: bool) -> None: ...

    def progress(self, done: int, total: int) -> None: ...


class Stage:
    """Base of all stages; see the module's own docstring."""

    name: ClassVar[str]
    inputs: ClassVar[dict[str, Port]] = {}
    outputs: ClassVar[dict[str, Port]] = {}
    watches: ClassVar[bool] = False  # whether `status` wants to be called

    class Settings(Settings):
        """A stage without settings."""

    def __init__(self, settings: Any = None, label: str = "") -> None:
        self.settings: Any = settings if settings is not None else self.Settings()
        self.label = label or self.name  # the stage's name in the graph
        self.counters: Counter[str] = Counter()  # reported at the end of the run
        self.stream_counters = StreamCounters()  # those of `count`, by stream
        self.host: Host
        self._thread: ThreadPoolExecutor | None = None

    # -- what a stage overrides ------------------------------------------------------------------------------

    @classmethod
    def latency(cls, settings: Any) -> float:
        """The least delay, in s, between a thing observed and its result, whatever the machine's speed."""
        return 0.0

    @classmethod
    def endpoints(cls, settings: Any) -> list[str]:
        """What the stage binds or writes for itself alone (addresses, files); two stages may not share one."""
        return []

    @classmethod
    def shared_endpoints(cls, settings: Any) -> list[str]:
        """Addresses that several stages may serve together, as long as they share a process."""
        return []

    @classmethod
    def reads(cls, settings: Any) -> list[str]:
        """The files the stage reads; no other stage may have them among its `endpoints`."""
        return []

    @classmethod
    def check(cls, settings: Any) -> list[tuple[str, str]]:
        """What is wrong with these settings beyond their types and ranges: (key, message) pairs."""
        return []

    async def setup(self) -> None:
        """Load models, open files, warm up. Before any message; play starts when every stage is set up."""

    async def run(self) -> None:
        """A source's whole life: emit until there is nothing more. Call `end(stream)` where a stream ends."""
        raise NotImplementedError

    async def process(self, port: str, message: Message) -> None:
        """Handle one data message."""
        raise NotImplementedError

    async def gap(self, port: str, message: Message) -> None:
        """Nothing was there from `message.pts` for `message.duration`: by default passed on."""
        for output in self.outputs:
            await self.emit_gap(output, cause=message)

    async def moved(self, port: str, stream: str, watermark: int) -> None:
        """The watermark of one input is now `watermark` (ns); `message.FOREVER` says that it has ended there.

        Called after each message was handled. A stage that joins its inputs releases here what is complete.
        """

    async def flush(self, stream: str) -> None:
        """Every input of `stream` has ended: emit what is still held. EOS follows by itself."""

    async def finish(self) -> None:
        """Every stream of every input has ended, and no error came: complete what the stage leaves behind."""

    def reset(self, stream: str) -> None:
        """Forget all state of `stream`: it has ended, or its time jumped."""

    def watermark(self, stream: str) -> int:
        """Nothing this stage will emit on `stream` has a smaller pts (ns).

        By default the minimum over the inputs. A stage that holds something back returns the smallest pts it
        holds; one that knows when its next result can be at the earliest returns that.
        """
        return self.host.input_watermark(stream)

    def status(self, reports: "Mapping[str, Report]") -> None:
        """How all stages of the run are doing, by name; about once a second, where the class sets `watches`."""

    async def close(self) -> None:
        """Release what `setup` took; also called after an error."""

    # -- what a stage calls ----------------------------------------------------------------------------------

    async def emit(
        self,
        output: str,
        payload: Payload,
        *,
        cause: Message | None = None,
        stream: str | None = None,
        pts: int | None = None,
        duration: int | None = None,
        watermark: int | None = None,
    ) -> None:
        """Send one result; waits while the link is full and its policy is to block.

        `stream`, `pts`, `duration`, epoch and trace are those of `cause` where not given. `watermark` is
        `self.watermark(stream)` where not given; a stage that emits several results for one message gives each
        its own pts as watermark, so that the next may follow.
        """
        await self.host.emit(
            output,
            self._message("data", payload, cause, stream=stream, pts=pts, duration=duration, watermark=watermark),
        )

    async def emit_gap(
        self,
        output: str,
        *,
        cause: Message | None = None,
        stream: str | None = None,
        pts: int | None = None,
        duration: int | None = None,
        watermark: int | None = None,
    ) -> None:
        """Say that there is nothing from `pts` for `duration` (ns); the arguments are those of `emit`."""
        await self.host.emit(
            output, self._message("gap", None, cause, stream=stream, pts=pts, duration=duration, watermark=watermark)
        )

    async def room(self, output: str, stream: str) -> None:
        """Return once a message of `stream` would make no link wait, and some link that drops could keep it.

        A live source awaits this before costly work, so that what cannot be kept is dropped before the work.
        """
        await self.host.room(output, stream)

    def running_time(self, at: int | None = None) -> int:
        """The running time (ns) at `at` (monotonic ns), or now: 0 is when the run began to play."""
        return (self.host.clock.now() if at is None else at) - self.host.base_time

    def new_epoch(self, stream: str) -> None:
        """A source's stream jumps in time: what it emits from here on may have any pts, and all state is forgotten.

        Not for a stream whose pictures and sound come of different sources: the other's time line goes on.
        """
        self.host.new_epoch(stream)

    def count(self, name: str, stream: str, by: int = 1) -> None:
        """Count in `counters[name]`, and for the stream."""
        self.counters[name] += by
        self.stream_counters.add(stream, name, by)

    async def advance(self, stream: str) -> None:
        """Send the watermark on if it moved. Only needed outside `process`, `gap` and `flush`."""
        await self.host.advance(stream)

    async def end(self, stream: str, output: str | None = None) -> None:
        """A source's stream has ended, on one output or on all; also where nothing was ever sent on it."""
        await self.host.end(stream, output)

    def connected(self, port: str) -> bool:
        """Whether the graph feeds this input; only an optional one can be left unconnected."""
        return self.host.connected(port)

    def stop_thread(self) -> None:
        """Let go of the thread of `compute`; the host calls it after `close`."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)
            self._thread = None

    async def compute(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function in this stage's own single thread, so that the links go on meanwhile."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=self.label)
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: function(*args, **kwargs))

    def warn(self, text: str) -> None:
        """Tell the user something that does not stop the run."""
        self.host.warn(text, damage=False)

    def damaged(self, text: str) -> None:
        """Tell the user that part of the input was lost; the run goes on, and ends with exit code 1."""
        self.host.warn(text, damage=True)

    def progress(self, done: int, total: int) -> None:
        """How far a source has come, in ns of running time; `total` is 0 where nobody knows."""
        self.host.progress(done, total)

    def _message(
        self,
        kind: Literal["data", "gap"],
        payload: Payload | None,
        cause: Message | None,
        *,
        stream: str | None,
        pts: int | None,
        duration: int | None,
        watermark: int | None,
    ) -> Message:
        if stream is None:
            if cause is None:
                raise TypeError("emit needs a stream or a cause")
            stream = cause.stream
        return Message(
            kind=kind,
            stream=stream,
            pts=pts if pts is not None else cause.pts if cause else 0,
            duration=duration if duration is not None else cause.duration if cause else 0,
            watermark=watermark if watermark is not None else self.watermark(stream),
            epoch=cause.epoch if cause else self.host.epoch(stream),
            trace=cause.trace if cause else [],
            type=type(payload).__name__ if payload is not None else "",
            payload=payload,
        )
