"""A graph on a Ray cluster that is joined from outside, by Ray's client: the same bytes, nothing left, and refusals."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.hosts import can_isolate
from tests.support.paths import ROOT
from tests.support.ray_nodes import played

pytest.importorskip("ray")
pytestmark = [
    pytest.mark.slow("starts a Ray cluster and whole processes"),
    pytest.mark.timeout(600),
    pytest.mark.skipif(not can_isolate(), reason="needs network namespaces: run as root, or allow users to make them"),
]

GRAPH = """
[pipeline]
name = "cluster"

[stages.capture]
use = "test-pattern"
fps = 10
duration = 2
realtime = false
process = "vision"

[stages.faces]
use = "face-detection"
inputs.video = "capture.video"
process = "vision"

[stages.facial]
use = "facial-inference"
inputs.faces = "faces.faces"

[stages.fusion]
use = "fusion"
inputs.faces = "facial.emotions"
process = "results"

[stages.results]
use = "jsonl"
path = "{folder}/{name}.jsonl"
inputs.emotions = "fusion.emotions"
process = "results"
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder with a short name: Ray's Unix sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as name:
        for graph in ("cluster", "local"):
            Path(name, f"{graph}.toml").write_text(GRAPH.format(folder=name, name=graph))
        yield Path(name)


@pytest.fixture(scope="module")
def local(folder: Path) -> str:
    """The results without a cluster."""
    command = [sys.executable, "-m", "emopipe", "run", str(folder / "local.toml"), "--one-process"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return (folder / "local.jsonl").read_text()


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Any]:
    """What became of the commands outside of the cluster."""
    return played("ray_client", folder)


def test_the_results_are_the_same_byte_for_byte(found: dict[str, Any], local: str) -> None:
    run = found["from outside"]
    assert run["code"] == 0, run
    assert run["results"] == local
    assert local.count("\n") == 20


def test_all_but_the_sink_was_played_on_the_cluster(found: dict[str, Any]) -> None:
    processes = found["from outside"]["figures"]["processes"]
    errors = {name: processes[name]["clock_error_ms"] for name in ("vision", "facial", "results")}
    assert errors.pop("results") == 0
    assert all(0 < error < 6000 for error in errors.values()), errors


def test_nothing_is_left_of_it(found: dict[str, Any]) -> None:
    assert found["left"] == []
    assert found["folders left"] == []


def test_a_host_that_is_not_there_is_said_in_a_sentence(found: dict[str, Any]) -> None:
    run = found["nobody"]
    assert (run["code"], run["results"]) == (2, ""), run
    (said,) = run["said"].splitlines()
    assert said.startswith("emopipe: --on ray://10.78.0.77:10001: cannot be reached: "), said
    assert said.endswith(
        "; is the head up, and this the port of its Ray client server (10001 where nobody chose another)?"
    )


def test_another_token_than_the_clusters_is_said_in_a_sentence(found: dict[str, Any]) -> None:
    run = found["another token"]
    assert (run["code"], run["results"]) == (2, ""), run
    (said,) = run["said"].splitlines()
    assert said.startswith("emopipe: --on ray://10.78.0.1:10001: "), said
    assert "RAY_AUTH_TOKEN" in said
