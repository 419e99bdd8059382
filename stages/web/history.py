"""What a page that opens late, or again, is told of the time before: some results of each stream."""

from collections import deque
from typing import TypedDict

from emopipe.pipeline.clock import MS

STEP_NS = 200 * MS  # of running time between two results that are kept: a time line needs no more
MAX_ENDED_STREAMS = 16  # streams that have ended and are still told of


class StreamEntry(TypedDict):
    """One stream, as pages are told of it."""

    stream: str
    ended: bool


class ResultHistory:
    """Some of the newest results of each stream, and which streams there are.

    Args:
        length: how far back results are kept, in ns of running time.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._streams: dict[str, deque[tuple[int, bytes]]] = {}
        self._ended: dict[str, None] = {}  # in the order of their ends

    def begin(self, stream: str) -> bool:
        """There is something of `stream`; whether it is new, or has begun anew."""
        if stream in self._streams and stream not in self._ended:
            return False
        self._ended.pop(stream, None)
        self._streams.pop(stream, None)
        self._streams[stream] = deque()
        return True

    def add(self, stream: str, pts: int, text: bytes, *, decimate: bool) -> None:
        """Keep a result, unless they may be thinned out and one of almost the same time is kept already."""
        kept = self._streams[stream]
        if kept and pts < kept[-1][0]:  # time has jumped back
            kept.clear()
        if self._length and not (decimate and kept and pts < kept[-1][0] + STEP_NS):
            kept.append((pts, text))
        while kept and kept[0][0] < pts - self._length:
            kept.popleft()

    def end(self, stream: str) -> None:
        """The stream has ended; it is forgotten once enough others have ended after it."""
        if stream not in self._streams:
            return
        self._ended[stream] = None
        while len(self._ended) > MAX_ENDED_STREAMS:
            forgotten = next(iter(self._ended))
            del self._ended[forgotten], self._streams[forgotten]

    def streams(self) -> list[StreamEntry]:
        """All streams, in the order of their beginning."""
        return [{"stream": stream, "ended": stream in self._ended} for stream in self._streams]

    def texts(self, stream: str | None) -> list[bytes]:
        """The kept results of all streams, or of one unless it has ended, as one JSON message each stream.

        Who asks for one alone is its sender: results of before are those of somebody else of the same name.
        """
        if stream is None:
            chosen = list(self._streams.values())
        else:
            chosen = [self._streams[stream]] if stream in self._streams and stream not in self._ended else []
        return [
            b'{"type":"history","results":[' + b",".join(text for _, text in kept) + b"]}" for kept in chosen if kept
        ]
