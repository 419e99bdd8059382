"""The batcher: batches across streams, each stream's order, honest watermarks, back-pressure, no swallowed error."""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emopipe.pipeline.batcher import Batcher
from emopipe.pipeline.clock import MS, FakeClock, settle
from emopipe.pipeline.message import FOREVER

Tag = tuple[str, int]  # (stream, pts)


class Model:
    """Infers by negating, one batch whenever `step` allows it; keeps what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Semaphore(0)

    async def infer(self, rows: list[int]) -> list[int]:
        self.batches.append(rows)
        await self.gate.acquire()
        return [-row for row in rows]

    def step(self, batches: int = 1) -> None:
        for _ in range(batches):
            self.gate.release()


class Sink:
    """Keeps what was delivered."""

    def __init__(self) -> None:
        self.results: list[tuple[Tag, list[int]]] = []
        self.following: list[int] = []

    async def deliver(self, tag: Tag, results: list[int], following: int) -> None:
        self.results.append((tag, results))
        self.following.append(following)

    @property
    def tags(self) -> list[Tag]:
        return [tag for tag, _ in self.results]


class Bench:
    """A batcher with its model, sink and clock."""

    def __init__(self, max_size: int = 4, max_delay: int = 0, backlog: int | None = None) -> None:
        self.model = Model()
        self.sink = Sink()
        self.clock = FakeClock()
        self.batcher: Batcher[Tag, int, int] = Batcher(
            self.model.infer,
            self.sink.deliver,
            max_size=max_size,
            max_delay=max_delay,
            clock=self.clock,
            backlog=backlog,
        )

    async def put(self, stream: str, pts: int, *rows: int) -> None:
        await self.batcher.put(stream, pts, (stream, pts), rows)

    def offer(self, stream: str, pts: int, *rows: int) -> "asyncio.Task[None]":
        """Put without waiting for room."""
        return asyncio.create_task(self.put(stream, pts, *rows))


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


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


def test_the_watermark_stays_behind_what_is_in_flight() -> None:
    async def scenario() -> None:
        bench = Bench(max_size=1)
        assert bench.batcher.watermark("a", 7) == 7
        putting = bench.offer("a", 5, 1)
        await asyncio.sleep(0)
        assert bench.batcher.watermark("a", 9) == 5
        assert bench.batcher.watermark("b", 9) == 9
        await putting
        await bench.put("a", 8, 2)
        bench.model.step()
        await settle()
        assert bench.sink.following == [8]
        assert bench.batcher.watermark("a", 9) == 8
        bench.model.step()
        await bench.batcher.drain("a")
        assert bench.sink.following == [8, FOREVER]
        assert bench.batcher.watermark("a", 9) == 9
        await bench.batcher.close()

    run(scenario())


def test_a_message_is_in_flight_until_its_delivery_has_returned() -> None:
    async def scenario() -> None:
        room = asyncio.Event()

        async def deliver(tag: Tag, results: list[int], following: int) -> None:
            await room.wait()

        async def infer(rows: list[int]) -> list[int]:
            return rows

        async def settled(stream: str) -> None:
            watermarks.append((stream, batcher.watermark(stream, 9)))

        watermarks: list[tuple[str, int]] = []
        batcher: Batcher[Tag, int, int] = Batcher(infer, deliver, settled, max_size=1, max_delay=0, clock=FakeClock())
        await batcher.put("a", 5, ("a", 5), [1])
        await settle()
        assert batcher.watermark("a", 9) == 5
        assert watermarks == []
        room.set()
        await batcher.drain("a")
        await settle()
        assert watermarks == [("a", 9)]
        await batcher.close()

    run(scenario())


def test_forgetting_drops_what_is_in_flight_of_one_stream() -> None:
    async def scenario() -> None:
        bench = Bench(max_size=2)
        await bench.put("a", 100, 1)
        await settle()
        await bench.put("a", 101, 2)
        await bench.put("b", 100, 3)
        assert bench.batcher.forget("a") == 2
        assert bench.batcher.watermark("a", 0) == 0
        waiting = bench.offer("a", 0, 4)
        bench.model.step(9)
        await waiting
        await bench.batcher.drain("a")
        await bench.batcher.drain("b")
        assert sorted(bench.sink.tags) == [("a", 0), ("b", 100)]
        await bench.batcher.close()

    run(scenario())


@pytest.mark.parametrize("call", ["put", "drain"])
def test_an_error_of_infer_reaches_whoever_waits(call: str) -> None:
    async def scenario() -> None:
        async def infer(rows: list[int]) -> list[int]:
            raise ValueError("no such kernel")

        batcher: Batcher[Tag, int, int] = Batcher(infer, Sink().deliver, max_size=1, max_delay=0, clock=FakeClock())
        await batcher.put("a", 0, ("a", 0), [1])
        await settle()
        with pytest.raises(ValueError, match="no such kernel"):
            await (batcher.put("a", 1, ("a", 1), [1]) if call == "put" else batcher.drain("a"))
        await batcher.close()

    run(scenario())


def test_a_wrong_number_of_results_is_an_error() -> None:
    async def scenario() -> None:
        async def infer(rows: list[int]) -> list[int]:
            return rows[1:]

        batcher: Batcher[Tag, int, int] = Batcher(infer, Sink().deliver, max_size=2, max_delay=0, clock=FakeClock())
        await batcher.put("a", 0, ("a", 0), [1, 2])
        with pytest.raises(RuntimeError, match="1 results for 2 rows"):
            await batcher.drain("a")
        await batcher.close()

    run(scenario())


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12))
def test_what_bounds_a_watermark_is_the_smallest_in_flight_whatever_the_order(order: list[int]) -> None:
    async def scenario() -> None:
        bench = Bench(max_size=1)
        puts = [bench.offer("a", pts, number) for number, pts in enumerate(order)]
        await settle()
        for done in range(len(order)):
            assert bench.batcher.watermark("a", 9) == min(order[done:])
            bench.model.step()
            await settle()
        assert bench.sink.following == [min(order[done + 1 :], default=FOREVER) for done in range(len(order))]
        await asyncio.gather(*puts)
        await bench.batcher.close()

    run(scenario())


messages = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3), st.integers(0, 4)), max_size=25)


@pytest.mark.slow("many examples")
@settings(max_examples=400, deadline=None)
@given(messages, st.integers(1, 6), st.sampled_from([0, 3 * MS]), st.integers(0, 2**32))
def test_nothing_is_lost_and_no_result_comes_below_its_watermark(
    messages: Sequence[tuple[str, int, int]], max_size: int, max_delay: int, seed: int
) -> None:
    """Messages as (stream, step in pts, rows), offered, inferred and aged at random."""

    async def scenario() -> None:
        chance = Random(seed)
        bench = Bench(max_size, max_delay)
        inputs: defaultdict[str, int] = defaultdict(int)
        promised: defaultdict[str, int] = defaultdict(int)
        seen = 0
        sent: list[tuple[Tag, list[int]]] = []
        puts: list[asyncio.Task[None]] = []

        def check() -> None:
            nonlocal seen
            for (stream, pts), _ in bench.sink.results[seen:]:
                assert pts >= promised[stream]
            for tag, following in list(zip(bench.sink.tags, bench.sink.following, strict=True))[seen:]:
                assert following >= promised[tag[0]]
            seen = len(bench.sink.results)
            for stream, bound in inputs.items():
                watermark = bench.batcher.watermark(stream, bound)
                assert watermark >= promised[stream]
                promised[stream] = watermark

        for number, (stream, step, rows) in enumerate(messages):
            inputs[stream] += step
            tag = (stream, inputs[stream])
            own = [100 * number + row for row in range(rows)]
            sent.append((tag, own))
            puts.append(bench.offer(stream, tag[1], *own))
            await settle(chance.randint(1, 5))
            check()
            if chance.random() < 0.5:
                bench.model.step()
            if chance.random() < 0.3:
                await bench.clock.advance(2 * MS)
            check()
        bench.model.step(len(messages) * 4)
        for stream in "abc":
            await bench.batcher.drain(stream)
        await asyncio.gather(*puts)
        check()
        for stream in "abc":
            expected = [(tag, [-row for row in rows]) for tag, rows in sent if tag[0] == stream]
            assert [result for result in bench.sink.results if result[0][0] == stream] == expected
        assert all(len(batch) <= max_size for batch in bench.model.batches)
        await bench.batcher.close()

    run(scenario())
