"""Runs one stage: takes its messages in order, moves its watermarks, forwards EOS, counts, and traces.

The rules it keeps for every stage:
    - a message is handled completely before the next one of any input is taken;
    - an output's watermark never goes back, and nothing is emitted below it;
    - a stream ends on the outputs when it has ended on every connected input and `flush` has returned;
    - a new epoch resets the stream, and what is left of the old one, its EOS included, is stale and ignored;
    - a stream may come back on an input where it has ended while another input still has it.
"""

import asyncio
import random
from collections.abc import Callable, Mapping

from emopipe.pipeline.clock import Clock
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.message import FOREVER, Message
from emopipe.pipeline.port import Mode
from emopipe.pipeline.report import Delays, Report
from emopipe.pipeline.runtime.epochs import SourceEpochs
from emopipe.pipeline.runtime.output import Output
from emopipe.pipeline.runtime.transport import Inbox, Inlet
from emopipe.pipeline.stage import Stage


class StageHost:
    """One stage with its links. `inlets` and `outlets` may still be filled until `play` is called.

    `stall` (ms) delays each message at random by up to so much: a test that results do not depend on timing.
    """

    def __init__(
        self,
        stage: Stage,
        *,
        mode: Mode,
        clock: Clock,
        warn: Callable[[str, bool], None] = lambda text, damage: None,
        stall: float = 0.0,
    ) -> None:
        self.stage = stage
        self.mode: Mode = mode
        self.clock = clock
        self.base_time = 0
        self.inbox: Inbox = asyncio.Queue()
        self.inlets: dict[str, list[Inlet]] = {}
        self._outputs = {
            name: Output(stage.label, name, port.type, source=not stage.inputs) for name, port in stage.outputs.items()
        }
        self.outlets = {name: output.outlets for name, output in self._outputs.items()}
        self._warn = warn
        self._stall = stall
        self._source_epochs = SourceEpochs(stage.outputs)
        self._epochs: dict[str, int] = {}  # of a stage with inputs: of the streams that are open and not in epoch 0
        self._watermarks: dict[str, dict[str, int]] = {}  # received, by stream, by port
        self._origins: dict[tuple[str, str], Inlet] = {}  # which link brings a stream to a port
        self._delays = Delays()
        self._progress = (0, 0)
        self._over = False  # nothing more goes out but the ends
        self._ended = False
        self._source: asyncio.Task[None] | None = None  # a source's `run`
        self._drained = False
        stage.host = self

    # -- life ------------------------------------------------------------------------------------------------

    async def setup(self) -> None:
        await self.stage.setup()

    async def play(self, base_time: int = 0) -> None:
        """Run the stage until all its inputs have ended (a source: until `run` returns) and all is consumed.

        `base_time` is the clock's time at running time 0.
        """
        self.base_time = base_time
        if self.stage.inputs:
            await self._take_messages()
            await self.stage.finish()
        else:
            await self._run_source()
        self._over = True
        for name, output in self._outputs.items():
            for stream in output.open:
                await self._end(stream, name)
            await output.finish()
        for output in self._outputs.values():
            await output.drain()
        self._ended = True

    def drain(self) -> None:
        """End a source as if it had nothing more: its streams end, and what is under way goes through to the sinks."""
        self._drained = True
        if self._source is not None:
            self._source.cancel()

    async def close(self) -> None:
        """Close the stage, its thread and its links; also after an error."""
        try:
            await self.stage.close()
        finally:
            self.stage.stop_thread()
            for inlets in self.inlets.values():
                for inlet in inlets:
                    inlet.close()
            for output in self._outputs.values():
                output.close()

    def report(self) -> Report:
        now = self.clock.now()
        return Report(
            stage=self.stage.label,
            counters=_plain(self.stage.counters),
            streams=self.stage.stream_counters.snapshot(),
            links={link: outlet.counts() for outlets in self.outlets.values() for link, outlet in outlets.items()},
            age=self._delays.age,
            hops=self._delays.hops,
            gaps={port: max(inlet.longest_gap(now) for inlet in inlets) for port, inlets in self.inlets.items()},
            done=self._progress[0],
            total=self._progress[1],
            ended=self._ended,
        )

    # -- what the stage asks for -----------------------------------------------------------------------------

    async def emit(self, output: str, message: Message) -> None:
        stream = message.stream
        if self._over:  # a source has been drained, and a task of its own is still at work
            self.stage.count("stale", stream)
            return
        if not self.stage.inputs:
            await self._begin_source_epoch(output, message)
        elif message.epoch < self.epoch(stream):  # of before the jump: whoever comes after us would ignore it
            self.stage.count("stale", stream)
            return
        await self._outputs[output].emit(message, self.clock.now())

    def input_watermark(self, stream: str) -> int:
        """The smallest pts that any connected input may still bring on `stream`."""
        return min(self._watermarks.get(stream, {}).values(), default=0)

    def epoch(self, stream: str) -> int:
        return self._epochs.get(stream, 0) if self.stage.inputs else self._source_epochs.epoch(stream)

    def new_epoch(self, stream: str) -> None:
        self._source_epochs.jump(stream)
        self._forget(stream)

    async def room(self, output: str, stream: str) -> None:
        await self._outputs[output].room(stream)

    def connected(self, port: str) -> bool:
        return bool(self.inlets.get(port))

    async def advance(self, stream: str) -> None:
        watermark = self.stage.watermark(stream)
        if watermark >= FOREVER or self._over:  # the end is said by EOS
            return
        for output in self._outputs.values():
            await output.advance(stream, watermark, self.epoch(stream))

    async def end(self, stream: str, output: str | None = None) -> None:
        if self._over:  # and that has been said
            return
        for name in self._outputs if output is None else [output]:
            await self._end(stream, name)

    def warn(self, text: str, damage: bool) -> None:
        self._warn(text, damage)

    def progress(self, done: int, total: int) -> None:
        self._progress = (done, total)

    # -- a source --------------------------------------------------------------------------------------------

    async def _run_source(self) -> None:
        """Await the stage's `run` to its end, or until `drain`."""
        if self._drained:
            return
        self._source = asyncio.create_task(self.stage.run())
        try:
            await asyncio.wait([self._source])
        except asyncio.CancelledError:
            self._source.cancel()
            await asyncio.gather(self._source, return_exceptions=True)
            raise
        if not (self._drained and self._source.cancelled()):
            self._source.result()

    async def _begin_source_epoch(self, output: str, message: Message) -> None:
        """Put a source's message into its epoch: a new one if the stream comes back and has jumped back in time."""
        stream, before = message.stream, self.epoch(message.stream)
        ended = self._source_epochs.emit(stream, output, message.pts)
        message.epoch = self.epoch(stream)
        if message.epoch > before:
            self._forget(stream)
        for name in ended:
            await self._outputs[name].end(stream, message.epoch)

    # -- messages --------------------------------------------------------------------------------------------

    async def _take_messages(self) -> None:
        while not all(inlet.ended for inlets in self.inlets.values() for inlet in inlets):
            inlet, message = await self.inbox.get()
            if self._stall:
                await asyncio.sleep(random.uniform(0, self._stall) / 1000)
            await self._handle(inlet, message)
            inlet.consumed()
            if self.inbox.empty():
                for inlets in self.inlets.values():
                    for each in inlets:
                        each.acknowledge()

    async def _handle(self, inlet: Inlet, message: Message) -> None:
        stream, port = message.stream, inlet.port
        if message.kind == "eos" and not stream:
            inlet.ended = True
            if self._port_ended(port):
                for each in [each for each, bounds in self._watermarks.items() if bounds[port] < FOREVER]:
                    await self._moved(each, port, FOREVER)
            return
        if message.epoch < self.epoch(stream):
            if message.kind in ("data", "gap"):
                self.stage.count("stale", stream)
            return
        if self._origins.setdefault((stream, port), inlet) is not inlet:
            remedy = "give the streams different names"
            raise EmopipeError(f"input {port!r} gets the stream {stream!r} from two stages; {remedy}")
        if message.epoch > self.epoch(stream):
            self._epochs[stream] = message.epoch
            self._forget(stream)
        if stream not in self._watermarks:
            self._watermarks[stream] = dict.fromkeys((each for each in self.inlets if self.connected(each)), 0)
            for each in filter(self._port_ended, list(self._watermarks[stream])):
                await self._moved(stream, each, FOREVER)
        bounds = self._watermarks[stream]
        if message.kind == "eos":
            bounds[port] = FOREVER
            del self._origins[stream, port]  # it may come back from elsewhere
        else:  # where it had ended it is back
            bounds[port] = max(bounds[port] if bounds[port] < FOREVER else 0, message.watermark)
        if message.kind == "data":
            await self.stage.process(port, message)
            if not self.stage.outputs and message.trace:
                self._delays.add(message, self.clock.now())
        elif message.kind == "gap":
            await self.stage.gap(port, message)
        await self._moved(stream, port, bounds[port])

    async def _moved(self, stream: str, port: str, watermark: int) -> None:
        """The input's watermark is (now) `watermark`: pass it on, or end the stream where every input has."""
        bounds = self._watermarks[stream]
        bounds[port] = watermark
        await self.stage.moved(port, stream, watermark)
        if min(bounds.values()) < FOREVER:
            await self.advance(stream)
            return
        await self.stage.flush(stream)
        self.stage.reset(stream)
        del self._watermarks[stream]
        for output in self._outputs:
            await self._end(stream, output)
        self._epochs.pop(stream, None)
        for each in self.inlets:
            self._origins.pop((stream, each), None)
        self.stage.stream_counters.end(stream)

    def _forget(self, stream: str) -> None:
        """The stream's time line begins anew."""
        self.stage.reset(stream)
        self._watermarks.pop(stream, None)
        for output in self._outputs.values():
            output.forget(stream)

    def _port_ended(self, port: str) -> bool:
        return all(inlet.ended for inlet in self.inlets[port])

    async def _end(self, stream: str, output: str) -> None:
        """EOS of one stream on one output."""
        bound = self._outputs[output].watermark(stream)
        await self._outputs[output].end(stream, self.epoch(stream))
        if not self.stage.inputs and self._source_epochs.end(stream, output, bound):
            self.stage.stream_counters.end(stream)


def _plain(counters: Mapping[str, int]) -> dict[str, int]:
    # Copied at once, since a stage may count in its thread; and NumPy's integers are none that travel.
    return {name: int(count) for name, count in dict(counters).items()}
