"""What both inference stages share, with a model that tests can read: batching, order, watermarks, errors."""

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from emopipe.pipeline.clock import MS
from emopipe.pipeline.message import FOREVER, Message, Payload
from emopipe.pipeline.port import Port
from emopipe.pipeline.testing import StageHarness, data, eos, gap, run_stage
from emopipe.stages.inference import Inference


class Numbers(Payload):
    """Rows for the model."""

    values: list[int]


class Doubling:
    """A model that doubles, and knows on which threads it was used."""

    def __init__(self, labels: tuple[str, ...] = ("double",)) -> None:
        self.labels = labels
        self.threads: set[str] = set()
        self.batches: list[list[int]] = []


class Doubler(Inference[int]):
    """Doubles numbers."""

    name = "doubler"
    inputs: ClassVar[dict[str, Port]] = {"numbers": Port(Numbers, "numbers")}
    outputs: ClassVar[dict[str, Port]] = {"doubled": Port(Numbers, "their doubles")}
    model = Doubling()

    class Settings(Inference.Settings):
        task: ClassVar[str] = "doubling"
        labels: ClassVar[tuple[str, ...]] = ("double",)

    def load(self, path: Path, device: str) -> Doubling:
        self.model = Doubling(self.model.labels)
        return self.model

    def infer(self, model: Doubling, rows: list[int]) -> list[list[float]]:
        model.threads.add(threading.current_thread().name)
        model.batches.append(rows)
        if 13 in rows:
            raise ValueError("13 cannot be doubled")
        return [[2.0 * row] for row in rows]

    def rows(self, payload: Numbers) -> Sequence[int]:
        return payload.values

    def result(self, payload: Numbers, answers: list[list[float]]) -> Numbers:
        return Numbers(values=[int(answer[0]) for answer in answers])


def numbers(pts: int, *values: int, stream: str = "test", epoch: int = 0) -> Message:
    return data(Numbers(values=list(values)), pts, stream=stream, epoch=epoch)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


def test_each_message_gives_one_result_in_order_gaps_and_empty_ones_among_them() -> None:
    stage = Doubler()
    script = [numbers(0, 1, 2), gap(10, 5), numbers(20), numbers(30, 3)]
    outputs = run_stage(stage, [("numbers", message) for message in script])
    seen = [m for m in outputs.messages["doubled"] if m.kind in ("data", "gap")]
    assert [(m.kind, m.pts, m.payload.values if m.payload else None) for m in seen] == [
        ("data", 0, [2, 4]),
        ("gap", 10, None),
        ("data", 20, []),
        ("data", 30, [6]),
    ]
    assert stage.counters["inferred"] == 3
    assert len(stage.model.threads) == 1
    assert stage.model.threads != {threading.main_thread().name}


@pytest.mark.parametrize("batch_size", [1, 2, 16])
def test_the_batch_size_changes_no_result(batch_size: int) -> None:
    script = [("numbers", numbers(pts, *range(pts % 4), stream="ab"[pts % 2])) for pts in range(20)]
    outputs = run_stage(Doubler(Doubler.Settings(batch_size=batch_size)), script)
    for stream in "ab":
        results = [(message.pts, message.payload.values) for message in outputs.data("doubled", stream)]
        assert results == [
            (pts, [2 * value for value in range(pts % 4)]) for pts in range(20) if "ab"[pts % 2] == stream
        ]


def test_a_batch_waits_for_company_for_max_delay_and_the_watermark_waits_with_it() -> None:
    async def scenario() -> None:
        doubler = Doubler(Doubler.Settings(batch_size=4, max_delay=0.01))
        async with StageHarness(doubler) as stage:
            await stage.send("numbers", numbers(100, 1, stream="a"))
            await stage.send("numbers", numbers(200, 2, stream="b"))
            assert stage.outputs.data("doubled") == []
            assert [message.watermark for message in stage.outputs.messages["doubled"]] == [100, 200]
            await stage.clock.advance(10 * MS)
            while len(stage.outputs.data("doubled")) < 2:
                await asyncio.sleep(0.001)  # the stage's thread
            assert doubler.model.batches == [[1, 2]]
            await stage.finish()

    run(scenario())


def test_the_end_of_a_stream_does_not_wait_for_a_fuller_batch() -> None:
    outputs = run_stage(
        Doubler(Doubler.Settings(batch_size=4, max_delay=3600.0)), [("numbers", numbers(0, 1)), ("numbers", eos())]
    )
    assert outputs.payloads("doubled") == [Numbers(values=[2])]
    assert outputs.data("doubled")[0].watermark < FOREVER
    assert outputs.messages["doubled"][-1].kind == "eos"


def test_when_time_jumps_what_is_in_flight_is_dropped_and_counted() -> None:
    async def scenario() -> None:
        doubler = Doubler(Doubler.Settings(batch_size=4, max_delay=3600.0))
        async with StageHarness(doubler) as stage:
            await stage.send("numbers", numbers(500, 1))
            await stage.send("numbers", numbers(0, 2, epoch=1))
            await stage.finish()
        assert [(message.epoch, message.pts) for message in stage.outputs.data("doubled")] == [(1, 0)]
        assert doubler.counters["stale"] == 1

    run(scenario())


def test_an_error_of_the_model_ends_the_stage() -> None:
    with pytest.raises(ValueError, match="13 cannot be doubled"):
        run_stage(Doubler(), [("numbers", numbers(0, 13))])


def test_a_model_of_other_labels_gives_its_own() -> None:
    stage = Doubler()
    run_stage(stage)
    assert stage.named() == ()
    stage = Doubler()
    stage.model = Doubling(("half",))
    outputs = run_stage(stage, [("numbers", numbers(0, 3))])
    assert stage.named() == ("half",)
    assert [payload.values for payload in outputs.payloads("doubled")] == [[6]]


def test_missing_weights_are_found_before_anything_starts(tmp_path: Path) -> None:
    missing = tmp_path / "none.safetensors"
    ((key, problem),) = Doubler.Settings(weights=str(missing)).check()
    assert key == "weights"
    assert problem == f"{missing}: no such file; train it with `emopipe train doubling`, or restore it"
    missing.touch()
    assert Doubler.Settings(weights=str(missing)).check() == []
