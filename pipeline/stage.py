"""The base of every stage: what comes in, what goes out, its settings, and what it does to one message.

A stage is one class in one file. It declares its ports and typed settings, and overrides what it needs of the methods
from `setup` to `close`. The host (`emopipe.pipeline.runtime.host`) calls them one at a time, moves watermarks, and
forwards EOS. One without inputs derives from `emopipe.pipeline.source.Source` instead:

    class Brightness(Stage):
        \"""How bright each frame is.\"""

        name = "brightness"
        inputs = {"video": Port(VideoFrame, "frames")}
        outputs = {"levels": Port(Level, "mean luma of each frame")}

        async def process(self, port: str, message: Message) -> None:
            await self.emit("levels", Level(mean=float(message.payload.luma.mean())), cause=message)

`emopipe.pipeline.testing.run_stage` drives one stage alone.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, ParamSpec, Self, TypeVar, Unpack

import msgspec

from emopipe.pipeline import port
from emopipe.pipeline.counters import StreamCounters
from emopipe.pipeline.message import Message, Payload, Placement
from emopipe.pipeline.port import ANY_PORT, Host, Port
from emopipe.pipeline.report import Interruption, RunSnapshot
from emopipe.pipeline.resources import ComputeThread, Exit, PerStream

P = ParamSpec("P")
T = TypeVar("T")


class Stage:
    """Base of all stages; see the module's own docstring."""

    name: ClassVar[str]
    inputs: ClassVar[dict[str, Port]] = {}
    outputs: ClassVar[dict[str, Port]] = {}
    resumes: ClassVar[bool] = False
    """Of a sink: whether, in a replay that begins anew after a crash, it goes on from what it has left behind.

    It keeps in `host.journal` what it needs for that; a stream whose `flush` has returned is done for good. A sink
    that does not go on is given everything from the beginning.
    """
    patient: ClassVar[bool] = False
    """Whether others may hold it up as long as they like, as who looks at a terminal: that is not taken for a hang."""
    work_ms: ClassVar[float] = 1.0
    """About how much CPU it takes for a 720p picture, and what else there is meanwhile; for `layout = "auto"`."""
    memory_mb: ClassVar[float] = 5.0
    """About how much memory it takes beside what a process takes itself; said where there is too little."""

    class Settings(port.Settings):
        """A stage without settings."""

    settings: Settings

    def __init__(self, settings: Settings | None = None, label: str = "") -> None:
        self.settings = settings if settings is not None else self.Settings()
        self.label = label or self.name  # the stage's name in the graph
        self.counters: Counter[str] = Counter()  # reported at the end of the run
        self.stream_counters = StreamCounters()  # those of `count`, by stream
        self.states: list[PerStream[Any]] = []  # those of `per_stream`
        self.thread = ComputeThread(self.label)
        self.exit = Exit(self.thread)  # closed after `close`
        self.host: Host

    @classmethod
    def with_ports(
        cls, inputs: Mapping[str, type[Payload]] | None = None, outputs: Mapping[str, type[Payload]] | None = None
    ) -> type[Self]:
        """The same stage with these inputs and outputs, and what each carries, where `*` is declared."""
        ports = {"inputs": _filled(cls.inputs, inputs), "outputs": _filled(cls.outputs, outputs)}
        return type(cls.__name__, (cls,), {**ports, "__module__": cls.__module__, "__doc__": cls.__doc__})

    # -- what a stage overrides ------------------------------------------------------------------------------

    async def setup(self) -> None:
        """Load models, open files, warm up. Before any message; play starts when every stage is set up."""

    async def process(self, port: str, message: Message) -> None:
        """Handle one data message."""
        raise NotImplementedError

    async def gap(self, port: str, message: Message) -> None:
        """Handle a gap: nothing was there from `message.pts` for `message.duration`. By default it is passed on."""
        for output in self.outputs:
            await self.emit_gap(output, cause=message)

    async def moved(self, port: str, stream: str, watermark: int) -> None:
        """Take note that one input has come to `watermark` (ns), or to its end (`message.FOREVER`).

        Called after each message was handled. A stage that joins its inputs releases here what is complete.
        """

    async def flush(self, stream: str) -> None:
        """Emit what is still held of a stream that has ended on every input. EOS follows by itself."""

    async def finish(self) -> None:
        """Complete what the stage leaves behind: every stream of every input has ended, and no error came."""

    def reset(self, stream: str) -> None:
        """Forget a stream that has ended or has jumped in time; what `per_stream` holds of it is forgotten next."""

    def watermark(self, stream: str) -> int:
        """The smallest pts (ns) that this stage may still emit on `stream`.

        By default the minimum over the inputs. A stage that holds something back returns the smallest pts it
        holds; one that knows when its next result can be at the earliest returns that.
        """
        return self.host.input_watermark(stream)

    def status(self, run: RunSnapshot) -> None:
        """Take note of how the run is doing; called about once a second, for stages that override this."""

    def interrupted(self, interruption: Interruption) -> None:
        """Take note that a stage was restarted in live mode: results of the streams that pass it are missing."""

    async def close(self) -> None:
        """Release what `setup` took and `exit` does not know of; also called after an error."""

    # -- what a stage calls ----------------------------------------------------------------------------------

    async def emit(self, output: str, payload: Payload, **placement: Unpack[Placement]) -> None:
        """Send one result; waits while the link is full and its policy is to block. See `message.Placement`."""
        await self.host.emit(output, payload, **placement)

    async def emit_gap(self, output: str, **placement: Unpack[Placement]) -> None:
        """Say that there is nothing from `pts` for `duration` (ns)."""
        await self.host.emit(output, None, **placement)

    async def advance(self, stream: str) -> None:
        """Send the watermark on if it moved. Only needed outside `process`, `gap` and `flush`."""
        await self.host.advance(stream)

    def per_stream(self, factory: Callable[[], T]) -> PerStream[T]:
        """State of each stream, made by `factory` when it is first asked for; forgotten on EOS and on a jump."""
        state = PerStream(factory)
        self.states.append(state)
        return state

    async def compute(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function in this stage's own single thread, so that the links go on meanwhile."""
        return await self.thread.run(function, *args, **kwargs)

    def count(self, name: str, stream: str, by: int = 1) -> None:
        """Count in `counters[name]`, and for the stream."""
        self.counters[name] += by
        self.stream_counters.add(stream, name, by)

    def connected(self, port: str) -> bool:
        """True if the graph feeds this input; only an optional one can be left unconnected."""
        return self.host.connected(port)

    def running_time(self, at: int | None = None) -> int:
        """The running time (ns) at `at` (monotonic ns), or now: 0 is when the run began to play."""
        return (self.host.clock.now() if at is None else at) - self.host.base_time

    def warn(self, text: str) -> None:
        """Tell the user something that does not stop the run."""
        self.host.warn(text, damage=False)

    def damaged(self, text: str) -> None:
        """Tell the user that part of the input was lost; the run goes on, and ends with exit code 1."""
        self.host.warn(text, damage=True)


class Recorder(Stage):
    """Base of sinks that take every message as it came: its kind, epoch, watermark and place in the order.

    Nothing is made of the messages before: none is stale, and no stream is taken from two stages.
    """

    async def record(self, port: str, message: Message) -> None:
        """Take one message, of any kind; the last hop of its trace is this stage's own."""
        raise NotImplementedError


def _filled(declared: dict[str, Port], ports: Mapping[str, type[Payload]] | None) -> dict[str, Port]:
    """The declared ports, with `ports` in the place of `*`."""
    if ports is None or ANY_PORT not in declared:
        return declared
    any_port = declared[ANY_PORT]
    named = {name: msgspec.structs.replace(any_port, type=carried) for name, carried in ports.items()}
    return named | {name: port for name, port in declared.items() if name != ANY_PORT}
