"""cluster.ray_place: what is said of an actor that has ended, once Ray is sure of it."""

import asyncio
from typing import Any

import pytest

pytest.importorskip("ray")

import ray

from emopipe.pipeline.cluster import ray_place
from emopipe.pipeline.cluster.ray_cluster import Cluster, Node
from emopipe.pipeline.cluster.ray_place import RayPlace
from emopipe.pipeline.runtime.processes.remote_process import LOST

NODE = Node("n2", "10.0.0.2", {}, 0.0, 2.0)
OTHER = Node("n1", "10.0.0.1", {}, 0.0, 2.0)


def said_of(error: Exception, living: list[list[Node]], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """The exit code of an actor, and what is said; whenever Ray is asked it gives the next of `living`."""
    monkeypatch.setattr(ray_place, "POLL_S", 0.001)
    monkeypatch.setattr(ray_place, "NODE_TIMEOUT_S", 0.02)
    asked = iter(living)
    monkeypatch.setattr(Cluster, "nodes", staticmethod(lambda: next(asked)))

    async def watch() -> tuple[int, str]:
        async def work() -> None:
            raise error

        nobody: Any = None
        place = RayPlace("vision", ["faces"], nobody, work(), NODE, 0)
        code = await place.exited
        return code, await place.exit_report(code)

    return asyncio.run(watch())


def test_of_a_node_that_is_lost_ray_hears_later(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ray.exceptions.ActorUnavailableError("Socket closed", b"\0" * 16)
    living = [[OTHER, NODE], [OTHER, NODE], [OTHER]]
    assert said_of(error, living, monkeypatch) == (LOST, "node 10.0.0.2 of the cluster is gone")


def test_of_an_actor_that_was_killed_ray_knows_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert said_of(ray.exceptions.ActorDiedError(), [[OTHER, NODE]], monkeypatch) == (LOST, "its actor was killed")


def test_a_node_that_only_was_not_heard_of_is_not_called_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ray.exceptions.ActorUnavailableError("Socket closed", b"\0" * 16)
    assert said_of(error, [[OTHER, NODE]] * 20, monkeypatch) == (LOST, "its actor cannot be reached")
