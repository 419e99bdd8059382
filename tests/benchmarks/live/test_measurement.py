"""Accounts and ages of many live streams, on results whose every frame is known; and the source that plays them."""

from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

import pytest

from benchmarks.live.camera import PlayedCamera, load, prepare
from benchmarks.live.measurement import (
    Account,
    accounts,
    hops,
    live_table,
    losses,
    places,
    processes,
    row,
    size,
    speaking,
)
from benchmarks.playing import GRAPH
from benchmarks.subscriber import Arrivals
from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.counters import LinkCounts
from emopipe.pipeline.errors import MediaError
from emopipe.pipeline.graph.load import graph_from_table, load_graph
from emopipe.pipeline.port import LinkId
from emopipe.pipeline.report import HopLatency, Latency, ProcessReport, Report
from emopipe.pipeline.runtime.result import RunResult
from emopipe.pipeline.testing import run_stage
from tests.support.media import every, make, tone


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make(tmp_path / "clip.mp4", pictures=every(25, 1.0), sound=tone(1.0, 16_000))


def counts(sent: int, received: int, **dropped: int) -> LinkCounts:
    return LinkCounts(sent=sent, received=received, dropped=dropped)


def run_result() -> RunResult:
    """Two streams of 100 frames: `capture1` gave 90 results, `capture2` 60."""
    video = {"capture1": counts(95, 93, oldest=2), "capture2": counts(80, 65, oldest=15)}
    reports = [
        Report(
            stage=name,
            counters={"frames": 100, "base_time_ns": 5 * SECOND},
            streams={name: {"frames": 100, "skipped": skipped}},
            links={
                LinkId(name, "video", "faces", "video"): LinkCounts(
                    sent=video[name].sent,
                    received=video[name].received,
                    dropped=video[name].dropped,
                    streams={name: video[name]},
                ),
                LinkId(name, "audio", "windows", "audio"): LinkCounts(
                    sent=9, received=4, dropped={"oldest": 5}, streams={name: counts(9, 4, oldest=5)}
                ),
            },
        )
        for name, skipped in (("capture1", 5), ("capture2", 20))
    ]
    reports.append(Report(stage="fusion", streams={"capture1": {"late_faces": 3}, "capture2": {"late_faces": 5}}))
    waited = Latency()
    waited.add(4 * MS)
    reports.append(Report(stage="publish", hops={"faces": HopLatency(queued=waited)}))
    return RunResult(
        {report.stage: report for report in reports},
        seconds=10.0,
        processes={"vision": ProcessReport(pid=7, cpu=12 * SECOND)},
    )


def heard(first: int, second: int) -> dict[str, Arrivals]:
    def results(number: int) -> Arrivals:
        return Arrivals(times=[(n * SECOND, 0, 5 * SECOND + n * SECOND + 20 * MS) for n in range(number)])

    return {"capture1": results(first), "capture2": results(second)}


def test_every_frame_is_accounted_for() -> None:
    lost = losses(run_result())
    kept = accounts(run_result(), heard(90, 60), lost)
    assert kept == {"capture1": Account(100, 90, 10, 0), "capture2": Account(100, 60, 40, 0)}
    assert sum(each.count for each in lost) == 50, "sound that was dropped is no frame"


def test_a_frame_that_nobody_explains_is_told() -> None:
    kept = accounts(run_result(), heard(90, 58), losses(run_result()))
    assert kept["capture2"].unaccounted == 2
    assert row(run_result(), heard(90, 58), kept)["unaccounted"] == 2


def test_a_stream_without_any_result_is_accounted_for() -> None:
    only = {"capture1": heard(90, 0)["capture1"]}
    assert accounts(run_result(), only, losses(run_result()))["capture2"] == Account(100, 0, 40, 60)


def test_a_row_tells_rates_ages_and_evenness() -> None:
    told = row(run_result(), heard(90, 60), accounts(run_result(), heard(90, 60), losses(run_result())))
    assert (told["streams"], told["offered_per_s"], told["results_per_s"], told["dropped_share"]) == (2, 20, 15, 0.25)
    assert told["dropped"] == 50
    assert told["cpu_ms_a_result"] == 80
    assert told["evenness"] == pytest.approx(60 / 90)
    assert (told["p50_ms"], told["oldest_ms"], told["cores_used"]) == (20, 20, 1.2)


def test_the_cpu_of_each_process_is_that_of_a_result() -> None:
    kept = accounts(run_result(), heard(90, 60), losses(run_result()))
    assert processes(run_result(), kept, beside=3 * SECOND) == pytest.approx({"vision": 80, "beside": 20})


@pytest.mark.parametrize(("windows", "silent", "share"), [(3, 1, 0.75), (0, 4, 0.0), (0, 0, 0.0)])
def test_how_much_was_spoken(windows: int, silent: int, share: float) -> None:
    report = Report(stage="windows", counters={"windows": windows, "silent_hops": silent})
    assert speaking(RunResult({"windows": report})) == share


def test_where_frames_were_dropped() -> None:
    rows = {
        (each["dropped at"], each["why"]): each for each in places(2, losses(run_result()), ["capture1", "capture2"])
    }
    assert set(rows) == {("capture", "skipped"), ("capture.video>faces.video", "oldest"), ("fusion", "late_faces")}
    assert rows["capture", "skipped"]["by stream"] == "5 20"
    assert rows["capture", "skipped"]["evenness"] == pytest.approx(0.25)


def test_a_hop_has_its_times() -> None:
    (told,) = hops(run_result(), 2)
    assert told["stage"] == "faces"
    assert told["waited p50"] == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize("layout", [None, "stages", "auto"])
def test_a_layout_is_a_right_graph(clip: Path, layout: str | None) -> None:
    table = live_table(clip, 3, 5.0, layout, f"ipc://{clip.parent}/results")
    graph = graph_from_table(table, GRAPH)
    assert graph.mode == "live"
    assert len(graph.stages["faces"].inputs["video"]) == 3
    assert graph.layout == (layout or load_graph(GRAPH).layout)
    if graph.layout == "stages":
        assert graph.processes["captures"] == ["capture1", "capture2", "capture3"]


def test_geometry_measures_the_faces_that_inference_sees_and_a_frame_it_misses_is_no_loss(clip: Path) -> None:
    graph = graph_from_table(live_table(clip, 2, 5.0, None, f"ipc://{clip.parent}/results", geometry=True), GRAPH)
    assert len(graph.stages["geometry"].inputs["video"]) == 2
    assert [str(each) for each in graph.stages["facial"].inputs["faces"]] == ["geometry.faces"]
    result = run_result()
    before = losses(result)
    link = LinkId("capture1", "video", "geometry", "video")
    result.reports["capture1"].links[link] = LinkCounts(streams={"capture1": counts(9, 6, oldest=3)})
    assert losses(result) == before


def test_a_recording_of_another_size_is_scaled_once(clip: Path, tmp_path: Path) -> None:
    import av

    made = prepare(clip, tmp_path, (320, 180))
    with av.open(str(made)) as container:
        video = container.streams.video[0]
        assert (video.width, video.height, float(video.average_rate or 0)) == (320, 180, 30)
        assert sum(1 for _ in container.decode(video=0)) == pytest.approx(30, abs=1)
    assert prepare(made, tmp_path, (320, 180)) == made


@pytest.mark.parametrize("text", ["1280", "1281x720", "0x0", "axb", "1280×720"])
def test_no_size_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is no size"):
        size(text)
    assert size("640x360") == (640, 360)


def camera(**settings: Any) -> PlayedCamera:
    return PlayedCamera(PlayedCamera.Settings(stream="one", **settings))


def test_a_recording_is_played_over_and_over(clip: Path) -> None:
    stage = camera(uri=str(clip), seconds=2.5)
    outputs = run_stage(stage, mode="live")
    pictures, sound = outputs.data("video"), outputs.data("audio")
    assert stage.counters["frames"] == pytest.approx(62, abs=4)
    assert len(pictures) + stage.counters["skipped"] == stage.counters["frames"]
    assert 2.2 * SECOND < pictures[-1].pts < 2.6 * SECOND
    assert 2.2 * SECOND < sound[-1].pts + sound[-1].duration < 2.6 * SECOND


def test_only_the_first_seconds_are_kept(tmp_path: Path) -> None:
    long = make(tmp_path / "long.mp4", pictures=every(5, 7.0))
    assert max(each.end for each in load(str(long))) <= 4.0


def test_what_holds_nothing_cannot_be_played(tmp_path: Path) -> None:
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n", encoding="utf-8")
    with pytest.raises(MediaError, match="nothing in it can be played"):
        load(str(words))
