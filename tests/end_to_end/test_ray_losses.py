"""A Ray cluster of two hosts with clocks of their own: real recordings, and a host that is lost."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.hosts import can_isolate
from benchmarks.studies.cluster.media import CROSSING
from tests.support.paths import ROOT
from tests.support.ray_losses import LINES
from tests.support.ray_nodes import played

pytest.importorskip("ray")
pytestmark = [
    pytest.mark.slow("starts a Ray cluster and whole processes"),
    pytest.mark.timeout(600),
    pytest.mark.skipif(not can_isolate(), reason="needs network namespaces: run as root, or allow users to make them"),
]

GRAPH = """
[pipeline]
name = "{name}"
mode = "{mode}"
{budget}

[stages.capture]
{capture}
process = "near"

[stages.faces]
use = "face-detection"
inputs.video = "capture.video"
process = "vision"

[stages.facial]
use = "facial-inference"
inputs.faces = "faces.faces"
process = "vision"

[stages.windows]
use = "speech-windows"
inputs.audio = "capture.audio"
process = "voice"

[stages.speech]
use = "speech-inference"
inputs.windows = "windows.windows"
process = "voice"

[stages.fusion]
use = "fusion"
inputs.faces = "facial.emotions"
inputs.speech = "speech.emotions"
process = "near"

[stages.results]
use = "jsonl"
path = "{folder}/{name}.jsonl"
inputs.emotions = "fusion.emotions"
"""
PATTERN = 'use = "test-pattern"\nfps = 10\nduration = '
RECORDINGS = ("ravdess/Actor_01/01-01-08-01-01-02-01.mp4", "crema-d/1001_DFA_ANG_XX.flv", "faces/single_face.mp4")


def written(folder: Path, name: str, capture: str, *, mode: str = "replay") -> None:
    budget = "latency_budget = 60" if mode == "live" else ""  # a busy machine answers late
    text = GRAPH.format(name=name, folder=folder, capture=capture, mode=mode, budget=budget)
    (folder / f"{name}.toml").write_text(text)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with a short name: Ray's Unix sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.fixture(scope="module")
def local(folder: Path) -> str:
    """The results of the short graph in one process, without a cluster; all graphs are written first."""
    written(folder, "live", f"{PATTERN}3600", mode="live")
    written(folder, "short", f"{PATTERN}2")
    results = folder / "short.jsonl"
    command = [sys.executable, "-m", "emopipe", "run", str(folder / "short.toml"), "--one-process"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    text = results.read_text()
    results.unlink()
    return text


@pytest.fixture(scope="module")
def found(folder: Path, local: str) -> dict[str, Any]:
    """What became of the runs."""
    media = ROOT.parent / "shared" / "media"
    return played("ray_losses", folder, *(str(media / name) for name in RECORDINGS if media.is_dir()))


@pytest.mark.usefixtures("shared_media")
def test_real_recordings_give_the_bytes_of_one_process(found: dict[str, Any]) -> None:
    media = found["media"]
    assert media["there"] == media["here"]
    results = [json.loads(line) for line in media["here"].splitlines()]
    assert {each["stream"] for each in results} == {Path(name).stem for name in RECORDINGS}
    assert any(each["faces"] and each["voice"] for each in results)  # so they were aligned, each with the other


@pytest.mark.usefixtures("shared_media")
def test_no_message_arrives_before_it_was_sent_but_by_what_clocks_may_be_off(found: dict[str, Any]) -> None:
    if not found["shifted"]:
        pytest.skip("needs time namespaces: the second node's clock is the first one's")
    media = found["media"]
    assert all(0 < error < 6000 for error in media["errors"]), media["errors"]
    assert media["early"] == []
    assert media["crossed"].keys() == {*CROSSING}
    assert media["crossed"]["capture.video"] == media["crossed"]["faces.faces"] > 100


def test_a_run_goes_on_elsewhere_where_its_host_is_lost_and_says_what_is_missing(found: dict[str, Any]) -> None:
    run = found["elsewhere"]
    assert run["code"] == 0, run
    assert "node 10.78.0.2 of the cluster is gone; everything begins anew" in run["said"], run["said"]
    results = [json.loads(line) for line in run["results"].splitlines()]
    (gap,) = [number for number, each in enumerate(results) if "gap" in each]
    assert "restarted (node 10.78.0.2 of the cluster is gone)" in results[gap]["gap"]
    assert gap > LINES
    assert len(results) - gap > LINES
    (restart,) = run["figures"]["restarts"]
    assert restart["reason"] == "node 10.78.0.2 of the cluster is gone"
    assert results[gap]["duration"] == pytest.approx(1e9 * restart["seconds"], rel=0.01)


def test_a_run_ends_with_its_host_where_the_graph_says_so(found: dict[str, Any]) -> None:
    run = found["never"]
    assert run["code"] == 1, run
    assert run["said"].rstrip().endswith("on node 10.78.0.2: node 10.78.0.2 of the cluster is gone"), run["said"]
    assert run["results"].count("\n") > LINES


def test_nothing_is_left_of_a_run_whose_host_was_lost(found: dict[str, Any]) -> None:
    assert found["left"] == []
    assert found["memory left"] == []
    assert found["folders left"] == []  # those on the lost host are there until the next run comes to it


def test_the_next_run_is_played_by_the_node_that_is_left(found: dict[str, Any], local: str) -> None:
    assert found["next"]["code"] == 0, found["next"]
    assert found["next"]["results"] == local
    assert local.count("\n") > 10
