"""The batcher: rows of many messages and streams inferred together, each stream's order kept.

A message carries any number of rows (the faces of a frame); batches are counted in rows, and a message without
rows passes in its place. Everything taken counts as in flight until it has been delivered, so the watermark it
allows is never ahead of a result that is still to come.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Generic, TypeVar

from emopipe.pipeline.clock import Clock, Wakeup
from emopipe.pipeline.message import FOREVER

RECENT = 0.2  # weight of the last batch in the time a row takes

Tag = TypeVar("Tag")
Row = TypeVar("Row")
Result = TypeVar("Result")


class _Entry(Generic[Tag, Row]):
    def __init__(self, stream: str, pts: int, tag: Tag, rows: Sequence[Row], arrived: int) -> None:
        self.stream = stream
        self.pts = pts
        self.tag = tag
        self.rows = rows
        self.arrived = arrived
        self.forgotten = False

    @property
    def size(self) -> int:
        return max(1, len(self.rows))  # an entry without rows takes room too


class _Lane(Generic[Tag, Row]):
    """A stream's messages in flight, in the order they came; what the smallest pts is costs the same however many."""

    def __init__(self) -> None:
        self._entries: deque[_Entry[Tag, Row]] = deque()
        self._smallest: deque[_Entry[Tag, Row]] = deque()  # those that none behind them undercuts, by rising pts

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[_Entry[Tag, Row]]:
        return iter(self._entries)

    def append(self, entry: _Entry[Tag, Row]) -> None:
        self._entries.append(entry)
        while self._smallest and self._smallest[-1].pts > entry.pts:
            self._smallest.pop()
        self._smallest.append(entry)

    def popleft(self) -> None:
        if self._entries.popleft() is self._smallest[0]:
            self._smallest.popleft()

    def smallest(self) -> int:
        """The smallest pts."""
        return self._smallest[0].pts

    def smallest_behind(self) -> int:
        """The smallest pts but for the first message's; FOREVER if there is no other."""
        first = 1 if self._smallest[0] is self._entries[0] else 0
        return self._smallest[first].pts if len(self._smallest) > first else FOREVER


class Batcher(Generic[Tag, Row, Result]):
    """Takes messages of any stream, infers their rows in batches, and delivers the results in each stream's order.

    One batch is in flight at a time; what arrives meanwhile forms the next. Streams take turns message by message,
    so that a fast one cannot starve the others. Must be used inside a running event loop.

    Args:
        infer: rows -> as many results, in order; at most `max_size` rows at once.
        deliver: called with a message's tag, its results, and the smallest pts still in flight behind it on its
            stream (FOREVER if none): with the input's own watermark that bounds what follows.
        settled: called with a message's stream once it is no longer in flight: the watermark may have moved while
            `deliver` waited for room.
        max_size: rows in a batch.
        max_delay: how long, in ns, the oldest message waits for a batch to fill; 0 takes whatever is there as
            soon as the worker is free.
        clock: on which `max_delay` and the speed of `infer` are measured.
        backlog: how much may wait, in the time (ns) that inferring it takes by the last batches; none: a batch.
    """

    def __init__(
        self,
        infer: Callable[[list[Row]], Awaitable[Sequence[Result]]],
        deliver: Callable[[Tag, list[Result], int], Awaitable[None]],
        settled: Callable[[str], Awaitable[None]] | None = None,
        *,
        max_size: int,
        max_delay: int,
        clock: Clock,
        backlog: int | None = None,
    ) -> None:
        self._infer = infer
        self._deliver = deliver
        self._settled = settled
        self._max_size = max_size
        self._max_delay = max_delay
        self._clock = clock
        self._backlog = backlog
        self._row_time = 0.0  # ns a row has lately taken
        self._wakeup = Wakeup(clock)
        # Only streams with something queued; the first is the one that was served longest ago.
        self._queued: dict[str, deque[_Entry[Tag, Row]]] = {}
        self._waiting = 0  # rows of those
        self._in_flight: dict[str, _Lane[Tag, Row]] = {}
        self._draining = 0
        self._moved = asyncio.Event()  # set whenever something was taken, delivered or dropped
        self._worker: asyncio.Task[None] | None = None

    @property
    def pending(self) -> int:
        """The number of messages that wait to be taken into a batch."""
        return sum(map(len, self._queued.values()))

    async def put(self, stream: str, pts: int, tag: Tag, rows: Sequence[Row]) -> None:
        """Take one message; returns once there is room for the next (back-pressure).

        The message is in flight from the moment of the call, and calls keep their order, waiting or not. Room is
        one batch behind the one that is inferred, or `backlog`: more would add latency, and hide an overload from the
        link, whose policy knows what to drop.

        Raises:
            Exception: whatever ended the worker (`infer` or `deliver`).
        """
        entry = _Entry(stream, pts, tag, rows, self._clock.now())
        self._in_flight.setdefault(stream, _Lane()).append(entry)
        self._queued.setdefault(stream, deque()).append(entry)
        self._waiting += entry.size
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
            self._worker.add_done_callback(lambda _: self._moved.set())
        self._wakeup.set()
        await self._until(lambda: self._waiting <= self._room())

    def watermark(self, stream: str, input_watermark: int) -> int:
        """The smallest pts that may still be delivered on a stream whose input has come to `input_watermark`."""
        lane = self._in_flight.get(stream)
        return min(lane.smallest(), input_watermark) if lane else input_watermark

    async def drain(self, stream: str) -> None:
        """Return once everything taken of `stream` has been delivered; nothing waits for a fuller batch meanwhile.

        Raises:
            Exception: whatever ended the worker.
        """
        self._draining += 1
        self._wakeup.set()
        try:
            await self._until(lambda: stream not in self._in_flight)
        finally:
            self._draining -= 1

    def forget(self, stream: str) -> int:
        """Drop what is in flight on a stream whose time has jumped; gives the number of messages dropped.

        What is being delivered at the moment is not called back.
        """
        self._waiting -= sum(entry.size for entry in self._queued.pop(stream, ()))
        dropped = self._in_flight.pop(stream, _Lane())
        for entry in dropped:
            entry.forgotten = True
        self._moved.set()
        return len(dropped)

    async def close(self) -> None:
        """Stop the worker; what is in flight is lost."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    # -- the worker ------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            await self._run(self._take_rowless())
            if not self._queued:
                await self._wakeup.wait()
                continue
            due = min(lane[0].arrived for lane in self._queued.values()) + self._max_delay
            full = self._waiting >= self._max_size or self._waiting > self._room()  # nothing more can come
            if self._draining or full or self._clock.now() >= due:
                await self._run(self._take())
            else:
                await self._wakeup.wait(until=due)

    def _take_rowless(self) -> list[_Entry[Tag, Row]]:
        """The messages without rows that have come to the head of their streams: they wait for no batch."""
        batch: list[_Entry[Tag, Row]] = []
        for stream, lane in list(self._queued.items()):
            while lane and not lane[0].rows:
                batch.append(self._next(lane))
            if not lane:
                del self._queued[stream]
        return batch

    def _take(self) -> list[_Entry[Tag, Row]]:
        """The next batch: a message of each stream in turn, whole messages, as many as fit (always one)."""
        batch: list[_Entry[Tag, Row]] = []
        rows = 0
        while self._queued:
            stream, lane = next(iter(self._queued.items()))
            if batch and rows + len(lane[0].rows) > self._max_size:
                break
            batch.append(self._next(lane))
            rows += len(batch[-1].rows)
            del self._queued[stream]
            if lane:
                self._queued[stream] = lane  # to the end of the turn
        return batch

    def _next(self, lane: deque[_Entry[Tag, Row]]) -> _Entry[Tag, Row]:
        entry = lane.popleft()
        self._waiting -= entry.size
        return entry

    async def _run(self, batch: list[_Entry[Tag, Row]]) -> None:
        self._moved.set()
        rows = [row for entry in batch for row in entry.rows]
        results: list[Result] = []
        for start in range(0, len(rows), self._max_size):  # one message may hold more rows than a batch
            results += await self._timed(rows[start : start + self._max_size])
        if len(results) != len(rows):
            raise RuntimeError(f"infer gave {len(results)} results for {len(rows)} rows")
        start = 0
        for entry in batch:
            own = results[start : start + len(entry.rows)]
            start += len(entry.rows)
            await self._hand_over(entry, own)

    async def _timed(self, rows: list[Row]) -> Sequence[Result]:
        began = self._clock.now()
        results = await self._infer(rows)
        latest = (self._clock.now() - began) / len(rows)
        self._row_time += (latest - self._row_time) * (RECENT if self._row_time else 1)
        return results

    async def _hand_over(self, entry: _Entry[Tag, Row], results: list[Result]) -> None:
        if entry.forgotten:
            return
        lane = self._in_flight[entry.stream]
        # It stays in flight until it is delivered: while `deliver` waits for room, no watermark may overtake it.
        await self._deliver(entry.tag, results, lane.smallest_behind())
        if not entry.forgotten:
            lane.popleft()
            if not lane:
                del self._in_flight[entry.stream]
            self._moved.set()
        if self._settled is not None:
            await self._settled(entry.stream)

    # -- waiting ---------------------------------------------------------------------------------------------

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not (condition() or self._stopped()):
            self._moved.clear()
            await self._moved.wait()
        if self._worker is not None and self._worker.done():
            self._worker.result()  # raises what ended it

    def _stopped(self) -> bool:
        return self._worker is not None and self._worker.done()

    def _room(self) -> int:
        """The number of rows that may wait."""
        if self._backlog is None or not self._row_time:
            return self._max_size
        return min(self._max_size, int(self._backlog / self._row_time))
