"""The two ways a link's messages travel: by reference inside a process, over ZeroMQ between processes.

    Outlet  the sending end: waits while the link is full, transmits while there are credits
    Inlet   the receiving end: hands messages to the stage's inbox, acknowledges what the stage has consumed

The receiver binds and the sender connects, so that a restarted sender finds its receiver again. High-water marks
are off: credits are the bound, and they hold in messages, not in socket buffers.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec
import zmq

from emopipe.pipeline.clock import Clock
from emopipe.pipeline.counters import LinkCounts
from emopipe.pipeline.message import Codec, Hop, Message, Payload, WireError
from emopipe.pipeline.port import Queue
from emopipe.pipeline.runtime.link import LinkQueue

Inbox = asyncio.Queue[tuple["Inlet", Message]]


class Outlet:
    """The sending end of a link. Subclasses say how one message is transmitted."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        self._queue = LinkQueue(queue, clock)
        self._moved = asyncio.Event()  # set on every acknowledgement
        self._turn = asyncio.Lock()  # keeps the order of senders that wait for room

    async def send(self, message: Message) -> None:
        """Queue a message and transmit what the credits allow; waits for room where the policy is to block."""
        async with self._turn:
            while message.kind != "watermark" and self._queue.full:
                await self.moved()
            self._queue.offer(message)
            self._pump()

    def has_room(self, stream: str) -> bool:
        """Whether a message of `stream` would neither wait nor push another out."""
        return not self._turn.locked() and self._queue.has_room(stream)

    @property
    def blocks(self) -> bool:
        """Whether a sender waits where the queue is full, rather than drop."""
        return self._queue.policy.policy == "block"

    def moved(self) -> Coroutine[None, None, object]:
        """Awaited, it returns at the next acknowledgement after this call."""
        self._moved.clear()  # now, not when it is first awaited: what comes in between must not be missed
        return self._moved.wait()

    async def drain(self) -> None:
        """Return once the receiver has consumed everything."""
        while not self._queue.empty:
            await self.moved()

    def counts(self) -> LinkCounts:
        return self._queue.counts()

    def close(self) -> None:
        """Release the transport."""

    def acknowledge(self, total: int) -> None:
        self._queue.acknowledge(total)
        self._pump()
        self._moved.set()

    def _pump(self) -> None:
        while (message := self._queue.take()) is not None:
            self._transmit(message)

    def _transmit(self, message: Message) -> None:
        raise NotImplementedError


class Inlet:
    """The receiving end of a link. `stage` is the receiving stage's name, for the trace."""

    def __init__(self, port: str, stage: str, inbox: Inbox, clock: Clock, window: int) -> None:
        self.port = port
        self.ended = False
        self._stage = stage
        self._inbox = inbox
        self._clock = clock
        self._consumed = 0
        self._acknowledged = 0
        # Acknowledging every message would double the traffic; half a window keeps the sender busy.
        self._batch = max(1, window // 2)
        self._open: set[str] = set()  # streams that have begun and not ended
        self._heard = 0  # when something came last
        self._longest = 0

    def longest_gap(self, now: int) -> int:
        """The longest time (ns) without any message while a stream was open, the one up to `now` included."""
        return max(self._longest, now - self._heard) if self._open else self._longest

    def deliver(self, message: Message) -> None:
        now = self._clock.now()
        self._longest = self.longest_gap(now)
        self._heard = now
        if message.kind == "eos":
            self._open.discard(message.stream)
        else:
            self._open.add(message.stream)
        # Several local links may share one message, so the trace is never changed in place.
        hop = Hop(self._stage, now, 0)
        message = msgspec.structs.replace(message, trace=[*message.trace, hop])
        self._inbox.put_nowait((self, message))

    def consumed(self) -> None:
        """The stage is done with the oldest message it has not been done with."""
        self._consumed += 1
        if self._consumed - self._acknowledged >= self._batch:
            self.acknowledge()

    def acknowledge(self) -> None:
        """Acknowledge all that was consumed; also called whenever the inbox is empty."""
        if self._acknowledged < self._consumed:
            self._acknowledged = self._consumed
            self._acknowledge(self._consumed)

    def close(self) -> None:
        """Release the transport."""

    def _acknowledge(self, total: int) -> None:
        raise NotImplementedError


class LocalInlet(Inlet):
    """The receiving end of a link inside one process; `outlet` is set when it is connected."""

    outlet: "LocalOutlet"

    def _acknowledge(self, total: int) -> None:
        # Not at once: a receiver must not run its sender's code in the middle of its own.
        asyncio.get_running_loop().call_soon(self.outlet.acknowledge, total)


class LocalOutlet(Outlet):
    """The sending end of a link inside one process."""

    def __init__(self, queue: Queue, clock: Clock, inlet: LocalInlet) -> None:
        super().__init__(queue, clock)
        self._inlet = inlet
        inlet.outlet = self

    def _transmit(self, message: Message) -> None:
        self._inlet.deliver(message)


class ZmqInlet(Inlet):
    """The receiving end of a link between processes; `endpoint` is where it is bound."""

    def __init__(
        self,
        port: str,
        stage: str,
        inbox: Inbox,
        clock: Clock,
        window: int,
        *,
        context: "zmq.Context[zmq.Socket[bytes]]",
        endpoint: str,
        payload: type[Payload],
    ) -> None:
        super().__init__(port, stage, inbox, clock, window)
        self._codec = Codec(payload)
        self._channel = Channel(context, self._received)
        self.endpoint = self._channel.bind(endpoint)

    def close(self) -> None:
        self._channel.close()

    def _received(self, parts: Sequence[memoryview]) -> None:
        try:
            message = self._codec.decode(parts)
        except WireError as error:
            raise WireError(f"{self._stage}: input {self.port!r} got {error}") from error
        self.deliver(message)

    def _acknowledge(self, total: int) -> None:
        with contextlib.suppress(zmq.Again):  # the sender is gone; whoever watches it says so
            self._channel.send([total.to_bytes(8, "little")])


class ZmqOutlet(Outlet):
    """The sending end of a link between processes."""

    def __init__(
        self,
        queue: Queue,
        clock: Clock,
        *,
        context: "zmq.Context[zmq.Socket[bytes]]",
        endpoint: str,
        payload: type[Payload],
    ) -> None:
        super().__init__(queue, clock)
        self._codec = Codec(payload)
        self._channel = Channel(context, self._received)
        self._channel.connect(endpoint)

    def close(self) -> None:
        self._channel.close()

    def _received(self, parts: Sequence[memoryview]) -> None:
        self.acknowledge(int.from_bytes(parts[0], "little"))

    def _transmit(self, message: Message) -> None:
        self._channel.send(self._codec.encode(message))


def local_endpoint(directory: str, name: str) -> str:
    """Where to bind on this host: a Unix socket where there are such and its path fits, else any loopback port."""
    path = f"{directory}/{name}"
    if zmq.has("ipc") and len(os.fsencode(path)) <= zmq.IPC_PATH_MAX_LEN:
        return f"ipc://{path}"
    return "tcp://127.0.0.1:*"


class Channel:
    """A ZeroMQ socket in the running event loop; `received` is called with the parts of each message.

    What `received` raises goes to the loop's exception handler.

    Cheaper than zmq.asyncio's futures: one wake-up takes all that has arrived. `name` is the routing id by which
    a ROUTER on the other side knows this socket; it must be unique there.
    """

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        received: Callable[[Sequence[memoryview]], None],
        *,
        kind: int = zmq.DEALER,
        name: str = "",
    ) -> None:
        self._socket = context.socket(kind)
        self._socket.set_hwm(0)
        self._socket.linger = 0
        if name:
            self._socket.setsockopt(zmq.ROUTING_ID, name.encode())
        self._received = received
        self._loop = asyncio.get_running_loop()
        self._descriptor = self._socket.fileno()
        self._loop.add_reader(self._descriptor, self._readable)

    def bind(self, endpoint: str) -> str:
        """Bind, and say where: a wildcard port is filled in."""
        self._socket.bind(endpoint)
        bound = self._socket.getsockopt(zmq.LAST_ENDPOINT)
        return bound.rstrip(b"\0").decode() if isinstance(bound, bytes) else str(bound)

    def connect(self, endpoint: str) -> None:
        self._socket.connect(endpoint)

    def send(self, parts: Sequence[Any]) -> None:
        """Send without waiting; large parts are not copied, so their arrays must not change any more."""
        self._socket.send_multipart(parts, zmq.NOBLOCK, copy=False)
        # ZeroMQ's descriptor is edge-triggered, and a send may have swallowed the edge.
        self._loop.call_soon(self._readable)

    def close(self) -> None:
        """Close at once; what is still under way is lost (links drain before they close)."""
        if not self._socket.closed:
            self._loop.remove_reader(self._descriptor)
            self._socket.close()

    def flush_and_close(self, patience: int = 500) -> None:
        """Close, but let ZeroMQ deliver what was sent for up to `patience` ms."""
        self._socket.linger = patience
        self.close()

    def _readable(self) -> None:
        while not self._socket.closed:
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            try:
                self._received([frame.buffer for frame in frames])
            except Exception:
                self._loop.call_soon(self._readable)  # no new edge comes for what has arrived behind it
                raise
