"""The processes of a run on a Ray cluster: Ray places and watches them, what they say to each other goes by ZeroMQ.

An actor a process, placed all at once (a placement group), by labels, and in several copies of a graph evenly; without
a name and not detached, so that Ray ends them with the run, however that ends. Sinks stay with whoever has begun the
run, and so do their files and pages.
"""

import asyncio
import contextlib
import dataclasses
import importlib.metadata
from pathlib import Path
from typing import Any

import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from emopipe.pipeline.access.addresses import tcp_address
from emopipe.pipeline.access.keys import KeyPair
from emopipe.pipeline.cluster.placement import spread
from emopipe.pipeline.cluster.ray_cluster import Cluster, Node, need_room, process_gpus
from emopipe.pipeline.cluster.ray_place import RayPlace
from emopipe.pipeline.cluster.ray_worker import Arrival, RayWorker, sweep
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.spec import Graph, Remote, RemoteProcess, original
from emopipe.pipeline.runtime.channel import Endpoint
from emopipe.pipeline.runtime.processes.launcher import Place
from emopipe.pipeline.runtime.processes.process import WorkerProcess

PLACED_TIMEOUT_S = 90.0  # for the cluster to find room for all, and to start their processes
SPREAD_TIMEOUT_S = 5  # for it to find room for copies where they are to be; after that, anywhere
GONE_TIMEOUT_S = 10.0  # for killed actors to be gone, and what they left removed
CPU = 0.001  # of a node, for each: Ray is to choose by labels and GPUs, and to keep them together
NODE_ID = "ray.io/node-id"  # a label that each node has


class RayLauncher:
    """Starts the processes of a run on a cluster, all but those with sinks.

    Args:
        where: `ray`, or `ray://HOST:PORT`.
        actors: how many there may be: a cluster that is started has room for them.
        verbose: pass through what actors log.
    """

    def __init__(self, where: str, actors: int = 1, *, verbose: bool = False) -> None:
        self._where = where
        self._room = actors
        self._verbose = verbose
        self._cluster: Cluster
        self._group: Any = None
        self._actors: dict[str, Any] = {}  # that wait for their work
        self._arrivals: dict[str, Arrival] = {}
        self._order: dict[str, int] = {}  # of the processes in the placement group
        self._nodes: dict[str, Node] = {}  # all that were there since the run began
        self._places: list[RayPlace] = []

    async def __aenter__(self) -> "RayLauncher":
        self._cluster = await Cluster.join(self._where, verbose=self._verbose, cores=self._room)
        return self

    async def __aexit__(self, *raised: object) -> None:
        try:
            await self._release()
        finally:
            await asyncio.to_thread(self._cluster.leave)

    async def place(self, graph: Graph) -> Graph:
        """Find a place for each process, and start an actor there."""
        await self._release()
        if graph.remote.processes:
            remedy = "leave out --on, or the table"
            name = next(iter(graph.remote.processes))
            raise EmopipeError(f"{graph.path}: processes.{name}.remote: --on has the cluster place all; {remedy}")
        names = [
            name for name, stages in graph.processes.items() if all(graph.stages[stage].cls.outputs for stage in stages)
        ]
        try:
            async with asyncio.timeout(PLACED_TIMEOUT_S):
                await self._start(graph, names)
        except TimeoutError:
            remedy = "`ray status` says what others take"
            what = ", ".join(dict.fromkeys(map(original, names)))
            shards = f" in {graph.shards} shards" if graph.shards > 1 else ""
            late = f"the cluster has found no room for {what}{shards} within {PLACED_TIMEOUT_S:g} s; {remedy}"
            raise EmopipeError(f"{graph.path}: {late}") from None
        far = {
            name: RemoteProcess(arrival.key, "", PLACED_TIMEOUT_S, arrival.node)
            for name, arrival in self._arrivals.items()
            if arrival.node != self._cluster.node
        }
        remote = Remote(tcp_address(self._cluster.address), "", far, graph.remote.labels, KeyPair.new())
        return dataclasses.replace(graph, remote=remote if far else Remote(labels=graph.remote.labels))

    async def spawn(self, name: str, graph: Graph, endpoint: Endpoint, folder: Path, *, verbose: bool) -> Place:
        stages = graph.processes[name]
        if name not in self._arrivals:
            return await WorkerProcess.spawn(name, stages, endpoint, folder=folder, verbose=verbose)
        if name not in self._actors:  # it comes back, by itself
            self._actors[name] = self._actor(graph, name)
            self._arrivals[name] = await self._arrive(graph, name)
        actor, arrival = self._actors.pop(name), self._arrivals[name]
        far = name in graph.remote.processes
        work = actor.work.remote(endpoint, name, "" if far else str(folder), str(Path.cwd()))
        place = RayPlace(name, stages, actor, work, self._nodes[arrival.node], 0 if far else arrival.pid)
        self._places.append(place)
        return place

    async def _start(self, graph: Graph, names: list[str]) -> None:
        """Let an actor for each process come to its place."""
        await self._reserve(graph, names)
        self._order = {name: number for number, name in enumerate(names)}
        self._actors = {name: self._actor(graph, name) for name in names}
        arrivals = await asyncio.gather(*(self._arrive(graph, name) for name in names))
        self._arrivals = dict(zip(names, arrivals, strict=True))

    async def _reserve(self, graph: Graph, names: list[str]) -> None:
        """Get a place for each process; on the nodes that `spread` chooses, if the cluster has room there in time."""
        bundles = [{"CPU": CPU, "GPU": process_gpus(graph, name)} for name in names]
        amounts = [{kind: amount for kind, amount in bundle.items() if amount} for bundle in bundles]
        waited = 0
        nodes = await self._need_room(graph, names)
        while True:
            chosen = spread(graph, names, nodes) if waited < SPREAD_TIMEOUT_S else {}
            labels = [dict(graph.remote.labels.get(name, {})) for name in names]
            for name, wanted in zip(names, labels, strict=True):
                if name in chosen:
                    wanted[NODE_ID] = chosen[name]
            self._group = await asyncio.to_thread(placement_group, amounts, bundle_label_selector=labels)
            while not await asyncio.to_thread(self._group.wait, 1):  # of a node that is gone Ray hears later
                waited += 1
                nodes = await self._need_room(graph, names)
                if chosen and (waited >= SPREAD_TIMEOUT_S or not {*chosen.values()} <= {node.id for node in nodes}):
                    break
            else:
                return
            await asyncio.to_thread(remove_placement_group, self._group)

    async def _need_room(self, graph: Graph, names: list[str]) -> list[Node]:
        """The nodes that live.

        Raises:
            EmopipeError: they have not what the graph asks for.
        """
        nodes = await asyncio.to_thread(self._cluster.nodes)
        living = {node.id: node for node in nodes}
        gone = [node.address for id_, node in self._nodes.items() if id_ not in living]
        self._nodes |= living
        try:
            need_room(graph, names, nodes)
        except EmopipeError as error:
            lost = f"; gone since the run began: node {', '.join(gone)}" if gone else ""
            raise EmopipeError(f"{error}{lost}") from None
        return nodes

    def _actor(self, graph: Graph, name: str) -> Any:
        at = PlacementGroupSchedulingStrategy(self._group, placement_group_bundle_index=self._order[name])
        gpus = process_gpus(graph, name)
        kind = ray.remote(max_restarts=0, num_cpus=0, num_gpus=gpus, max_concurrency=2, scheduling_strategy=at)
        return kind(RayWorker).remote()

    async def _arrive(self, graph: Graph, name: str) -> Arrival:
        """Raises: EmopipeError: an actor cannot be there, or has another emopipe."""
        where = f"{graph.path}: process {name}"
        try:
            arrival: Arrival = await self._actors[name].arrive.remote()
        except ray.exceptions.RayError as error:
            last = str(error).strip().splitlines()[-1]
            remedy = "emopipe has to be installed on each node, as it is here"
            raise EmopipeError(f"{where} cannot be started on the cluster: {last}; {remedy}") from None
        if arrival.version != (own := importlib.metadata.version("emopipe")):
            other = f"node {arrival.address} has emopipe {arrival.version}, but this host {own}"
            raise EmopipeError(f"{where}: {other}; install the same on both")
        return arrival

    async def _release(self) -> None:
        """End all actors, and give back their places; remove what those that were killed have left."""
        far = {place.node.id for place in self._places if not (place.pid or place.ended_well)}
        for actor in self._actors.values():
            ray.kill(actor, no_restart=True)
        with contextlib.suppress(TimeoutError):  # a node that is gone answers no more
            async with asyncio.timeout(GONE_TIMEOUT_S):
                for place in self._places:
                    place.close()
                    await place.gone()
                living = {node.id for node in await asyncio.to_thread(self._cluster.nodes)} if far else set()
                for node in far & living:
                    at = NodeAffinitySchedulingStrategy(node, soft=False)
                    with contextlib.suppress(ray.exceptions.RayError):
                        await ray.remote(num_cpus=0, scheduling_strategy=at)(sweep).remote()
        if self._group is not None:
            await asyncio.to_thread(remove_placement_group, self._group)
        self._actors, self._arrivals, self._places, self._group = {}, {}, [], None
