"""cluster.placement: copies of a graph go round the nodes, and each keeps together."""

from collections import Counter
from typing import Any

import pytest

pytest.importorskip("ray")

from emopipe.pipeline.cluster.placement import spread
from emopipe.pipeline.cluster.ray_cluster import Node
from emopipe.pipeline.graph.load import Graph, graph_from_table
from emopipe.pipeline.graph.shards import sharded

STAGES = "tests.support.restart_stages:"


def node(number: int, *, gpus: float = 0.0, cpus: float = 4.0, zone: str = "a") -> Node:
    return Node(f"n{number}", f"10.0.0.{number}", {"zone": zone}, gpus, cpus)


def graph(shards: int, *, gpus: dict[str, float] | None = None, labels: dict[str, str] | None = None) -> Graph:
    """Copies of `count` and `pass`, and a sink; `labels` gives the zone of each process that has one."""
    stages: dict[str, dict[str, Any]] = {
        "count": {"use": f"{STAGES}Recordings", "streams": 12},
        "pass": {"use": f"{STAGES}Fragile", "inputs": {"numbers": "count.numbers"}},
        "lines": {"use": f"{STAGES}Lines", "inputs": {"numbers": "pass.numbers"}, "path": "lines.txt"},
    }
    for name, share in (gpus or {}).items():
        stages[name]["gpus"] = share
    processes = {name: {"label": {"zone": zone}} for name, zone in (labels or {}).items()}
    table = {"pipeline": {"shards": shards}, "stages": stages, "processes": processes}
    return sharded(graph_from_table(table, "toy.toml"))


def chosen(played: Graph, *nodes: Node) -> dict[str, str]:
    return spread(played, [name for name in played.processes if name != "lines"], nodes)


def copies(played: Graph, *nodes: Node) -> Counter[str]:
    """How many copies each node has; all processes of each are on it."""
    found = chosen(played, *nodes)
    assert all(found[f"count.{shard}"] == found[f"pass.{shard}"] for shard in range(len(found) // 2))
    return Counter(found[name] for name in found if name.startswith("count."))


def test_one_copy_is_left_to_ray() -> None:
    assert chosen(graph(1), node(1), node(2)) == {}


@pytest.mark.parametrize(("shards", "expected"), [(2, [1, 1]), (4, [2, 2]), (3, [2, 1])])
def test_copies_go_round_the_nodes_and_keep_together(shards: int, expected: list[int]) -> None:
    assert sorted(copies(graph(shards), node(2), node(1)).values(), reverse=True) == expected


def test_the_order_in_which_ray_names_the_nodes_does_not_matter() -> None:
    nodes = [node(number) for number in range(1, 5)]
    assert chosen(graph(6), *nodes) == chosen(graph(6), *reversed(nodes))


def test_a_node_with_more_cores_has_more_copies_and_one_with_none_has_none() -> None:
    assert copies(graph(4), node(1), node(2, cpus=12), node(3, cpus=0)) == {"n1": 1, "n2": 3}


def test_labels_hold_and_what_has_none_stays_with_its_copy() -> None:
    nodes = [node(1), node(2), node(3, zone="b"), node(4, zone="b")]
    assert copies(graph(4, labels={"pass": "b"}), *nodes) == {"n3": 2, "n4": 2}


def test_labels_divide_a_copy() -> None:
    nodes = [node(1), node(2), node(3, zone="b"), node(4, zone="b")]
    found = chosen(graph(2, labels={"count": "a", "pass": "b"}), *nodes)
    assert {found["count.0"], found["count.1"]} == {"n1", "n2"}
    assert {found["pass.0"], found["pass.1"]} == {"n3", "n4"}


def test_gpus_of_a_node_are_given_once() -> None:
    nodes = [node(1, gpus=1), node(2, gpus=2), node(3)]
    assert copies(graph(3, gpus={"pass": 1}), *nodes) == {"n1": 1, "n2": 2}
    assert copies(graph(4, gpus={"count": 0.25, "pass": 0.25}), *nodes) == {"n1": 2, "n2": 2}


def test_a_copy_with_too_many_gpus_for_a_node_is_divided() -> None:
    found = chosen(graph(2, gpus={"count": 1, "pass": 1}), *(node(number, gpus=1) for number in range(1, 5)))
    assert len(set(found.values())) == 4


def test_what_fits_nowhere_any_more_is_left_to_ray() -> None:
    found = chosen(graph(2, gpus={"pass": 0.75}), node(1, gpus=1), node(2))
    assert found == {"count.0": "n1", "pass.0": "n1", "count.1": "n2"}
