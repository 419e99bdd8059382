"""What a stage holds: state by stream that is forgotten, things made and closed in its thread, work beside it."""

import asyncio
import contextlib
import threading
from typing import Any, ClassVar

import pytest

from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Port
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
    assert log == ["made in sink_0", "closed in sink_0"]


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
    assert log == ["made in sink_0", "work ended", "closed in sink_0"]
