"""The belongings of a stage: its own thread, what is closed at its end, and its state of each stream."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from typing import Any, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Closeable(Protocol):
    """Anything that is closed."""

    def close(self) -> object:
        """Release what it holds."""


C = TypeVar("C", bound=Closeable)


class ComputeThread:
    """One thread for blocking work, begun with the first call."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._executor: ThreadPoolExecutor | None = None
        self._calls = 0  # begun
        self._running = False

    @property
    def at_work(self) -> int | None:
        """The number of the call that the thread is in; None while it is in none."""
        return self._calls if self._running else None

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` in the thread, after all that was called before."""
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix=self._name)

        def call() -> T:
            self._calls += 1
            self._running = True
            try:
                return function(*args, **kwargs)
            finally:
                self._running = False

        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    def stop(self) -> None:
        """Let go of the thread once its present call has returned; what waits is not called any more."""
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None


class Exit(AsyncExitStack):
    """The things to close at a stage's end, also after an error, the last first and its thread at the very last."""

    def __init__(self, thread: ComputeThread) -> None:
        super().__init__()
        self._thread = thread
        self.callback(thread.stop)

    async def enter(self, make: Callable[P, C], *args: P.args, **kwargs: P.kwargs) -> C:
        """Make something in the stage's thread, where its `close` is called at the end."""

        def enter() -> C:
            made = make(*args, **kwargs)
            self.push_async_callback(self._thread.run, made.close)  # here: nobody may be waiting for it any more
            return made

        return await self._thread.run(enter)

    def task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin work beside the messages, cancelled at the end; what it raises is for its owner to look at (`done`)."""
        task = asyncio.create_task(work)

        async def cancel() -> None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        self.push_async_callback(cancel)
        return task


class PerStream(dict[str, T]):
    """A value for each stream, made when it is first asked for; the host forgets it on EOS and on a jump of time."""

    def __init__(self, factory: Callable[[], T]) -> None:
        super().__init__()
        self._factory = factory

    def __missing__(self, stream: str) -> T:
        made = self[stream] = self._factory()
        return made
