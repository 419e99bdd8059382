"""Results as JSON lines."""

import asyncio
import json
from pathlib import Path

import pytest

from emopipe.pipeline.clock import MS
from emopipe.pipeline.errors import EmopipeError, StageFailed
from emopipe.pipeline.message import Hop
from emopipe.pipeline.report import Interruption
from emopipe.pipeline.testing import StageHarness, data, gap, run_stage
from emopipe.stages.sinks.jsonl import JsonLines
from emopipe.stages.sinks.records import record
from emopipe.stages.types import Marker
from tests.support.factories import result

RESULTS = [
    result(0, {1: "happy", 2: "sad"}, "angry", duration=40 * MS),
    result(40 * MS, seq=1, duration=40 * MS),
    gap(60 * MS, 500 * MS),
    result(80 * MS, None, "fear", seq=2, forced=True),
]


def written(path: Path, **settings: str) -> JsonLines:
    stage = JsonLines(JsonLines.Settings(path=str(path), **settings), label="results")
    run_stage(stage, [("emotions", message) for message in RESULTS])
    return stage


def test_one_object_a_line_for_each_result(tmp_path: Path) -> None:
    stage = written(tmp_path / "out.jsonl")
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [record(message) for message in RESULTS if message.kind == "data"]
    assert stage.counters == {
        "frames_with_face": 1,
        "frames_without_face": 1,
        "voice_windows": 1,
        "forced": 1,
        "silent_ns": 500 * MS,
    }


def test_a_marker_is_a_line_of_its_own_between_results(tmp_path: Path) -> None:
    marker = data(Marker(value='press "left" ü', sender="paradigm", sent=12.3456789), 70 * MS)
    stage = JsonLines(JsonLines.Settings(path=str(tmp_path / "out.jsonl")))
    run_stage(stage, [("emotions", RESULTS[0]), ("markers", marker), ("emotions", RESULTS[1])], mode="live")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert lines[::2] == [record(RESULTS[0]), record(RESULTS[1])]
    said = {"marker": 'press "left" ü', "sender": "paradigm", "sent": 12.345679}
    assert lines[1] == {"stream": "test", "pts": 70 * MS, "time": 0.07, **said}
    assert (stage.counters["markers"], stage.counters["frames_with_face"]) == (1, 1)


def test_the_bytes_are_always_the_same(tmp_path: Path) -> None:
    written(tmp_path / "a.jsonl")
    written(tmp_path / "b.jsonl", timing=str(tmp_path / "t.jsonl"))
    first = (tmp_path / "a.jsonl").read_bytes()
    assert first == (tmp_path / "b.jsonl").read_bytes()
    assert first.startswith(
        b'{"stream":"test","seq":0,"pts":0,"time":0.0,"duration":40000000,"source":"face",'
        b'"faces":[{"id":1,"box":[0.25,0.125,0.5,0.5],"emotion":"happy","confidence":0.7,'
        b'"probabilities":{"angry":0.05,"disgust":0.05,"fear":0.05,"happy":0.7,'
    )


def test_timing_goes_to_a_file_of_its_own(tmp_path: Path) -> None:
    async def drive() -> None:
        settings = JsonLines.Settings(path=str(tmp_path / "out.jsonl"), timing=str(tmp_path / "timing.jsonl"))
        async with StageHarness(JsonLines(settings, label="results")) as stage:
            await stage.clock.advance(30 * MS)
            trace = [Hop("cam", 4 * MS, 5 * MS), Hop("fusion", 10 * MS, 25 * MS)]
            await stage.send("emotions", result(40, {1: "happy"}, trace=trace))

    asyncio.run(drive())
    assert json.loads((tmp_path / "timing.jsonl").read_text()) == {
        "stream": "test",
        "seq": 0,
        "pts": 40,
        "capture": "cam",
        "total_ms": 25.0,
        "hops": [
            {"stage": "fusion", "queued_ms": 5.0, "working_ms": 15.0},
            {"stage": "results", "queued_ms": 5.0, "working_ms": 0.0},
        ],
    }
    assert "ms" not in (tmp_path / "out.jsonl").read_text()


def test_a_run_that_is_cut_short_leaves_what_it_has_said(tmp_path: Path) -> None:
    async def cut_short() -> None:
        async with StageHarness(JsonLines(JsonLines.Settings(path=str(tmp_path / "out.jsonl")))) as stage:
            await stage.send("emotions", RESULTS[0])
            assert json.loads((tmp_path / "out.jsonl").read_text())["seq"] == 0

    asyncio.run(cut_short())
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 1


def test_its_files_are_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plain = JsonLines.Settings(path="out.jsonl")
    assert plain.writes() == [str(tmp_path / "out.jsonl")]
    assert plain.writes() == JsonLines.Settings(path="./out.jsonl").writes()
    both = JsonLines.Settings(path="out.jsonl", timing="timing.jsonl")
    assert both.writes() == [str(tmp_path / "out.jsonl"), str(tmp_path / "timing.jsonl")]


def test_wrong_paths_are_found_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert JsonLines.Settings(path="out.jsonl", timing="timing.jsonl").check() == []
    assert JsonLines.Settings(path="no/out.jsonl", timing=".").check() == [
        ("path", "no/out.jsonl: the directory no does not exist; create it, or choose another path"),
        ("timing", ". is a directory, expected the path of a file in it, such as results"),
    ]
    assert JsonLines.Settings(path="out.jsonl", timing="./out.jsonl").check() == [
        ("timing", "./out.jsonl is the file of the results already; choose another path")
    ]


def test_a_path_that_became_wrong_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(EmopipeError, match=r"no/out\.jsonl: the directory .*no does not exist"):
        written(tmp_path / "no" / "out.jsonl")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which is always full")
def test_a_disk_that_fills_up_ends_the_run() -> None:
    with pytest.raises(StageFailed, match="/dev/full cannot be written any more: No space left on device"):
        written(Path("/dev/full"))


def test_in_live_mode_a_line_says_what_is_missing_since_a_stage_was_restarted(tmp_path: Path) -> None:
    async def drive() -> None:
        stage = JsonLines(JsonLines.Settings(path=str(tmp_path / "out.jsonl")))
        async with StageHarness(stage, mode="live") as harness:
            await harness.send("emotions", result(0, duration=40 * MS))
            await harness.send("emotions", result(0, stream="other", duration=40 * MS))
            stage.interrupted(
                Interruption(stages=["faces"], reason="killed", seconds=2.0, epochs={"test": 1, "new": 1})
            )
            await harness.send("emotions", result(40 * MS, stream="other", seq=1))
            await harness.send("emotions", result(2500 * MS, seq=1))
            await harness.send("emotions", result(2540 * MS, seq=2))
            await harness.send("emotions", result(2500 * MS, stream="new"))
            stage.interrupted(Interruption(stages=["voice"], reason="killed", seconds=2.0, epochs={"test": 2}))
            await harness.send("emotions", result(2580 * MS, seq=3))  # faces went on meanwhile
            await harness.finish()

    asyncio.run(drive())
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    text = "faces restarted (killed), 2.0 s without"
    assert [line for line in lines if "gap" in line] == [
        {"stream": "test", "pts": 40 * MS, "time": 0.04, "duration": 2460 * MS, "gap": text},
        {"stream": "new", "pts": 500 * MS, "time": 0.5, "duration": 2000 * MS, "gap": text},
        {
            "stream": "test",
            "pts": 580 * MS,
            "time": 0.58,
            "duration": 2000 * MS,
            "gap": "voice restarted (killed), 2.0 s without",
        },
    ]
    streams = ["test", "other", "other", "test", "test", "test", "new", "new", "test", "test"]
    assert [line["stream"] for line in lines] == streams
