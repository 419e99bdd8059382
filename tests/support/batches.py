"""A batcher with a model that infers step by step, and a sink that keeps what is delivered."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from emopipe.pipeline.batcher import Batcher
from emopipe.pipeline.clock import FakeClock

Tag = tuple[str, int]  # (stream, pts)


class Model:
    """Infers by negating, one batch whenever `step` allows it; keeps what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Semaphore(0)

    async def infer(self, rows: list[int]) -> list[int]:
        self.batches.append(rows)
        await self.gate.acquire()
        return [-row for row in rows]

    def step(self, batches: int = 1) -> None:
        for _ in range(batches):
            self.gate.release()


class Sink:
    """Keeps what was delivered."""

    def __init__(self) -> None:
        self.results: list[tuple[Tag, list[int]]] = []
        self.following: list[int] = []

    async def deliver(self, tag: Tag, results: list[int], following: int) -> None:
        self.results.append((tag, results))
        self.following.append(following)

    @property
    def tags(self) -> list[Tag]:
        return [tag for tag, _ in self.results]


class Bench:
    """A batcher with its model, sink and clock."""

    def __init__(self, max_size: int = 4, max_delay: int = 0, backlog: int | None = None) -> None:
        self.model = Model()
        self.sink = Sink()
        self.clock = FakeClock()
        self.batcher: Batcher[Tag, int, int] = Batcher(
            self.model.infer,
            self.sink.deliver,
            max_size=max_size,
            max_delay=max_delay,
            clock=self.clock,
            backlog=backlog,
        )

    async def put(self, stream: str, pts: int, *rows: int) -> None:
        await self.batcher.put(stream, pts, (stream, pts), rows)

    def offer(self, stream: str, pts: int, *rows: int) -> "asyncio.Task[None]":
        """Put without waiting for room."""
        return asyncio.create_task(self.put(stream, pts, *rows))


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))
