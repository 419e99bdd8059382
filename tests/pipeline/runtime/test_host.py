"""runtime.host: watermarks, EOS, epochs and traces, as every stage may rely on them. Also shows pipeline.testing."""

import asyncio
from typing import ClassVar

import pytest

from emopipe.pipeline.clock import MS, FakeClock
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.message import FOREVER, Hop, Message
from emopipe.pipeline.port import LinkId, Port, Queue
from emopipe.pipeline.report import Report
from emopipe.pipeline.runtime.host import StageHost
from emopipe.pipeline.runtime.transport import LocalInlet, LocalOutlet
from emopipe.pipeline.stage import Stage
from emopipe.pipeline.testing import Outputs, StageHarness, data, eos, gap, run_stage, watermark
from tests.support.payloads import Other


class Pass(Stage):
    """Passes on what it gets, from either input."""

    name = "pass"
    inputs: ClassVar[dict[str, Port]] = {"left": Port(Other, "one"), "right": Port(Other, "other", optional=True)}
    outputs: ClassVar[dict[str, Port]] = {"out": Port(Other, "both")}

    async def setup(self) -> None:
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


class Tardy(Pass):
    """Emits, besides, from a task of its own, when it is told to."""

    async def setup(self) -> None:
        await super().setup()
        self.told = asyncio.Event()
        self.first: Message | None = None
        self.work = self.exit.task(self._emit())

    async def process(self, port: str, message: Message) -> None:
        self.first = self.first or message

    async def _emit(self) -> None:
        await self.told.wait()
        assert self.first is not None
        await self.emit("out", self.first.payload, cause=self.first)


@pytest.mark.parametrize("epoch", [0, 1])
def test_what_comes_about_after_its_stream_has_ended_goes_to_nobody(epoch: int) -> None:
    """Else it would open the stream again for whoever receives it, and nothing would end it."""

    async def drive() -> tuple[Tardy, Outputs]:
        async with StageHarness(tardy := Tardy(), connect=["left"]) as stage:
            await stage.send("left", x(1))
            await stage.send("left", eos(epoch=epoch))
            tardy.told.set()
            await tardy.work
            await stage.finish()
            return tardy, stage.outputs

    tardy, outputs = asyncio.run(drive())
    assert [(m.kind, m.stream) for m in outputs.messages["out"]][-2:] == [("eos", "test"), ("eos", "")]
    assert outputs.data("out") == []
    assert tardy.counters["stale"] == 1


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


def test_an_input_that_had_ended_may_come_back_while_the_other_goes_on() -> None:
    sends = [("left", x(1)), ("right", x(2)), ("right", eos()), ("left", x(50)), ("right", x(60)), ("left", x(70))]
    outputs = run_stage(Joined(), sends)
    assert [m.pts for m in outputs.data("out")] == [1, 2, 50, 60, 70]
    assert [m.kind for m in outputs.messages["out"]].count("eos") == 2  # of the stream, and of everything


def test_what_ended_in_an_old_epoch_is_open_in_the_new_one() -> None:
    stage = Joined()

    async def drive() -> None:
        async with StageHarness(stage) as harness:
            await harness.send("right", eos())
            await harness.send("left", x(100))
            await harness.send("left", x(5, epoch=1))
            assert stage.host.input_watermark("test") == 0  # the right may still bring something
            await harness.send("right", x(3, epoch=1))
            assert stage.host.input_watermark("test") == 4
            await harness.send("right", eos())  # of the old epoch, and late
            assert stage.host.input_watermark("test") == 4
            await harness.send("right", eos(epoch=1))
            assert stage.host.input_watermark("test") == 6

    asyncio.run(drive())


class Joined(Pass):
    """Passes on in the order of arrival, promising nothing."""

    name = "joined"

    async def process(self, port: str, message: Message) -> None:
        await self.emit("out", message.payload, cause=message, watermark=0)

    def watermark(self, stream: str) -> int:
        return 0


class Sink(Stage):
    """Takes 30 ms for each message."""

    name = "sink"
    inputs: ClassVar[dict[str, Port]] = {"numbers": Port(Other, "numbers")}

    async def process(self, port: str, message: Message) -> None:
        self.count("numbers", message.stream)
        await self.host.clock.sleep_until(self.host.clock.now() + 30 * MS)


def test_a_sink_reports_where_the_time_went_and_how_long_nothing_came() -> None:
    async def drive() -> Report:
        stage = Sink()
        async with StageHarness(stage, mode="live") as harness:
            await harness.clock.advance(1000 * MS)
            message = x(1)
            message.trace = [Hop("capture", 900 * MS, 930 * MS), Hop("middle", 950 * MS, 990 * MS)]
            sending = asyncio.create_task(harness.send("numbers", message))
            await harness.clock.advance(30 * MS)
            await sending
            await harness.clock.advance(200 * MS)
            await harness.send("numbers", eos())
            await harness.clock.advance(5000 * MS)  # no stream is open
            return stage.host.report()  # type: ignore[attr-defined, no-any-return]

    report = asyncio.run(drive())
    assert list(report.hops) == ["middle", "sink"]
    times = {
        name: (hop.queued.percentile(50) / MS, hop.working.percentile(50) / MS) for name, hop in report.hops.items()
    }
    assert times["middle"] == pytest.approx((20, 40), rel=0.05)
    assert times["sink"] == pytest.approx((10, 30), rel=0.05)
    assert report.age.percentile(50) / MS == pytest.approx(100, rel=0.05)
    assert report.gaps == {"numbers": 230 * MS}
    assert report.streams == {"test": {"numbers": 1}}


@pytest.mark.parametrize("ended", [False, True])
def test_a_stream_from_two_links_is_refused_whether_or_not_the_first_has_brought_its_end(ended: bool) -> None:
    async def drive() -> None:
        clock = FakeClock()
        host = StageHost(Pass(), mode="replay", clock=clock)
        host.inlets["left"] = inlets = [
            LocalInlet(LinkId(of, "out", "pass", "left"), host.inbox, clock, window=4) for of in ("one", "other")
        ]
        first, second = (LocalOutlet(Queue(size=4), clock, inlet) for inlet in inlets)
        await host.setup()
        for message in [x(1), eos()] if ended else [x(1)]:
            await first.send(message)
        await second.send(x(1))
        await host.play()

    with pytest.raises(EmopipeError, match="input 'left' gets the stream 'test' from two stages; give the streams"):
        asyncio.run(drive())


def test_nothing_is_left_of_streams_that_have_come_and_gone() -> None:
    stage = Joined()

    async def drive() -> None:
        async with StageHarness(stage, mode="live") as harness:
            for number in range(300):
                stream = f"s{number}"
                await harness.send("left", x(1, stream=stream))
                await harness.send("right", x(1, stream=stream, epoch=1))
                await harness.send("left", eos(stream))  # stale
                for port in ("left", "right"):
                    await harness.send(port, eos(stream, epoch=1))
            assert remains(stage.host) == {}

    asyncio.run(drive())


def remains(host: object) -> dict[str, object]:
    """What a host still holds of any stream; its outputs' and inlets' too."""
    found = {}
    things = [host, *host._outputs.values(), *(inlet for each in host.inlets.values() for inlet in each)]  # type: ignore[attr-defined]
    for thing in things:
        for name in ("_streams", "_open"):
            if held := getattr(thing, name, None):
                found[f"{type(thing).__name__}.{name}"] = held
    return found
