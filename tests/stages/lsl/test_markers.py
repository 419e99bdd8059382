"""Markers of other programs by LSL, on the run's time line."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.testing import Outputs, StageHarness, run_stage
from emopipe.stages.lsl.markers import LslMarkers
from tests.support.lsl import SENDER, Program
from tests.support.waiting import until

Send = Callable[..., Program]
TOLERANCE_NS = 20_000_000  # LSL estimates how clocks differ by how long messages take, on a busy machine too


@pytest.fixture
def sender(lsl_world: dict[str, str]) -> Iterator[Send]:
    """Start a program with an outlet, which is there when this returns."""
    started: list[Program] = []

    def start(name: str, source_id: str = "paradigm", channels: int = 1, format: str = "cf_string") -> Program:
        given = {"name": name, "source_id": source_id, "channels": channels, "format": format}
        started.append(Program(SENDER, lsl_world, given))
        assert started[-1].line() == "sending"
        return started[-1]

    yield start
    for program in started:
        program.kill()


def markers(name: str, **settings: Any) -> LslMarkers:
    return LslMarkers(LslMarkers.Settings(marker_stream=name, recover=False, **settings), label="paradigm")


def taken(stage: LslMarkers, program: Program, sent: list[tuple[list[Any], float]]) -> tuple[Outputs, list[float]]:
    """What comes of what a program sends and then ends, and when it says it was."""

    async def drive() -> tuple[Outputs, list[float]]:
        async with StageHarness(stage, mode="live") as harness:
            await asyncio.to_thread(program.say, (None, 0))  # until somebody listens
            times = [await asyncio.to_thread(program.say, each) for each in sent]
            await until(lambda: sum(stage.counters[name] for name in ("markers", "before", "refused")) == len(sent))
            assert program.process.stdin is not None
            program.process.stdin.close()
            await asyncio.wait_for(harness.finish(), 60)
        return harness.outputs, times

    return asyncio.run(drive())


def test_markers_come_at_the_moment_that_their_sender_gave_them(sender: Send) -> None:
    stage = markers("marks-1", stream="webcam")
    outputs, times = taken(stage, sender("marks-1"), [(["start"], 0), (["face ü"], 0), (["end"], 0)])
    messages = outputs.data("markers")
    assert [(m.stream, m.payload.value, m.payload.sender) for m in messages] == [
        ("webcam", value, "marks-1") for value in ("start", "face ü", "end")
    ]
    assert [m.payload.sent for m in messages] == times
    for message, at in zip(messages, times, strict=True):
        assert message.pts == pytest.approx(round(at * SECOND) - stage._offset, abs=TOLERANCE_NS)
        assert message.trace[0].received == message.pts  # which began at 0
    assert stage.counters["markers"] == 3


def test_what_is_of_before_or_dated_back_is_told_apart(sender: Send) -> None:
    stage = markers("marks-2")
    long = "x" * 5000
    outputs, _ = taken(stage, sender("marks-2"), [(["old"], 1e-3), (["b"], 0), ([long], 0), (["c"], 0)])
    assert outputs.payloads("markers")[0].value == "b"
    assert [each.value for each in outputs.payloads("markers")] == ["b", "c"]
    assert (stage.counters["before"], stage.counters["refused"], stage.counters["markers"]) == (1, 1, 2)


def test_a_marker_that_is_dated_back_keeps_its_own_time_in_the_record(sender: Send) -> None:
    stage = markers("marks-3")
    program = sender("marks-3")

    async def drive() -> Outputs:
        async with StageHarness(stage, mode="live") as harness:
            await asyncio.to_thread(program.say, (None, 0))
            later = await asyncio.to_thread(program.say, (["b"], 0))
            await asyncio.to_thread(program.say, (["a"], later - 1e-4))
            await until(lambda: stage.counters["markers"] == 2)
            assert program.process.stdin is not None
            program.process.stdin.close()
            await asyncio.wait_for(harness.finish(), 60)
        return harness.outputs

    first, second = asyncio.run(drive()).data("markers")
    assert first.pts == second.pts
    assert second.payload.sent < first.payload.sent
    assert stage.counters["dated_back"] == 1


def test_numbers_and_several_channels_are_texts(sender: Send) -> None:
    outputs, _ = taken(markers("marks-4"), sender("marks-4", channels=2, format="cf_int32"), [([1234567, -1], 0)])
    assert [each.value for each in outputs.payloads("markers")] == ['["1234567","-1"]']


def test_a_stream_that_is_not_there_is_said_with_those_that_are(sender: Send) -> None:
    sender("marks-5")
    with pytest.raises(EmopipeError) as caught:
        run_stage(markers("marks-five", timeout=1.0), mode="live")
    assert 'the LSL stream "marks-five" was not found within 1 s; there is ' in str(caught.value)
    assert '"marks-5"' in str(caught.value)


def test_of_several_streams_of_a_name_one_must_be_chosen(sender: Send) -> None:
    sender("marks-6", "left")
    program = sender("marks-6", "right")
    with pytest.raises(EmopipeError, match=r"is there 2 times: .*left on .*; name one by `source_id`"):
        run_stage(markers("marks-6"), mode="live")
    with pytest.raises(EmopipeError, match='has not the source_id "middle"; there is '):
        run_stage(markers("marks-6", source_id="middle"), mode="live")
    outputs, _ = taken(markers("marks-6", source_id="right"), program, [(["x"], 0)])
    assert [each.value for each in outputs.payloads("markers")] == ["x"]


def test_markers_are_of_live_runs() -> None:
    with pytest.raises(EmopipeError, match='set mode = "live"'):
        run_stage(markers("marks-7"), mode="replay")
