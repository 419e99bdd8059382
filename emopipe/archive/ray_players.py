"""Players on a Ray cluster: actors that read recordings on their nodes, and send results to the archive's host.

The archive itself, its journal and who plays what next stay with whoever has given the command.
"""

import asyncio
import contextlib
import importlib.metadata
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import ray

from emopipe.archive.ledger import Entry
from emopipe.archive.players import Loss
from emopipe.archive.ray_player import Arrival, RayPlayer, Replayed
from emopipe.archive.replay import FULL, Order, disk_full, failed
from emopipe.pipeline.cluster.ray_cluster import Cluster, need_room, process_gpus
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.files import replacing
from emopipe.pipeline.graph.process_layout import cores
from emopipe.pipeline.graph.spec import Graph

PLACED_TIMEOUT_S = 90.0  # for the cluster to find room for the first, and to start its process
GONE_TIMEOUT_S = 10.0  # for an actor to remove what it has
STARTS = 3  # of an actor that dies before it is there, as with its node


class RayPlayers:
    """Actors of a cluster, a core each, and the GPUs that the graph asks for.

    Args:
        order: of the archive.
        graph: one of it.
        where: `ray`, or `ray://HOST:PORT`.
        verbose: pass on what the processes log.
    """

    def __init__(self, order: Order, graph: Graph, where: str, *, verbose: bool = False) -> None:
        self._order = order
        self._graph = graph
        self._where = where
        self._verbose = verbose
        self._there = 0  # players
        self.cores = 1

    async def __aenter__(self) -> Self:
        self._cluster = await Cluster.join(self._where, verbose=self._verbose, cores=cores())
        try:
            need_room(self._graph, list(self._graph.processes), await asyncio.to_thread(self._cluster.nodes))
            self.cores = max(1, int((await asyncio.to_thread(ray.cluster_resources)).get("CPU", 0)))
        except BaseException:
            await asyncio.to_thread(self._cluster.leave)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._cluster.leave)

    async def start(self, number: int) -> "RemotePlayer":
        for left in reversed(range(STARTS)):
            actor = self._actor()
            try:
                arrival = await self._arrive(actor)
                order = msgspec.structs.replace(self._order, place=f"node {arrival.address}")
                await actor.prepare.remote(order, str(Path.cwd()), self._verbose)
            except ray.exceptions.RayError as error:
                ray.kill(actor, no_restart=True)
                if isinstance(cause := getattr(error, "cause", None), EmopipeError):
                    raise cause from None
                if not left:
                    last = str(error).strip().splitlines()[-1]
                    remedy = "emopipe has to be installed on each node, as it is here"
                    raise EmopipeError(f"--on {self._where}: no job can be started there: {last}; {remedy}") from None
            except BaseException:
                ray.kill(actor, no_restart=True)
                raise
            else:
                self._there += 1
                return RemotePlayer(self._order, actor, arrival.address, self.gone)
        raise AssertionError

    def _actor(self) -> Any:
        gpus = sum(process_gpus(self._graph, name) for name in self._graph.processes)
        kind = ray.remote(max_restarts=0, num_cpus=1, num_gpus=gpus, scheduling_strategy="SPREAD")
        return kind(RayPlayer).remote()

    async def _arrive(self, actor: Any) -> Arrival:
        """Wait for room; for as long as it takes, where others play.

        Raises:
            EmopipeError: nobody plays, and there is no room; or there is another emopipe.
        """
        arriving = asyncio.ensure_future(actor.arrive.remote())
        try:
            while not (await asyncio.wait({arriving}, timeout=PLACED_TIMEOUT_S))[0]:
                if not self._there:
                    remedy = "`ray status` says what others take"
                    late = f"the cluster has found no room for a job within {PLACED_TIMEOUT_S:g} s; {remedy}"
                    raise EmopipeError(f"--on {self._where}: {late}")
        finally:
            arriving.cancel()
        arrival: Arrival = arriving.result()
        if arrival.version != (own := importlib.metadata.version("emopipe")):
            other = f"node {arrival.address} has emopipe {arrival.version}, but this host {own}"
            raise EmopipeError(f"--on {self._where}: {other}; install the same on both")
        return arrival

    def gone(self) -> None:
        """A player has ended."""
        self._there -= 1


class RemotePlayer:
    """An actor, as the archive sees it."""

    def __init__(self, order: Order, actor: Any, address: str, ended: Callable[[], None]) -> None:
        self.usable = True
        self._order = order
        self._actor = actor
        self._address = address
        self._ended = ended

    async def replay(self, recording: str) -> Entry | Loss:
        try:
            replayed: Replayed = await self._actor.replay.remote(recording)
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, EmopipeError):
                raise error.cause from None
            raise
        except ray.exceptions.RayError:
            self.usable = False
            return Loss("crashed", f"the actor that played it on node {self._address} was lost")
        answer = replayed.answer
        if isinstance(answer, Entry) and answer.result is not None:
            try:
                await asyncio.to_thread(_write, Path(self._order.out, answer.result), replayed.content)
            except OSError as error:
                if error.errno in FULL:
                    raise disk_full(self._order) from None
                return failed(recording, "error", f"{type(error).__name__}: {error}")
        return answer

    async def end(self) -> None:
        self._ended()
        if self.usable:
            with contextlib.suppress(TimeoutError, ray.exceptions.RayError):
                async with asyncio.timeout(GONE_TIMEOUT_S):
                    await self._actor.end.remote()
        ray.kill(self._actor, no_restart=True)


def _write(path: Path, content: bytes) -> None:
    """Write the results of a recording, all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as new, new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
