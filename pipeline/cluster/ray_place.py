"""A process on a Ray cluster, as the supervisor sees it."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from typing import Any

import ray

from emopipe.pipeline.cluster.ray_cluster import Cluster, Node
from emopipe.pipeline.runtime.processes.process import Stacks
from emopipe.pipeline.runtime.processes.remote_process import LOST

FAILED = 1
VERDICT_TIMEOUT_S = 10.0  # for Ray to say that an actor has ended
NODE_TIMEOUT_S = 40.0  # for it to say that a node has: it asks one five times, every three seconds
POLL_S = 0.25


class RayPlace:
    """An actor that takes part in a run.

    Args:
        actor: its handle.
        work: the reference of what it does, which ends when it does.
        node: where it is.
        pid: of its process, where that is on this host.
    """

    wait: float | None = None
    missing = ""
    verdict = VERDICT_TIMEOUT_S

    def __init__(self, name: str, stages: Sequence[str], actor: Any, work: Any, node: Node, pid: int) -> None:
        self.name = name
        self.stages = stages
        self.pid = pid
        self.node = node
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._actor = actor
        self._reason = ""  # of its end, in Ray's words
        self._certain = False  # that the actor itself has ended, and not only that nothing is heard of it
        self._watching = asyncio.create_task(self._watch(work))

    @property
    def title(self) -> str:
        stages = f"{'stage' if len(self.stages) == 1 else 'stages'} {', '.join(self.stages)}"
        return f"{stages} on node {self.node.address}"

    @property
    def ended_well(self) -> bool:
        return self.exited.done() and self.exited.result() == 0

    def heard(self, message: object) -> None:
        """Ray tells when it has ended."""

    async def stacks(self) -> Stacks:
        """Nobody can ask for them there."""
        return Stacks("", "")

    async def exit_report(self, code: int) -> str:
        """How it has ended, for the user."""
        if code == 0:
            return "its actor has ended before its time"
        if code == FAILED:
            return self._reason
        for _ in range(round(NODE_TIMEOUT_S / POLL_S)):
            nodes = await asyncio.to_thread(Cluster.nodes)
            if self.node.id not in {node.id for node in nodes} or "node has died" in self._reason:
                return f"node {self.node.address} of the cluster is gone"
            if self._certain:
                return "its actor was killed"
            await asyncio.sleep(POLL_S)
        return "its actor cannot be reached"

    def kill(self) -> None:
        """End the actor at once; of one on a node that is gone nobody may ever say that it has ended."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self._end(LOST)
        self.close()

    def close(self) -> None:
        ray.kill(self._actor, no_restart=True)

    async def gone(self) -> None:
        """Wait until Ray says that the actor does nothing any more."""
        await asyncio.wait([self._watching])

    def _end(self, code: int) -> None:
        if not self.exited.done():
            self.exited.set_result(code)

    async def _watch(self, work: Any) -> None:
        try:
            await work
        except ray.exceptions.RayTaskError as error:
            self._reason = str(error.cause).strip().split("\n")[0]
            self._end(FAILED)
        except ray.exceptions.RayError as error:
            self._reason = str(error)
            self._certain = not isinstance(error, ray.exceptions.ActorUnavailableError)
            self._end(LOST)
        else:
            self._end(0)
