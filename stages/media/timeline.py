"""A container's clock made continuous for all of its streams together: jumps closed, wrong times found."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Generic, NamedTuple, TypeVar

from emopipe.pipeline.clock import SECOND

MAX_STEP_NS = SECOND  # a larger step is believed only if the time after it agrees
MAX_BACKSTEP_NS = SECOND // 10  # in formats whose clocks start anew, as FFmpeg's own player has it
MAX_HOLE_NS = 60 * SECOND  # in such formats a larger one in all streams at once is a leap of the clock
MAX_ENTRY_NS = 2 * SECOND  # how far a stream is read behind a new start to see where the others have theirs

Item = TypeVar("Item")


def ns(time: int, base: Fraction) -> int:
    """`time` in units of `base` seconds, in ns."""
    return round(time * base * SECOND)


class Stamp(NamedTuple):
    """Times of a packet (ns), each None if the container does not say; `duration` is 0 there."""

    decode: int | None
    shown: int | None
    duration: int = 0

    @property
    def order(self) -> int | None:
        """The time that grows from packet to packet."""
        return self.decode if self.decode is not None else self.shown


class Placed(NamedTuple, Generic[Item]):
    """An item with what is to be added to its times (ns), None if they are wrong or missing."""

    stream: int
    item: Item
    offset: int | None


class _Segment(Generic[Item]):
    """What lies between two jumps of the clock."""

    def __init__(self, offset: int | None) -> None:
        self.offset = offset  # ns; None until it is known where all streams begin
        self.first: dict[int, int] = {}  # by stream: the time shown of its first packet
        self.waiting: list[tuple[int, Item, Stamp]] = []


class _StreamState(Generic[Item]):
    def __init__(self) -> None:
        self.newest: int | None = None  # the container's time, ns
        self.held: tuple[Item, Stamp] | None = None
        self.segment = 0
        self.end = 0


class Timeline(Generic[Item]):
    """Places the packets of a file's streams, given in the file's own order, on one continuous clock.

    A single wrong time in a damaged file must neither open a hole nor count as a new start: a packet whose time jumps
    is held back until the stream's next one shows which of both was right. Where the clock starts anew (files joined
    end to end), what follows begins where the longest stream before it ends, and the streams keep their distance.

    Args:
        streams: their numbers.
        restarts: the format's clocks are known to jump (MPEG-TS): so small steps back count, and leaps ahead, too.
        on_jump: called with the time (ns, continuous) at which a jump was closed, and how far it went.
    """

    def __init__(
        self,
        streams: Iterable[int],
        *,
        restarts: bool = False,
        on_jump: Callable[[int, int], None] = lambda at, jump: None,
    ) -> None:
        self._streams: dict[int, _StreamState[Item]] = {stream: _StreamState() for stream in streams}
        self._segments: list[_Segment[Item]] = [_Segment(0)]
        self._restarts = restarts
        self._on_jump = on_jump

    def admit(self, stream: int, item: Item, stamp: Stamp) -> list[Placed[Item]]:
        """What is known to be next now."""
        state = self._streams[stream]
        placed: list[Placed[Item]] = []
        raw = stamp.order
        if state.held is not None:
            (held, at), state.held = state.held, None
            placed += self._accept(stream, held, at if self._agrees(state, raw, at) else Stamp(None, None))
        if (
            raw is not None
            and state.newest is not None
            and (raw - state.newest > MAX_STEP_NS or self._goes_back(state.newest, stamp))
        ):
            state.held = (item, stamp)
        else:
            placed += self._accept(stream, item, stamp)
        return placed

    def finish(self) -> list[Placed[Item]]:
        """What is still held back at the end: time may go ahead there, but not back."""
        placed: list[Placed[Item]] = []
        for stream, state in self._streams.items():
            if state.held is not None:
                (held, stamp), state.held = state.held, None
                ahead = stamp.order is not None and state.newest is not None and stamp.order > state.newest
                placed += self._accept(stream, held, stamp if ahead else Stamp(None, None))
        for segment in self._segments:
            placed += self._resolve(segment)
        return placed

    def earliest(self, stream: int) -> int | None:
        """The continuous time (ns) of a packet that is held back; None if there is none."""
        state = self._streams[stream]
        times = [item_stamp.order for _, item_stamp in [state.held]] if state.held is not None else []
        segment = self._segments[state.segment]
        times += [stamp.order for owner, _, stamp in segment.waiting if owner == stream]
        known = [time for time in times if time is not None]
        return None if not known else min(known) + segment.offset if segment.offset is not None else state.end

    @staticmethod
    def _agrees(state: _StreamState[Item], raw: int | None, held: Stamp) -> bool:
        """Whether the time after a jump goes on from there rather than from before."""
        jumped, newest = held.order, state.newest
        return raw is not None and jumped is not None and newest is not None and abs(raw - jumped) <= abs(raw - newest)

    def _accept(self, stream: int, item: Item, stamp: Stamp) -> list[Placed[Item]]:
        state = self._streams[stream]
        placed: list[Placed[Item]] = []
        raw = stamp.order
        if raw is not None:
            if self._jumped(state, stamp):
                placed += self._enter(stream, stamp)
            state.newest = raw
        return placed + self._place(stream, item, stamp)

    def _goes_back(self, newest: int, stamp: Stamp) -> bool:
        """Whether a packet's time is too far back; where only the times shown are known, frames may be reordered."""
        assert stamp.order is not None
        most = MAX_BACKSTEP_NS if self._restarts and stamp.decode is not None else MAX_STEP_NS
        return stamp.order < newest - most

    def _jumped(self, state: _StreamState[Item], stamp: Stamp) -> bool:
        """Whether the clock itself jumped, not what is on it: a hole is in one stream alone, or short."""
        raw, newest, offset = stamp.order, state.newest, self._segments[state.segment].offset
        if raw is None or newest is None or self._goes_back(newest, stamp):
            return newest is not None
        if not self._restarts or offset is None or raw - newest <= MAX_HOLE_NS:
            return False
        return raw + offset - max(each.end for each in self._streams.values()) > MAX_HOLE_NS

    def _enter(self, stream: int, stamp: Stamp) -> list[Placed[Item]]:
        """Go on in a new segment, or in the one that another stream has entered before."""
        state = self._streams[stream]
        raw = stamp.shown if stamp.shown is not None else stamp.decode
        assert raw is not None
        placed = self._resolve(self._segments[state.segment])
        state.segment += 1
        while state.segment < len(self._segments):
            offset = self._segments[state.segment].offset
            if offset is None or raw + offset >= state.end - MAX_STEP_NS:
                break
            state.segment += 1
        if state.segment == len(self._segments):
            self._segments.append(_Segment(None))
        self._segments[state.segment].first[stream] = raw
        return placed

    def _place(self, stream: int, item: Item, stamp: Stamp) -> list[Placed[Item]]:
        state = self._streams[stream]
        segment = self._segments[state.segment]
        if segment.offset is None:
            segment.waiting.append((stream, item, stamp))
            index = state.segment
            entered = all(each.segment >= index for each in self._streams.values())
            read = (stamp.order or 0) - segment.first.get(stream, stamp.order or 0)
            return self._resolve(segment) if entered or read > MAX_ENTRY_NS else []
        return [self._locate(stream, item, stamp, segment.offset)]

    def _resolve(self, segment: _Segment[Item]) -> list[Placed[Item]]:
        """Decide where a segment lies: behind all that was."""
        if segment.offset is not None:
            return []
        end = max(each.end for each in self._streams.values())
        index = self._segments.index(segment)
        segment.offset = end - min(segment.first.values())
        self._on_jump(end, (self._segments[index - 1].offset or 0) - segment.offset)
        waiting, segment.waiting = segment.waiting, []
        return [self._locate(stream, item, stamp, segment.offset) for stream, item, stamp in waiting]

    def _locate(self, stream: int, item: Item, stamp: Stamp, offset: int) -> Placed[Item]:
        shown = stamp.shown if stamp.shown is not None else stamp.decode
        if shown is None:
            return Placed(stream, item, None)
        state = self._streams[stream]
        state.end = max(state.end, shown + offset + stamp.duration)
        return Placed(stream, item, offset)
