"""What a live run shows at its end: where the time went, and what became of each stream."""

from rich.table import Column, Table
from rich.text import Text

from emopipe.pipeline.clock import MS
from emopipe.pipeline.report import Latency, Report
from emopipe.pipeline.runtime.result import RunResult
from emopipe.pipeline.text import printable

MAX_STREAMS = 40


def slowest_sink(result: RunResult) -> Report | None:
    """The sink whose results are the oldest, if any has had one."""
    sinks = [report for report in result.reports.values() if report.age.count]
    return max(sinks, key=lambda sink: sink.age.percentile(50), default=None)


def latencies(result: RunResult) -> Table | None:
    """For each hop to the slowest sink, the wait for the stage and the stage's own work."""
    sink = slowest_sink(result)
    if sink is None:
        return None
    table = Table(Column(Text(f"to {sink.stage}")), box=None, pad_edge=False, header_style="dim")
    for column in ("waited, ms: p50", "p95", "p99", "worked, ms: p50", "p95", "p99"):
        table.add_column(column, justify="right")
    for stage, hop in sink.hops.items():
        table.add_row(Text(stage), *_percentiles(hop.queued), *_percentiles(hop.working))
    table.add_row("from capture", *_percentiles(sink.age), "", "", "")
    return table


def streams(result: RunResult) -> Table | None:
    """What each stream had, where there were several."""
    reports = result.reports.values()
    names = list(dict.fromkeys(stream for report in reports for stream in report.streams))
    if len(names) < 2:
        return None
    table = Table("stream", box=None, pad_edge=False, header_style="dim")
    for column in ("frames", "results", "forced", "dropped"):
        table.add_column(column, justify="right")
    for stream in names[-MAX_STREAMS:]:
        counts = [report.streams.get(stream, {}) for report in reports]
        results = [sum(each.get(kind, 0) for kind in RESULTS) for each in counts]
        figures = [max(each.get(name, 0) for each in counts) for name in ("frames", "forced")]
        table.add_row(
            Text(printable(stream)), str(figures[0]), str(max(results)), str(figures[1]), str(dropped(result, stream))
        )
    return table


RESULTS = ("frames_with_face", "frames_without_face", "voice_windows")


def dropped(result: RunResult, stream: str) -> int:
    """How many messages of a stream were dropped on any link."""
    links = [counts for report in result.reports.values() for counts in report.links.values()]
    return sum(sum(each.streams[stream].dropped.values()) for each in links if stream in each.streams)


def _percentiles(latency: Latency) -> list[str]:
    return [f"{latency.percentile(percent) / MS:.1f}" for percent in (50, 95, 99)]
