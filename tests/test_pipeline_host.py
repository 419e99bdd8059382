"""pipeline.host: watermarks, EOS, epochs and traces, as every stage may rely on them. Also shows pipeline.testing."""

import asyncio
from typing import ClassVar

import pytest

from pipeline.clock import MS
from pipeline.message import FOREVER, Message
from pipeline.stage import Port, Stage
from pipeline.testing import Outputs, StageHarness, data, eos, gap, run_stage, watermark
from tests.test_pipeline_message import Other


class Pass(Stage):
    """Passes on what it gets, from either input."""

    name = "pass"
    inputs: ClassVar[dict[str, Port]] = {"left": Port(Other, "one"), "right": Port(Other, "other", optional=True)}
    outputs: ClassVar[dict[str, Port]] = {"out": Port(Other, "both")}

    def __init__(self) -> None:
        super().__init__()
        self.log: list[object] = []

    async def process(self, port: str, message: Message) -> None:
        await self.emit("out", message.payload, cause=message, watermark=self.host.input_watermark(message.stream) - 1)

    async def moved(self, port: str, stream: str, watermark: int) -> None:
        if watermark == FOREVER:
            self.log.append(("ended", port, stream))

    async def flush(self, stream: str) -> None:
        self.log.append(("flush", stream))

    def reset(self, stream: str) -> None:
        self.log.append(("reset", stream))


def kinds(outputs: Outputs, stream: str | None = None) -> list[tuple[str, int]]:
    return [(m.kind, m.watermark) for m in outputs.messages["out"] if stream in (None, m.stream)]


def x(pts: int, **more: object) -> Message:
    return data(Other(x=pts), pts, **more)  # type: ignore[arg-type]


def test_one_input_carries_its_watermark_through() -> None:
    outputs = run_stage(Pass(), [("left", x(5)), ("left", watermark(40)), ("left", gap(50, 10))], connect=["left"])
    assert kinds(outputs) == [
        ("data", 5),
        ("watermark", 6),
        ("watermark", 40),
        ("gap", 51),
        ("eos", FOREVER),
        ("eos", FOREVER),
    ]


def test_the_slower_input_holds_the_watermark() -> None:
    sends = [("left", watermark(100)), ("right", watermark(30)), ("right", watermark(60)), ("right", eos())]
    outputs = run_stage(Pass(), sends)
    assert kinds(outputs, "test") == [
        ("watermark", 30),
        ("watermark", 60),
        ("watermark", 100),
        ("eos", FOREVER),
    ]


def test_a_stream_ends_when_it_has_on_every_input_and_is_flushed_before() -> None:
    stage = Pass()
    outputs = run_stage(stage, [("left", x(1)), ("left", eos()), ("right", watermark(9)), ("right", eos())])
    assert stage.log == [("ended", "left", "test"), ("ended", "right", "test"), ("flush", "test"), ("reset", "test")]
    assert [m.stream for m in outputs.messages["out"] if m.kind == "eos"] == ["test", ""]


def test_a_stream_that_one_input_never_saw_still_ends() -> None:
    stage = Pass()
    run_stage(stage, [("left", x(1, stream="a")), ("left", eos("a"))])
    assert ("flush", "a") in stage.log


def test_a_stream_that_begins_after_another_input_has_ended_for_good() -> None:
    async def drive() -> Outputs:
        async with StageHarness(Pass()) as stage:
            await stage.send("right", eos(""))
            await stage.send("left", x(7, stream="late"))
            await stage.finish()
            return stage.outputs

    assert ("watermark", 8) in kinds(asyncio.run(drive()), "late")


def test_streams_keep_their_own_time() -> None:
    outputs = run_stage(Pass(), [("left", x(100, stream="a")), ("left", x(1, stream="b"))], connect=["left"])
    assert [m.pts for m in outputs.data("out", "b")] == [1]
    assert [m.seq for m in outputs.data("out")] == [0, 0]


def test_a_new_epoch_resets_the_stream_and_time_may_go_back() -> None:
    stage = Pass()
    sends = [("left", x(100)), ("left", x(5, epoch=1)), ("left", x(101)), ("left", x(6, epoch=1))]
    outputs = run_stage(stage, sends, connect=["left"])
    assert [(m.epoch, m.pts) for m in outputs.data("out")] == [(0, 100), (1, 5), (1, 6)]
    assert stage.counters["stale"] == 1


class Late(Pass):
    """Emits below what it has promised."""

    name = "late"

    async def process(self, port: str, message: Message) -> None:
        for pts in (message.pts, message.pts - 1):
            await self.emit("out", message.payload, cause=message, pts=pts)


def test_emitting_below_the_own_watermark_is_an_error_that_says_how_to_mend_it() -> None:
    with pytest.raises(RuntimeError, match="late: emitted pts 4 on 'out' below its own watermark 6; a stage that"):
        run_stage(Late(), [("left", x(5))], connect=["left"])


class Source(Stage):
    """Emits on one output, and says that the other will stay empty."""

    name = "source"
    outputs: ClassVar[dict[str, Port]] = {"out": Port(Other, "things"), "none": Port(Other, "nothing")}

    async def run(self) -> None:
        await self.end("s", "none")
        for pts in (0, 10):
            await self.emit("out", Other(x=pts), stream="s", pts=pts)


def test_a_source_ends_its_streams_by_itself() -> None:
    outputs = run_stage(Source())
    assert [(m.kind, m.stream, m.watermark) for m in outputs.messages["out"]] == [
        ("data", "s", 0),
        ("data", "s", 10),
        ("eos", "s", FOREVER),
        ("eos", "", FOREVER),
    ]
    assert [(m.kind, m.stream) for m in outputs.messages["none"]] == [("eos", "s"), ("eos", "")]


class Slow(Pass):
    """Takes 30 ms for each message."""

    name = "slow"

    async def process(self, port: str, message: Message) -> None:
        await self.host.clock.sleep_until(self.host.clock.now() + 30 * MS)
        await self.emit("out", message.payload, cause=message)


def test_the_trace_holds_when_a_stage_received_and_sent() -> None:
    async def drive() -> Message:
        async with StageHarness(Slow(), connect=["left"]) as stage:
            await stage.clock.advance(5 * MS)
            sending = asyncio.create_task(stage.send("left", x(1)))
            await stage.clock.advance(30 * MS)
            await sending
            return stage.outputs.data("out")[0]

    (hop,) = asyncio.run(drive()).trace
    assert (hop.stage, hop.received, hop.sent) == ("slow", 5 * MS, 35 * MS)


def test_an_error_in_a_stage_reaches_the_test() -> None:
    class Broken(Pass):
        async def process(self, port: str, message: Message) -> None:
            raise LookupError("lost")

    with pytest.raises(LookupError, match="lost"):
        run_stage(Broken(), [("left", x(1))], connect=["left"])
