"""StreamJoin: pairs in event-time order, whatever the arrival; deadlines, late items, jumps; and the partner rule."""

import asyncio
from collections.abc import Coroutine
from typing import Any, ClassVar

import pytest

from emopipe.pipeline.clock import MS
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Port
from emopipe.pipeline.stage import Stage
from emopipe.pipeline.stream_join import Pair, Pairing, StreamJoin, latest_within
from emopipe.pipeline.testing import Outputs, StageHarness, data, eos, run_stage, watermark
from tests.support.payloads import Other

HOLD = 10 * MS
WAIT = 50 * MS
IDLE = 200 * MS


class Pairs(Stage):
    """Gives each item of `lead` the sum of its own and its partner's value, negative where it was forced."""

    name = "pairs"
    inputs: ClassVar[dict[str, Port]] = {"follow": Port(Other, "partners", optional=True), "lead": Port(Other, "items")}
    outputs: ClassVar[dict[str, Port]] = {"out": Port(Other, "sums")}

    max_pending: int | None = None
    stuck: asyncio.Event | None = None  # until it is set nothing is sent

    async def setup(self) -> None:
        self.drained: list[Pair] = []
        self.join = StreamJoin(
            self,
            ("follow", "lead"),
            lambda: Pairing("lead", latest_within(HOLD)),
            self._send,
            budget={"lead": WAIT},
            idle=IDLE,
            max_pending=self.max_pending,
        )

    async def process(self, port: str, message: Message) -> None:
        self.join.push(port, message)

    async def moved(self, port: str, stream: str, watermark: int) -> None:
        await self.join.move(port, stream, watermark)

    def watermark(self, stream: str) -> int:
        return self.join.watermark(stream)

    def reset(self, stream: str) -> None:
        self.drained += self.join.drain(stream)

    async def _send(self, stream: str, pair: Pair, following: int) -> None:
        if self.stuck is not None:
            await self.stuck.wait()
        value = pair.cause.payload.x + (pair.partner.payload.x if pair.partner is not None else 0)
        await self.emit("out", Other(x=-value if pair.forced else value), cause=pair.cause, watermark=following)


def x(value: int, at: int, **more: Any) -> Message:
    return data(Other(x=value), at * MS, **more)


def values(outputs: Outputs) -> list[int]:
    return [payload.x for payload in outputs.payloads("out")]


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


LEAD = [("lead", x(1, 10)), ("lead", x(2, 20)), ("lead", x(3, 40))]
FOLLOW = [("follow", x(100, 10)), ("follow", x(200, 15)), ("follow", x(300, 29))]


@pytest.mark.parametrize("sends", [LEAD + FOLLOW, FOLLOW + LEAD, [each for both in zip(LEAD, FOLLOW) for each in both]])  # noqa: B905
def test_pairs_do_not_depend_on_arrival(sends: list[tuple[str, Message]]) -> None:
    outputs = run_stage(Pairs(), sends)
    assert values(outputs) == [101, 202, 3]  # what is 11 ms old is no partner any more
    assert [message.pts for message in outputs.data("out")] == [10 * MS, 20 * MS, 40 * MS]


def test_without_the_other_input_nobody_has_a_partner() -> None:
    assert values(run_stage(Pairs(), LEAD, connect=["lead"])) == [1, 2, 3]


def test_live_a_deadline_that_passes_sends_what_waits_and_moves_the_watermark() -> None:
    async def scenario() -> None:
        async with StageHarness(Pairs(), mode="live") as stage:
            await stage.send("follow", watermark(0))
            await stage.send("lead", x(1, 10))
            await stage.clock.advance(WAIT - 1)
            assert values(stage.outputs) == []
            await stage.clock.advance(1)
            assert values(stage.outputs) == [-1]
            await stage.send("follow", x(100, 5))  # too late, and still the partner of what follows
            await stage.send("follow", watermark(30 * MS))
            await stage.send("lead", x(2, 12))
            assert values(stage.outputs) == [-1, 102]
            assert stage.stage.counters["late_follow"] == 1
            await stage.clock.advance(IDLE)  # nobody waits for a silent input
            assert stage.outputs.messages["out"][-1].watermark == 30 * MS

    run(scenario())


def test_live_no_more_wait_than_allowed() -> None:
    async def scenario() -> None:
        pairs = Pairs()
        pairs.max_pending = 2
        async with StageHarness(pairs, mode="live") as stage:
            await stage.send("follow", watermark(0))
            for number in range(1, 5):
                await stage.send("lead", x(number, number))
                await stage.clock.advance(1)
            assert values(stage.outputs) == [-1, -2]
            assert pairs.join.pending("test") == 2

    run(scenario())


def test_live_what_is_too_much_goes_although_silence_would_not_help() -> None:
    async def scenario() -> None:
        pairs = Pairs()
        pairs.max_pending = 2
        async with StageHarness(pairs, mode="live") as stage:
            await stage.send("follow", watermark(0))
            await stage.clock.advance(IDLE - 10 * MS)  # sooner silent than an item's budget is used up
            for number in range(1, 4):
                await stage.send("lead", x(number, number, watermark=0))
                await stage.clock.advance(1)
            assert values(stage.outputs) == [-1]

    run(scenario())


def test_live_an_input_that_falls_silent_while_a_result_waits_for_room_is_not_waited_for() -> None:
    async def scenario() -> None:
        pairs = Pairs()
        pairs.stuck = asyncio.Event()
        async with StageHarness(pairs, mode="live") as stage:
            await stage.send("follow", watermark(0))
            await stage.send("lead", x(1, 10, watermark=30 * MS))
            await stage.clock.advance(IDLE)  # its budget passes, nobody takes it, and then both have been silent
            pairs.stuck.set()
            await stage.clock.advance(0)
            assert values(stage.outputs) == [-1]
            assert stage.outputs.messages["out"][-1].watermark == 30 * MS

    run(scenario())


def test_an_input_that_had_ended_may_come_back() -> None:
    sends = [("lead", x(1, 10)), ("follow", eos()), ("follow", x(100, 15)), ("lead", x(2, 20))]
    assert values(run_stage(Pairs(), sends)) == [1, 102]


def test_a_jump_of_time_drains_what_waits_and_keeps_no_partner() -> None:
    stage = Pairs()
    sends = [("follow", x(100, 10)), ("lead", x(1, 12)), ("lead", x(2, 14)), ("lead", x(3, 15, epoch=1))]
    outputs = run_stage(stage, sends)
    assert values(outputs) == [3]
    assert [(pair.cause.payload.x, pair.partner and pair.partner.payload.x) for pair in stage.drained] == [
        (1, 100),
        (2, 100),
    ]
    assert not any(stage.states)


def test_what_is_being_sent_is_not_drained() -> None:
    async def scenario() -> None:
        pairs = Pairs()
        pairs.stuck = asyncio.Event()
        async with StageHarness(pairs, mode="live") as stage:
            await stage.send("follow", watermark(0))
            await stage.send("lead", x(1, 10))
            await stage.send("lead", x(2, 11))
            await stage.clock.advance(WAIT)  # both are overdue, and the first is on its way
            await stage.send("lead", x(3, 1, epoch=1))
            assert [pair.cause.payload.x for pair in pairs.drained] == [2]
            pairs.stuck.set()

    run(scenario())


@pytest.mark.parametrize(("age", "pts", "partner"), [(0, 10, True), (0, 11, False), (5, 15, True), (5, 16, False)])
def test_the_latest_within_some_time_is_the_partner(age: int, pts: int, partner: bool) -> None:
    message = data(Other(x=1), 10)
    assert latest_within(age).choose(message, pts) is (message if partner else None)
    assert latest_within(age).choose(message, 9) is None
    assert latest_within(age).choose(None, pts) is None
