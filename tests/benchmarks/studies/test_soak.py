"""benchmarks.studies.soak: what it says of minutes and processes is what their stages have said."""

import math

import pytest

from benchmarks.studies.soak import MB, Sample, Soak
from emopipe.pipeline.clock import MS
from emopipe.pipeline.counters import LinkCounts
from emopipe.pipeline.port import LinkId
from emopipe.pipeline.report import InletCounts, Latency, ProcessReport, Report
from emopipe.pipeline.runtime.result import RunResult

LINK = LinkId("faces", "faces", "publish", "faces")


def sample(minute: int, results: int, *, dropped: int = 0, memory: float = 100.0, pid: int = 7) -> Sample:
    """A run after so many minutes, whose results took as many ms each as minutes had passed, and then some."""
    age = Latency()
    for number in range(results):
        age.add((10 * (number // 100) + 10) * MS)
    counts = LinkCounts(sent=results + dropped, received=results, dropped={"age": dropped})
    counts.others = LinkCounts(sent=results + dropped, received=results, dropped={"age": dropped})
    reports = {
        "faces": Report(stage="faces", links={LINK: counts}, restarts=minute),
        "publish": Report(stage="publish", age=age, inlets={LINK: InletCounts(delivered=results)}),
    }
    process = ProcessReport(pid=pid, memory=round(memory * MB), descriptors=20 + minute, threads=4)
    return Sample(60.0 * minute, reports, {"vision": process})


def test_a_minutes_results_are_its_own() -> None:
    soak = Soak("", 60, [sample(0, 0), sample(1, 100), sample(2, 200, dropped=5)])
    first, second = soak.by_minute()
    assert (first["results"], second["results"]) == (100, 100)
    assert first["p50 ms"] == pytest.approx(10, rel=0.05)
    assert second["p50 ms"] == pytest.approx(20, rel=0.05)
    assert (first["dropped"], second["dropped"]) == (0, 5)
    assert (second["restarts"], second["MB"], second["files"]) == (2, 100, 22)


def test_a_process_that_grows_has_a_slope_and_one_that_was_started_anew_has_none() -> None:
    grown = Soak("", 60, [sample(n, 100 * n, memory=200 if n < 3 else 100 + n) for n in range(10)])
    (row,) = grown.by_process()
    assert row["MB/h"] == pytest.approx(60)  # the warm-up is left out
    assert row["files"] == "23 → 29"
    killed = Soak("", 60, [sample(n, 100 * n, pid=7 + n // 8) for n in range(10)])
    assert math.isnan(float(str(killed.by_process()[0]["MB/h"])))


def test_what_must_not_be_is_said() -> None:
    soak = Soak("", 60, [sample(0, 0), sample(1, 100), sample(2, 100)])
    soak.conclude(RunResult(soak.samples[-1].reports))
    assert soak.wrong == ["no result in minute 2"]
    soak.samples[-1].reports["faces"].links[LINK].sent += 1
    soak.conclude(RunResult(soak.samples[-1].reports))
    assert "faces.faces>publish.faces: 1 of 101 messages unaccounted for" in soak.wrong
