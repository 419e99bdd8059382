"""cluster.ray_launcher: what it asks of Ray, of which a fake tells what it was asked."""

import asyncio
import importlib.metadata
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ray")

from emopipe.pipeline.cluster import ray_launcher
from emopipe.pipeline.cluster.ray_cluster import Cluster, Node
from emopipe.pipeline.cluster.ray_launcher import NODE_ID, RayLauncher
from emopipe.pipeline.cluster.ray_worker import Arrival
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.load import Graph, graph_from_table
from emopipe.pipeline.graph.shards import sharded

OWN = importlib.metadata.version("emopipe")
STAGES = "tests.support.restart_stages:"
NODES = [Node("n1", "10.0.0.1", {}, 0.0, 2.0), Node("n2", "10.0.0.2", {}, 0.0, 2.0)]


def graph(shards: int) -> Graph:
    stages: dict[str, Any] = {
        "count": {"use": f"{STAGES}Recordings"},
        "pass": {"use": f"{STAGES}Fragile", "inputs": {"numbers": "count.numbers"}},
        "lines": {"use": f"{STAGES}Lines", "inputs": {"numbers": "pass.numbers"}, "path": "lines.txt"},
    }
    return sharded(graph_from_table({"pipeline": {"shards": shards}, "stages": stages}, "toy.toml"))


class Group:
    """A placement group: the nodes that its bundles ask for, where they ask for one."""

    def __init__(self, ray: "FakeRay", nodes: Sequence[str]) -> None:
        self._ray, self.nodes = ray, nodes

    def wait(self, seconds: float) -> bool:
        self._ray.waited()
        room = {node.id for node in self._ray.nodes} - self._ray.full
        return room.issuperset(filter(None, self.nodes))


class FakeRay:
    """A cluster where actors come to the node that was asked for, if it has room.

    Attributes:
        groups: that were asked for and not given back.
        asked: the nodes of all that were asked for.
        nodes: that live.
        full: those without room.
        waited: called whenever somebody waits for room.
        version: of emopipe on the nodes; None where it cannot be imported there.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.groups: list[Group] = []
        self.asked: list[Sequence[str]] = []
        self.nodes = list(NODES)
        self.full: set[str] = set()
        self.waited: Callable[[], None] = lambda: None
        self.version: str | None = OWN
        monkeypatch.setattr(Cluster, "join", self._join)
        monkeypatch.setattr(Cluster, "leave", staticmethod(lambda: None))
        monkeypatch.setattr(Cluster, "nodes", staticmethod(lambda: self.nodes))
        monkeypatch.setattr(ray_launcher, "placement_group", self._group)
        monkeypatch.setattr(ray_launcher, "remove_placement_group", self._remove)
        monkeypatch.setattr(ray_launcher.ray, "remote", self._remote)
        monkeypatch.setattr(ray_launcher.ray, "kill", lambda actor, **options: None)

    async def _join(self, where: str, *, verbose: bool, cores: int) -> Cluster:
        return Cluster("10.0.0.1", "n1")

    def _group(self, bundles: Sequence[object], bundle_label_selector: Sequence[dict[str, str]]) -> Group:
        self.groups.append(Group(self, [wanted.get(NODE_ID, "") for wanted in bundle_label_selector]))
        self.asked.append(self.groups[-1].nodes)
        return self.groups[-1]

    def _remove(self, group: Group) -> None:
        if group in self.groups:  # Ray does not mind
            self.groups.remove(group)

    def _remote(self, *, scheduling_strategy: Any, **options: object) -> Callable[[type], Any]:
        node = scheduling_strategy.placement_group.nodes[scheduling_strategy.placement_group_bundle_index] or "n1"

        async def arrive() -> Arrival:
            if self.version is None:
                raise ray_launcher.ray.exceptions.RayError("The actor died\nNo module named 'emopipe'")
            return Arrival(node, f"10.0.0.{node[1]}", 1, "k" * 40, self.version)

        actor = SimpleNamespace(arrive=SimpleNamespace(remote=arrive))
        return lambda cls: SimpleNamespace(remote=lambda: actor)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    return FakeRay(monkeypatch)


def placed(played: Graph) -> Graph:
    async def place() -> Graph:
        async with RayLauncher("ray") as launcher:
            return await launcher.place(played)

    return asyncio.run(place())


def test_copies_are_placed_on_a_node_each(ray: FakeRay) -> None:
    played = placed(graph(2))
    assert ray.asked == [["n1", "n2", "n1", "n2"]]
    assert {name: process.host for name, process in played.remote.processes.items()} == {
        "count.1": "n2",
        "pass.1": "n2",
    }
    assert ray.groups == []


def test_one_copy_is_placed_by_ray(ray: FakeRay) -> None:
    assert placed(graph(1)).remote.processes == {}
    assert ray.asked == [["", ""]]


def test_copies_go_where_there_is_room_if_a_node_has_none(ray: FakeRay) -> None:
    ray.full = {"n2"}
    assert placed(graph(2)).remote.processes == {}
    assert ray.asked == [["n1", "n2", "n1", "n2"], ["", "", "", ""]]
    assert ray.groups == []


def test_copies_of_a_node_that_is_lost_meanwhile_go_to_the_others(ray: FakeRay) -> None:
    ray.full = {"n2"}
    ray.waited = lambda: ray.nodes.remove(NODES[1]) if NODES[1] in ray.nodes else None
    assert placed(graph(2)).remote.processes == {}
    assert ray.asked == [["n1", "n2", "n1", "n2"], ["n1", "n1", "n1", "n1"]]


def test_no_room_at_all_is_said_with_the_names_that_the_graph_has(
    ray: FakeRay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_launcher, "PLACED_TIMEOUT_S", 0.1)
    monkeypatch.setattr(Group, "wait", lambda self, seconds: False)
    said = "toy.toml: the cluster has found no room for count, pass in 2 shards within 0.1 s; `ray status` says what"
    with pytest.raises(EmopipeError, match=said):
        placed(graph(2))


def test_another_emopipe_on_a_node(ray: FakeRay) -> None:
    ray.version = "0.0.9"
    where = "toy.toml: process count: node 10.0.0.1 has emopipe 0.0.9"
    with pytest.raises(EmopipeError, match=f"{where}, but this host {OWN}; install the same on both"):
        placed(graph(1))
    assert ray.groups == []


def test_no_emopipe_on_a_node(ray: FakeRay) -> None:
    ray.version = None
    said = (
        "process count cannot be started on the cluster: No module named 'emopipe'; emopipe has to be installed on each"
    )
    with pytest.raises(EmopipeError, match=said):
        placed(graph(1))
    assert ray.groups == []
