"""A result file told in a table: who expressed what, from when to when."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from emopipe.pipeline.clock import SECOND

MAX_ROWS = 40
MAX_GAP_S = 1.0  # without a result, within a segment


class Segment(msgspec.Struct):
    """One face or voice keeping one emotion: seconds of running time, and the mean confidence."""

    stream: str
    who: str
    emotion: str
    start: float
    end: float
    results: int
    confidence: float


def segments(records: Iterable[dict[str, Any]]) -> Iterator[Segment]:
    """The results of a file as segments of one emotion each, in order of their ends."""
    current: dict[tuple[str, str], Segment] = {}
    for record in records:
        for who, emotion, confidence, start, end in _people(record):
            stream = str(record["stream"])
            segment = current.get((stream, who))
            if segment and segment.emotion == emotion and start - segment.end <= MAX_GAP_S:
                segment.end = end
                segment.confidence += (confidence - segment.confidence) / (segment.results + 1)
                segment.results += 1
                continue
            if segment:
                yield segment
            # Windows of speech overlap: what is new in this one begins where the one before ended.
            begin = max(start, segment.end) if segment else start
            current[stream, who] = Segment(stream, who, emotion, min(begin, end), end, 1, confidence)
    yield from current.values()


def print_summary(results: Path) -> None:
    """Print the table of a JSONL result file to standard output."""
    with results.open("rb") as file:
        print_segments(list(segments(map(msgspec.json.decode, file))))


def print_segments(found: Sequence[Segment]) -> None:
    """Print a table of segments to standard output, only the longest where there are many."""
    if not found:
        print("no face and no voice found", file=sys.stderr)
        return
    kept = sorted(found, key=lambda s: (s.start - s.end, -s.results))[:MAX_ROWS]
    kept.sort(key=lambda s: (s.stream, s.start, s.who))
    table = Table("recording", "who", "from s", "to s", "expresses", "confidence")
    for segment in kept:
        table.add_row(
            segment.stream,
            segment.who,
            f"{segment.start:.2f}",
            f"{segment.end:.2f}",
            segment.emotion,
            f"{segment.confidence:.2f}",
        )
    console = Console()
    console.print(table)
    if len(kept) < len(found):
        console.print(f"… and {len(found) - len(kept)} shorter segments")


def _people(record: dict[str, Any]) -> Iterator[tuple[str, str, float, float, float]]:
    """Who expresses what, how surely, and the seconds from when to when this was seen or heard."""
    start = record["time"]
    for face in record["faces"]:
        yield f"face {face['id']}", face["emotion"], face["confidence"], start, start + record["duration"] / SECOND
    if (alone := record["alone"]) is not None:
        voice = record["voice"]
        yield "voice", alone["emotion"], alone["confidence"], voice["start"] / SECOND, voice["end"] / SECOND
