"""The studies of a cluster: what Ray costs is a difference, shards are rows, and no process of Ray's is left."""

import importlib.util
import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("ray")

from benchmarks.procfs import PROC
from benchmarks.studies.cluster import cost, media, shards
from benchmarks.studies.cluster.cost import CLUSTER, NO_CLUSTER, compare
from benchmarks.studies.cluster.media import Comparison, Run
from benchmarks.studies.cluster.nodes import STARTS, ClusterProcesses
from benchmarks.studies.cluster.transits import Transit, transits
from emopipe.pipeline.clock import MS
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.message import Hop, Message
from emopipe.pipeline.port import LinkId
from emopipe.pipeline.telemetry.trace import Tracer, TraceWriter
from tests.support.ray_nodes import short_folder
from tests.support.traces import read_trace


@pytest.fixture
def short() -> Iterator[Path]:
    with short_folder() as folder:
        yield folder


def processes_below(folder: Path) -> list[str]:
    """Those of clusters whose files are in a folder."""
    found = []
    for process in PROC.iterdir():
        try:
            if process.name.isdecimal() and f"RAY_TMPDIR={folder}/".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
        except OSError:  # it has ended, or is somebody else's
            continue
    return found


def row(cpu: float, p50: float, first: float) -> dict[str, float]:
    return {"CPU ms a frame": cpu, "p50 ms": p50, "first result s": first}


def test_a_cost_is_the_median_of_the_differences_within_rounds() -> None:
    rounds = [
        {NO_CLUSTER: row(10, 20, 3), CLUSTER: row(11, 25, 9)},
        {NO_CLUSTER: row(20, 30, 4), CLUSTER: row(21, 31, 8)},
        {NO_CLUSTER: row(10, 10, 3), CLUSTER: row(10, 12, 4)},
    ]
    assert compare(rounds) == pytest.approx({"CPU %": 5, "p50 ms": 2, "first result s": 4})


@pytest.mark.parametrize("study", [cost, media, shards])
def test_what_cannot_be_played_is_said(
    study: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert study.main(["gone.mp4"]) == 2  # type: ignore[attr-defined]
    assert "gone.mp4: no such file" in capsys.readouterr().err
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert study.main(["gone.mp4"]) == 2  # type: ignore[attr-defined]
    assert "Ray is not installed" in capsys.readouterr().err


@pytest.mark.parametrize(("arrived", "ms", "possible"), [(43, 3, True), (40, 0, True), (38, -2, True), (37, -3, False)])
def test_a_message_may_arrive_early_by_what_clocks_may_differ(
    arrived: int, ms: float, possible: bool, tmp_path: Path
) -> None:
    here, there = Tracer(), Tracer()
    sent, taken = Hop("capture", 40 * MS, 40 * MS), Hop("faces", arrived * MS, 50 * MS)
    here.sent("video", Message(kind="data", stream="clip", seq=1, pts=0, trace=[sent]))
    message = Message(kind="data", stream="clip", seq=1, pts=0, trace=[sent, taken])
    there.taken(LinkId("capture", "video", "faces", "video"), message, 50 * MS)
    path = tmp_path / "trace.json"
    with closing(TraceWriter(path)) as writer:
        writer.add("vision", 2, *there.take(), clock_error=2 * MS)
        writer.add("near", 1, *here.take())
    (transit,) = transits(read_trace(path), {"near": 0.0, "vision": 2.0})
    assert transit.ms == pytest.approx(ms, abs=0.002)
    assert (transit.output, transit.error, transit.possible) == ("capture.video", 2.0, possible)


def test_a_message_that_nobody_is_said_to_have_sent_is_one_sentence(tmp_path: Path) -> None:
    tracer = Tracer()
    sent, taken = Hop("capture", 40 * MS, 40 * MS), Hop("faces", 43 * MS, 50 * MS)
    message = Message(kind="data", stream="clip", seq=1, pts=0, trace=[sent, taken])
    tracer.taken(LinkId("capture", "video", "faces", "video"), message, 50 * MS)
    path = tmp_path / "trace.json"
    with closing(TraceWriter(path)) as writer:
        writer.add("vision", 2, *tracer.take())
    expected = "trace: capture.video is not said to have sent message 1 of clip, which was taken: events were lost; "
    with pytest.raises(EmopipeError, match=re.escape(expected)):
        transits(read_trace(path), {"vision": 2.0})


def test_results_that_differ_and_messages_that_come_too_early_are_seen() -> None:
    good, early = Transit("faces.faces", -1.0, 1.0), Transit("capture.video", -1.1, 1.0)
    run = Run("a\n", (10.0, 20.0), [good])
    right = Comparison(run, run)
    assert (right.same, right.early) == (True, [])
    wrong = Comparison(run, Run("b\n", (11.0, 21.0), [good, early]))
    assert (wrong.same, wrong.early) == (False, [early])
    row = wrong.row()
    assert (row["same bytes"], row["earliest ms"], row["clocks ± ms"], row["too early"]) == ("False", -1.1, 1.0, 1)


RAY = """#!/bin/sh
# Comes up, unless it is to fail a number of times yet; a child of its own that its death does not end either way.
setsid sleep 1000 &
read -r failures < "$0.failures"
if [ "$failures" -gt 0 ]; then
    echo $((failures - 1)) > "$0.failures"
    echo "timed out during startup"
else
    echo "Ray runtime started"
fi
wait
"""


@pytest.fixture
def failing_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Put a program in the place of `ray`, and say how often it is to fail yet."""
    ray = tmp_path / "ray"
    ray.write_text(RAY)
    ray.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))

    def fail(times: int) -> None:
        (tmp_path / "ray.failures").write_text(f"{times}\n")

    return fail


def test_nothing_is_left_of_a_try_that_fails_and_all_of_other_nodes(
    failing_ray: Callable[[int], None], short: Path
) -> None:
    with ClusterProcesses(short) as processes:
        environment = os.environ | processes.environment
        failing_ray(0)
        processes.start([], environment, short / "head.log")
        head = {pid for pid, _ in processes}
        failing_ray(2)
        processes.start([], environment, short / "second.log")
        second = {pid for pid, _ in processes} - head
        assert (len(head), len(second)) == (2, 2)
        assert head < {pid for pid, _ in processes}
        failing_ray(STARTS)
        with pytest.raises(EmopipeError, match=f"no third node came of it in {STARTS} tries: timed out during startup"):
            processes.start([], environment, short / "third.log")
        assert {pid for pid, _ in processes} == head | second
    assert processes_below(short) == []


@pytest.mark.slow("starts a Ray cluster and whole runs")
@pytest.mark.timeout(300)
def test_shards_are_rows_and_their_results_the_same(
    shared_media: Path, tmp_path: Path, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(short))
    clip = shared_media / "crema-d" / "1001_DFA_HAP_XX.flv"
    out = tmp_path / "shards.json"
    given = ["--seconds", "1", "--shards", "2", "--recordings", "2", "--layout", "auto", "--json", str(out)]
    assert shards.main([str(clip), *given]) == 0
    found = json.loads(out.read_text())
    assert [(row["shards"], row["on"]) for row in found["rows"]] == [(2, "this host"), (2, "Ray")]
    assert found["same"]
    here, there = found["runs"]
    assert here["frames"] == there["frames"] > 0
    assert all(row["frames/s"] > 0 and row["CPU ms a frame"] > 0 for row in found["rows"])
    assert (processes_below(short), list(short.glob("*"))) == ([], [])


@pytest.mark.slow("starts two Ray clusters and whole runs")
@pytest.mark.timeout(400)
def test_what_ray_costs(shared_media: Path, tmp_path: Path) -> None:
    out = tmp_path / "cost.json"
    clip = shared_media / "crema-d" / "1001_DFA_HAP_XX.flv"
    assert cost.main([str(clip), "--seconds", "1", "--rounds", "1", "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    (round_,) = found["rounds"]
    assert round_[NO_CLUSTER]["Ray's own CPU s"] == 0 < round_[CLUSTER]["Ray's own CPU s"]
    assert all(figure > 0 for figure in round_[CLUSTER].values())
    assert found["own_cluster_first_result_s"] > 0
    assert found["same"]
