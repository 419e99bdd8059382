"""A graph split over two hosts: network namespaces, each with an address of its own and a cable between them."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.hosts import can_isolate
from emopipe.pipeline.access.keys import write_pair
from tests.support.paths import ROOT
from tests.support.two_hosts import played

pytestmark = [
    pytest.mark.slow("starts whole processes, some on another host"),
    pytest.mark.skipif(not can_isolate(), reason="needs network namespaces: run as root, or allow users to make them"),
]

GRAPH = """
[pipeline]
name = "split"
{control}

[stages.capture]
use = "test-pattern"
duration = 3
realtime = false

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

[stages.speech]
use = "speech-inference"
inputs.windows = "windows.windows"

[stages.fusion]
use = "fusion"
inputs.faces = "facial.emotions"
inputs.speech = "speech.emotions"

[stages.results]
use = "jsonl"
path = "{results}"
inputs.emotions = "fusion.emotions"
{processes}
"""
CONTROL = """
[pipeline.control]
endpoint = "tcp://{{host}}:5570"
secret_key = "{folder}/desk.key_secret"
"""
PROCESSES = """
[processes.vision]
remote = "{folder}/vision.key"
wait = {wait}
"""


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    for name in ("desk", "vision", "foreign"):
        write_pair(tmp_path, name)
    return tmp_path


def split(folder: Path, wait: float = 60.0) -> Path:
    """The graph's file, of which the process `vision` runs on another host."""
    graph = folder / "split.toml"
    tables = {"control": CONTROL.format(folder=folder), "processes": PROCESSES.format(folder=folder, wait=wait)}
    graph.write_text(GRAPH.format(results=folder / "split.jsonl", **tables))
    return graph


def test_the_results_are_the_same_byte_for_byte(keys: Path) -> None:
    found = played(keys, split(keys))
    assert (found["code"], found["worker code"]) == (0, 0), found
    whole = keys / "whole.toml"
    whole.write_text(GRAPH.format(results=keys / "whole.jsonl", control="", processes=""))
    subprocess.run([sys.executable, "-m", "emopipe", "run", str(whole)], cwd=ROOT, check=True, capture_output=True)
    assert (keys / "split.jsonl").read_bytes() == (keys / "whole.jsonl").read_bytes()
    assert len((keys / "whole.jsonl").read_text().splitlines()) > 80


@pytest.mark.parametrize(
    ("fault", "said_there"),
    [
        ("foreign key", "does not know this key; there, set remote to its public half"),
        ("foreign server", "has another key than --server-key says"),
    ],
)
def test_a_wrong_key_is_said_on_both_sides(fault: str, said_there: str, keys: Path) -> None:
    found = played(keys, split(keys, wait=25), fault)
    assert (found["code"], found["worker code"]) == (2, 2), found
    assert said_there in found["worker said"]
    assert "nobody with the key" in found["said"]
    assert not (keys / "split.jsonl").exists()


def test_nobody_comes(keys: Path) -> None:
    found = played(keys, split(keys, wait=3), "nobody")
    assert found["code"] == 2
    last = found["said"].splitlines()[-1]
    assert last.startswith("emopipe: process vision on another host (faces, facial): nobody with the key ")
    assert "has come to tcp://10.78.0.1:5570 within 3 s; start it there with `emopipe worker --connect" in last
