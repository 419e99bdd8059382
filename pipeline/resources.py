"""The belongings of a stage: its own thread, what is closed at its end, and its state of each stream."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Closeable(Protocol):
    """Anything that is closed."""

    def close(self) -> object:
        """Release what it holds."""


C = TypeVar("C", bound=Closeable)


class _Call(NamedTuple):
    """A call that waits for the thread."""

    function: Callable[[], Any]
    answer: "asyncio.Future[Any]"


class ComputeThread:
    """One thread for blocking work, begun with the first call.

    It has nothing of a pool: a call costs 20 µs of CPU here, and 45 by `loop.run_in_executor`, some five times a
    picture. A daemon, since a driver that never returns from a call cannot hold anybody up.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._waiting: SimpleQueue[_Call | None] | None = None  # None: the end
        self._calls = 0  # begun
        self._running = False

    @property
    def at_work(self) -> int | None:
        """The number of the call that the thread is in; None while it is in none."""
        return self._calls if self._running else None

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `function` in the thread, after all that was called before; not any more if this is cancelled first."""
        if self._waiting is None:
            self._waiting = SimpleQueue()
            threading.Thread(target=self._work, args=(self._waiting,), name=self._name, daemon=True).start()
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.put(_Call(partial(function, *args, **kwargs), answer))
        try:
            return await answer
        finally:
            del answer  # it and what was raised would hold each other, and what was given

    def stop(self) -> None:
        """Let go of the thread once its present call has returned; what waits is not called any more."""
        if self._waiting is not None:
            with suppress(Empty):
                while (call := self._waiting.get_nowait()) is not None:
                    call.answer.cancel()
            self._waiting.put(None)
            self._waiting = None

    def _work(self, waiting: "SimpleQueue[_Call | None]") -> None:
        while (call := waiting.get()) is not None:
            if not call.answer.cancelled():
                self._answer(call)
            del call  # and with it what it was given and has made, while the next is waited for

    def _answer(self, call: _Call) -> None:
        self._calls += 1
        self._running = True
        try:
            result = call.function()
        except BaseException as error:
            answer = call.answer
            del call  # which the error's traceback would keep, and the answer, too
            self._tell(answer, _fail, error)
            del answer
        else:
            self._tell(call.answer, _succeed, result)

    def _tell(
        self, answer: "asyncio.Future[Any]", how: Callable[["asyncio.Future[Any]", Any], None], what: Any
    ) -> None:
        self._running = False
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            answer.get_loop().call_soon_threadsafe(how, answer, what)


def _succeed(answer: "asyncio.Future[Any]", result: Any) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: "asyncio.Future[Any]", error: BaseException) -> None:
    if not answer.done():
        if isinstance(error, StopIteration):  # a future refuses it: whoever awaits would seem to be over
            refused, error = error, RuntimeError(f"{error!r} was raised")
            error.__cause__ = refused
        answer.set_exception(error)


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
