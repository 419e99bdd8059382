"""The packets of a container's streams in the order of their times, however the file interleaves them."""

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import av
from av.container import InputContainer
from av.format import Flags
from av.packet import Packet

from emopipe.pipeline.clock import SECOND
from emopipe.stages.media.damage import FFmpegErrors, explain
from emopipe.stages.media.timeline import Placed, Stamp, Timeline, ns

MAX_AHEAD_BYTES = 128 << 20
"""What is read ahead to find the next packet of every stream; beyond it, the file is taken in its own order."""

PACKET_BYTES = 1024  # what a packet costs beside its data
MAX_REORDERED_PACKETS = 16  # between a packet and the one shown next: H.264 and HEVC allow no more
WRAPS = {"mpegts": 1 << 33}  # formats whose clock starts at 0 again after so many of its units
MAX_FAILED_READS = 100  # one after the other, before the rest of a recording is given up


class Demuxed(NamedTuple):
    """What comes next in the file's time.

    Attributes:
        stream: its number.
        packet: None at the end of the stream, and for what cannot be read; its times are on the continuous clock, or
            None where the container has them wrong.
        wrong: what cannot be read there, else empty.
    """

    stream: int
    packet: "Packet[Any] | None"
    wrong: str = ""


class _DecodeOrder:
    """Decode times for a stream whose container has none and reorders frames: those shown, in their own order.

    FFmpeg makes some up, but is wrong by seconds where frames last that long.
    """

    def __init__(self) -> None:
        self._packets: deque[Packet[Any]] = deque()
        self._times: list[int] = []

    def push(self, packet: "Packet[Any]") -> "Iterator[Packet[Any]]":
        """The packets whose times are known now."""
        self._packets.append(packet)
        if packet.pts is not None:
            heapq.heappush(self._times, packet.pts)
        while len(self._packets) > MAX_REORDERED_PACKETS:
            yield self._next()

    @property
    def earliest(self) -> int | None:
        """The earliest time shown of those held back."""
        return self._times[0] if self._times else None

    def flush(self) -> "Iterator[Packet[Any]]":
        """The rest."""
        while self._packets:
            yield self._next()

    def _next(self) -> "Packet[Any]":
        packet = self._packets.popleft()
        packet.dts = heapq.heappop(self._times) if packet.pts is not None and self._times else None
        return packet


class Demuxer:
    """Reads ahead until it has the next packet of every stream, or `MAX_AHEAD_BYTES`, and gives out the earliest.

    Args:
        container: read from its beginning.
        streams: those to read.
        errors: hears what FFmpeg says while it reads.
        on_jump: called with the time (ns, continuous) at which a jump of the clock was closed, and how far it went.
        max_ahead: bytes to read ahead.
    """

    def __init__(
        self,
        container: InputContainer,
        streams: Sequence[Any],
        errors: FFmpegErrors,
        on_jump: Callable[[int, int], None] = lambda at, jump: None,
        max_ahead: int = MAX_AHEAD_BYTES,
    ) -> None:
        self._container = container
        self._streams = list(streams)
        self._bases = {stream.index: stream.time_base or Fraction(1, av.time_base) for stream in streams}
        self._errors = errors
        self._wrap = WRAPS.get(container.format.name)
        self._latest: int | None = None  # time (units of the clock) read last, in whichever stream
        restarts = bool(Flags(container.format.flags) & Flags.ts_discont)
        self._timeline: Timeline[Demuxed] = Timeline(self._bases, restarts=restarts, on_jump=on_jump)
        self._reordered = {
            stream.index: _DecodeOrder()
            for stream in streams
            if "matroska" in container.format.name and stream.type == "video"
        }
        self._queues: dict[int, deque[Demuxed]] = {index: deque() for index in self._bases}
        self._newest = dict.fromkeys(self._bases, 0)  # time (ns) of the packet given last
        self._ended: set[int] = set()  # streams whose end was given
        self._max_ahead = max_ahead
        self._ahead = 0  # bytes read ahead

    def __iter__(self) -> Iterator[Demuxed]:
        reading = self._read()
        read_all = False
        while True:
            while not read_all and self._ahead < self._max_ahead and not all(self._queues.values()):
                read_all = not next(reading, False)
            if read_all:
                for index, queue in self._queues.items():
                    if not queue and index not in self._ended:
                        self._ended.add(index)
                        yield Demuxed(index, None)
            waiting = [index for index, queue in self._queues.items() if queue]
            if not waiting:
                if read_all:
                    return
                read_all = not next(reading, False)  # all that was read ahead is held back
                continue
            yield self._take(min(waiting, key=self._head))

    def next_time(self, stream: int) -> int | None:
        """No frame of the stream's packets to come is earlier (ns, continuous); None where that is not known."""
        head = next((entry.packet for entry in self._queues[stream] if entry.packet is not None), None)
        if head is not None:
            times = [head.pts, head.dts]
        else:
            order = self._reordered.get(stream)
            times = [order.earliest if order is not None else None]
        known = [ns(time, self._bases[stream]) for time in times if time is not None]
        if (held := self._timeline.earliest(stream)) is not None:
            known.append(held)
        return min(known, default=None)

    def _head(self, stream: int) -> int:
        packet = self._queues[stream][0].packet
        time = None if packet is None else packet.dts if packet.dts is not None else packet.pts
        return self._newest[stream] if time is None else ns(time, self._bases[stream])

    def _take(self, stream: int) -> Demuxed:
        self._newest[stream] = self._head(stream)
        entry = self._queues[stream].popleft()
        self._ahead -= _cost(entry.packet)
        return entry

    def _read(self) -> Iterator[bool]:
        """Queue what comes next in the file, once for each time this is asked."""
        stream = self._streams[0].index
        failures = 0
        packets = self._container.demux(self._streams)
        while failures < MAX_FAILED_READS:
            with self._errors.capture() as logs:
                try:
                    packet = next(packets, None)
                except IndexError:
                    # PyAV stumbles at the very end where damage has made FFmpeg see another stream on the way.
                    break
                except av.error.FFmpegError as error:
                    failures += 1
                    # The iterator has ended with its error; a new one goes on at the same place.
                    packets = self._container.demux(self._streams)
                    self._queue(Demuxed(stream, None, explain(error, logs)))
                    yield True
                    continue
            failures = 0
            if packet is None:
                break
            if packet.size:  # PyAV ends each stream with an empty packet
                stream = packet.stream_index
                self._unwrap(packet)
                self._ahead += _cost(packet)
                order = self._reordered.get(stream)
                self._admit([packet] if order is None else order.push(packet))
            yield True
        for order in self._reordered.values():
            self._admit(order.flush())
        for placed in self._timeline.finish():
            self._place(placed)

    def _unwrap(self, packet: "Packet[Any]") -> None:
        """Take of the times that a packet's may stand for the one nearest to the packet's before it.

        FFmpeg does so for each stream alone, and not where one begins before its clock's 0 and another, after it,
        comes first in the file.
        """
        time = packet.dts if packet.dts is not None else packet.pts
        if self._wrap is None or time is None:
            return
        turns = 0 if self._latest is None else round((self._latest - time) / self._wrap) * self._wrap
        packet.dts = None if packet.dts is None else packet.dts + turns
        packet.pts = None if packet.pts is None else packet.pts + turns
        self._latest = time + turns

    def _admit(self, packets: "Iterable[Packet[Any]]") -> None:
        for packet in packets:
            entry = Demuxed(packet.stream_index, packet)
            for placed in self._timeline.admit(packet.stream_index, entry, self._stamp(packet)):
                self._place(placed)

    def _stamp(self, packet: "Packet[Any]") -> Stamp:
        base = self._bases[packet.stream_index]
        decode, shown = (None if time is None else ns(time, base) for time in (packet.dts, packet.pts))
        return Stamp(decode, shown, ns(packet.duration or 0, base))

    def _place(self, placed: Placed[Demuxed]) -> None:
        packet = placed.item.packet
        assert packet is not None
        if placed.offset is None:
            packet.pts = packet.dts = None
        elif placed.offset:
            offset = round(Fraction(placed.offset, SECOND) / self._bases[placed.stream])
            packet.pts = None if packet.pts is None else packet.pts + offset
            packet.dts = None if packet.dts is None else packet.dts + offset
        self._queues[placed.stream].append(placed.item)

    def _queue(self, entry: Demuxed) -> None:
        self._ahead += _cost(entry.packet)
        self._queues[entry.stream].append(entry)


def _cost(packet: "Packet[Any] | None") -> int:
    return PACKET_BYTES + (packet.size if packet is not None else 0)
