"""emopipe.pipeline.runtime.result: warnings are kept once each, and never without bound."""

from dataclasses import replace
from pathlib import Path

import msgspec

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.graph.load import graph_from_table
from emopipe.pipeline.port import LinkId
from emopipe.pipeline.report import ProcessReport, Report
from emopipe.pipeline.runtime.result import (
    KEPT_WARNINGS,
    MAX_PENDING_TEXTS,
    PendingWarnings,
    RunResult,
    RunWarning,
    snapshot,
)
from tests.support.graphs import good


def test_a_text_that_is_repeated_is_counted() -> None:
    result = RunResult()
    for _ in range(3):
        result.add_warning(RunWarning("capture", "no picture", damage=False))
    result.add_warning(RunWarning("webcam", "no picture", damage=True))
    assert [(w.stage, w.count) for w in result.warnings] == [("capture", 3), ("webcam", 1)]
    assert result.damaged


def test_the_first_and_the_newest_are_kept_and_damage_is_not_forgotten() -> None:
    result = RunResult()
    for number in range(10 * KEPT_WARNINGS):
        result.add_warning(RunWarning("capture", f"frame {number} is torn", damage=number == KEPT_WARNINGS))
    texts = [warning.text for warning in result.warnings]
    assert len(texts) == 2 * KEPT_WARNINGS
    assert texts[KEPT_WARNINGS - 1] == f"frame {KEPT_WARNINGS - 1} is torn"
    assert texts[-1] == f"frame {10 * KEPT_WARNINGS - 1} is torn"
    assert result.damaged
    assert result.forgotten == 8 * KEPT_WARNINGS


def test_a_warning_is_told_when_it_is_new_and_each_time_it_has_gained_a_digit() -> None:
    result = RunResult()
    told = [result.add_warning(RunWarning("capture", "no picture", False)) for _ in range(100)]
    assert [number for number, each in enumerate(told, 1) if each is not None] == [1, 10, 100]
    assert result.add_warning(RunWarning("capture", "no picture", False, count=5000)) is not None
    assert result.warnings[0].count == 5100


def test_warnings_that_come_too_fast_are_joined_and_none_goes_uncounted() -> None:
    pending = PendingWarnings()
    for number in range(1000):
        pending.add("capture", f"frame {number} is torn", damage=False)
        pending.add("camera", "no picture", damage=True)
    taken = pending.take()
    assert len(taken) == MAX_PENDING_TEXTS + 1
    assert sum(warning.count for warning in taken) == 2000
    assert taken[1] == RunWarning("camera", "no picture", damage=True, count=1000)
    assert taken[-1] == RunWarning("capture", "", damage=False, count=1000 - (MAX_PENDING_TEXTS - 1))
    assert pending.take() == []
    result = RunResult()
    told = result.add_warning(taken[-1])
    assert told is not None
    assert told.text == "991 more warnings came too fast to be shown"
    assert (result.forgotten, result.warnings) == (991, [])


def test_a_snapshot_holds_all_that_is_known() -> None:
    graph = graph_from_table(good(), "interview.toml")
    result = RunResult({"faces": Report(stage="faces")}, forgotten=4, refused=2)
    for _ in range(3):
        result.add_warning(RunWarning("capture", "no picture", damage=True))
    run = snapshot(graph, result, ProcessReport(pid=7), "playing", base_time=1)
    assert (run.graph, run.path, run.mode, run.pid, run.state) == ("interview", "interview.toml", "live", 7, "playing")
    assert (run.warnings, run.damaged, run.refused) == (7, True, 2)
    assert run.seconds == (run.at - 1) / SECOND
    assert run.queues[LinkId("capture", "video", "faces", "video")].size == 2
    assert snapshot(graph, result, ProcessReport(pid=7), "loading", base_time=0).seconds == 0


def test_a_snapshot_is_in_the_graphs_order_and_not_in_that_of_the_reports() -> None:
    graph = graph_from_table(good(), "interview.toml")
    stages, processes = list(graph.stages), list(graph.processes)
    result = RunResult()
    for name in reversed(processes):
        own = [Report(stage=stage) for stage in reversed(graph.processes[name])]
        result.report(name, ProcessReport(pid=7), own)
    run = snapshot(graph, result, ProcessReport(pid=7), "playing", base_time=1)
    assert (list(run.reports), list(run.processes)) == (stages, processes)


def test_a_file_whose_name_is_not_utf8_has_a_snapshot_that_can_be_sent() -> None:
    graph = replace(graph_from_table(good(), "interview.toml"), path=Path("caf\udce9.toml"), name="caf\udce9")
    run = snapshot(graph, RunResult(), ProcessReport(pid=7), "playing", base_time=0)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(run))["path"] == "caf\\udce9.toml"
