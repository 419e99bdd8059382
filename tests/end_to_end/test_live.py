"""A live graph in real processes: several streams of different speeds and lengths through the same stages."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import running, wait_for, wait_until_gone, workers_of
from tests.support.random_weights import facial_weights

pytestmark = pytest.mark.slow("plays live runs in real time")

GRAPH = """
[pipeline]
mode = "live"

{captures}

[stages.faces]
use = "face-detection"
inputs.video = ["short.video", "slow.video", "fast.video"]
process = "vision"

[stages.facial]
use = "facial-inference"
weights = "{weights}"
inputs.faces = "faces.faces"
process = "vision"

[stages.fusion]
use = "fusion"
method = "pool"
inputs.faces = "facial.emotions"
process = "results"

[stages.console]
use = "console"
style = "lines"
inputs.emotions = "fusion.emotions"
process = "results"

[stages.file]
use = "jsonl"
path = "{out}"
inputs.emotions = "fusion.emotions"
process = "results"
"""
CAPTURE = """
[stages.{name}]
use = "test-pattern"
stream = "{name}"
duration = {duration}
fps = {fps}
width = 320
height = 180
process = "capture"
"""
STREAMS = {"short": (3, 10), "slow": (3600, 8), "fast": (3600, 80)}  # s, frames a second


def records(out: Path) -> list[dict[str, Any]]:
    """The whole lines of a result file."""
    return [json.loads(line) for line in out.read_text().splitlines(keepends=True) if line.endswith("\n")]


def test_streams_of_any_speed_get_results_and_the_run_ends_whole(tmp_path: Path) -> None:
    pytest.importorskip("skimage")
    pytest.importorskip("espeakng_loader")
    out, figures, graph = tmp_path / "out.jsonl", tmp_path / "figures.json", tmp_path / "live.toml"
    captures = "".join(CAPTURE.format(name=name, duration=s, fps=fps) for name, (s, fps) in STREAMS.items())
    weights = facial_weights(tmp_path / "facial.safetensors")
    graph.write_text(GRAPH.format(captures=captures, weights=weights, out=out))

    def latest(stream: str) -> float:
        return max((record["time"] for record in records(out) if record["stream"] == stream), default=0.0)

    with running(graph, "--json", figures) as process:
        assert process.stdout is not None
        ended = next((line for line in process.stdout if line.rstrip().endswith("short  ended")), None)
        assert ended is not None, process.communicate()
        before = {stream: latest(stream) for stream in ("slow", "fast")}  # they go on after the short one's end
        wait_for(lambda: all(latest(each) > at for each, at in before.items()), process, "no more results came")
        workers = workers_of(process.pid)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert wait_until_gone(workers, 2.0) == []
    assert process.returncode == 0, errors

    assert out.read_text().endswith("\n")
    results = records(out)
    stages = json.loads(figures.read_text())["stages"]
    drops = {}
    for stream, (seconds, fps) in STREAMS.items():
        link = stages[stream]["links"]["video>faces.video"]["streams"][stream]
        captured = stages[stream]["streams"][stream]["frames"]
        drops[stream] = sum(link["dropped"].values())
        assert captured == link["sent"] == link["received"] + drops[stream]
        assert link["in_flight"] == 0
        # Behind face detection nothing is lost: each frame it took is a result.
        mine = [record for record in results if record["stream"] == stream]
        assert len(mine) == link["received"] > 0
        assert [record["pts"] for record in mine] == sorted({record["pts"] for record in mine})
        if stream == "short":
            assert captured == seconds * fps
    # A slow stream's frames are not pushed out by a fast one's.
    assert drops["slow"] <= 0.2 * stages["slow"]["streams"]["slow"]["frames"] or drops["slow"] < drops["fast"]
    hops = stages["file"]["hops_ms"]
    assert list(hops) == ["faces", "facial", "fusion", "file"]
    assert all(hop["working"]["count"] == len(results) for hop in hops.values())
    assert stages["faces"]["longest_gap_ms"]["video"] > 0
