"""One output of a stage: its links, and what has been promised there on each open stream."""

import asyncio

import msgspec

from emopipe.pipeline.message import FOREVER, Hop, Message, Payload
from emopipe.pipeline.port import LinkId
from emopipe.pipeline.runtime.transport import Outlet
from emopipe.pipeline.telemetry.trace import Tracer


class _StreamState(msgspec.Struct):
    """An open stream: its watermark (ns), and the seq of what follows."""

    watermark: int = 0
    seq: int = 0


class Output:
    """Sends a stage's messages on all links of one output, in order, and keeps what it has promised of time.

    Args:
        stage: the stage's name in the graph.
        name: the output's.
        payload: the type it is declared to carry.
        source: whether the stage has no inputs; a source that says nothing of its watermark never goes back in time.
    """

    def __init__(self, stage: str, name: str, payload: type[Payload], *, source: bool) -> None:
        self.outlets: dict[LinkId, Outlet] = {}
        self._stage = stage
        self._name = name
        self._payload = payload
        self._source = source
        self._streams: dict[str, _StreamState] = {}
        self.tracer: Tracer | None = None
        self.sending = 0  # messages that wait for room on a link

    @property
    def open(self) -> list[str]:
        """The streams that have begun and not ended, in order."""
        return list(self._streams)

    def watermark(self, stream: str) -> int:
        return self._streams[stream].watermark if stream in self._streams else 0

    async def emit(
        self,
        payload: Payload | None,
        *,
        stream: str,
        pts: int,
        duration: int,
        watermark: int,
        epoch: int,
        trace: list[Hop],
        now: int,
        seen: int | None = None,
    ) -> None:
        """Send data, or a gap where there is no payload; `trace` is that of the message it was made from, `seen` when
        a source saw it.

        Raises:
            TypeError: the payload is not of the declared type.
            RuntimeError: it comes below the watermark.
        """
        self._check_type(payload)
        state = self._streams.setdefault(stream, _StreamState())
        if pts < state.watermark:
            raise RuntimeError(
                f"{self._stage}: emitted pts {pts} on {self._name!r} below its own watermark {state.watermark}; "
                "a stage that emits several results for one message gives each its own pts as watermark"
            )
        if watermark >= FOREVER:  # the inputs have ended; the end of the output is said by EOS
            watermark = pts
        state.watermark = max(watermark, state.watermark, pts if self._source else 0)
        seq = state.seq
        state.seq += 1
        received = now if seen is None else seen
        if trace and trace[-1].stage == self._stage:
            *trace, hop = trace
            received = hop.received
        message = Message(
            kind="gap" if payload is None else "data",
            stream=stream,
            seq=seq,
            pts=pts,
            duration=duration,
            watermark=state.watermark,
            epoch=epoch,
            trace=[*trace, Hop(self._stage, received, now)],
            type="" if payload is None else type(payload).__name__,
            payload=payload,
        )
        if self.tracer is not None and message.kind == "data":
            self.tracer.sent(self._name, message)
        await self._send(message)

    async def forward(self, message: Message, now: int) -> None:
        """Send a message that another output has sent before; only its trace begins anew.

        Raises:
            TypeError: its payload is not of the declared type.
        """
        self._check_type(message.payload)
        if message.kind == "eos":
            self._streams.pop(message.stream, None)
        else:
            self._streams[message.stream] = _StreamState(message.watermark, message.seq + 1)
        message = msgspec.structs.replace(message, trace=[Hop(self._stage, now, now)])
        if self.tracer is not None and message.kind == "data":
            self.tracer.sent(self._name, message)
        await self._send(message)

    async def advance(self, stream: str, watermark: int, epoch: int) -> None:
        """Send a watermark, if it says anything new."""
        if watermark > self.watermark(stream):
            self._streams.setdefault(stream, _StreamState()).watermark = watermark
            await self._send(Message(kind="watermark", stream=stream, watermark=watermark, epoch=epoch))

    async def end(self, stream: str, epoch: int) -> None:
        """Send EOS of one stream; also where nothing came before, since the receiver must not wait for it."""
        self._streams.pop(stream, None)
        await self._send(Message(kind="eos", stream=stream, watermark=FOREVER, epoch=epoch))

    async def finish(self) -> None:
        """Send the end of everything."""
        await self._send(Message(kind="eos", stream="", watermark=FOREVER))

    async def drain(self) -> None:
        """Return once everything sent has been consumed."""
        for outlet in self.outlets.values():
            await outlet.drain()

    def forget(self, stream: str) -> None:
        """The stream's time line begins anew."""
        if stream in self._streams:
            self._streams[stream].watermark = 0

    async def writable(self, stream: str) -> None:
        """Return once a message of `stream` would make nobody wait, nor push another out on every link that drops.

        Every, not any: a receiver that is stuck, such as a film on a slow disk, must not hold up the others.
        """
        while full := self._full(stream):
            moves = [asyncio.ensure_future(outlet.moved()) for outlet in full]
            try:
                await asyncio.wait(moves, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for move in moves:
                    move.cancel()

    def _full(self, stream: str) -> list[Outlet]:
        """The links of which one has to move before there may be room; none where there is."""
        full = [outlet for outlet in self.outlets.values() if not outlet.has_room(stream)]
        if blocking := [outlet for outlet in full if outlet.blocks]:
            return blocking
        dropping = [outlet for outlet in self.outlets.values() if not outlet.blocks]
        return full if len(full) == len(dropping) else []

    def _check_type(self, payload: Payload | None) -> None:
        if payload is not None and type(payload) is not self._payload:
            declared = f"which is declared to carry {self._payload.__name__}"
            raise TypeError(f"emitted a {type(payload).__name__} on {self._name!r}, {declared}")

    def close(self) -> None:
        for outlet in self.outlets.values():
            outlet.close()

    async def _send(self, message: Message) -> None:
        self.sending += 1
        try:
            for outlet in self.outlets.values():
                await outlet.send(message)
        finally:
            self.sending -= 1
