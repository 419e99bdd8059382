"""The join of a stage: its inputs in event-time order, stream by stream, and results that leave in that order.

What becomes of the order is a `Fold`'s affair, one for each time line; who is whose partner, a `PartnerRule`'s:

    async def setup(self) -> None:
        self._join = StreamJoin(self, ("video", "emotions"), lambda: Pairing("emotions", latest_within(0)), self._write)

    async def process(self, port: str, message: Message) -> None:
        self._join.push(port, message)

    async def moved(self, port: str, stream: str, watermark: int) -> None:
        await self._join.move(port, stream, watermark)

    def watermark(self, stream: str) -> int:
        return self._join.watermark(stream)

The rule as a value is that of Microsoft psi's `Reproducible.Last(window)`.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from emopipe.pipeline.clock import Wakeup
from emopipe.pipeline.join import Ended, EventTimeJoin, Released
from emopipe.pipeline.message import FOREVER, Message
from emopipe.pipeline.stage import Stage


class HasPts(Protocol):
    """Anything with a place in time."""

    @property
    def pts(self) -> int:
        """In ns of running time."""


class Result(Protocol):
    """Anything that a fold makes of the order."""

    @property
    def cause(self) -> Message:
        """The message that it belongs to, in whose place it leaves."""


I = TypeVar("I", bound=HasPts)  # noqa: E741
R = TypeVar("R", bound=Result)


class PartnerRule(NamedTuple):
    """The choice of a partner in another input: the newest item, if it is at most `age` ns older."""

    age: int

    def choose(self, newest: I | None, pts: int) -> I | None:
        """`newest`, the last in order up to `pts`, where it is a partner; else None."""
        return newest if newest is not None and pts - self.age <= newest.pts <= pts else None


def latest_within(age: int) -> PartnerRule:
    """The rule that the partner is the newest item of at most `age` ns before; 0: that of the same time alone."""
    return PartnerRule(age)


class Fold(Generic[R]):
    """Makes results of one time line's ordered events; what it holds back bounds the watermark."""

    @property
    def watermark(self) -> int:
        """The smallest pts that it holds back; FOREVER if there is none."""
        return FOREVER

    @property
    def pending(self) -> int:
        """The number of items it holds back."""
        return 0

    def place(self, input: str, message: Message) -> int:
        """Where in the order a message belongs, in ns: at its pts or earlier, and not before its input's last one."""
        return message.pts

    def next_place(self, input: str, watermark: int) -> int:
        """The earliest place of what may still come of an input that has come to `watermark`."""
        return watermark

    def push(self, event: Released[Message] | Ended) -> list[R]:
        """The results completed by the next event in order; theirs, by their causes' pts, must be an order too."""
        raise NotImplementedError

    def flush_before(self, watermark: int) -> list[R]:
        """The results that nothing can change any more, now that nothing below `watermark` can come."""
        return []

    def on_silence(self, input: str) -> list[R]:
        """The results that need not wait for an input of which nothing came for `idle` (live)."""
        return []

    def on_return(self, input: str) -> None:
        """Take note that an input that had ended is back."""

    def on_late(self, input: str, message: Message) -> None:
        """Take data that came too late for its place (live): what follows may still be its partner."""


class Pair(NamedTuple):
    """An item of the leading input with its partner. `forced`: not everything before it was known in time."""

    cause: Message
    partner: Message | None
    forced: bool


class Pairing(Fold[Pair]):
    """Gives each item of the input `leading` its partner of the other input, by a rule."""

    def __init__(self, leading: str, rule: PartnerRule) -> None:
        self._leading = leading
        self._rule = rule
        self._newest: Message | None = None

    def push(self, event: Released[Message] | Ended) -> list[Pair]:
        if isinstance(event, Ended):
            return []
        if event.input == self._leading:
            return [Pair(event.item, self._rule.choose(self._newest, event.pts), event.forced)]
        self._newest = event.item
        return []

    def on_late(self, input: str, message: Message) -> None:
        if input != self._leading and (self._newest is None or self._newest.pts < message.pts):
            self._newest = message


class StreamJoin(Generic[R]):
    """One event-time join for each stream of a stage; forgotten by the host as all state of `per_stream` is.

    In replay mode nothing but the messages decides. In live mode every wait is bounded by `budget` and `idle`, also
    where nothing more arrives; what comes too late for its place is counted as `late_<input>`. To be made in `setup`.

    Args:
        stage: whose inputs are joined.
        inputs: those to join, in the order of their ranks (see `EventTimeJoin`); unconnected ones are left out.
        fold: makes the fold of a new time line.
        send: called with a stream, its next result, and the smallest pts that may follow; waits where there is no room.
        budget: how long an item of each input may wait, in ns, in live mode.
        idle: after how long a silent input is not waited for, in ns, in live mode.
        max_pending: how many items of a stream may wait, in live mode; beyond it the oldest that has a budget goes.
    """

    def __init__(
        self,
        stage: Stage,
        inputs: Sequence[str],
        fold: Callable[[], Fold[R]],
        send: Callable[[str, R, int], Awaitable[None]],
        *,
        budget: Mapping[str, int],
        idle: int | None = None,
        max_pending: int | None = None,
    ) -> None:
        self._stage = stage
        self._inputs = [each for each in inputs if stage.connected(each)]
        self._fold = fold
        self._send = send
        self._live = stage.host.mode == "live"
        self._budget = budget if self._live else None
        self._idle = idle if self._live else None
        self._max_pending = max_pending if self._live else None
        self._now = stage.host.clock.now
        self._timelines = stage.per_stream(self._begin)
        self._wakeup = Wakeup(stage.host.clock)
        self._watch = stage.exit.task(self._watch_deadlines()) if self._live else None

    def push(self, port: str, message: Message) -> bool:
        """Take a message; False if it is late for its place, which the fold then knows."""
        timeline = self._timelines[message.stream]
        now = self._now()
        timeline.reopen(port, now)
        if timeline.join.push(port, timeline.fold.place(port, message), message, now):
            return True
        if message.kind == "data":  # a gap brings nothing
            self._stage.count(f"late_{port}", message.stream)
            timeline.fold.on_late(port, message)
        return False

    async def move(self, port: str, stream: str, watermark: int) -> None:
        """An input has come to `watermark`, or (FOREVER) to its end: send what is complete now."""
        timeline = self._timelines[stream]
        timeline.move(port, watermark, self._now())
        await self._release(stream)
        if self._watch is not None:
            if self._watch.done():
                self._watch.result()  # raises what ended it
            self._set_due(stream)
            self._wakeup.set()

    def watermark(self, stream: str) -> int:
        """The smallest pts that may still be sent."""
        timeline = self._timelines.get(stream)
        return timeline.watermark() if timeline is not None else self._stage.host.input_watermark(stream)

    def pending(self, stream: str) -> int:
        """The number of a stream's items and results that wait."""
        timeline = self._timelines.get(stream)
        return timeline.join.pending + timeline.fold.pending + len(timeline.unsent) if timeline is not None else 0

    def drain(self, stream: str) -> list[R]:
        """Forget a stream; gives, in order, what would have been sent if nothing more had come of it."""
        timeline = self._timelines.pop(stream, None)
        if timeline is None:
            return []
        for each in set(self._inputs) - timeline.join.ended:
            timeline.join.end(each, self._now())
        timeline.collect(self._now())
        return list(timeline.unsent)[timeline.turn.locked() :]  # the first is being sent

    def _begin(self) -> "_Timeline[R]":
        join: EventTimeJoin[Message] = EventTimeJoin(
            self._inputs, budget=self._budget, idle=self._idle, now=self._now()
        )
        return _Timeline(self._inputs, join, self._fold())

    async def _release(self, stream: str) -> None:
        timeline = self._timelines[stream]
        timeline.collect(self._now())
        while self._max_pending is not None and timeline.join.pending > self._max_pending:
            if (due := timeline.join.next_deadline(timeline.collected_at)) is None:
                break
            timeline.collect(due)
        async with timeline.turn:
            while timeline.unsent and self._timelines.get(stream) is timeline:  # else its time has jumped meanwhile
                await self._send(stream, timeline.unsent[0], timeline.watermark(after=1))
                timeline.sent = timeline.unsent.popleft().cause.pts  # now: what waits for room bounds the watermark

    async def _watch_deadlines(self) -> None:
        while True:
            dues = (timeline.due for timeline in self._timelines.values() if timeline.due is not None)
            await self._wakeup.wait(min(dues, default=None))
            await self._release_due()

    async def _release_due(self) -> None:
        now = self._now()
        due = [(each.due, stream) for stream, each in self._timelines.items() if each.due is not None]
        for _, stream in sorted(pair for pair in due if pair[0] <= now):
            if stream in self._timelines:  # it may have ended while another had to wait for room
                await self._release(stream)
                await self._stage.advance(stream)
                self._set_due(stream)

    def _set_due(self, stream: str) -> None:
        if (timeline := self._timelines.get(stream)) is not None:
            # By the time it was last looked at: an input may have fallen silent while results waited for room.
            timeline.due = timeline.join.next_deadline(timeline.collected_at)


class _Timeline(Generic[R]):
    """One stream from its begin or its last jump on: its join, its fold, and the results on their way out."""

    def __init__(self, inputs: Sequence[str], join: EventTimeJoin[Message], fold: Fold[R]) -> None:
        self.join = join
        self.fold = fold
        self.unsent: deque[R] = deque()
        self.sent = 0  # the last sent result's pts
        self.turn = asyncio.Lock()  # a deadline may pass while results wait for room
        self.due: int | None = None  # when more may go out although nothing arrives
        self.collected_at = 0  # the clock's time (ns)
        self._inputs = inputs

    def move(self, port: str, watermark: int, now: int) -> None:
        if watermark < FOREVER:
            self.reopen(port, now)
            self.join.advance(port, self.fold.next_place(port, watermark), now)
        elif port not in self.join.ended:
            self.join.end(port, now)

    def reopen(self, port: str, now: int) -> None:
        """Take an input that had ended while another went on as open again."""
        if port in self.join.ended:
            self.join.reopen(port, now)
            self.fold.on_return(port)

    def collect(self, now: int) -> None:
        """Fold what the join releases."""
        self.collected_at = now
        for event in self.join.pop(now):
            self.unsent += self.fold.push(event)
        self.unsent += self.fold.flush_before(self.join.watermark)
        for each in self._inputs:
            if self.join.silent(each, now):
                self.unsent += self.fold.on_silence(each)

    def watermark(self, after: int = 0) -> int:
        """The smallest pts that may go out after the first `after` results."""
        sent = self.unsent[after - 1].cause.pts if after else self.sent
        unsent = self.unsent[after].cause.pts if len(self.unsent) > after else FOREVER
        return max(sent, min(unsent, self.fold.watermark, self.join.watermark))
