"""A result file told in a table: who expressed what, from when to when."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from emopipe.pipeline.clock import SECOND

MOST_ROWS = 40
APART = 1.0  # s without a result end a stretch


class Stretch(msgspec.Struct):
    """One face or voice keeping one emotion: seconds of running time, and the mean confidence."""

    stream: str
    who: str
    emotion: str
    start: float
    end: float
    results: int
    confidence: float


def stretches(records: Iterable[dict[str, Any]]) -> Iterator[Stretch]:
    """The results of a file as stretches of one emotion each, in order of their ends."""
    current: dict[tuple[str, str], Stretch] = {}
    for record in records:
        for who, emotion, confidence, start, end in _people(record):
            stream = str(record["stream"])
            stretch = current.get((stream, who))
            if stretch and stretch.emotion == emotion and start - stretch.end <= APART:
                stretch.end = end
                stretch.confidence += (confidence - stretch.confidence) / (stretch.results + 1)
                stretch.results += 1
                continue
            if stretch:
                yield stretch
            # Windows of speech overlap: what is new in this one begins where the one before ended.
            begin = max(start, stretch.end) if stretch else start
            current[stream, who] = Stretch(stream, who, emotion, min(begin, end), end, 1, confidence)
    yield from current.values()


def print_summary(results: Path) -> None:
    """Print the table of a JSONL result file to standard output."""
    with results.open("rb") as file:
        print_stretches(list(stretches(map(msgspec.json.decode, file))))


def print_stretches(found: Sequence[Stretch]) -> None:
    """Print a table of stretches to standard output, only the longest where there are many."""
    if not found:
        print("no face and no voice found", file=sys.stderr)
        return
    kept = sorted(found, key=lambda s: (s.start - s.end, -s.results))[:MOST_ROWS]
    kept.sort(key=lambda s: (s.stream, s.start, s.who))
    table = Table("recording", "who", "from s", "to s", "expresses", "confidence")
    for stretch in kept:
        table.add_row(
            stretch.stream,
            stretch.who,
            f"{stretch.start:.2f}",
            f"{stretch.end:.2f}",
            stretch.emotion,
            f"{stretch.confidence:.2f}",
        )
    console = Console()
    console.print(table)
    if len(kept) < len(found):
        console.print(f"… and {len(found) - len(kept)} shorter stretches")


def _people(record: dict[str, Any]) -> Iterator[tuple[str, str, float, float, float]]:
    """Who expresses what, how surely, and the seconds from when to when this was seen or heard."""
    start = record["time"]
    for face in record["faces"]:
        yield f"face {face['id']}", face["emotion"], face["confidence"], start, start + record["duration"] / SECOND
    if (alone := record["alone"]) is not None:
        voice = record["voice"]
        yield "voice", alone["emotion"], alone["confidence"], voice["start"] / SECOND, voice["end"] / SECOND
