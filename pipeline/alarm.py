"""Sleep until a moment or until somebody rings, on any clock."""

import asyncio

from emopipe.pipeline.clock import Clock


class Alarm:
    """One sleeper's alarm clock. A ring while nobody sleeps is kept for the next `wait`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake the sleeper."""
        self._rung.set()

    async def wait(self, until: int | None = None) -> None:
        """Return at the next ring, or when the clock reaches `until` (ns)."""
        timer = None if until is None else asyncio.create_task(self._ring_at(until))
        try:
            await self._rung.wait()
        finally:
            if timer is not None:
                timer.cancel()
        self._rung.clear()

    async def _ring_at(self, until: int) -> None:
        await self._clock.sleep_until(until)
        self.ring()
