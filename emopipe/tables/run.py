"""The result of a run as plain data, for programs that measure."""

import math
from typing import Any

import msgspec

from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.counters import LinkCounts
from emopipe.pipeline.graph.load import Graph
from emopipe.pipeline.report import Latency, ProcessReport, Report
from emopipe.pipeline.runtime.result import RunResult
from emopipe.pipeline.supervision.restarts import Restart


def figures(result: RunResult, graph: Graph) -> dict[str, Any]:
    """Everything that is known of a run; times in ms, but the run's own and the processors', in s."""
    return {
        "graph": graph.name,
        "mode": graph.mode,
        "seconds": result.seconds,
        "cpu_seconds": {name: process.cpu / SECOND for name, process in result.processes.items()},
        "processes": {name: _process(process) for name, process in result.processes.items()},
        "damaged": result.damaged,
        "refused": result.refused,
        "restarts": [_restart(restart) for restart in result.restarts],
        "warnings": msgspec.to_builtins(result.warnings),
        "stages": {name: _stage(report) for name, report in result.reports.items()},
    }


def _restart(restart: Restart) -> dict[str, Any]:
    return {
        "stages": restart.stages,
        "reason": restart.reason,
        "at_seconds": restart.at,
        "seconds": restart.seconds,
    }


def _stage(report: Report) -> dict[str, Any]:
    return {
        "counters": report.counters,
        "restarts": report.restarts,
        "streams": report.streams,
        "links": {
            f"{link.output}>{link.receiver}.{link.input}": _link(counts) for link, counts in report.links.items()
        },
        "longest_gap_ms": {port: gap / MS for port, gap in report.gaps.items()},
        "age_ms": _latency(report.age),
        "hops_ms": {
            stage: {"queued": _latency(hop.queued), "working": _latency(hop.working)}
            for stage, hop in report.hops.items()
        },
    }


def _process(process: ProcessReport) -> dict[str, Any]:
    return {
        "pid": process.pid,
        "stages": process.stages,
        "memory_mb": process.memory / 1e6,
        "threads": process.threads,
        "descriptors": process.descriptors,
        "clock_error_ms": process.clock_error / 1e6,
    }


def _link(counts: LinkCounts) -> dict[str, Any]:
    found: dict[str, Any] = {
        "sent": counts.sent,
        "received": counts.received,
        "dropped": counts.dropped,
        "in_flight": counts.in_flight,
        "gaps": counts.gaps,
    }
    if counts.streams:
        found["streams"] = {name: _link(each) for name, each in counts.streams.items()}
    if counts.others is not None:
        found["others"] = _link(counts.others)
    return found


def _latency(latency: Latency) -> dict[str, float | None]:
    """None where nothing was measured: JSON has no nan."""
    known = {f"p{percent}": latency.percentile(percent) / MS for percent in (50, 95, 99, 100)}
    return {"count": latency.count, **{name: None if math.isnan(ms) else ms for name, ms in known.items()}}
