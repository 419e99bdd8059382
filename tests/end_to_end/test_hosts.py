"""A graph split over two hosts: network namespaces, each with an address of its own and a cable between them."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.hosts import can_isolate
from emopipe.pipeline.access.keys import write_pair
from tests.support.emotion_graph import emotion_graph
from tests.support.paths import ROOT
from tests.support.two_hosts import played

pytestmark = [
    pytest.mark.slow("starts whole processes, some on another host"),
    pytest.mark.skipif(not can_isolate(), reason="needs network namespaces: run as root, or allow users to make them"),
]

REMOTE = """
[pipeline.control]
endpoint = "tcp://{{host}}:5570"
secret_key = "{folder}/desk.key_secret"

[processes.vision]
remote = "{folder}/vision.key"
wait = {wait}
"""


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    for name in ("desk", "vision", "foreign"):
        write_pair(tmp_path, name)
    return tmp_path


def written(folder: Path, name: str, duration: float, more: str = "") -> Path:
    """A graph's file, of which faces are looked at in the process `vision`."""
    text = emotion_graph(
        folder / f"{name}.jsonl",
        voice=True,
        capture=f'use = "test-pattern"\nduration = {duration}\nrealtime = false',
        faces='process = "vision"',
        facial='process = "vision"',
        more=more,
    )
    graph = folder / f"{name}.toml"
    graph.write_text(text)
    return graph


def whole(folder: Path, duration: float) -> bytes:
    """The results of the graph on one host."""
    graph = written(folder, "whole", duration)
    subprocess.run([sys.executable, "-m", "emopipe", "run", str(graph)], cwd=ROOT, check=True, capture_output=True)
    return (folder / "whole.jsonl").read_bytes()


def split(folder: Path, wait: float = 60.0, duration: float = 3) -> Path:
    """The graph's file, of which the process `vision` runs on another host."""
    return written(folder, "split", duration, REMOTE.format(folder=folder, wait=wait))


def test_the_results_are_the_same_byte_for_byte(keys: Path) -> None:
    found = played(keys, split(keys))
    assert (found["code"], found["worker code"]) == (0, 0), found
    assert (keys / "split.jsonl").read_bytes() == (results := whole(keys, 3))
    assert results.count(b"\n") > 80


def test_a_worker_that_is_killed_there_comes_again_and_the_results_are_the_same(keys: Path) -> None:
    found = played(keys, split(keys, duration=20), "killed")
    assert (found["code"], found["worker code"]) == (0, 0), found
    assert "the connection to it was lost" in found["said"]
    assert (keys / "split.jsonl").read_bytes() == whole(keys, 20)


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
