"""What a stage holds: state by stream that is forgotten, things made and closed in its thread, work beside it."""

import asyncio
import contextlib
import gc
import threading
import weakref
from typing import Any, ClassVar

import pytest

from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Port
from emopipe.pipeline.resources import ComputeThread
from emopipe.pipeline.stage import Stage
from emopipe.pipeline.testing import data, eos, run_stage
from tests.support.payloads import Other


def x(pts: int, **more: Any) -> Message:
    return data(Other(x=pts), pts, **more)


class Sink(Stage):
    """Takes what it gets."""

    name = "sink"
    inputs: ClassVar[dict[str, Port]] = {"in": Port(Other, "things")}

    async def process(self, port: str, message: Message) -> None:
        """Nothing to do."""


def test_state_per_stream_is_forgotten_on_eos_and_on_a_jump_of_time() -> None:
    class Counting(Sink):
        async def setup(self) -> None:
            self.log: list[list[int]] = []
            self.seen = self.per_stream(list[int])

        async def process(self, port: str, message: Message) -> None:
            self.seen[message.stream].append(message.pts)

        def reset(self, stream: str) -> None:
            self.log.append(list(self.seen[stream]))  # still there

    stage = Counting()
    run_stage(stage, [("in", message) for message in (x(1), x(2), x(1, epoch=1), eos(epoch=1))])
    assert stage.log == [[1, 2], [1]]
    assert stage.seen == {}


class Device:
    """Notes in which thread it was made and closed."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        log.append(f"made in {threading.current_thread().name}")

    def close(self) -> None:
        self.log.append(f"closed in {threading.current_thread().name}")


@pytest.mark.parametrize("fails", ["setup", "process", "never"])
def test_what_a_stage_enters_is_made_and_closed_in_its_thread_also_after_an_error(fails: str) -> None:
    log: list[str] = []

    class Holder(Sink):
        async def setup(self) -> None:
            await self.exit.enter(Device, log)
            if fails == "setup":
                raise LookupError("lost")

        async def process(self, port: str, message: Message) -> None:
            if fails == "process":
                raise LookupError("lost")

    with pytest.raises(LookupError, match="lost") if fails != "never" else contextlib.nullcontext():
        run_stage(Holder(), [("in", x(1))])
    assert log == ["made in sink", "closed in sink"]


def test_work_beside_the_messages_ends_with_the_stage_before_what_was_taken_earlier() -> None:
    log: list[str] = []

    class Busy(Sink):
        async def setup(self) -> None:
            await self.exit.enter(Device, log)
            self.exit.task(self._work())

        async def _work(self) -> None:
            try:
                await asyncio.Future()
            finally:
                log.append("work ended")

    run_stage(Busy(), [("in", x(1))])
    assert log == ["made in sink", "work ended", "closed in sink"]


def test_a_thread_computes_one_call_after_the_other_and_gives_back_what_each_returns_or_raises() -> None:
    order: list[int] = []

    def compute(number: int) -> int:
        order.append(number)
        if number == 2:
            raise LookupError("two")
        if number == 3:
            raise StopIteration
        return 10 * number

    async def run() -> list[int | BaseException]:
        thread = ComputeThread("computes")
        try:
            return await asyncio.gather(*(thread.run(compute, number) for number in range(5)), return_exceptions=True)
        finally:
            thread.stop()

    results = asyncio.run(run())
    assert order == [0, 1, 2, 3, 4]
    assert [result for result in results if isinstance(result, int)] == [0, 10, 40]
    assert repr(results[2]) == "LookupError('two')"
    assert isinstance(results[3], RuntimeError)
    assert isinstance(results[3].__cause__, StopIteration)


@pytest.mark.parametrize("end", ["cancel", "stop"])
def test_a_call_that_waits_is_not_made_once_nobody_wants_it(end: str) -> None:
    called: list[str] = []
    release = threading.Event()

    async def run() -> None:
        thread = ComputeThread("computes")
        first = asyncio.create_task(thread.run(release.wait))
        second = asyncio.create_task(thread.run(called.append, "second"))
        while thread.at_work is None:
            await asyncio.sleep(0)
        assert thread.at_work == 1
        if end == "cancel":
            second.cancel()
        else:
            thread.stop()
        with pytest.raises(asyncio.CancelledError):
            await second
        release.set()
        assert await first
        if end == "cancel":
            await thread.run(called.append, "third")
            thread.stop()

    asyncio.run(run())
    assert called == (["third"] if end == "cancel" else [])


@pytest.mark.parametrize("raises", [False, True])
def test_a_thread_keeps_nothing_of_a_call_that_is_over(raises: bool) -> None:
    def compute(given: Device) -> Device:
        if raises:
            raise LookupError("lost")
        return given

    async def run() -> None:
        thread = ComputeThread("computes")
        given = Device([])
        kept = weakref.ref(given)
        with pytest.raises(LookupError) if raises else contextlib.nullcontext():
            await thread.run(compute, given)
        del given
        async with asyncio.timeout(10):
            while kept() is not None:
                await asyncio.sleep(0)
        thread.stop()

    gc.disable()
    try:
        asyncio.run(run())
    finally:
        gc.enable()
