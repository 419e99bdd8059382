"""What comes out of the batcher: honest watermarks, nothing lost, no swallowed error."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emopipe.pipeline.batcher import Batcher
from emopipe.pipeline.clock import MS, FakeClock, settle
from emopipe.pipeline.message import FOREVER
from tests.support.batches import Bench, Sink, Tag, run


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
