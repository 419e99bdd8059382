"""One link's sending end: a queue with a policy, credits, and exact counts. No sockets here.

The receiver's consumption is the credit: at most `window` messages are under way, so the queue, not a socket's
buffer, is where messages wait and where a policy can still choose. What has not been acknowledged is kept.
"""

from collections import Counter, deque
from typing import Annotated

import msgspec

from pipeline.clock import SECOND, Clock
from pipeline.message import Message
from pipeline.stage import Mode, Policy, Port, about


class Queue(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A link's policy, on the receiving side (the table `[stages.NAME.queue]`)."""

    size: Annotated[int, about("how many messages may wait", unit="messages", ge=1, le=100_000)] = 16
    policy: Annotated[Policy, about("what happens when the queue is full")] = "block"
    max_age: Annotated[float, about("what has waited longer is dropped", unit="s", gt=0)] | None = None

    @classmethod
    def of(cls, port: Port, mode: Mode, table: "Queue | None" = None) -> "Queue":
        """The policy that holds: the graph's, else the port's own; in replay mode every link blocks."""
        chosen = table or cls(size=port.size, policy=port.policy)
        return cls(size=chosen.size) if mode == "replay" else chosen

    @property
    def window(self) -> int:
        """How many messages may be under way: one where the queue must keep the choice, many for throughput."""
        return self.size if self.policy == "block" else 1


class LinkCounts(msgspec.Struct, kw_only=True):
    """Data and gaps on a link, exactly: sent = received + sum(dropped) + in_flight."""

    sent: int = 0
    received: int = 0
    dropped: dict[str, int] = {}
    in_flight: int = 0
    streams: dict[str, "LinkCounts"] = {}  # the same by stream: open streams, and the last that have ended


class LinkQueue:
    """What waits on a link and what is under way, in one order: data, gaps, watermarks and EOS.

    Data and gaps fill the queue, and only they are dropped. A dropped message leaves its watermark behind, so time
    never stands still for the receiver; of watermarks of one stream that wait with nothing of the stream between
    them the newest remains, so that what waits is bounded.
    """

    def __init__(self, queue: Queue, clock: Clock) -> None:
        self.policy = queue
        self._clock = clock
        self._waiting: deque[tuple[int, Message]] = deque()  # (offered at, message)
        self._under_way: deque[Message] = deque()
        self._acknowledged = 0
        self._items_waiting = 0
        self._sent = 0
        self._received = 0
        self._dropped: Counter[str] = Counter()

    @property
    def full(self) -> bool:
        """Whether a sender must wait before it may offer data or a gap; only ever true with the policy `block`."""
        return self.policy.policy == "block" and self._items_waiting >= self.policy.size

    def has_room(self, stream: str) -> bool:
        """Whether a message of `stream` could be offered now without any being dropped."""
        return self._items_waiting < self.policy.size

    @property
    def empty(self) -> bool:
        """Whether everything offered has been consumed or dropped."""
        return not self._waiting and not self._under_way

    def counts(self) -> LinkCounts:
        in_flight = sum(map(_counts, self._under_way)) + sum(_counts(message) for _, message in self._waiting)
        return LinkCounts(sent=self._sent, received=self._received, dropped=dict(self._dropped), in_flight=in_flight)

    def offer(self, message: Message) -> None:
        """Queue a message, dropping by the policy where the queue is full."""
        now = self._clock.now()
        self._sent += _counts(message)
        if message.kind == "watermark":
            self._queue_watermark(now, message)
            return
        if _counts(message):
            if self._items_waiting >= self.policy.size:
                if self.policy.policy == "drop-newest":
                    self._dropped["newest"] += 1
                    self._queue_watermark(now, _watermark_of(message))
                    return
                if self.policy.policy == "drop-oldest":
                    self._drop_oldest("oldest")
            self._items_waiting += 1
        self._waiting.append((now, message))

    def take(self) -> Message | None:
        """The next message to transmit, or None while there is none or the credits are used up."""
        if len(self._under_way) >= self.policy.window:
            return None
        if self.policy.max_age is not None and self.policy.policy != "block":
            deadline = self._clock.now() - int(self.policy.max_age * SECOND)
            while self._items_waiting and self._oldest_item()[0] < deadline:
                self._drop_oldest("age")
        if not self._waiting:
            return None
        _, message = self._waiting.popleft()
        self._items_waiting -= _counts(message)
        self._under_way.append(message)
        return message

    def acknowledge(self, total: int) -> None:
        """The receiver has consumed `total` messages since the link began."""
        while self._acknowledged < total:
            self._received += _counts(self._under_way.popleft())
            self._acknowledged += 1

    def _oldest_item(self) -> tuple[int, Message]:
        return next(entry for entry in self._waiting if _counts(entry[1]))

    def _drop_oldest(self, reason: str) -> None:
        at = next(index for index, (_, message) in enumerate(self._waiting) if _counts(message))
        offered, message = self._waiting[at]
        del self._waiting[at]
        same = [index for index, (_, other) in enumerate(self._waiting) if other.stream == message.stream]
        ahead = next((index for index in reversed(same) if index < at), None)
        behind = next((index for index in same if index >= at), None)
        if behind is None:
            self._waiting.insert(behind := at, (offered, _watermark_of(message)))
        if ahead is not None and self._waiting[ahead][1].kind == self._waiting[behind][1].kind == "watermark":
            self._waiting[ahead] = self._waiting[behind]
            del self._waiting[behind]
        self._items_waiting -= 1
        self._dropped[reason] += 1

    def _queue_watermark(self, now: int, message: Message) -> None:
        """Put a watermark in the place of the one that waits last of its stream, else at the end."""
        for at in range(len(self._waiting) - 1, -1, -1):
            if self._waiting[at][1].stream == message.stream:
                if self._waiting[at][1].kind == "watermark":
                    self._waiting[at] = (now, message)
                    return
                break
        self._waiting.append((now, message))


def _counts(message: Message) -> bool:
    return message.kind in ("data", "gap")


def _watermark_of(message: Message) -> Message:
    return Message(kind="watermark", stream=message.stream, watermark=message.watermark, epoch=message.epoch)
