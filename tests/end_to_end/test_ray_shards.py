"""A graph in several shards on a Ray cluster of two hosts: each plays one, and the results are those of one shard."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.hosts import can_isolate
from emopipe.pipeline.graph.spec import original
from tests.support.emotion_graph import emotion_graph
from tests.support.ray_nodes import played, played_here, short_folder

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow("starts a Ray cluster and whole processes"), pytest.mark.timeout(600)]

COPIED = ("capture", "faces", "facial", "windows", "speech", "fusion")


@pytest.fixture(scope="module")
def folder(shared_media: Path) -> Iterator[Path]:
    recordings = [str(path.resolve()) for path in sorted((shared_media / "crema-d").glob("*.flv"))]
    with short_folder() as folder:
        for name, shards, realtime in (("cluster", 2, "true"), ("local", 1, "false")):  # the one is to be watched
            graph = emotion_graph(
                folder / f"{name}.jsonl",
                voice=True,
                pipeline=f"shards = {shards}",
                capture=f'use = "file-capture"\nuri = {recordings}\nloop = 4\nrealtime = {realtime}',
            )
            (folder / f"{name}.toml").write_text(graph)
        yield folder


@pytest.fixture(scope="module")
def local(folder: Path) -> dict[str, Any]:
    """The results and figures of one shard, without a cluster."""
    figures = folder / "local.json"
    results = played_here(folder, "local", "--json", str(figures))
    return {"results": results, "figures": json.loads(figures.read_text())}


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Any]:
    """What became of the runs in two shards on two hosts."""
    if not can_isolate():
        pytest.skip("needs network namespaces: run as root, or allow users to make them")
    return played("ray_shards", folder)


def test_the_results_are_the_same_byte_for_byte(found: dict[str, Any], local: dict[str, Any]) -> None:
    assert found["as it is"]["code"] == 0, found
    assert found["as it is"]["results"] == local["results"]
    assert len({json.loads(line)["stream"] for line in local["results"].splitlines()}) == 3


def test_each_host_has_a_copy(found: dict[str, Any]) -> None:
    assert found["actors"] == [len(COPIED), len(COPIED)], found


def test_the_run_can_be_watched_as_one(found: dict[str, Any]) -> None:
    names = {f"{stage}.{shard}" for stage in COPIED for shard in (0, 1)} | {"results"}
    assert names == found["top"]["stages"].keys() == found["top"]["processes"].keys() - {""}, found["top"]


def test_the_streams_of_a_node_that_is_gone_are_played_on_the_other(
    found: dict[str, Any], local: dict[str, Any]
) -> None:
    assert found["node"]["code"] == 0, found["node"]
    assert "the replay begins anew, nothing is lost" in found["node"]["said"]
    assert found["node"]["results"] == local["results"]


def test_the_counts_of_the_shards_are_exact_and_add_up_to_those_of_one(
    found: dict[str, Any], local: dict[str, Any]
) -> None:
    run = found["as it is"]
    stages = run["figures"]["stages"].values()
    assert all(link["sent"] == link["received"] for stage in stages for link in stage["links"].values())
    assert sent(run) == sent(local)
    assert counters(run, "capture") == counters(local, "capture")
    assert counters(run, "fusion") == counters(local, "fusion")


def sent(run: dict[str, Any]) -> Counter[tuple[str, str]]:
    """How many messages of each stream each stage has sent, all its copies together."""
    return Counter(
        {
            (original(name), stream): counts["sent"]
            for name, stage in run["figures"]["stages"].items()
            for link in stage["links"].values()
            for stream, counts in link["streams"].items()
        }
    )


def counters(run: dict[str, Any], stage: str) -> Counter[str]:
    """What all copies of a stage have counted."""
    total: Counter[str] = Counter()
    for name, each in run["figures"]["stages"].items():
        if original(name) == stage:
            total.update(each["counters"])
    return total
