"""Time: one monotonic clock a run, in integer nanoseconds, and a fake one that tests turn by hand."""

import asyncio
import heapq
import time
from typing import ClassVar, Protocol

MS = 1_000_000
SECOND = 1_000_000_000


class Clock(Protocol):
    """The clock of stages, instead of `time` and `asyncio.sleep`."""

    def now(self) -> int:
        """Monotonic time in ns; comparable between the processes of one run."""
        ...

    async def sleep_until(self, when: int) -> None:
        """Return once `now() >= when` (ns)."""
        ...


class SystemClock:
    """The host's monotonic clock; on another host than the run's, as that one's.

    Attributes:
        shift: what this process adds to its host's (ns): how far the run's is ahead of it.
    """

    shift: ClassVar[int] = 0

    def now(self) -> int:
        return time.monotonic_ns() + self.shift

    async def sleep_until(self, when: int) -> None:
        while (left := when - self.now()) > 0:
            await asyncio.sleep(left / SECOND)


class FakeClock:
    """A clock that stands still until a test calls `advance`."""

    def __init__(self, start: int = 0) -> None:
        self._now = start
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []  # (when, the how manieth, woken)
        self._slept = 0

    def now(self) -> int:
        return self._now

    async def sleep_until(self, when: int) -> None:
        if when <= self._now:
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (when, self._slept, woken))
        self._slept += 1
        await woken

    async def advance(self, ns: int) -> None:
        """Move time on by `ns`, waking each sleeper at its own moment and letting it run."""
        await settle()  # whoever is about to sleep sleeps from now
        target = self._now + ns
        while self._sleepers and self._sleepers[0][0] <= target:
            when, _, woken = heapq.heappop(self._sleepers)
            self._now = max(self._now, when)
            if not woken.done():
                woken.set_result(None)
            await settle()
        self._now = target
        await settle()


class Wakeup:
    """One sleeper's alarm clock; what is set while nobody sleeps is kept for the next `wait`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._event = asyncio.Event()

    def set(self) -> None:
        """Wake the sleeper."""
        self._event.set()

    async def wait(self, until: int | None = None) -> None:
        """Return at the next `set`, or when the clock reaches `until` (ns)."""
        timer = None if until is None else asyncio.create_task(self._set_at(until))
        try:
            await self._event.wait()
        finally:
            if timer is not None:
                timer.cancel()
        self._event.clear()

    async def _set_at(self, until: int) -> None:
        await self._clock.sleep_until(until)
        self.set()


async def settle(rounds: int = 20) -> None:
    """Let every task that can run do so, without any time passing."""
    for _ in range(rounds):
        await asyncio.sleep(0)
