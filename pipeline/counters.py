"""Counts by stream that never grow without bound: of streams that have ended only the last few are remembered."""

from collections import Counter

import msgspec

REMEMBERED = 64  # streams that have ended


class StreamCounters:
    """Named counts of each stream that is open, and of the last `remembered` that have ended.

    Counting on a stream opens it (again); `end` says that it has ended. A stream that was forgotten and comes back
    starts from 0.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._counts: dict[str, Counter[str]] = {}
        self._ended: dict[str, None] = {}  # in the order of their ends

    def add(self, stream: str, name: str, by: int = 1) -> None:
        self._counts.setdefault(stream, Counter())[name] += by
        self._ended.pop(stream, None)

    def end(self, stream: str) -> None:
        """The stream has ended; harmless where nothing was ever counted on it."""
        if stream not in self._counts:
            return
        self._ended.pop(stream, None)
        self._ended[stream] = None
        while len(self._ended) > self._remembered:
            forgotten = next(iter(self._ended))
            del self._ended[forgotten], self._counts[forgotten]

    def snapshot(self) -> dict[str, dict[str, int]]:
        """The counts by stream, by name, as plain integers."""
        return {stream: {name: int(count) for name, count in counts.items()} for stream, counts in self._counts.items()}


class LinkCounts(msgspec.Struct, kw_only=True):
    """Data and gaps on a link, exactly: sent = received + sum(dropped) + in_flight."""

    sent: int = 0
    received: int = 0
    dropped: dict[str, int] = {}
    in_flight: int = 0
    streams: dict[str, "LinkCounts"] = {}  # the same by stream: open streams, and the last that have ended
