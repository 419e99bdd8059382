"""The host of one stage: takes its messages in order, moves its watermarks, forwards EOS, counts, and traces.

The rules it keeps for every stage:
    - a message is handled completely before the next one of any input is taken;
    - an output's watermark never goes back, and nothing is emitted below it;
    - a stream ends on the outputs when it has ended on every connected input and `flush` has returned;
    - a new epoch resets the stream, and what is left of the old one, its EOS included, is stale and ignored;
    - a stream may come back on an input where it has ended while another input still has it;
    - one link brings a stream to an input, in the whole run: from two, what came of it would depend on their timing.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Unpack

import msgspec

from emopipe.pipeline.clock import Clock
from emopipe.pipeline.counters import REMEMBERED
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.files import Journal
from emopipe.pipeline.join import Turns
from emopipe.pipeline.message import FOREVER, Message, Payload, Placement
from emopipe.pipeline.port import LinkId, Mode
from emopipe.pipeline.report import Delays, Interruption, Report
from emopipe.pipeline.runtime.output import Output
from emopipe.pipeline.runtime.transport import EndInlet, Inbox, Inlet
from emopipe.pipeline.stage import Stage
from emopipe.pipeline.supervision.heartbeat import AtWork
from emopipe.pipeline.telemetry.trace import Tracer

JOURNAL_SUFFIX = ".journal"
FINISHED = "finished "  # how the keys of streams begin in the journal of a sink that has done them for good


class _InputStream(msgspec.Struct):
    """The state of a stream on the inputs.

    Attributes:
        origins: which link brings it, by port.
        watermarks: how far it has come, by connected port; empty before its time line begins.
        epoch: it is in.
    """

    origins: dict[str, LinkId]
    watermarks: dict[str, int] = {}
    epoch: int = 0


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
        journal: Journal | None = None,
        finished: Iterable[str] = (),
    ) -> None:
        self.stage = stage
        self.mode: Mode = mode
        self.clock = clock
        self.journal = journal if journal is not None else Journal()
        self.finished = frozenset(finished)
        self.base_time = 0
        self.inbox: Inbox = asyncio.Queue()
        self.inlets: dict[str, list[Inlet]] = {}
        self._outputs = {
            name: Output(stage.label, name, port.type, source=not stage.inputs) for name, port in stage.outputs.items()
        }
        self.outlets = {name: output.outlets for name, output in self._outputs.items()}
        self._warn = warn
        self._stall = stall
        self._streams: dict[str, _InputStream] = {}  # those that are open
        self._ended_origins: dict[str, dict[str, LinkId]] = {}  # of the last streams that have ended
        self.turns: Mapping[str, int] = {}  # of a sink that several shards feed: the shard of each stream, in order
        self._turns: dict[tuple[str, ...], Turns[tuple[Inlet, Message]]] = {}  # by what the copies of a link share
        self._delays = Delays()
        self._tracer: Tracer | None = None
        self._taken = 0  # messages
        self._playing = self._handling = False
        self._over = False  # nothing more goes out but the ends
        self._ended = False
        stage.host = self

    # -- life ------------------------------------------------------------------------------------------------

    def trace(self, tracer: Tracer) -> None:
        """Have a tracer collect what is taken and sent."""
        self._tracer = tracer
        for output in self._outputs.values():
            output.tracer = tracer

    async def setup(self) -> None:
        await self.stage.setup()

    async def play(self, base_time: int = 0) -> None:
        """Run the stage until all its inputs have ended (a source: until `run` returns) and all is consumed.

        `base_time` is the clock's time at running time 0.
        """
        self.base_time = base_time
        self._playing = True
        await self._run()
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

    async def close(self) -> None:
        """Close the stage, all it holds, and its links; also after an error."""
        try:
            await self.stage.close()
        finally:
            try:
                await self.stage.exit.aclose()
            finally:
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
            inlets={inlet.link: inlet.counts() for inlets in self.inlets.values() for inlet in inlets},
            age=self._delays.age,
            hops=self._delays.hops,
            gaps={port: max(inlet.longest_gap(now) for inlet in inlets) for port, inlets in self.inlets.items()},
            ended=self._ended,
        )

    @property
    def at_work(self) -> AtWork:
        """What the stage is at. A message that waits for room on a link does not count, and setting up neither."""
        if not self._playing:
            return None, None
        waiting = any(output.sending for output in self._outputs.values())
        return (self._taken if self._handling and not waiting else None), self.stage.thread.at_work

    # -- a neighbour that is restarted ----------------------------------------------------------------------

    def cut(self, link: LinkId) -> tuple[int, dict[str, int]]:
        """The receiver of a link is gone: how many messages it had received, and the epochs of the output's streams."""
        output = self._outputs[link.output]
        return output.outlets[link].cut(), {stream: self.epoch(stream) for stream in output.open}

    def replace(self, link: LinkId, new: Inlet) -> tuple[int, dict[str, int]]:
        """The sender of a link is gone, and `new` is for the next: how many messages have come, and their epochs."""
        inlets = self.inlets[link.input]
        at, before = next((at, each) for at, each in enumerate(inlets) if each.link == link)
        new.follow(before)
        before.close()
        inlets[at] = new
        return before.counts().delivered, {stream: self.epoch(stream) for stream in before.open}

    def end_input(self, link: LinkId, stream: str) -> None:
        """A stream of a link's sender is no more, and the one that has been restarted does not know it."""
        inlet = EndInlet(link, self.inbox, self.clock)
        inlet.deliver(Message(kind="eos", stream=stream, watermark=FOREVER, epoch=self.epoch(stream)))

    def interrupted(self, interruption: Interruption) -> None:
        """A stage was restarted: the streams that pass it go on in new epochs, which sources say."""
        self.stage.interrupted(interruption)

    # -- what the stage asks for -----------------------------------------------------------------------------

    async def emit(self, output: str, payload: Payload | None, **placement: Unpack[Placement]) -> None:
        cause = placement.get("cause")
        stream = placement.get("stream", cause.stream if cause else "")
        if not stream:
            raise TypeError("emit needs a stream or a cause")
        pts = placement.get("pts", cause.pts if cause else 0)
        epoch = await self._epoch_of(output, stream, pts, cause)
        if epoch is None:
            self.stage.count("stale", stream)
            if stream not in self._streams:
                self.stage.stream_counters.end(stream)
            return
        await self._outputs[output].emit(
            payload,
            stream=stream,
            pts=pts,
            duration=placement.get("duration", cause.duration if cause else 0),
            watermark=placement["watermark"] if "watermark" in placement else self.stage.watermark(stream),
            epoch=epoch,
            trace=cause.trace if cause else [],
            now=self.clock.now(),
            seen=placement.get("seen"),
        )

    async def advance(self, stream: str) -> None:
        watermark = self.stage.watermark(stream)
        if watermark >= FOREVER or self._over:  # the end is said by EOS
            return
        for output in self._outputs.values():
            await output.advance(stream, watermark, self.epoch(stream))

    def input_watermark(self, stream: str) -> int:
        """The smallest pts that any connected input may still bring on `stream`."""
        state = self._streams.get(stream)
        return min(state.watermarks.values(), default=0) if state is not None else 0

    def connected(self, port: str) -> bool:
        return bool(self.inlets.get(port))

    def warn(self, text: str, damage: bool) -> None:
        self._warn(text, damage)

    def epoch(self, stream: str) -> int:
        """The epoch that a stream is in."""
        return self._streams[stream].epoch if stream in self._streams else 0

    async def _epoch_of(self, output: str, stream: str, pts: int, cause: Message | None) -> int | None:
        """The epoch of what is to be emitted; None if it is stale: whoever comes after us would ignore it."""
        if self._over or (cause is not None and cause.stream == stream and stream not in self._streams):
            return None  # it has ended, while this was on its way
        epoch = self.epoch(stream)
        made_in = cause.epoch if cause else epoch
        return None if made_in < epoch else made_in

    # -- messages --------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while not all(inlet.ended for inlets in self.inlets.values() for inlet in inlets):
            for inlet, message in self._in_turn(*await self.inbox.get()):
                if self._stall:
                    await asyncio.sleep(random.uniform(0, self._stall) / 1000)
                self._taken += 1
                self._handling = True
                await self._handle(inlet, message)
                self._handling = False
                if self._tracer is not None and message.kind == "data":
                    self._tracer.taken(inlet.link, message, self.clock.now())
                inlet.consumed()
            if self.inbox.empty():
                for inlets in self.inlets.values():
                    for each in inlets:
                        each.acknowledge()
        self._handling = True
        await self.stage.finish()
        self._handling = False

    def _in_turn(self, inlet: Inlet, message: Message) -> Iterable[tuple[Inlet, Message]]:
        """What may be taken now that a message has come."""
        if not self.turns:
            return [(inlet, message)]
        sender, _, shard = inlet.link.sender.partition(".")
        copies = self._turns.setdefault((sender, inlet.link.output, inlet.port), Turns(self.turns))
        return copies.take(int(shard), message, (inlet, message))

    async def _handle(self, inlet: Inlet, message: Message) -> None:
        stream, port = message.stream, inlet.port
        if message.kind == "eos" and not stream:
            inlet.ended = True
            if self._port_ended(port):
                for each in [each for each, state in self._streams.items() if state.watermarks[port] < FOREVER]:
                    await self._moved(each, port, FOREVER)
            return
        state = self._streams.get(stream)
        if state is None:
            state = self._streams[stream] = _InputStream(self._ended_origins.pop(stream, {}))
        if state.origins.setdefault(port, inlet.link) != inlet.link:
            remedy = "give the streams different names"
            raise EmopipeError(f"input {port!r} gets the stream {stream!r} from two stages; {remedy}")
        if message.epoch < state.epoch:
            if message.kind in ("data", "gap"):
                self.stage.count("stale", stream)
            return
        if message.epoch > state.epoch:
            state.epoch = message.epoch
            state.watermarks = {}
            self._forget(stream)
        if not state.watermarks:
            state.watermarks = dict.fromkeys(filter(self.connected, self.inlets), 0)
            for each in filter(self._port_ended, list(state.watermarks)):
                await self._moved(stream, each, FOREVER)
        before = state.watermarks[port]
        before = before if before < FOREVER else 0  # where it had ended it is back
        bound = state.watermarks[port] = FOREVER if message.kind == "eos" else max(before, message.watermark)
        if message.kind == "data":
            await self.stage.process(port, message)
            if not self.stage.outputs and message.trace:
                self._delays.add(message, self.clock.now())
        elif message.kind == "gap":
            await self.stage.gap(port, message)
        await self._moved(stream, port, bound)

    async def _moved(self, stream: str, port: str, watermark: int) -> None:
        """The input's watermark is (now) `watermark`: pass it on, or end the stream where every input has."""
        state = self._streams[stream]
        state.watermarks[port] = watermark
        await self.stage.moved(port, stream, watermark)
        if min(state.watermarks.values()) < FOREVER:
            await self.advance(stream)
            return
        await self.stage.flush(stream)
        if self.mode == "replay" and self.stage.resumes:
            self.journal.set(f"{FINISHED}{stream}", True, durable=True)
        self._reset(stream)
        del self._streams[stream]
        self._ended_origins[stream] = state.origins
        while len(self._ended_origins) > REMEMBERED:
            del self._ended_origins[next(iter(self._ended_origins))]
        for output in self._outputs.values():
            await output.end(stream, state.epoch)
        self.stage.stream_counters.end(stream)

    def _forget(self, stream: str) -> None:
        """The stream's time line begins anew."""
        self._reset(stream)
        for output in self._outputs.values():
            output.forget(stream)

    def _reset(self, stream: str) -> None:
        self.stage.reset(stream)
        for state in self.stage.states:
            state.pop(stream, None)

    def _port_ended(self, port: str) -> bool:
        return all(inlet.ended for inlet in self.inlets[port])

    async def _end(self, stream: str, output: str) -> None:
        """EOS of one stream on one output."""
        await self._outputs[output].end(stream, self.epoch(stream))


def _plain(counters: Mapping[str, int]) -> dict[str, int]:
    # Copied at once, since a stage may count in its thread; and NumPy's integers are none that travel.
    return {name: int(count) for name, count in dict(counters).items()}
