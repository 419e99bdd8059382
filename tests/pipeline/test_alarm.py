"""The alarm: wakes at its time or when rung, and keeps a ring that nobody heard."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from emopipe.pipeline.alarm import Alarm
from emopipe.pipeline.clock import MS, FakeClock, settle


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


def test_it_wakes_at_its_time_and_not_before() -> None:
    async def scenario() -> None:
        clock = FakeClock()
        sleeping = asyncio.create_task(Alarm(clock).wait(until=10 * MS))
        await settle()
        await clock.advance(9 * MS)
        assert not sleeping.done()
        await clock.advance(1 * MS)
        assert sleeping.done()

    run(scenario())


def test_a_ring_wakes_it_early_and_its_time_then_means_nothing() -> None:
    async def scenario() -> None:
        clock = FakeClock()
        alarm = Alarm(clock)
        sleeping = asyncio.create_task(alarm.wait(until=10 * MS))
        await settle()
        alarm.ring()
        await settle()
        assert sleeping.done()
        again = asyncio.create_task(alarm.wait())
        await clock.advance(10 * MS)
        assert not again.done()
        alarm.ring()
        await again

    run(scenario())


def test_a_ring_that_nobody_heard_is_kept_once() -> None:
    async def scenario() -> None:
        alarm = Alarm(FakeClock())
        alarm.ring()
        alarm.ring()
        await alarm.wait()
        waiting = asyncio.create_task(alarm.wait())
        await settle()
        assert not waiting.done()
        alarm.ring()
        await waiting

    run(scenario())
