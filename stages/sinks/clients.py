"""How many clients have come, and a start that waits for them."""

import asyncio

from emopipe.pipeline.errors import EmopipeError


class ClientCount:
    """Counts clients; `wait` returns once `wanted` of them are there."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._count = 0
        self._enough = asyncio.Event()
        self.add(0)

    def add(self, number: int) -> None:
        """So many more, or fewer, are there."""
        self._count += number
        if self._count >= self._wanted:
            self._enough.set()
        else:
            self._enough.clear()

    async def wait(self, limit: float, setting: str, came: str, remedy: str) -> None:
        """Wait for at most `limit` s.

        Raises:
            EmopipeError: too few came; the sentence says which `setting` asked for them, that they `came`, and what
                the user can do about it.
        """
        try:
            async with asyncio.timeout(limit):
                await self._enough.wait()
        except TimeoutError:
            said = f"{setting}: {self._count} of {self._wanted} {came} within {limit:g} s"
            raise EmopipeError(f"{said}; {remedy}, or give more time with `wait`") from None
