"""runtime.source_host: how a source's streams end, jump and come back, and how it is drained."""

import asyncio
from typing import ClassVar

import pytest

from emopipe.pipeline.clock import MS
from emopipe.pipeline.message import FOREVER
from emopipe.pipeline.port import Port
from emopipe.pipeline.source import Source
from emopipe.pipeline.testing import Outputs, StageHarness, run_stage
from tests.support.payloads import Other


class Halved(Source):
    """Emits on one output, and says that the other will stay empty."""

    name = "halved"
    outputs: ClassVar[dict[str, Port]] = {"out": Port(Other, "things"), "none": Port(Other, "nothing")}

    async def run(self) -> None:
        await self.end("s", "none")
        for pts in (0, 10):
            await self.emit("out", Other(x=pts), stream="s", pts=pts)


def test_a_source_ends_its_streams_by_itself() -> None:
    outputs = run_stage(Halved())
    assert [(m.kind, m.stream, m.watermark) for m in outputs.messages["out"]] == [
        ("data", "s", 0),
        ("data", "s", 10),
        ("eos", "s", FOREVER),
        ("eos", "", FOREVER),
    ]
    assert [(m.kind, m.stream) for m in outputs.messages["none"]] == [("eos", "s"), ("eos", "")]


class Jumping(Halved):
    """Has pictures only, and begins anew."""

    name = "jumping"

    async def run(self) -> None:
        await self.end("s", "none")
        await self.emit("out", Other(x=1), stream="s", pts=100)
        self.new_epoch("s")
        await self.emit("out", Other(x=2), stream="s", pts=3)
        await self.end("s", "out")
        await self.emit("out", Other(x=3), stream="s", pts=1)


def test_a_source_that_jumps_says_again_what_has_ended() -> None:
    outputs = run_stage(Jumping())
    assert [(m.kind, m.stream, m.pts, m.epoch) for m in outputs.messages["out"]] == [
        ("data", "s", 100, 0),
        ("data", "s", 3, 1),
        ("eos", "s", 0, 1),
        ("data", "s", 1, 2),
        ("eos", "s", 0, 2),
        ("eos", "", 0, 0),
    ]
    assert [(m.stream, m.epoch) for m in outputs.messages["none"]] == [("s", 0), ("s", 1), ("", 0)]


class Live(Source):
    """Waits for room before each number, counts it, and never ends by itself."""

    name = "live"
    outputs: ClassVar[dict[str, Port]] = {"out": Port(Other, "numbers")}

    ended_by = ""

    async def run(self) -> None:
        try:
            while True:
                await self.writable("out", "s")
                await self.emit("out", Other(x=0), stream="s", pts=self.running_time())
                self.count("numbers", "s")
                await self.host.clock.sleep_until(self.host.clock.now() + 10 * MS)
        except asyncio.CancelledError:
            self.ended_by = "cancellation"
            raise


def test_a_live_source_waits_for_room_counts_and_drains() -> None:
    stage = Live()

    async def drive() -> Outputs:
        async with StageHarness(stage, mode="live") as harness:
            await harness.clock.advance(25 * MS)
            await harness.hold("out")
            await harness.clock.advance(50 * MS)
            assert len(harness.outputs.data("out")) == 3
            await harness.hold("out", held=False)
            await harness.drain()
            return harness.outputs

    outputs = asyncio.run(drive())
    assert [m.pts for m in outputs.data("out")] == [0, 10 * MS, 20 * MS, 75 * MS]
    assert [m.stream for m in outputs.messages["out"] if m.kind == "eos"] == ["s", ""]
    assert stage.counters["numbers"] == stage.stream_counters.snapshot()["s"]["numbers"] == 4
    assert stage.ended_by == "cancellation"


def test_an_error_of_a_source_that_is_drained_is_an_error() -> None:
    class Torn(Live):
        async def run(self) -> None:
            try:
                await super().run()
            finally:
                raise LookupError("the cable is torn")

    async def drive() -> None:
        async with StageHarness(Torn(), mode="live") as harness:
            await harness.clock.advance(1)
            await harness.drain()

    with pytest.raises(LookupError, match="torn"):
        asyncio.run(drive())


def test_what_a_sources_own_tasks_emit_after_its_end_does_not_follow_it() -> None:
    class Careless(Live):
        async def run(self) -> None:
            self.task = asyncio.create_task(super().run())
            await asyncio.shield(self.task)

        async def close(self) -> None:
            self.task.cancel()

    async def drive() -> list[str]:
        async with StageHarness(Careless(), mode="live") as harness:
            await harness.clock.advance(1)
            await harness.drain()
            await harness.clock.advance(50 * MS)
            await harness.stage.end("s")
            return [message.kind for message in harness.outputs.messages["out"]]

    assert asyncio.run(drive()) == ["data", "eos", "eos"]
