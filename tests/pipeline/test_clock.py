"""Wakeup: wakes at its time or when set, and keeps what was set while nobody slept."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from emopipe.pipeline.clock import MS, FakeClock, Wakeup, settle


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


def test_it_wakes_at_its_time_and_not_before() -> None:
    async def scenario() -> None:
        clock = FakeClock()
        sleeping = asyncio.create_task(Wakeup(clock).wait(until=10 * MS))
        await settle()
        await clock.advance(9 * MS)
        assert not sleeping.done()
        await clock.advance(1 * MS)
        assert sleeping.done()

    run(scenario())


def test_being_set_wakes_it_early_and_its_time_then_means_nothing() -> None:
    async def scenario() -> None:
        clock = FakeClock()
        wakeup = Wakeup(clock)
        sleeping = asyncio.create_task(wakeup.wait(until=10 * MS))
        await settle()
        wakeup.set()
        await settle()
        assert sleeping.done()
        again = asyncio.create_task(wakeup.wait())
        await clock.advance(10 * MS)
        assert not again.done()
        wakeup.set()
        await again

    run(scenario())


def test_what_was_set_while_nobody_slept_is_kept_once() -> None:
    async def scenario() -> None:
        wakeup = Wakeup(FakeClock())
        wakeup.set()
        wakeup.set()
        await wakeup.wait()
        waiting = asyncio.create_task(wakeup.wait())
        await settle()
        assert not waiting.done()
        wakeup.set()
        await waiting

    run(scenario())
