"""A Ray cluster of two hosts with clocks of their own: real recordings, and a host that is lost."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.hosts import can_isolate
from benchmarks.studies.cluster.media import CROSSING
from tests.support.emotion_graph import emotion_graph
from tests.support.paths import ROOT
from tests.support.ray_losses import LINES
from tests.support.ray_nodes import played, played_here, short_folder

pytest.importorskip("ray")
pytestmark = [
    pytest.mark.slow("starts a Ray cluster and whole processes"),
    pytest.mark.timeout(600),
    pytest.mark.skipif(not can_isolate(), reason="needs network namespaces: run as root, or allow users to make them"),
]

RECORDINGS = ("ravdess/Actor_01/01-01-08-01-01-02-01.mp4", "crema-d/1001_DFA_ANG_XX.flv", "faces/single_face.mp4")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with short_folder() as folder:
        live = 'mode = "live"\nlatency_budget = 60'  # a busy machine answers late
        for name, seconds, pipeline in (("live", 3600, live), ("short", 2, "")):
            graph = emotion_graph(
                folder / f"{name}.jsonl",
                voice=True,
                pipeline=pipeline,
                capture=f'use = "test-pattern"\nfps = 10\nduration = {seconds}\nprocess = "near"',
                faces='process = "vision"',
                facial='process = "vision"',
                windows='process = "voice"',
                speech='process = "voice"',
                fusion='process = "near"',
            )
            (folder / f"{name}.toml").write_text(graph)
        yield folder


@pytest.fixture(scope="module")
def local(folder: Path) -> str:
    """The results of the short graph in one process, without a cluster."""
    return played_here(folder, "short", "--one-process")


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
