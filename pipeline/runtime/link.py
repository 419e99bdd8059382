"""One link's sending end: a queue with a policy, credits, and exact counts. No sockets here.

The receiver's consumption is the credit: at most `window` messages are under way, so the queue, not a socket's
buffer, is where messages wait and where a policy can still choose. Of what has not been acknowledged all is kept but
what it carries.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping

import msgspec

from emopipe.pipeline.clock import SECOND, Clock
from emopipe.pipeline.counters import LinkCounts, StreamCounters
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Queue


class Lane:
    """A queue of messages of one stream or of several.

    A dropped message leaves its watermark behind, so time never stands still for the receiver; of watermarks of one
    stream that wait with nothing of the stream between them the newest remains, so that what waits is bounded.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, Message]] = deque()  # (offered at, message)
        self.items = 0  # data and gaps that wait

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def messages(self) -> list[Message]:
        return [message for _, message in self._waiting]

    def append(self, now: int, message: Message) -> None:
        """Put data, a gap or EOS at the end."""
        self.items += is_item(message)
        self._waiting.append((now, message))

    def mark(self, now: int, watermark: Message) -> None:
        """Put a watermark in the place of the one that waits last of its stream, else at the end."""
        for at in range(len(self._waiting) - 1, -1, -1):
            if self._waiting[at][1].stream == watermark.stream:
                if self._waiting[at][1].kind == "watermark":
                    self._waiting[at] = (now, watermark)
                    return
                break
        self._waiting.append((now, watermark))

    def pop(self) -> Message:
        """The message that has waited longest."""
        _, message = self._waiting.popleft()
        self.items -= is_item(message)
        return message

    def oldest(self) -> int | None:
        """When the oldest data or gap was offered, if there is any."""
        return next((offered for offered, message in self._waiting if is_item(message)), None)

    def drop(self) -> Message:
        """Take out the oldest data or gap, of which there must be one, and leave its watermark."""
        at = next(index for index, (_, message) in enumerate(self._waiting) if is_item(message))
        offered, message = self._waiting[at]
        del self._waiting[at]
        same = [index for index, (_, other) in enumerate(self._waiting) if other.stream == message.stream]
        ahead = next((index for index in reversed(same) if index < at), None)
        behind = next((index for index in same if index >= at), None)
        if behind is None:
            self._waiting.insert(behind := at, (offered, watermark_of(message)))
        if ahead is not None and self._waiting[ahead][1].kind == self._waiting[behind][1].kind == "watermark":
            self._waiting[ahead] = self._waiting[behind]
            del self._waiting[behind]
        self.items -= 1
        return message


def is_item(message: Message) -> bool:
    """Whether a message counts and may be dropped."""
    return message.kind in ("data", "gap")


def watermark_of(message: Message) -> Message:
    """What remains of a message that is dropped."""
    return Message(kind="watermark", stream=message.stream, watermark=message.watermark, epoch=message.epoch)


class LinkQueue:
    """What waits on a link and what is under way: data, gaps, watermarks and EOS, each stream's in order.

    With the policy `block` all streams wait in one lane, in the order in which they were offered. With one that drops
    each stream has a lane of its own, as long as `size`, and the lanes take turns message by message: a fast stream
    drops its own messages and leaves the others' alone. The end of everything comes last.
    """

    def __init__(self, queue: Queue, clock: Clock) -> None:
        self.policy = queue
        self._clock = clock
        self._lanes: dict[str, Lane] = {}  # none is empty; the first is the one whose turn it is
        self._under_way: deque[Message] = deque()
        self._acknowledged = 0
        self._counts: Counter[str] = Counter()  # sent, received, gaps, and the reasons of drops
        self._stream_counts = StreamCounters()  # the same by stream

    @property
    def full(self) -> bool:
        """Whether a sender must wait before it may offer data or a gap; only ever true with the policy `block`."""
        return self.policy.policy == "block" and not self.has_room("")

    def has_room(self, stream: str) -> bool:
        """Whether data of `stream` could be offered now without any being dropped."""
        lane = self._lanes.get(self._lane(stream))
        return lane is None or lane.items < self.policy.size

    @property
    def empty(self) -> bool:
        """Whether everything offered has been consumed or dropped."""
        return not self._lanes and not self._under_way

    @property
    def waiting(self) -> list[Message]:
        """What has been offered and not been taken or dropped, lane by lane."""
        return [message for lane in self._lanes.values() for message in lane.messages()]

    def counts(self) -> LinkCounts:
        waiting = Counter(message.stream for message in self.waiting if is_item(message))
        in_flight = waiting + Counter(message.stream for message in self._under_way if is_item(message))
        counts = _link_counts(self._counts, in_flight.total(), waiting.total())
        counts.streams = {
            stream: _link_counts(each, in_flight[stream], waiting[stream])
            for stream, each in self._stream_counts.snapshot().items()
        }
        if self._stream_counts.others:
            counts.others = _link_counts(self._stream_counts.others)
        return counts

    def offer(self, message: Message) -> None:
        """Queue a message, dropping by the policy where the queue is full."""
        now = self._clock.now()
        lane = self._lanes.setdefault(self._lane(message.stream), Lane())
        if is_item(message):
            self._count("sent", message)
            if message.kind == "gap":
                self._count("gaps", message)
            if self.policy.policy == "drop-newest" and lane.items >= self.policy.size:
                self._count("newest", message)
                message = watermark_of(message)
        if message.kind == "watermark":
            lane.mark(now, message)
            return
        lane.append(now, message)
        if self.policy.policy == "drop-oldest" and lane.items > self.policy.size:
            self._count("oldest", lane.drop())

    def take(self) -> Message | None:
        """The next message to transmit, or None while there is none or the credits are used up."""
        if len(self._under_way) >= self.policy.window or not self._lanes:
            return None
        turn = next((name for name in self._lanes if name), "")  # what is of no stream ends all of them
        lane = self._lanes.pop(turn)
        if self.policy.max_age is not None and self.policy.policy != "block":
            deadline = self._clock.now() - int(self.policy.max_age * SECOND)
            while (oldest := lane.oldest()) is not None and oldest < deadline:
                self._count("age", lane.drop())
        message = lane.pop()
        if lane:
            self._lanes[turn] = lane
        self._under_way.append(msgspec.structs.replace(message, payload=None))  # a picture is not kept twice
        return message

    def acknowledge(self, total: int) -> bool:
        """The receiver has consumed `total` messages since the link began; False where that cannot be."""
        if not self._acknowledged < total <= self._acknowledged + len(self._under_way):
            return False
        while self._acknowledged < total:
            message = self._under_way.popleft()
            self._acknowledged += 1
            if is_item(message):
                self._count("received", message)
            elif message.kind == "eos" and not self._holds(message.stream):
                self._stream_counts.end(message.stream)
        return True

    def lose(self, reason: str) -> None:
        """The receiver is gone, and another begins: what is under way or waits is lost, but the ends of streams."""
        lost = [*self._under_way, *self.waiting]
        self._under_way.clear()
        self._lanes.clear()
        self._acknowledged = 0
        for message in lost:
            if is_item(message):
                self._count(reason, message)
            elif message.kind == "eos":
                self._lanes.setdefault(self._lane(message.stream), Lane()).append(self._clock.now(), message)

    def refuse(self, message: Message, reason: str) -> None:
        """Count data or a gap that is not to be sent at all."""
        self._count("sent", message)
        if message.kind == "gap":
            self._count("gaps", message)
        self._count(reason, message)

    def begin_at(self, count: int) -> None:
        """A sender before this one has sent so many messages that were received."""
        for what in ("sent", "received"):
            self._counts[what] += count
            self._stream_counts.others[what] += count

    def _lane(self, stream: str) -> str:
        return "" if self.policy.policy == "block" else stream

    def _holds(self, stream: str) -> bool:
        lane = self._lanes.get(self._lane(stream))
        waiting: Iterable[Message] = lane.messages() if lane is not None else ()
        return any(message.stream == stream for message in (*self._under_way, *waiting))

    def _count(self, what: str, message: Message) -> None:
        self._counts[what] += 1
        self._stream_counts.add(message.stream, what)


def _link_counts(counts: Mapping[str, int], in_flight: int = 0, waiting: int = 0) -> LinkCounts:
    sent, received, gaps = (counts.get(what, 0) for what in ("sent", "received", "gaps"))
    dropped = {what: count for what, count in counts.items() if what not in ("sent", "received", "gaps")}
    return LinkCounts(sent=sent, received=received, dropped=dropped, in_flight=in_flight, waiting=waiting, gaps=gaps)
