"""A graph on a Ray cluster that is joined from outside, by Ray's client: the same bytes, nothing left, and refusals."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.hosts import can_isolate
from tests.support.emotion_graph import emotion_graph
from tests.support.ray_nodes import played, played_here, short_folder

pytest.importorskip("ray")
pytestmark = [
    pytest.mark.slow("starts a Ray cluster and whole processes"),
    pytest.mark.timeout(600),
    pytest.mark.skipif(not can_isolate(), reason="needs network namespaces: run as root, or allow users to make them"),
]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with short_folder() as folder:
        for name in ("cluster", "local"):
            graph = emotion_graph(
                folder / f"{name}.jsonl",
                capture='use = "test-pattern"\nfps = 10\nduration = 2\nrealtime = false\nprocess = "vision"',
                faces='process = "vision"',
                fusion='process = "results"',
                results='process = "results"',
            )
            (folder / f"{name}.toml").write_text(graph)
        yield folder


@pytest.fixture(scope="module")
def local(folder: Path) -> str:
    """The results without a cluster."""
    return played_here(folder, "local", "--one-process")


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
