"""Counts by stream that never grow without bound: of streams that have ended the last few are remembered by name.

Nothing that was counted is lost: those of all streams that were forgotten are kept together.
"""

from collections import Counter

import msgspec

REMEMBERED = 64  # streams that have ended


class StreamCounters:
    """Named counts of each stream that is open, and of the last `remembered` that have ended.

    Counting on a stream opens it (again); `end` says that it has ended. A stream that was forgotten and comes back
    starts from 0.

    Attributes:
        others: the counts of all streams that were forgotten, together.
    """

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self.others: Counter[str] = Counter()
        self._remembered = remembered
        self._counts: dict[str, Counter[str]] = {}
        self._ended: dict[str, None] = {}  # in the order of their ends

    def add(self, stream: str, name: str, by: int = 1) -> None:
        counts = self._counts.get(stream)
        if counts is None:  # asked for several times a message, so nothing is made in vain
            counts = self._counts[stream] = Counter()
        counts[name] += by
        self._ended.pop(stream, None)

    def end(self, stream: str) -> None:
        """The stream has ended; harmless where nothing was ever counted on it."""
        if stream not in self._counts:
            return
        self._ended.pop(stream, None)
        self._ended[stream] = None
        while len(self._ended) > self._remembered:
            forgotten = next(iter(self._ended))
            del self._ended[forgotten]
            self.others += self._counts.pop(forgotten)

    def snapshot(self) -> dict[str, dict[str, int]]:
        """The counts by stream, by name, as plain integers."""
        return {stream: {name: int(count) for name, count in counts.items()} for stream, counts in self._counts.items()}


class LinkCounts(msgspec.Struct, kw_only=True):
    """Data and gaps on a link, exactly: sent = received + sum(dropped) + in_flight.

    Attributes:
        sent: by the stage, into the link's queue.
        received: what the receiving stage has consumed and acknowledged.
        dropped: what went to nobody, by reason: `oldest` and `newest` where the queue was full, `age` where it had
            waited too long.
        in_flight: what waits in the queue, or is under way and not acknowledged.
        waiting: how much of that waits in the queue.
        gaps: how many of those sent said that nothing was there.
        refused: acknowledgements of what was not under way; they change nothing.
        streams: the same by stream: open streams, and the last that have ended.
        others: the same of all other streams, together: with `streams` they make up the whole.
    """

    sent: int = 0
    received: int = 0
    dropped: dict[str, int] = {}
    in_flight: int = 0
    waiting: int = 0
    gaps: int = 0
    refused: int = 0
    streams: dict[str, "LinkCounts"] = {}
    others: "LinkCounts | None" = None

    @property
    def unaccounted(self) -> int:
        """What was sent and is neither received, nor dropped, nor in flight: 0, or there is a mistake."""
        return self.sent - self.received - sum(self.dropped.values()) - self.in_flight
