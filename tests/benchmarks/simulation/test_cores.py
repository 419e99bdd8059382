"""Virtual time, and processors that threads share in it."""

import asyncio

import pytest

from benchmarks.simulation.cores import MIGRATION_COST_NS, TURN_NS, Cores, Thread
from benchmarks.simulation.virtual_time import VirtualClock, run
from emopipe.pipeline.clock import MS, SECOND


def played(count: int, warm: float, *threads: tuple[float, float]) -> tuple[list[float], Cores]:
    """When (ms) each of some threads, that begins at some ms and works for some, has ended on so many cores."""

    async def work() -> tuple[list[float], Cores]:
        cores, clock, ended = Cores(count, warm), VirtualClock(), [0.0] * len(threads)

        async def one(number: int, begin: float, ms: float) -> None:
            await clock.sleep_until(round(begin * MS))
            await Thread(cores).work(round(ms * MS))
            ended[number] = clock.now() / MS

        await asyncio.gather(*(one(number, *each) for number, each in enumerate(threads)))
        return ended, cores

    return run(work())


def test_time_passes_where_everybody_waits_and_not_before() -> None:
    async def work() -> list[int]:
        clock = VirtualClock()
        times = [clock.now()]
        await asyncio.sleep(3600)
        times.append(clock.now())
        await clock.sleep_until(7200 * SECOND)
        return [*times, clock.now()]

    assert run(work()) == [0, 3600 * SECOND, 7200 * SECOND]


def test_a_deadlock_is_an_error() -> None:
    async def wait() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="everybody waits"):
        run(wait())


def test_threads_take_turns_by_the_tick() -> None:
    ended, cores = played(1, 1.0, (0, 10), (0, 10), (0, 1))
    assert ended[2] == pytest.approx(2 * TURN_NS / MS + 1)
    assert ended[0] < ended[1] == pytest.approx(21)
    assert cores.busy == 21 * MS


def test_each_core_has_a_thread_of_its_own() -> None:
    ended, _ = played(2, 1.0, (0, 10), (0, 10))
    assert ended == pytest.approx([10, 10])


def test_who_wakes_does_not_wait_for_all_who_were_there_before() -> None:
    ended, _ = played(1, 1.0, *[(0, 40)] * 5, (30, 1))
    assert ended[5] <= 30 + 3 * TURN_NS / MS + 1  # after those who have had less, which is half of them


def test_who_wakes_waits_for_the_end_of_a_turn() -> None:
    ended, _ = played(1, 1.0, (0, 40), (1, 1))
    assert ended[1] == pytest.approx(TURN_NS / MS + 1)


def test_a_core_that_is_idle_takes_work_over() -> None:
    ended, _ = played(2, 1.0, (0, 4), (0, 40), (0.5, 12), (0.5, 12))  # the last two wait where they have been: nowhere
    assert max(ended[2:]) == pytest.approx(4 + 12 + 12)


def test_a_core_that_is_idle_for_moments_only_takes_none_over() -> None:
    async def work() -> float:
        cores, clock = Cores(2), VirtualClock()
        busy, short, waiting = (Thread(cores) for _ in range(3))
        busy.work(200 * MS)
        for _ in range(40):  # so that the second core knows short idle times
            await short.work(MS // 10)
            await clock.sleep_until(clock.now() + MIGRATION_COST_NS // 5)
        last = short.work(MS)
        done = waiting.work(MS)  # its core is that of the long one
        await last
        await done
        return clock.now() / MS

    assert run(work()) > 10  # it had to wait for turns of the long one


def test_pieces_of_one_thread_are_done_in_order_and_not_at_once() -> None:
    async def work() -> list[float]:
        cores, clock, ended = Cores(2), VirtualClock(), []
        thread = Thread(cores)

        async def piece(ms: int) -> None:
            await thread.work(ms * MS)
            ended.append(clock.now() / MS)

        await asyncio.gather(piece(5), piece(1))
        return ended

    assert run(work()) == pytest.approx([5, 6])


def test_what_waited_for_a_core_finds_it_warm() -> None:
    ended, _ = played(1, 0.5, (0, 4), (0, 4))
    assert ended == pytest.approx([4, 6])


def test_waiting_for_nobody_is_cold() -> None:
    ended, _ = played(1, 0.5, (0, 4), (5, 4))
    assert ended == pytest.approx([4, 9])
