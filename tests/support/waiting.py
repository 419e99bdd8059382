"""Waiting, in an event loop, for what takes real time."""

import asyncio
from collections.abc import Callable
from typing import Any

PATIENCE = 60.0  # s: other work may be going on on this machine


async def until(condition: Callable[[], Any], within: float = PATIENCE) -> Any:
    """Let the loop run until `condition` gives something true, and give that; an error if it does not come."""
    async with asyncio.timeout(within):
        while not (found := condition()):
            await asyncio.sleep(0.005)
    return found
