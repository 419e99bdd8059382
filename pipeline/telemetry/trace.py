"""A run's messages as a timeline, in Chrome's trace-event format, which https://ui.perfetto.dev opens.

Made from the hops of the messages: each process of the run is one there, each stage has tracks of what it takes and of
what it sends, a message is a slice, and arrows lead from the slice of one stage to those of the next. Slices of one
track never overlap; a stage that has several messages at a time has several tracks.

Workers collect `TraceEvent`s in a `Tracer`, and the supervisor writes them down with a `TraceWriter`. The format is the
array of events of "Trace Event Format" (Google, 2016).
"""

import contextlib
import os
from collections import OrderedDict
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from emopipe.pipeline.message import Message
from emopipe.pipeline.port import LinkId

MAX_PENDING_EVENTS = 20_000  # of one process between two reports
MAX_OPEN_FLOWS = 20_000  # messages that somebody may still take
MAX_TRACKS = 64  # of one stage and direction
MAX_TRACE_BYTES = 500_000_000  # more no viewer likes, and a disk is soon full
LEAST_NS = 1_000  # the length of a slice that took no time

_encode = msgspec.json.Encoder().encode

Key = tuple[str, str, int]  # a stage or its output, a stream, and when (ns)


class TraceEvent(msgspec.Struct, array_like=True, frozen=True):
    """A stage took a message, or sent one.

    Attributes:
        kind: which.
        stage: who.
        stream, seq, pts: which message.
        origin: of a message taken, the output that sent it (`stage.output`); of one sent, that output.
        left: of a message taken, when that output sent it (monotonic ns); else `begin`.
        begin: when it arrived; of one sent, when what it was made from did.
        end: when the stage was done with it; of one sent, when it was sent.
        first: of one sent, whether it was made from no other.
    """

    kind: Literal["in", "out"]
    stage: str
    stream: str
    seq: int
    pts: int
    origin: str
    left: int
    begin: int
    end: int
    first: bool = False


class Tracer:
    """Collects which data the stages of one process take and send; beyond `MAX_PENDING_EVENTS` it only counts."""

    def __init__(self) -> None:
        self._events: list[TraceEvent] = []
        self._lost = 0

    def taken(self, link: LinkId, message: Message, now: int) -> None:
        """The receiving stage of `link` is done with a message."""
        *before, hop = message.trace
        left = before[-1].sent if before else hop.received
        origin = f"{link.sender}.{link.output}"
        left = min(left, hop.received)  # on another host's clock it may seem later
        self._add("in", message, origin, left, hop.received, max(now, hop.received))

    def sent(self, output: str, message: Message) -> None:
        """A stage sends a message on one of its outputs."""
        hop = message.trace[-1]
        first = len(message.trace) == 1
        begin = hop.sent if first else hop.received  # what a source has seen was under way before it had it
        self._add("out", message, f"{hop.stage}.{output}", begin, begin, hop.sent, first)

    def take(self) -> tuple[list[TraceEvent], int]:
        """What was collected since the last call, and how many events found no room."""
        taken = self._events, self._lost
        self._events, self._lost = [], 0
        return taken

    def _add(
        self,
        kind: Literal["in", "out"],
        message: Message,
        origin: str,
        left: int,
        begin: int,
        end: int,
        first: bool = False,
    ) -> None:
        if len(self._events) >= MAX_PENDING_EVENTS:
            self._lost += 1
            return
        stage = message.trace[-1].stage
        self._events.append(
            TraceEvent(kind, stage, message.stream, message.seq, message.pts, origin, left, begin, end, first)
        )


class _Point(NamedTuple):
    """A moment within a slice, from which or to which an arrow leads."""

    process: int
    track: int
    at: int


class TraceWriter:
    """Writes the file; after each call it is whole and valid JSON, however the run ends.

    Attributes:
        lost: events that are not in the file: there were too many at once, or it is full.
        full: no more is written: it has `MAX_TRACE_BYTES`, or the disk is full.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._end = 0  # where the closing bracket is
        self._tracks: dict[tuple[int, str, str], dict[int, int]] = {}  # when the last slice of each track ends
        self._named: set[int] = set()  # processes
        self._numbers = 0
        self._flows = 0
        self._open: OrderedDict[Key, _Point] = OrderedDict()  # what may still be taken
        self._awaited: OrderedDict[Key, list[_Point]] = OrderedDict()  # what was taken, and is not known yet
        self.lost = 0
        self.full = False
        self._write(b"[\n", [])

    def add(self, name: str, process: int, events: list[TraceEvent], lost: int = 0, clock_error: int = 0) -> None:
        """Write down what the stages of one process have done, whose times may be wrong by `clock_error` (ns)."""
        if clock_error and process not in self._named:
            name = f"{name} (clock ± {clock_error / 1e6:.3f} ms)"
        self.lost += lost
        lines: list[dict[str, Any]] = []
        for event in sorted(events, key=lambda event: event.left):
            self._add(name, process, event, lines)
        if lines and not self.full:
            self._write(b",\n" if self._end > 2 else b"", lines)

    def close(self) -> None:
        self._file.close()

    def _add(self, name: str, process: int, event: TraceEvent, lines: list[dict[str, Any]]) -> None:
        end = max(event.end, event.left + LEAST_NS)
        track = self._track(name, process, event, end, lines)
        if track is None or self.full:
            self.lost += 1
            return
        args = {"seq": event.seq, "pts_ms": event.pts / 1e6, "output": event.origin}
        lines.append(_slice(event.stream, process, track, event.left, end) | {"args": args})
        taken = _Point(process, track, min(event.begin, end - 1))
        if event.kind == "in":
            for what, begin, until in (("queued", event.left, event.begin), ("handled", event.begin, event.end)):
                if until > begin:
                    lines.append(_slice(what, process, track, begin, until))
            self._arrive((event.origin, event.stream, event.left), taken, lines)
            self._leave((event.stage, event.stream, event.begin), taken, lines)
        else:
            if not event.first:
                self._arrive((event.stage, event.stream, event.begin), taken, lines)
            sent = _Point(process, track, min(event.end, end - 1))
            self._leave((event.origin, event.stream, event.end), sent, lines)

    def _track(self, name: str, process: int, event: TraceEvent, end: int, lines: list[dict[str, Any]]) -> int | None:
        """The first of a stage's tracks that is free; None if it has too many."""
        tracks = self._tracks.setdefault((process, event.stage, event.kind), {})
        for number, until in tracks.items():
            if until <= event.left:
                tracks[number] = end
                return number
        if len(tracks) >= MAX_TRACKS:
            return None
        if process not in self._named:
            self._named.add(process)
            lines.append(_meta("process_name", process, 0, name))
        self._numbers += 1
        number = self._numbers
        tracks[number] = end
        label = f"{event.stage} {'takes' if event.kind == 'in' else 'sends'}"
        lines.append(_meta("thread_name", process, number, label if len(tracks) == 1 else f"{label} {len(tracks)}"))
        return number

    def _leave(self, key: Key, point: _Point, lines: list[dict[str, Any]]) -> None:
        """A message may be taken from here on."""
        for taken in self._awaited.pop(key, []):
            self._flow(point, taken, lines)
        self._open[key] = point
        if len(self._open) > MAX_OPEN_FLOWS:
            self._open.popitem(last=False)

    def _arrive(self, key: Key, point: _Point, lines: list[dict[str, Any]]) -> None:
        """A message was taken here."""
        if (origin := self._open.get(key)) is not None:
            self._flow(origin, point, lines)
            return
        self._awaited.setdefault(key, []).append(point)
        if len(self._awaited) > MAX_OPEN_FLOWS:
            self._awaited.popitem(last=False)

    def _flow(self, origin: _Point, target: _Point, lines: list[dict[str, Any]]) -> None:
        self._flows += 1
        for phase, point in (("s", origin), ("f", target)):
            flow = {"ph": phase, "id": self._flows, "name": "message", "cat": "message", "ts": point.at / 1000}
            lines.append(flow | {"pid": point.process, "tid": point.track, "bp": "e"})

    def _write(self, before: bytes, lines: list[dict[str, Any]]) -> None:
        """Put lines in the place of the closing bracket, and it behind them, in one call."""
        text = before + b",\n".join(map(_encode, lines))
        try:
            if self._end + len(text) > MAX_TRACE_BYTES:
                raise OSError("it has reached its largest size")
            written = os.pwrite(self._file.fileno(), text + b"\n]\n", self._end)
            if written < len(text) + 3:
                raise OSError("the disk is full")
        except OSError:
            self.full = True
            with contextlib.suppress(OSError):
                os.ftruncate(self._file.fileno(), self._end)
                os.pwrite(self._file.fileno(), b"\n]\n", self._end)
        else:
            self._end += len(text)


def _slice(name: str, process: int, track: int, begin: int, end: int) -> dict[str, Any]:
    times = {"ts": begin / 1000, "dur": (end - begin) / 1000}
    return {"ph": "X", "name": name, "cat": "emopipe", "pid": process, "tid": track, **times}


def _meta(what: str, process: int, track: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": process, "tid": track, "args": {"name": name}}
