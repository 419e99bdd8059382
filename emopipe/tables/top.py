"""What `emopipe top` shows of a run: processes, stages and links, with rates between two snapshots."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.counters import LinkCounts
from emopipe.pipeline.port import LinkId
from emopipe.pipeline.report import HopLatency, InletCounts, Latency, ProcessReport, Report, RunSnapshot
from emopipe.pipeline.text import printable

MB = 1_000_000


class Moment(NamedTuple):
    """A run now, and a little before, from which its rates are told."""

    before: RunSnapshot
    now: RunSnapshot

    @property
    def seconds(self) -> float:
        return max((self.now.at - self.before.at) / SECOND, 1e-9)

    def rate(self, now: int, before: int) -> float:
        """A second; of what was counted anew, as after a restart, what there is now."""
        return (now - before if now >= before else now) / self.seconds


def figures(moment: Moment) -> dict[str, Any]:
    """All that `top` shows, and the counts of each stream, as plain data; times in ms, memory in MB, rates a second."""
    run = moment.now
    return {
        "graph": run.graph,
        "path": run.path,
        "mode": run.mode,
        "pid": run.pid,
        "state": run.state,
        "seconds": run.seconds,
        "interval_s": moment.seconds,
        "warnings": run.warnings,
        "damaged": run.damaged,
        "refused": run.refused,
        "processes": {name: _process(moment, name) for name in ("", *run.processes)},
        "stages": {name: _stage(moment, name) for name in run.reports},
        "links": {str(link): _link(moment, link) for link in run.queues},
    }


def screen(moment: Moment) -> RenderableType:
    """The same as tables, for people."""
    run = moment.now
    head = f"{printable(run.graph)}, {run.mode}, {run.state} {_clock(run.seconds)}, process {run.pid}"
    notes = [f"{run.warnings} warnings"] if run.warnings else []
    notes += ["damaged"] if run.damaged else []
    notes += [f"{run.refused} messages refused"] if run.refused else []
    found = figures(moment)
    return Group(
        Text(", ".join([head, *notes]), style="bold"),
        Text(""),
        _processes(found["processes"]),
        Text(""),
        _stages(found["stages"]),
        Text(""),
        _links(found["links"]),
    )


# -- figures -------------------------------------------------------------------------------------------------


def _process(moment: Moment, name: str) -> dict[str, Any]:
    now = moment.now.processes[name] if name else moment.now.supervisor
    before = moment.before.processes.get(name, ProcessReport(pid=0)) if name else moment.before.supervisor
    return {
        "pid": now.pid,
        "stages": now.stages,
        "cpu_percent": 100 * moment.rate(now.cpu, before.cpu) / SECOND,
        "memory_mb": now.memory / MB,
        "threads": now.threads,
        "descriptors": now.descriptors,
        "restarts": max((moment.now.reports[s].restarts for s in now.stages if s in moment.now.reports), default=0),
    }


def _stage(moment: Moment, name: str) -> dict[str, Any]:
    now = moment.now.reports[name]
    before = moment.before.reports.get(name, Report(stage=name))
    batches = now.counters.get("batches", 0) - before.counters.get("batches", 0)
    rows = now.counters.get("inferred", 0) - before.counters.get("inferred", 0)
    hop = _hop(moment, name)
    return {
        "in_per_s": moment.rate(_delivered(now), _delivered(before)),
        "out_per_s": moment.rate(_sent(now), _sent(before)),
        "queued_ms": _percentiles(hop.queued),
        "working_ms": _percentiles(hop.working),
        "age_ms": _percentiles(now.age.since(before.age)),
        "batch": rows / batches if batches > 0 else None,
        "restarts": now.restarts,
        "ended": now.ended,
        "counters": now.counters,
        "streams": now.streams,
    }


def _delivered(report: Report) -> int:
    return sum(counts.delivered for counts in report.inlets.values())


def _sent(report: Report) -> int:
    """Of each output once, however many links it feeds."""
    outputs: dict[str, int] = {}
    for link, counts in report.links.items():
        outputs[link.output] = max(outputs.get(link.output, 0), counts.sent)
    return sum(outputs.values())


def _hop(moment: Moment, stage: str) -> HopLatency:
    """Where time went at a stage lately, on the way to any sink."""
    found = HopLatency()
    for report in moment.now.reports.values():
        if (now := report.hops.get(stage)) is None:
            continue
        before = moment.before.reports.get(report.stage, Report(stage="")).hops.get(stage, HopLatency())
        found.queued.merge(now.queued.since(before.queued))
        found.working.merge(now.working.since(before.working))
    return found


def _link(moment: Moment, link: LinkId) -> dict[str, Any]:
    now, inlet = _counts(moment.now, link)
    before, inlet_before = _counts(moment.before, link)
    queue = moment.now.queues[link]
    return {
        "sent_per_s": moment.rate(now.sent, before.sent),
        "received_per_s": moment.rate(now.received, before.received),
        "waiting": now.waiting,
        "under_way": now.in_flight - now.waiting,
        "size": queue.size,
        "policy": queue.policy,
        "wait_ms": _percentiles(inlet.wait.since(inlet_before.wait)),
        "sent": now.sent,
        "received": now.received,
        "gaps": now.gaps,
        "dropped": now.dropped,
        "dropped_per_s": moment.rate(sum(now.dropped.values()), sum(before.dropped.values())),
        "refused": now.refused + inlet.refused,
        "unaccounted": now.unaccounted,
        "streams": {name: _stream(counts) for name, counts in now.streams.items()},
    }


def _stream(counts: LinkCounts) -> dict[str, Any]:
    return {"sent": counts.sent, "received": counts.received, "dropped": counts.dropped, "waiting": counts.waiting}


def _counts(run: RunSnapshot, link: LinkId) -> tuple[LinkCounts, InletCounts]:
    sender, receiver = run.reports.get(link.sender), run.reports.get(link.receiver)
    counts = sender.links.get(link) if sender is not None else None
    inlet = receiver.inlets.get(link) if receiver is not None else None
    return counts or LinkCounts(), inlet or InletCounts()


def _percentiles(latency: Latency) -> dict[str, float] | None:
    """None where nothing came."""
    return {f"p{n}": latency.percentile(n) / MS for n in (50, 95)} if latency.count else None


# -- tables --------------------------------------------------------------------------------------------------


def _processes(rows: Mapping[str, Mapping[str, Any]]) -> Table:
    table = _table("process", "pid", "CPU %", "MB", "threads", "files", "restarts")
    for name, row in rows.items():
        cells = [row["pid"], f"{row['cpu_percent']:.0f}", f"{row['memory_mb']:.0f}", row["threads"]]
        _add(table, name or "(supervisor)", [*cells, row["descriptors"], row["restarts"] or ""])
    return table


def _stages(rows: Mapping[str, Mapping[str, Any]]) -> Table:
    """Times are p50 and p95."""
    table = _table("stage", "in/s", "out/s", "waited ms", "worked ms", "age ms", "batch")
    for name, row in rows.items():
        times = [_two(row[each]) for each in ("queued_ms", "working_ms", "age_ms")]
        batch = f"{row['batch']:.1f}" if row["batch"] is not None else ""
        _add(table, name, [_rate(row["in_per_s"]), _rate(row["out_per_s"]), *times, batch])
    return table


def _links(rows: Mapping[str, Mapping[str, Any]]) -> Table:
    table = _table("link", "in/s", "out/s", "queue", "wait ms", "dropped")
    for name, row in rows.items():
        dropped = ", ".join(f"{count} {reason}" for reason, count in row["dropped"].items())
        lately = f" ({row['dropped_per_s']:.1f}/s)" if row["dropped_per_s"] else ""
        rates = [_rate(row["sent_per_s"]), _rate(row["received_per_s"])]
        _add(table, name, [*rates, row["waiting"], _two(row["wait_ms"]), f"{dropped}{lately}"])
    return table


def _table(first: str, *others: str) -> Table:
    columns = [Column(first, no_wrap=True, overflow="fold"), *(Column(other, justify="right") for other in others)]
    return Table(*columns, box=None, pad_edge=False, header_style="dim")


def _add(table: Table, name: str, cells: Iterable[object]) -> None:
    table.add_row(Text(printable(name)), *(Text(printable(str(cell))) for cell in cells))


def _two(percentiles: Mapping[str, float] | None) -> str:
    return " – ".join(f"{ms:.1f}" for ms in percentiles.values()) if percentiles is not None else ""


def _rate(rate: float) -> str:
    return f"{rate:.1f}" if rate else ""


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
