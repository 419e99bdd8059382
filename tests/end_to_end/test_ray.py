"""A graph on a Ray cluster: one of two hosts with clocks of their own, and one that the run starts by itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.hosts import can_isolate
from tests.support.emotion_graph import emotion_graph
from tests.support.ray_hosts import played_alone
from tests.support.ray_nodes import played, played_here, short_folder

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow("starts Ray clusters and whole processes"), pytest.mark.timeout(600)]

PROCESSES = """
[processes]
near.label = { zone = "a" }
vision.label = { zone = "b" }
facial.label = { zone = "b" }
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with short_folder() as folder:
        for name, processes in (("cluster", PROCESSES), ("local", "")):
            graph = emotion_graph(
                folder / f"{name}.jsonl",
                capture='use = "test-pattern"\nduration = 12\nrealtime = false\nprocess = "near"',
                faces='process = "vision"',
                fusion='process = "near"',
                more=processes,
            )
            (folder / f"{name}.toml").write_text(graph)
        yield folder


@pytest.fixture(scope="module")
def local(folder: Path) -> str:
    """The results without a cluster."""
    return played_here(folder, "local")


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Any]:
    """What became of the runs on two hosts."""
    if not can_isolate():
        pytest.skip("needs network namespaces: run as root, or allow users to make them")
    return played("ray_hosts", folder)


def test_the_results_of_two_hosts_are_the_same_byte_for_byte(found: dict[str, Any], local: str) -> None:
    assert found["as it is"]["code"] == 0, found["as it is"]
    assert found["as it is"]["results"] == local
    assert local.count("\n") > 300


def test_an_actor_that_is_killed_is_named_and_the_results_are_the_same(found: dict[str, Any], local: str) -> None:
    assert found["actor"]["code"] == 0, found["actor"]
    assert "its actor was killed; the replay begins anew, nothing is lost" in found["actor"]["said"]
    assert found["actor"]["results"] == local


def test_a_node_that_is_gone_is_named_where_nobody_takes_its_place(found: dict[str, Any], local: str) -> None:
    said = found["node"]["said"].splitlines()
    assert found["node"]["code"] == 2, said
    assert "the replay begins anew" in said[0]
    assert "label: no node of the cluster has it; start one with `ray start --labels zone=b …`" in said[-1]
    assert said[-1].endswith("; gone since the run began: node 10.78.0.2")
    assert local.startswith(found["node"]["results"])


def test_labels_that_nobody_has_are_said_before_anything_runs(found: dict[str, Any]) -> None:
    assert found["label"]["code"] == 2
    (said,) = found["label"]["said"].splitlines()
    assert said.endswith(
        "processes.vision.label: no node of the cluster has it; start one with `ray start --labels zone=c …`"
    )
    assert found["label"]["results"] == ""


def test_nothing_of_a_run_is_left_on_the_cluster(found: dict[str, Any]) -> None:
    assert found["actors left"] == []
    assert found["folders left"] == []


def test_a_cluster_that_is_started_for_a_run_ends_with_it(folder: Path, local: str) -> None:
    found = played_alone(folder)
    assert found["code"] == 0, found
    assert found["results"] == local
    assert (found["left"], found["folders"]) == ([], [])


def test_ages_of_a_live_run_are_those_of_one_clock(found: dict[str, Any]) -> None:
    if not found["shifted"]:
        pytest.skip("needs time namespaces: the second node's clock is the first one's")
    assert found["live"]["code"] == 0, found["live"]
    figures = found["live"]["figures"]
    assert 0 < figures["processes"]["vision"]["clock_error_ms"] < 6000
    assert figures["processes"]["results"]["clock_error_ms"] == 0
    assert 0 < figures["stages"]["results"]["age_ms"]["p50"] < 60_000
    assert found["trace"].count("vision (clock ± ") == 1
