"""An archive's players on a cluster, of which a fake tells how it answers: what is said of nodes that do not fit."""

import asyncio
import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ray")

from emopipe.archive import ray_players
from emopipe.archive.ray_player import Arrival
from emopipe.archive.ray_players import RayPlayers
from emopipe.archive.replay import Order
from emopipe.pipeline.cluster.ray_cluster import Cluster, Node
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.load import Graph, graph_from_table

STAGES = "tests.support.restart_stages:"
OWN = importlib.metadata.version("emopipe")


class FakeRay:
    """A cluster of one node with a GPU.

    Attributes:
        version: of emopipe on its node.
        room: for how many actors there is; the others wait.
        killed: how many actors were.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.version = OWN
        self.room = 1
        self.killed = 0
        nodes = [Node("n1", "10.0.0.1", {}, 1.0, 4.0)]
        monkeypatch.setattr(Cluster, "join", self._join)
        monkeypatch.setattr(Cluster, "leave", staticmethod(lambda: None))
        monkeypatch.setattr(Cluster, "nodes", staticmethod(lambda: nodes))
        monkeypatch.setattr(ray_players, "PLACED_TIMEOUT_S", 0.05)
        monkeypatch.setattr(ray_players.ray, "remote", self._remote)
        monkeypatch.setattr(ray_players.ray, "cluster_resources", lambda: {"CPU": 4.0})
        monkeypatch.setattr(ray_players.ray, "kill", self._kill)

    async def _join(self, where: str, *, verbose: bool, cores: int) -> Cluster:
        return Cluster("10.0.0.1", "n1")

    def _kill(self, actor: object, *, no_restart: bool) -> None:
        self.killed += 1

    def _remote(self, **options: object) -> Callable[[type], Any]:
        async def arrive() -> Arrival:
            self.room -= 1
            if self.room < 0:
                await asyncio.Event().wait()
            return Arrival("10.0.0.1", self.version)

        async def prepare(order: Order, current: str, verbose: bool) -> None:
            assert order.place == "node 10.0.0.1"

        actor = SimpleNamespace(arrive=SimpleNamespace(remote=arrive), prepare=SimpleNamespace(remote=prepare))
        return lambda cls: SimpleNamespace(remote=lambda: actor)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    return FakeRay(monkeypatch)


def players(tmp_path: Path, **gpus: float) -> RayPlayers:
    order = Order(table={}, origin="g.toml", overrides=[], root=str(tmp_path), out=str(tmp_path / "out"))
    return RayPlayers(order, graph(**gpus), "ray")


def graph(**gpus: float) -> Graph:
    """In one process, as an archive plays it."""
    stages: dict[str, dict[str, Any]] = {
        "count": {"use": f"{STAGES}Recordings"},
        "pass": {"use": f"{STAGES}Fragile", "inputs": {"numbers": "count.numbers"}},
        "lines": {"use": f"{STAGES}Lines", "inputs": {"numbers": "pass.numbers"}, "path": "lines.txt"},
    }
    for name, share in gpus.items():
        stages[name]["gpus"] = share
    return graph_from_table({"stages": stages}, "g.toml").in_one_process()


def refusal(given: RayPlayers) -> str:
    async def start() -> None:
        async with given:
            await given.start(0)

    with pytest.raises(EmopipeError) as caught:
        asyncio.run(start())
    return str(caught.value)


def test_another_emopipe_on_a_node(ray: FakeRay, tmp_path: Path) -> None:
    ray.version = "0.0.9"
    said = f"--on ray: node 10.0.0.1 has emopipe 0.0.9, but this host {OWN}; install the same on both"
    assert refusal(players(tmp_path)) == said
    assert ray.killed == 1


def test_no_room_for_the_first(ray: FakeRay, tmp_path: Path) -> None:
    ray.room = 0
    said = "--on ray: the cluster has found no room for a job within 0.05 s; `ray status` says what others take"
    assert refusal(players(tmp_path)) == said
    assert ray.killed == 1


def test_who_has_no_room_waits_for_it_while_another_plays(ray: FakeRay, tmp_path: Path) -> None:
    async def start() -> None:
        async with players(tmp_path) as given:
            await given.start(0)
            second = asyncio.create_task(given.start(1))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await asyncio.shield(second)
            given.gone()
            with pytest.raises(EmopipeError, match="no room for a job"):
                await second

    asyncio.run(start())


@pytest.mark.parametrize(
    ("gpus", "said"),
    [
        (
            {"pass": 2},
            "g.toml: stages.pass.gpus: 2 are asked for in one process, but no node of the cluster has more than 1",
        ),
        (
            {"count": 0.75, "pass": 0.75},
            "g.toml: stages.count.gpus, stages.pass.gpus: 1.5 are asked for in one process, "
            "but no node of the cluster has more than 1",
        ),
    ],
)
def test_more_gpus_than_a_node_has(ray: FakeRay, tmp_path: Path, gpus: dict[str, float], said: str) -> None:
    assert refusal(players(tmp_path, **gpus)) == said
