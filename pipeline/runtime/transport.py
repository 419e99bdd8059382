"""The two ways a link's messages travel: by reference inside a process, over ZeroMQ between processes.

    Outlet  the sending end: waits while the link is full, transmits while there are credits
    Inlet   the receiving end: hands messages to the stage's inbox, acknowledges what the stage has consumed

The receiver binds and the sender connects. Both count from the link's begin; where one end is restarted in live mode,
the other begins anew with it: an outlet is `cut` and `reconnect`ed later, and an inlet makes way for another.
Credits are the bound of what a sender sends, and they hold in messages, not in socket buffers.
"""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence

import msgspec
import zmq

from emopipe.pipeline.access.keys import KeyPair
from emopipe.pipeline.clock import Clock
from emopipe.pipeline.counters import LinkCounts
from emopipe.pipeline.memory.links import ReceivedSlots, SentSlots
from emopipe.pipeline.memory.pool import SlotPool
from emopipe.pipeline.message import Buffer, Codec, Hop, Message, Payload, WireError
from emopipe.pipeline.port import LinkId, Queue
from emopipe.pipeline.report import InletCounts
from emopipe.pipeline.runtime.channel import Access, BoundChannel, ConnectedChannel, Context, Endpoint, Parts, new_key
from emopipe.pipeline.runtime.link import LinkQueue, is_item

RESTART = "restart"  # the reason of what is lost while a receiver is restarted

Inbox = asyncio.Queue[tuple["Inlet", Message]]


class Outlet:
    """The sending end of a link. Subclasses say how one message is transmitted."""

    def __init__(self, queue: Queue, clock: Clock) -> None:
        self._queue = LinkQueue(queue, clock)
        self._moved = asyncio.Event()  # set on every acknowledgement
        self._turn = asyncio.Lock()  # keeps the order of senders that wait for room
        self._refused = 0  # acknowledgements of what is not under way
        self._down = False  # the receiver is being restarted
        self._epochs: dict[str, int] = {}  # streams of which nothing older is sent

    async def send(self, message: Message) -> None:
        """Queue a message and transmit what the credits allow; waits for room where the policy is to block.

        While the receiver is being restarted nothing waits: data and gaps are lost, and counted.
        """
        async with self._turn:
            while message.kind != "watermark" and self._queue.full and not self._down:
                await self.moved()
            if is_item(message) and (self._down or message.epoch < self._epochs.get(message.stream, 0)):
                self._queue.refuse(message, RESTART)
            elif not (self._down and message.kind == "watermark"):
                self._queue.offer(message)
            if not self._down:
                self._pump()

    def has_room(self, stream: str) -> bool:
        """Whether a message of `stream` would neither wait nor push another out."""
        if self._down:
            return self.blocks  # nobody waits for it, and no work is done for it either
        return not self._turn.locked() and self._queue.has_room(stream)

    def begin_at(self, count: int) -> None:
        """A sender before this one has sent so many messages that were received."""
        self._queue.begin_at(count)

    def cut(self) -> int:
        """The receiver is gone, and will be restarted; how many messages it has received."""
        self._down = True
        self._queue.lose(RESTART)
        self._moved.set()
        return self._queue.counts().received

    def _resume(self, epochs: Mapping[str, int]) -> None:
        """The receiver is there again, and takes no data of a stream from before the epoch that `epochs` names."""
        self._epochs = dict(epochs)
        self._down = False
        self._pump()
        self._moved.set()

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
        counts = self._queue.counts()
        counts.refused = self._refused
        return counts

    def close(self) -> None:
        """Release the transport."""

    def acknowledge(self, total: int) -> None:
        """The receiver has consumed `total` messages since the link began, if that can be."""
        if self._queue.acknowledge(total):
            self._pump()
            self._moved.set()
        else:
            self._refused += 1

    def _pump(self) -> None:
        while (message := self._queue.take()) is not None:
            self._transmit(message)

    def _transmit(self, message: Message) -> None:
        raise NotImplementedError


class Inlet:
    """The receiving end of a link."""

    def __init__(self, link: LinkId, inbox: Inbox, clock: Clock, window: int) -> None:
        self.link = link
        self.port = link.input
        self.ended = False
        self._counts = InletCounts()
        self._inbox = inbox
        self._clock = clock
        self._delivered = 0
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

    def counts(self) -> InletCounts:
        return self._counts

    @property
    def open(self) -> set[str]:
        """The streams that have begun and not ended."""
        return set(self._open)

    def follow(self, before: "Inlet") -> None:
        """Go on for the inlet before this one, whose sender is being restarted."""
        self._counts = before._counts
        self._open = before._open
        self._heard, self._longest = before._heard, before._longest

    def begin_at(self, count: int) -> None:
        """A receiver before this one has been given so many messages."""
        self._counts.delivered = count

    def deliver(self, message: Message) -> None:
        self._delivered += 1
        now = self._clock.now()
        if message.kind in ("data", "gap"):
            self._counts.delivered += 1
            if message.trace:
                self._counts.wait.add(now - message.trace[-1].sent)
        self._longest = self.longest_gap(now)
        self._heard = now
        if message.kind == "eos":
            self._open.discard(message.stream)
        else:
            self._open.add(message.stream)
        # Several local links may share one message, so the trace is never changed in place.
        hop = Hop(self.link.receiver, now, 0)
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


class EndInlet(Inlet):
    """Not a link's: what it delivers says that streams have ended whose sender was restarted and knows them no more."""

    def __init__(self, link: LinkId, inbox: Inbox, clock: Clock) -> None:
        super().__init__(link, inbox, clock, window=1)

    def _acknowledge(self, total: int) -> None:
        pass


class LinkError(Exception):
    """The stage `sender`, at the other end, broke the rules of its link, or cannot be reached any more.

    What it sent is no message, or more than it had credits for.
    """

    def __init__(self, sender: str, text: str) -> None:
        self.sender = sender
        super().__init__(text)


class ZmqInlet(Inlet):
    """The receiving end of a link between processes, bound at `endpoint`, where it knows the sender by its key.

    What comes from anybody else is dropped and counted. Between hosts `access` is given, and `sender_key` is public.
    """

    def __init__(
        self,
        link: LinkId,
        inbox: Inbox,
        clock: Clock,
        window: int,
        *,
        context: Context,
        address: str,
        payload: type[Payload],
        access: Access | None = None,
        sender_key: str = "",
    ) -> None:
        super().__init__(link, inbox, clock, window)
        self._slots = None if access is not None else ReceivedSlots(self._answer)
        self._codec = Codec(payload, view=None if self._slots is None else self._slots.view)
        self._window = window
        key = sender_key or new_key()
        self._channel = BoundChannel(
            context, address, {key: link.sender}, self._on_message, window=window, access=access
        )
        self.endpoint = Endpoint(self._channel.address, key, access.pair.public if access is not None else "")
        self._closed = False

    def counts(self) -> InletCounts:
        self._counts.refused = self._channel.refused
        return super().counts()

    def close(self) -> None:
        self._closed = True
        self._channel.close()

    def _on_message(self, sender: str, parts: Parts) -> None:
        if self._slots is not None and self._slots.take_offer(parts):
            return
        if self._delivered - self._acknowledged >= self._window:
            raise LinkError(sender, f"sent {self.link.receiver}.{self.port} more than its {self._window} credits allow")
        try:
            message = self._codec.decode(parts)
        except WireError as error:
            raise LinkError(sender, f"sent {self.link.receiver}.{self.port} {error}") from error
        self.deliver(message)

    def _acknowledge(self, total: int) -> None:
        released = b"" if self._slots is None else self._slots.take_released()
        self._answer([total.to_bytes(8, "little"), *([released] if released else [])])

    def _answer(self, parts: Sequence[bytes]) -> None:
        if not self._closed:  # else its sender is gone, and what it had sent is still worked off
            self._channel.send(self.link.sender, parts)


class ZmqOutlet(Outlet):
    """The sending end of a link between processes; of one between hosts, `pair` is who we are.

    On one host large arrays stay in `pool`, where it is given.
    """

    def __init__(
        self,
        queue: Queue,
        clock: Clock,
        *,
        context: Context,
        endpoint: Endpoint,
        payload: type[Payload],
        receiver: str = "",
        pair: KeyPair | None = None,
        pool: SlotPool | None = None,
    ) -> None:
        super().__init__(queue, clock)
        self._slots = None if pool is None or pair is not None else SentSlots(pool, self._send)
        self._codec = Codec(payload, place=None if self._slots is None else self._slots.place)
        self._context = context
        self._receiver = receiver
        happened = None if pair is None else self._on_event
        self._channel = ConnectedChannel(context, endpoint, self._on_acknowledgement, pair=pair, happened=happened)

    def close(self) -> None:
        self._channel.close()

    def cut(self) -> int:
        self._channel.close()
        if self._slots is not None:
            self._slots.lose_receiver()
        return super().cut()

    def reconnect(self, endpoint: Endpoint, epochs: Mapping[str, int]) -> None:
        """The receiver was restarted, and is bound at `endpoint`; of a stream it takes no epoch before `epochs`."""
        self._channel = ConnectedChannel(self._context, endpoint, self._on_acknowledgement)
        self._resume(epochs)

    def _on_acknowledgement(self, parts: Parts) -> None:
        if self._slots is not None and self._slots.take_answer(parts):
            return
        total, *released = parts
        if len(total) == 8 and (not released or self._release(released)):
            self.acknowledge(int.from_bytes(total, "little"))
        else:
            self._refused += 1

    def _release(self, released: Parts) -> bool:
        return self._slots is not None and len(released) == 1 and self._slots.release(released[0])

    def _on_event(self, event: int) -> None:
        """Fail where a connection is lost with what is on its way: ZeroMQ would connect again, and say nothing."""
        if event == zmq.EVENT_DISCONNECTED and not self._queue.empty:
            raise LinkError(self._receiver, "the connection to it was lost, with messages on their way")

    def _transmit(self, message: Message) -> None:
        self._send(self._codec.encode(message))

    def _send(self, parts: Sequence[Buffer]) -> None:
        self._channel.send(parts)
