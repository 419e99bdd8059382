"""An event loop in which time passes only when nothing is left to do now."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from emopipe.pipeline.clock import SECOND

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose `time` jumps to the next timer instead of waiting for it. Nothing outside may wake it."""

    def __init__(self) -> None:
        self._virtual = 0.0
        super().__init__(_Leaping(self))

    def time(self) -> float:
        return self._virtual

    def leap(self, seconds: float) -> None:
        """Let time pass."""
        self._virtual += seconds


class _Leaping(selectors.DefaultSelector):
    """A selector that does not wait, but has the loop's time pass."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("everybody waits, and nothing will ever happen")
        self._loop.leap(max(0.0, timeout))
        return super().select(0)


class VirtualClock:
    """The clock of a virtual loop, for stages."""

    def now(self) -> int:
        return round(asyncio.get_running_loop().time() * SECOND)

    async def sleep_until(self, when: int) -> None:
        while (left := when - self.now()) > 0:
            await asyncio.sleep(left / SECOND)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time, which begins at 0."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
