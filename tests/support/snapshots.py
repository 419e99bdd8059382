"""Snapshots of runs that never were."""

from typing import Any

from emopipe.pipeline.report import ProcessReport, Report, RunSnapshot


def snapshot(*reports: Report, **changes: Any) -> RunSnapshot:
    """A run of these stages that has just begun to play."""
    fields: dict[str, Any] = {
        "graph": "interview",
        "path": "interview.toml",
        "mode": "live",
        "pid": 100,
        "state": "playing",
        "at": 10**9,
        "seconds": 1.0,
        "reports": {report.stage: report for report in reports},
        "processes": {},
        "supervisor": ProcessReport(pid=100),
        "queues": {},
        "warnings": 0,
        "damaged": False,
        "refused": 0,
    }
    return RunSnapshot(**fields | changes)
