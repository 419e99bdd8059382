"""The event-time join: the inputs of one stream merged into one order that no timing can change.

Items come out by (pts, rank of the input, arrival within the input); the rank is the input's place in `inputs`.
An item is released once no input, its own included, can still bring one that belongs before it. A watermark `w`
says that nothing below `w` will come, so the first thing an input may still bring is `(w, its rank)`, and the
item `(t, r)` is complete when `(t, r) <= (w, rank)` for every input. Spelled out: an input that ranks before the
item's must have passed its time (`w > t`); one that ranks after it, or is the item's own, must have reached it
(`w >= t`). With speech ranked before faces, a window that ends at `t` is known before the face at `t`.

The idea of a join that knows *not yet* from *never* is that of Microsoft psi's Fuse; the bound is MediaPipe's
timestamp bound. Pure and synchronous, with the caller's clock: usable in a notebook, and tested with a fake one.
"""

import heapq
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

from emopipe.pipeline.message import FOREVER, Message

T = TypeVar("T")

Key = tuple[int, int]  # (pts, rank)


class Released(NamedTuple, Generic[T]):
    """One item in its place. `forced`: its budget ran out before everything that may precede it was known."""

    input: str
    pts: int
    item: T
    forced: bool


class Ended(NamedTuple):
    """The end of `input`. Its place, `pts`, is the last it said: an item's pts or a watermark.

    Whoever folds over the order must not ask more of it than *that* the input ended: how far an input had moved
    its watermark before its end may depend on how its own sender batched.
    """

    input: str
    pts: int


class _End:
    """Stands for an input's end among the pending items."""


class _Input:
    def __init__(self, rank: int, heard: int) -> None:
        self.rank = rank
        self.watermark = 0
        self.last = 0  # the largest pts it brought
        self.heard = heard
        self.ended = False

    @property
    def bound(self) -> Key:
        return self.watermark, self.rank


class EventTimeJoin(Generic[T]):
    """Merges the items of named inputs by event time; all times are in ns.

    Without `budget` and `idle` (replay) an item waits as long as it must, so the order depends on nothing but the
    items. With them (live) every wait is bounded, and what comes too late for the order is refused and counted.

    Args:
        inputs: their names; the order ranks them at equal pts.
        budget: how long an item may wait since its arrival, one for all inputs or by input (one not named waits).
        idle: an input from which nothing came for so long is not waited for, until it speaks again.
        now: the caller's clock, from which the silence of an input that has not spoken yet is counted.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        *,
        budget: int | Mapping[str, int] | None = None,
        idle: int | None = None,
        now: int = 0,
    ) -> None:
        self.late: Counter[str] = Counter()  # items refused, by input
        self._inputs = {name: _Input(rank, now) for rank, name in enumerate(inputs)}
        self._names = list(inputs)
        if isinstance(budget, int):
            budget = dict.fromkeys(inputs, budget)
        self._budgets: Mapping[str, int] = budget or {}
        self._idle = idle
        self._arrivals = 0
        self._pending: list[tuple[int, int, int, int | None, T | _End]] = []  # pts, rank, arrival, deadline, item
        self._frontier: Key = (0, 0)  # nothing below it is released any more

    @property
    def watermark(self) -> int:
        """The smallest pts that may still be released; FOREVER once everything has ended and is released."""
        return self._frontier[0]

    @property
    def pending(self) -> int:
        """The number of items that wait."""
        return sum(not isinstance(item, _End) for *_, item in self._pending)

    @property
    def ended(self) -> set[str]:
        """The inputs that have ended."""
        return {name for name, each in self._inputs.items() if each.ended}

    def push(self, input: str, pts: int, item: T, now: int = 0) -> bool:
        """Take an item that arrived at `now`; False if it is late: behind what has been released or promised.

        Push first, then `advance` to the watermark that came with it. Without `budget` and `idle` only an input
        that breaks its own promise can be late.
        """
        source = self._open(input)
        source.heard = now
        if (pts, source.rank) < self._frontier:
            self.late[input] += 1
            return False
        source.last = max(source.last, pts)
        self._queue(source, pts, now, item)
        return True

    def advance(self, input: str, watermark: int, now: int = 0) -> None:
        """Note that nothing below `watermark` will come of `input`."""
        source = self._open(input)
        source.heard = now
        source.watermark = max(source.watermark, watermark)

    def end(self, input: str, now: int = 0) -> None:
        """Note that nothing more will come of `input`: an `Ended` takes its place in the order."""
        source = self._open(input)
        source.ended = True
        self._queue(source, max(source.watermark, source.last, self.watermark), now, _End())

    def reopen(self, input: str, now: int = 0) -> None:
        """An input that has ended is back; what it brings for a place that has been passed is late."""
        source = self._inputs[input]
        source.ended = False
        source.heard = now
        self._pending = [each for each in self._pending if each[1] != source.rank or not isinstance(each[4], _End)]
        heapq.heapify(self._pending)

    def silent(self, input: str, now: int) -> bool:
        """True if nothing came of an input that has not ended for `idle`."""
        source = self._inputs[input]
        return self._idle is not None and not source.ended and now - source.heard >= self._idle

    def pop(self, now: int = 0) -> list[Released[T] | Ended]:
        """All that is complete, or overdue at `now` with all that precedes it, in order."""
        complete = self._complete(now)
        overdue = [
            (pts, rank) for pts, rank, _, deadline, _ in self._pending if deadline is not None and deadline <= now
        ]
        reach = max([complete, *overdue])
        released: list[Released[T] | Ended] = []
        while self._pending and self._pending[0][:2] <= reach:
            pts, rank, _, _, item = heapq.heappop(self._pending)
            name = self._names[rank]
            if isinstance(item, _End):
                released.append(Ended(name, pts))
            else:
                released.append(Released(name, pts, item, (pts, rank) > complete))
        self._frontier = max(self._frontier, reach)
        return released

    def next_deadline(self, now: int) -> int | None:
        """The time when `pop` may give more although nothing arrives; None if only an arrival can help."""
        deadlines = [deadline for *_, deadline, _ in self._pending if deadline is not None]
        if self._idle is not None:
            deadlines += [
                each.heard + self._idle
                for name, each in self._inputs.items()
                if not each.ended and not self.silent(name, now)
            ]
        return min(deadlines, default=None)

    def _open(self, input: str) -> _Input:
        source = self._inputs[input]
        if source.ended:
            raise ValueError(f"input {input!r} has ended and cannot bring more")
        return source

    def _queue(self, source: _Input, pts: int, now: int, item: T | _End) -> None:
        budget = self._budgets.get(self._names[source.rank])
        deadline = None if budget is None else now + budget
        heapq.heappush(self._pending, (pts, source.rank, self._arrivals, deadline, item))
        self._arrivals += 1

    def _complete(self, now: int) -> Key:
        """The first place that an input may still fill; everything up to it is complete."""
        open_bounds = {name: each.bound for name, each in self._inputs.items() if not each.ended}
        heard = [bound for name, bound in open_bounds.items() if not self.silent(name, now)]
        if heard:
            return min(heard)
        # Everybody is silent: nobody is waited for, and the furthest promise holds.
        return max(open_bounds.values(), default=(FOREVER, len(self._names)))


class Turns(Generic[T]):
    """The copies of one link in several shards taken as one: stream after stream, whichever shard is ahead.

    What comes of a later stream is held until those before it have ended on their own copies, or are passed over there.

    Args:
        shards: of each stream, in the order of their turns.
    """

    def __init__(self, shards: Mapping[str, int]) -> None:
        self._shards = list(shards.values())
        self._streams = list(shards)
        self._places = {stream: place for place, stream in enumerate(shards)} | {"": len(shards)}  # "": a link's end
        self._now = 0
        self._held: dict[int, deque[tuple[Message, T]]] = {}

    def take(self, shard: int, message: Message, item: T) -> Iterator[T]:
        """What may be taken now that `item`, with `message`, has come from `shard`: that, others before it, or none."""
        self._held.setdefault(shard, deque()).append((message, item))
        before = -1
        while before < self._now:
            before = self._now
            for held in self._held.values():
                while held and self._places.get(held[0][0].stream, 0) <= self._now:
                    message, item = held.popleft()
                    yield item
                    if message.kind == "eos" and self._places.get(message.stream) == self._now < len(self._streams):
                        self._now += 1
            self._pass_over()

    def _pass_over(self) -> None:
        """Go on to the next stream where the shard of this one has come to another."""
        if self._now < len(self._streams):
            held = self._held.get(self._shards[self._now], ())
            self._now += any(self._places.get(message.stream, 0) > self._now for message, _ in islice(held, 1))
