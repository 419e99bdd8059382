"""The machine of a shard, in virtual time: its cores and threads, what stages cost, and chance."""

import asyncio
import math
import random
from collections import defaultdict
from collections.abc import Coroutine
from typing import Any

from benchmarks.simulation.cores import Cores, Thread
from benchmarks.simulation.costs import Costs
from emopipe.pipeline.clock import MS

HAND_OVERS = 6
"""Threads that the work of a stage passes through, and as many beside it; each waits for a core anew. A picture of one
camera takes 64 in all (voluntary context switches of the workers): of loops, stages' threads, MediaPipe's, ZeroMQ's."""


class Machine:
    """Cores and the threads on them, the costs of stages, and chance."""

    def __init__(self, cores: Cores, costs: Costs, seed: int) -> None:
        self.cores = cores
        self.costs = costs
        self._chance = random.Random(seed)
        self._threads: dict[str, Thread] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)  # of who share a stage's threads

    async def take(self, stage: str, times: float = 1.0) -> None:
        """Work as long as a stage takes for a picture; its process does what is beside that before the next one."""
        await self.work(stage, self.costs.work[stage] * times)
        self.follow(stage)

    def follow(self, stage: str) -> None:
        """Have a process do what it does beside a stage."""
        if ms := self.costs.beside.get(stage, 0.0):
            self.begin(self.work(stage, ms))

    async def hop(self, process: str, large: bool) -> None:
        """Have the sockets of a process take a message in, in order; one without data costs nothing."""
        name = f"{process} sockets"
        async with self._turns[name]:
            await self._thread(name).work(round(self.costs.hop * MS) if large else 0)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something be done meanwhile."""
        self._tasks.add(task := asyncio.create_task(work))
        task.add_done_callback(self._tasks.discard)

    async def work(self, process: str, ms: float) -> None:
        """Work about so long, by chance, in a process that does one thing at a time, as Python does."""
        spread = self.costs.spread
        factor = math.exp(self._chance.gauss(-spread * spread / 2, spread))
        async with self._turns[process]:
            for number in range(HAND_OVERS):
                await self._thread(f"{process} {number}").work(round(ms * factor / HAND_OVERS * MS))

    def _thread(self, name: str) -> Thread:
        if name not in self._threads:
            self._threads[name] = Thread(self.cores)
        return self._threads[name]
