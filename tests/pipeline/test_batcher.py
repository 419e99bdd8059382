"""The batcher: batches across streams, each stream's order, back-pressure, no stream that starves."""

import asyncio

import pytest

from emopipe.pipeline.clock import MS, settle
from tests.support.batches import Bench, run


def test_what_arrives_during_a_batch_forms_the_next() -> None:
    async def scenario() -> None:
        bench = Bench(max_size=4)
        await bench.put("a", 0, 1)
        await settle()
        await bench.put("a", 1, 10, 11)
        await bench.put("a", 2, 20, 21)
        last = bench.offer("a", 3, 30, 31)
        bench.model.step(3)
        await last
        await bench.batcher.drain("a")
        assert bench.model.batches == [[1], [10, 11, 20, 21], [30, 31]]
        assert bench.sink.results[1] == (("a", 1), [-10, -11])
        assert bench.sink.tags == [("a", pts) for pts in range(4)]
        await bench.batcher.close()

    run(scenario())


def test_a_batch_waits_for_company_no_longer_than_max_delay() -> None:
    async def scenario() -> None:
        bench = Bench(max_size=3, max_delay=10 * MS)
        bench.model.step(9)
        await bench.put("a", 0, 1)
        await bench.clock.advance(4 * MS)
        await bench.put("b", 0, 2)
        await bench.clock.advance(5 * MS)
        assert bench.model.batches == []
        await bench.clock.advance(1 * MS)
        assert bench.model.batches == [[1, 2]]
        for row in (3, 4, 5):
            await bench.put("a", row, row)
        await settle()
        assert bench.model.batches == [[1, 2], [3, 4, 5]]  # full: no need to wait
        await bench.batcher.close()

    run(scenario())


def test_draining_does_not_wait_for_a_fuller_batch() -> None:
    async def scenario() -> None:
        bench = Bench(max_size=3, max_delay=10 * MS)
        bench.model.step()
        await bench.put("a", 0, 1)
        await bench.batcher.drain("a")
        assert bench.sink.tags == [("a", 0)]
        assert bench.clock.now() == 0
        await bench.batcher.close()

    run(scenario())


def test_a_message_without_rows_waits_for_its_stream_only() -> None:
    async def scenario() -> None:
        bench = Bench(max_size=4, max_delay=10 * MS)
        await bench.put("b", 0)
        await bench.put("a", 0, 1)
        await bench.put("a", 1)
        await settle()
        assert bench.sink.results == [(("b", 0), [])]
        bench.model.step()
        await bench.clock.advance(10 * MS)
        assert bench.sink.results == [(("b", 0), []), (("a", 0), [-1]), (("a", 1), [])]
        assert bench.model.batches == [[1]]
        await bench.batcher.close()

    run(scenario())


def test_a_message_with_more_rows_than_a_batch_is_inferred_in_parts() -> None:
    async def scenario() -> None:
        bench = Bench(max_size=2)
        bench.model.step(9)
        await bench.put("a", 0, 1, 2, 3, 4, 5)
        await bench.batcher.drain("a")
        assert bench.model.batches == [[1, 2], [3, 4], [5]]
        assert bench.sink.results == [(("a", 0), [-1, -2, -3, -4, -5])]
        await bench.batcher.close()

    run(scenario())


def test_put_waits_while_a_batch_is_in_flight_and_another_waits() -> None:
    async def scenario() -> None:
        bench = Bench(max_size=2)
        await bench.put("a", 0, 1, 2)
        await settle()
        await bench.put("a", 1, 3, 4)
        blocked = bench.offer("a", 2, 5)
        await settle()
        assert not blocked.done()
        bench.model.step()
        await settle()
        assert blocked.done()
        await bench.batcher.close()

    run(scenario())


@pytest.mark.parametrize(("took", "room"), [(1, 8), (5, 2), (11, 0)])
def test_no_more_waits_than_can_be_inferred_within_the_backlog(took: int, room: int) -> None:
    async def scenario() -> None:
        bench = Bench(max_size=8, backlog=10 * MS)
        await bench.put("a", 0, 0)
        await bench.clock.advance(took * MS)
        bench.model.step()
        await settle()
        await bench.put("a", 1, 1)
        await settle()
        taken = 0
        while True:  # as a host does, one after the other
            offer = bench.offer("a", 2 + taken, taken)
            await settle()
            if not offer.done():
                break
            taken += 1
        assert taken == room
        bench.model.step(20)
        await offer

    run(scenario())


def test_a_batch_does_not_wait_for_company_that_the_backlog_keeps_out() -> None:
    async def scenario() -> None:
        bench = Bench(max_size=8, max_delay=1000 * MS, backlog=10 * MS)
        await bench.put("a", 0, 0)
        await bench.clock.advance(1000 * MS)  # it waited for company, and is inferred now
        await bench.clock.advance(5 * MS)
        bench.model.step()
        await settle()
        offers = [bench.offer("a", pts, pts) for pts in range(1, 4)]
        await settle()
        assert bench.model.batches == [[0], [1, 2, 3]]
        bench.model.step()
        await asyncio.gather(*offers)

    run(scenario())


def test_a_fast_stream_does_not_starve_the_others() -> None:
    async def scenario() -> None:
        bench = Bench(max_size=2)
        flood = [bench.offer("fast", pts, pts) for pts in range(20)]
        await settle()
        late = [bench.offer("slow", 0, 100), bench.offer("slower", 0, 200)]
        await settle()
        bench.model.step(2)
        await settle()
        assert [row for batch in bench.model.batches[1:3] for row in batch if row >= 100] == [100, 200]
        bench.model.step(99)
        await asyncio.gather(*flood, *late)
        await bench.batcher.close()

    run(scenario())


def test_messages_without_rows_do_not_starve_those_with() -> None:
    async def scenario() -> None:
        bench = Bench(max_size=2)
        bench.model.step(99)

        async def chatter() -> None:
            for pts in range(1000):
                await bench.put("empty", pts)
                await settle(2)

        talking = asyncio.create_task(chatter())
        await settle()
        await bench.put("faces", 0, 1)
        await settle()
        assert ("faces", 0) in bench.sink.tags
        assert not talking.done()
        talking.cancel()
        await bench.batcher.close()

    run(scenario())
