"""A result file told in tables: who expressed what, from when to when."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.text import printable
from emopipe.stages.sinks.findings import percent
from emopipe.stages.sinks.records import ResultRecord
from emopipe.stages.sinks.segments import Segment
from emopipe.stages.sinks.summary import StreamSummary

COLUMNS = ("who", "from s", "to s", "expresses", "confidence", "")
MAX_ROWS = 40
JUMP_NS = SECOND  # results that lie so far back say that the stream has begun anew


def summarise(records: Iterable[ResultRecord]) -> list[StreamSummary]:
    """The results of a file by stream, in the order of their beginning."""
    found: dict[str, tuple[StreamSummary, int]] = {}
    for record in records:
        summary, newest = found.get(record.stream) or (StreamSummary(record.stream), record.pts)
        if record.pts < newest - JUMP_NS:
            summary.jump()
        found[record.stream] = summary, record.pts
        summary.add(record, record.pts, record.duration)
    return [summary for summary, _ in found.values()]


def print_summary(results: Path) -> None:
    """Print the table of a JSONL result file to standard output."""
    decoder = msgspec.json.Decoder(ResultRecord)
    with results.open("rb") as file:
        print_segments(summarise(map(decoder.decode, file)))


def print_moments(moments: Iterable[dict[str, Any]]) -> None:
    """Print the table of results that are in memory, as such a file has them."""
    print_segments(summarise(msgspec.convert(moment, ResultRecord) for moment in moments))


def print_segments(summaries: Sequence[StreamSummary]) -> None:
    """Print a table of segments for each stream, only the longest where there are many, and what each comes to."""
    found = [(summary.stream, who, segment) for summary in summaries for who, segment in summary.segments()]
    if not found:
        print("no face and no voice found", file=sys.stderr)
        return
    kept = sorted(found, key=lambda row: (-row[2].length, -row[2].results))[:MAX_ROWS]
    kept.sort(key=lambda row: (row[2].start, row[1]))
    console = Console(highlight=False)
    for summary in summaries:
        own = [(who, segment) for stream, who, segment in kept if stream == summary.stream]
        if own:
            console.print(Text(printable(summary.stream)), soft_wrap=True)
            console.print(_table(own))
    if len(kept) < len(found):
        console.print(f"… and {len(found) - len(kept)} shorter segments")
    for summary in summaries:
        for sentence in summary.sentences():
            console.print(Text(f"{printable(summary.stream)}: {sentence}"), soft_wrap=True)


def _table(segments: Sequence[tuple[str, Segment]]) -> Table:
    """A row for each segment of somebody."""
    table = Table(*(Column(name, no_wrap=True) for name in COLUMNS))
    for who, segment in segments:
        table.add_row(
            who,
            f"{segment.start / SECOND:.2f}",
            f"{segment.end / SECOND:.2f}",
            segment.emotion,
            percent(segment.confidence),
            "uncertain" if segment.uncertain else "",
        )
    return table
