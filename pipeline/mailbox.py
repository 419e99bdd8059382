"""A bounded mailbox, for what a thread or a callback hands over to a stage: the newest stays."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Filled from any thread, emptied in the event loop in which it was made.

    Args:
        most: the sum of the items' weights that may wait; beyond it the oldest go, but never the newest.
        weigh: an item's weight; each weighs 1 where not given.
    """

    def __init__(self, most: int, weigh: Callable[[T], int] = lambda item: 1) -> None:
        self._most = most
        self._weigh = weigh
        self._items: deque[T] = deque()
        self._weight = 0
        self._dropped = 0
        self._closed = False
        self._lock = threading.Lock()
        self._loop = asyncio.get_running_loop()
        self._notified = asyncio.Event()
        self._notifying = False  # a call is on its way, and another would only pile up behind it

    def put(self, item: T) -> None:
        """Hand over `item`; never waits. After `close` it is ignored."""
        with self._lock:
            if self._closed:
                return
            self._items.append(item)
            self._weight += self._weigh(item)
            while self._weight > self._most and len(self._items) > 1:
                self._weight -= self._weigh(self._items.popleft())
                self._dropped += 1
            self._notify()

    def close(self) -> None:
        """Take nothing more; what waits may still be taken out. May be called twice, from any thread."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._notify()

    async def arrived(self) -> bool:
        """Wait until something is there; false once it is closed and empty."""
        while not self._items and not self._closed:
            await self._notified.wait()
            with self._lock:
                self._notified.clear()
                self._notifying = False
        return bool(self._items)

    def take(self) -> tuple[list[T], int]:
        """Everything that is there, oldest first, and how many were dropped since the last call."""
        with self._lock:
            items, dropped = list(self._items), self._dropped
            self._items.clear()
            self._weight = self._dropped = 0
            return items, dropped

    def _notify(self) -> None:
        if not self._notifying:
            self._notifying = True
            self._loop.call_soon_threadsafe(self._notified.set)
