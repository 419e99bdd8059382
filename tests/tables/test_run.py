"""emopipe.figures: a run's result as JSON has it."""

import json

import pytest

from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.counters import LinkCounts
from emopipe.pipeline.graph.load import graph_from_table
from emopipe.pipeline.port import LinkId
from emopipe.pipeline.report import HopLatency, Latency, ProcessReport, Report
from emopipe.pipeline.runtime.result import RunResult, RunWarning
from emopipe.tables.run import figures
from tests.support.graphs import good


def test_everything_is_there_and_is_json() -> None:
    age = Latency()
    age.add(12 * MS)
    counts = LinkCounts(sent=3, received=2, dropped={"oldest": 1}, streams={"s": LinkCounts(sent=3)})
    report = Report(
        stage="results",
        counters={"frames": 3},
        streams={"s": {"frames": 3}},
        links={LinkId("results", "out", "x", "in"): counts},
        age=age,
        hops={"faces": HopLatency()},
        gaps={"scores": 40 * MS},
    )
    result = RunResult(
        {"results": report}, seconds=2.5, processes={"vision": ProcessReport(pid=7, cpu=3 * SECOND, memory=4_000_000)}
    )
    result.add_warning(RunWarning("capture", "no picture", damage=True))
    graph = graph_from_table(good(), "pipeline.toml")
    found = json.loads(json.dumps(figures(result, graph), allow_nan=False))
    assert (found["graph"], found["mode"], found["seconds"]) == ("interview", "live", 2.5)
    assert found["cpu_seconds"] == {"vision": 3.0}
    assert found["processes"]["vision"]["memory_mb"] == 4.0
    assert found["damaged"] is True
    assert found["warnings"] == [{"stage": "capture", "text": "no picture", "damage": True, "count": 1}]
    results = found["stages"]["results"]
    assert results["counters"] == {"frames": 3}
    assert results["streams"] == {"s": {"frames": 3}}
    assert results["links"]["out>x.in"]["dropped"] == {"oldest": 1}
    assert results["links"]["out>x.in"]["streams"]["s"]["sent"] == 3
    assert results["age_ms"]["count"] == 1
    assert results["age_ms"]["p50"] == pytest.approx(12, rel=0.05)
    assert results["hops_ms"]["faces"]["queued"] == {"count": 0, "p50": None, "p95": None, "p99": None, "p100": None}
    assert results["longest_gap_ms"] == {"scores": 40}
