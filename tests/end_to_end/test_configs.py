"""Every graph in configs/: each is right, and each plays, with a made-up face and voice in the place of its source."""

import asyncio
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from emopipe.pipeline.graph.load import Graph, graph_from_table, load_graph, read_table
from emopipe.pipeline.runtime.supervisor import Supervisor
from emopipe.pipeline.telemetry.audit import audit
from tests.support.endpoints import free_port
from tests.support.paths import ROOT

CONFIGS = sorted((ROOT / "configs").glob("*.toml"))
DURATION = 4.5  # s: a face from 1 s on, a voice from 3 s on

ELSEWHERE = {"webrtc.toml"}  # played by a test of its own: by real peers

by_name = pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)


def made_up(config: Path, folder: Path) -> tuple[Graph, dict[str, dict[str, Any]]]:
    """The graph with test patterns for sources, its files in `folder` and its endpoints on free ports."""
    table = read_table(config)
    stages = table["stages"]
    realtime = table["pipeline"]["mode"] == "live"
    port = free_port()
    for name, stage in stages.items():
        if "inputs" not in stage:
            kept = {key: stage[key] for key in ("process", "stream") if key in stage}
            stages[name] = {"use": "test-pattern", "duration": DURATION, "realtime": realtime, **kept}
            continue
        if "path" in stage:
            stage["path"] = str(folder / stage["path"])
        if "endpoint" in stage or stage["use"] in ("publish", "page"):
            scheme = "http" if stage["use"] == "page" else "tcp"
            stage["endpoint"] = f"{scheme}://127.0.0.1:{port if scheme == 'http' else free_port()}"
        for audience in ("subscribers", "viewers"):  # nobody comes
            stage.pop(audience, None)
    return graph_from_table(table, config).in_one_process(), stages


@by_name
def test_it_is_right_and_says_how_to_run_it(config: Path) -> None:
    graph = load_graph(config)
    assert graph.stages
    head = config.read_text().split("[pipeline]")[0]
    assert all(line.startswith("#") for line in head.splitlines() if line)
    assert f"emopipe run configs/{config.name}" in head


@pytest.mark.slow("whole processes")
@pytest.mark.parametrize("config", [each for each in CONFIGS if each.name not in ELSEWHERE], ids=lambda path: path.stem)
def test_it_plays(config: Path, tmp_path: Path) -> None:
    graph, stages = made_up(config, tmp_path)
    outcome = asyncio.run(Supervisor(graph).run())
    assert not outcome.damaged
    assert audit(outcome.reports) == []
    streams = {stage.get("stream", "test-pattern") for stage in stages.values() if stage["use"] == "test-pattern"}
    counters = [report.counters for report in outcome.reports.values()]
    assert max(each.get("frames_with_face", 0) for each in counters) > 3
    for stage in stages.values():
        if "path" not in stage:
            continue
        for stream in streams if "{stream}" in stage["path"] else [""]:
            look_at(Path(stage["path"].replace("{stream}", stream)), streams, lossless=graph.mode == "replay")


def look_at(path: Path, streams: set[str], *, lossless: bool) -> None:
    """Check what a sink has written."""
    match path.suffix:
        case ".jsonl":
            records = [json.loads(line) for line in path.read_text().splitlines()]
            assert {record["stream"] for record in records} == streams
            assert any(record["faces"] for record in records)
            assert any(record["voice"] for record in records) or not lossless
        case ".html":
            text = path.read_text()
            assert all(f">{stream}</h2>" in text for stream in streams)
            assert 'alt="face 0 at' in text
        case ".mp4":
            look_at_film(path, lossless=lossless)
        case other:
            pytest.fail(f"nobody checks what is in a {other}")


def look_at_film(path: Path, *, lossless: bool) -> None:
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.width, video.height, audio.sample_rate) == (640, 360, 16_000)
        assert (container.duration or 0) / av.time_base == pytest.approx(DURATION, abs=0.2 if lossless else 2)
        frames = [frame for packet in container.demux() for frame in packet.decode()]
    times = [float(frame.time or 0) for frame in frames if isinstance(frame, av.VideoFrame)]
    heard = sum(frame.samples for frame in frames if isinstance(frame, av.AudioFrame))
    assert all(one < other for one, other in pairwise(times))
    assert len(times) == round(DURATION * 30) if lossless else len(times) > DURATION
    assert heard / 16_000 == pytest.approx(DURATION, abs=0.2 if lossless else 2)
