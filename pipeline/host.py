"""Runs one stage: takes its messages in order, moves its watermarks, forwards EOS, counts, and traces.

The rules it keeps for every stage:
    - a message is handled completely before the next one of any input is taken;
    - an output's watermark never goes back, and nothing is emitted below it;
    - a stream ends on the outputs when it has ended on every connected input and `flush` has returned;
    - a new epoch resets the stream, and what is left of the old one is counted as stale and ignored.
"""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from pipeline.clock import Clock
from pipeline.errors import EmopipeError
from pipeline.latency import Latency
from pipeline.message import FOREVER, Hop, Message
from pipeline.report import Report
from pipeline.stage import Mode, Stage
from pipeline.transport import Inbox, Inlet, Outlet


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
        self.outlets: dict[str, dict[str, Outlet]] = {output: {} for output in stage.outputs}
        self._warn = warn
        self._stall = stall
        self._epochs: dict[str, int] = {}  # of streams that are open
        self._watermarks: dict[str, dict[str, int]] = {}  # received, by stream, by port
        self._sent_watermarks: dict[str, dict[str, int]] = defaultdict(dict)  # by output, by stream
        self._open: dict[str, dict[str, None]] = defaultdict(dict)  # by output: streams that have begun, in order
        self._seq: Counter[tuple[str, str]] = Counter()
        self._age = Latency()
        self._progress = (0, 0)
        self._ended = False
        self._source: asyncio.Task[None] | None = None  # a source's `run`
        self._drained = False
        self._origins: dict[tuple[str, str], Inlet] = {}  # which link brings a stream to a port
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
        for output in self.stage.outputs:
            for stream in list(self._open[output]):
                await self._end(stream, output)
            await self._send(output, Message(kind="eos", stream="", watermark=FOREVER))
        for outlet in self._all_outlets():
            await outlet.drain()
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
            for outlet in self._all_outlets():
                outlet.close()

    def report(self) -> Report:
        return Report(
            stage=self.stage.label,
            counters={name: int(count) for name, count in self.stage.counters.items()},  # NumPy's integers too
            streams=self.stage.tally.table(),
            links={
                f"{output}>{target}": outlet.counts()
                for output, outlets in self.outlets.items()
                for target, outlet in outlets.items()
            },
            age=self._age,
            done=self._progress[0],
            total=self._progress[1],
            ended=self._ended,
        )

    # -- what the stage asks for -----------------------------------------------------------------------------

    async def emit(self, output: str, message: Message) -> None:
        stream = message.stream
        if message.epoch < self.epoch(stream):  # of before the jump: whoever comes after us would ignore it
            self.stage.count("stale", stream)
            return
        wanted = self.stage.outputs[output].type
        if message.kind == "data" and type(message.payload) is not wanted:
            raise TypeError(f"emitted a {message.type} on {output!r}, which is declared to carry {wanted.__name__}")
        bound = self._sent_watermarks[output].get(stream, 0)
        if message.pts < bound:
            raise RuntimeError(
                f"{self.stage.label}: emitted pts {message.pts} on {output!r} below its own watermark {bound}; "
                "a stage that emits several results for one message gives each its own pts as watermark"
            )
        if message.watermark >= FOREVER:  # the inputs have ended; the end of the output is said by EOS
            message.watermark = message.pts
        # A source that says nothing of its watermark at least never goes back in time.
        message.watermark = max(message.watermark, bound, 0 if self.stage.inputs else message.pts)
        self._sent_watermarks[output][stream] = message.watermark
        self._open[output].setdefault(stream)
        message.seq = self._seq[output, stream]
        self._seq[output, stream] += 1
        now = self.clock.now()
        hop = message.trace[-1] if message.trace and message.trace[-1].stage == self.stage.label else None
        received = hop.received if hop else now
        message.trace = [*(message.trace[:-1] if hop else message.trace), Hop(self.stage.label, received, now)]
        await self._send(output, message)

    def input_watermark(self, stream: str) -> int:
        """The smallest pts that any connected input may still bring on `stream`."""
        return min(self._watermarks.get(stream, {}).values(), default=0)

    def epoch(self, stream: str) -> int:
        return self._epochs.get(stream, 0)

    def new_epoch(self, stream: str) -> None:
        self._begin_epoch(stream, self.epoch(stream) + 1)

    async def room(self, output: str, stream: str) -> None:
        outlets = self.outlets[output].values()
        while full := [outlet for outlet in outlets if not outlet.has_room(stream)]:
            await full[0].moved()

    def connected(self, port: str) -> bool:
        return bool(self.inlets.get(port))

    async def advance(self, stream: str) -> None:
        watermark = self.stage.watermark(stream)
        if watermark >= FOREVER:  # the end is said by EOS
            return
        for output in self.stage.outputs:
            if watermark > self._sent_watermarks[output].get(stream, 0):
                self._sent_watermarks[output][stream] = watermark
                self._open[output].setdefault(stream)
                await self._send(
                    output,
                    Message(kind="watermark", stream=stream, watermark=watermark, epoch=self.epoch(stream)),
                )

    async def end(self, stream: str, output: str | None = None) -> None:
        for name in self.stage.outputs if output is None else [output]:
            await self._end(stream, name)

    def warn(self, text: str, damage: bool) -> None:
        self._warn(text, damage)

    def progress(self, done: int, total: int) -> None:
        self._progress = (done, total)

    # -- messages --------------------------------------------------------------------------------------------

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
        if message.epoch < self.epoch(stream) and message.kind != "eos":  # what has ended stays so
            if message.kind in ("data", "gap"):
                self.stage.count("stale", stream)
            return
        if self._origins.setdefault((stream, port), inlet) is not inlet:
            remedy = "give the streams different names"
            raise EmopipeError(f"input {port!r} gets the stream {stream!r} from two stages; {remedy}")
        if message.epoch > self.epoch(stream):
            self._begin_epoch(stream, message.epoch)
        if stream not in self._watermarks:
            self._watermarks[stream] = dict.fromkeys((each for each in self.inlets if self.connected(each)), 0)
            for each in filter(self._port_ended, list(self._watermarks[stream])):
                await self._moved(stream, each, FOREVER)
        bounds = self._watermarks[stream]
        bounds[port] = max(bounds[port], FOREVER if message.kind == "eos" else message.watermark)
        if message.kind == "data":
            await self.stage.process(port, message)
            if not self.stage.outputs and message.trace:
                self._age.add(self.clock.now() - message.trace[0].sent)
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
        for output in self.stage.outputs:
            await self._end(stream, output)
        self._epochs.pop(stream, None)
        self.stage.tally.end(stream)
        for each in self.inlets:
            self._origins.pop((stream, each), None)

    def _begin_epoch(self, stream: str, epoch: int) -> None:
        self._epochs[stream] = epoch
        self.stage.reset(stream)
        bounds = self._watermarks.get(stream, {})
        bounds.update({port: 0 for port, bound in bounds.items() if bound < FOREVER})
        for watermarks in self._sent_watermarks.values():
            watermarks.pop(stream, None)

    def _port_ended(self, port: str) -> bool:
        return all(inlet.ended for inlet in self.inlets[port])

    async def _end(self, stream: str, output: str) -> None:
        """EOS of one stream on one output. Sent even where nothing came before: the receiver must not wait."""
        self._open[output].pop(stream, None)
        self._sent_watermarks[output].pop(stream, None)
        self._seq.pop((output, stream), None)
        await self._send(output, Message(kind="eos", stream=stream, watermark=FOREVER, epoch=self.epoch(stream)))
        if not self.stage.inputs and not any(stream in streams for streams in self._open.values()):
            self.stage.tally.end(stream)

    async def _send(self, output: str, message: Message) -> None:
        for outlet in self.outlets[output].values():
            await outlet.send(message)

    def _all_outlets(self) -> Sequence[Outlet]:
        return [outlet for outlets in self.outlets.values() for outlet in outlets.values()]
