"""Marks that are seen and heard, and what is made of samples and peers, on runs whose course is known."""

import json
import math
from collections import deque
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.benchmark import make_graph
from benchmarks.peers.crowd import STEADY_PEER, Peers
from benchmarks.peers.figures import Measured, came_and_went, drops, gaps, latency, processes, silence, sync, wrong
from benchmarks.peers.marks import Beeps, Flashes, Marks, mark, matched, whole_rounds
from benchmarks.peers.peer import looped
from benchmarks.peers.whip_client import encode
from benchmarks.procfs import Sample, sample, workers
from benchmarks.subscriber import Arrivals
from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.counters import LinkCounts
from emopipe.pipeline.port import LinkId
from emopipe.pipeline.report import Report
from emopipe.pipeline.runtime.result import RunResult
from emopipe.pipeline.testing import data, run_stage
from emopipe.stages.media.recording import Recording
from emopipe.stages.types import AudioBlock, VideoFrame
from tests.support.media import every, make, tone


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("marks")
    clip = make(folder / "clip.mp4", pictures=every(25, 1.0), sound=tone(1.0, 16_000))
    return mark(clip, folder / "marked.mkv", 4.0, width=320)


def test_marks_are_seen_and_heard_at_once(marked: Path, tmp_path: Path) -> None:
    path = tmp_path / "marks.jsonl"
    with Recording(marked) as recording:
        items = sorted(recording, key=lambda item: item.pts + item.duration)
    late = 120 * MS  # the sound is made to come later
    send = [
        (item.kind, data(item.payload, item.pts + (late if item.kind == "audio" else 0), duration=item.duration))
        for item in items
        if item.payload is not None
    ]
    run_stage(Marks(Marks.Settings(stream="test", path=str(path))), send)
    told = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    # The mark at 0 has no picture before it, so that nobody knows when it began.
    assert [each["at"] for each in told] == pytest.approx([2.0], abs=0.001)
    assert told[0]["offset_ms"] == pytest.approx(120, abs=2)


def test_other_streams_marks_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "marks.jsonl"
    dark, bright = (np.full((180, 320, 3), level, np.uint8) for level in (0, 255))
    send = [
        ("video", data(VideoFrame(luma=np.zeros((4, 4), np.uint8), small=small), n * SECOND // 30))
        for n, small in enumerate((dark, bright))
    ]
    send.append(("audio", data(AudioBlock(samples=np.zeros(1024, np.float32)))))
    run_stage(Marks(Marks.Settings(stream="another", path=str(path))), send)
    assert path.read_text(encoding="utf-8") == ""


def test_a_flash_behind_missing_pictures_is_none() -> None:
    dark, bright = (np.full((180, 320, 3), level, np.uint8) for level in (0, 255))
    flashes = Flashes()
    assert [flashes.push(dark, 0), flashes.push(bright, 33 * MS), flashes.push(bright, 67 * MS)] == [
        None,
        33 * MS,
        None,
    ]
    assert [flashes.push(dark, 100 * MS), flashes.push(bright, 200 * MS)] == [None, None]


@pytest.mark.parametrize("block", [160, 1000, 1024, 40_000])
def test_a_beep_is_found_whatever_the_blocks(block: int) -> None:
    random = np.random.default_rng(0)
    times = np.arange(40_000) / 16_000
    sound = random.normal(0, 0.02, len(times)) + 0.2 * np.sin(2 * np.pi * 440 * times)
    sound += np.where((times >= 1.0) & (times < 1.06), 0.3 * np.sin(2 * np.pi * 6000 * times), 0)
    beeps = Beeps()
    found = [
        at
        for start in range(0, len(sound), block)
        for at in beeps.push(sound[start : start + block].astype(np.float32), start * SECOND // 16_000)
    ]
    assert found == [pytest.approx(SECOND, abs=MS)]


def test_what_has_no_partner_is_dropped() -> None:
    seen, heard = (deque(each * SECOND for each in moments) for moments in ((2, 4, 8), (2, 6, 8)))
    assert list(matched(seen, heard)) == [(2 * SECOND, 2 * SECOND), (8 * SECOND, 8 * SECOND)]


def test_a_round_is_exact(marked: Path, tmp_path: Path) -> None:
    assert [whole_rounds(each) for each in (0.5, 2, 9)] == [2, 2, 10]
    sent = encode(marked, tmp_path / "sent.mkv", codec="libvpx")
    for kind, each_second in (("video", 30), ("audio", 50)):
        found = looped(sent, kind, 4.0, 6.0)
        times = np.array([float(pts * base) for _, pts, base in found])
        assert len(found) == pytest.approx(3 * 4 * each_second, abs=6)
        assert np.diff(times).min() > 0
        assert np.diff(times).max() < 0.06
        assert times[len(found) // 3] == pytest.approx(4 + times[0], abs=0.001)


def memory(slope: float) -> list[tuple[float, Sample]]:
    """An hour of samples: 50 MB that grow while it warms up, and then by `slope` MB/h."""
    return [
        (at, Sample(100 + min(at, 600) / 12 + slope * at / 3600, at / 2, 10, 20 + (at > 0)))
        for at in np.arange(0, 3601, 10.0).tolist()
    ]


def test_a_slope_leaves_the_warm_up_out() -> None:
    flat, grows = processes({"flat": memory(0), "grows": memory(12.5), "gone": []})
    assert flat["MB/h"] == pytest.approx(0, abs=1e-9)
    assert grows["MB/h"] == pytest.approx(12.5)
    assert flat["cores"] == pytest.approx(0.5)
    assert (flat["threads"], flat["files"]) == ("10 → 10", "21 → 21")


def test_a_drift_is_told_in_ppm_once_settled() -> None:
    at_first = [{"at": 2.0 * n, "offset_ms": 50.0} for n in range(5)]
    later = [{"at": at, "offset_ms": 5 + 0.02 * at} for at in np.arange(10, 1800, 2.0).tolist()]
    first, settled = sync([*at_first, {"lag_ms": 3.0}, *later])
    assert (first["number"], first["median ms"]) == (5, 50)
    assert settled["drift ppm"] == pytest.approx(20)
    assert settled["most ms"] == pytest.approx(5 + 0.02 * 1798)


def measured(peers: Peers, streams: dict[str, Arrivals], unended: list[str] | None = None) -> Measured:
    return Measured(peers, RunResult(), streams, {}, [], unended or [])


def steady(*seconds: float) -> Arrivals:
    return Arrivals(times=[(0, 0, round(each * SECOND)) for each in seconds], ended=1)


def test_peers_that_come_and_go_are_no_failure() -> None:
    peers = Peers(joined=4, left=3, killed={"guest-1": 100.0})
    run = measured(peers, {STEADY_PEER: steady(1, 2, 3), "guest-1": Arrivals(ended=round(105.5 * SECOND))})
    assert wrong(run) == []
    told = came_and_went(run)
    assert (told["killed"], told["missed after s, p50"], told["streams ended"], told["lost"]) == (1, 5.5, 2, 0)


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (measured(Peers(lost=["guest-2 could not join"]), {STEADY_PEER: steady(1, 2)}), "guest-2 could not join"),
        (measured(Peers(), {STEADY_PEER: steady(1, 2)}, ["guest-3"]), "guest-3: its stream never ended"),
        (measured(Peers(), {STEADY_PEER: steady(1, 2, 9)}), "steady: no result for 7.0 s"),
        (measured(Peers(), {}), "steady: no results came"),
    ],
)
def test_what_must_not_happen_is_told(run: Measured, told: str) -> None:
    assert [each[: len(told)] for each in wrong(run)] == [told]


def test_latency_is_told_apart() -> None:
    streams = {
        STEADY_PEER: Arrivals(times=[(0, 0, 20 * MS)] * 3, forced=1),
        "guest-1": Arrivals(times=[(0, 0, 50 * MS)]),
    }
    own, others = latency(streams)
    assert (own["results"], own["forced"], own["p50 ms"], others["oldest ms"]) == (3, 1, 20, 50)
    assert math.isnan(silence(streams["guest-1"].times))


def test_the_graph_gets_marks_and_gaps_are_of_its_server(tmp_path: Path) -> None:
    graph = make_graph("http://127.0.0.1:8099", f"ipc://{tmp_path}/results", tmp_path / "marks.jsonl", 3)
    assert graph.stages["marks"].process == graph.stages["webrtc"].process == "web"
    assert graph.stages["webrtc"].settings.max_peers == 8
    reports = {name: Report(stage=name) for name in graph.processes["web"]}
    reports["marks"] = Report(stage="marks", gaps={"video": 40 * MS})
    lags = [{"lag_ms": 2.0}, {"lag_ms": 8.0}]
    told = {each["in the process that serves WebRTC"]: each["ms"] for each in gaps(RunResult(reports), graph, lags)}
    assert told["marks.video received nothing for"] == 40
    assert told["event loop late, longest"] == 8


def test_drops_are_listed_where_there_are_any() -> None:
    link = {LinkId("webrtc", "video", "faces", "video"): LinkCounts(sent=5, received=3, dropped={"oldest": 2})}
    reports = [Report(stage="webrtc", counters={"skipped": 4, "dropped": 0}, links=link), Report(stage="fusion")]
    told = drops(RunResult({each.stage: each for each in reports}))
    assert [(each["dropped at"], each["messages"]) for each in told] == [("webrtc", 4), ("webrtc.video>faces.video", 2)]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc here")
def test_a_process_is_sampled() -> None:
    import os

    taken = sample(os.getpid())
    assert taken is not None
    assert taken.memory > 10
    assert taken.threads >= 1
    assert taken.files >= 3
    assert taken.cpu > 0
    assert sample(2**22 + 1) is None
    assert workers() == {}
