"""Results by LSL: what a listener in another process gets, and when that was."""

import asyncio
import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.files import Journal
from emopipe.pipeline.message import Hop, Message
from emopipe.pipeline.port import Mode
from emopipe.pipeline.testing import StageHarness, eos, run_stage
from emopipe.stages.lsl import outlets as outlets_module
from emopipe.stages.lsl import sink as sink_module
from emopipe.stages.lsl.outlets import CHANNELS
from emopipe.stages.lsl.sink import Lsl
from emopipe.stages.sinks.jsonl import JsonLines
from emopipe.stages.sinks.table import rows
from tests.support.factories import result
from tests.support.lab import scene
from tests.support.lsl import LISTENER, Program

ORIGIN = 3 * SECOND  # when the stream's running time began

Listen = Callable[[dict[str, int]], Program]


@pytest.fixture
def listen(lsl_world: dict[str, str]) -> Iterator[Listen]:
    """Start a listener that takes so many samples of each LSL stream."""
    started: list[Program] = []

    def start(counts: dict[str, int]) -> Program:
        started.append(Program(LISTENER, lsl_world, {"count": counts}))
        return started[-1]

    yield start
    for program in started:
        program.kill()


def lsl(**settings: Any) -> Lsl:
    return Lsl(Lsl.Settings(open=True, **settings), label="lab")


def seen(message: Message, late: int = 20_000_000) -> Message:
    """The message with the hop of a camera that saw it then, and sent it so much later (ns)."""
    moment = ORIGIN + message.pts
    return msgspec.structs.replace(message, trace=[Hop("capture", moment, moment + late)])


def samples(messages: list[Message]) -> int:
    return sum(len(list(rows(m.stream, m.pts, m.duration, m.payload))) for m in messages if m.kind == "data")


async def sent(stage: Lsl, listener: Program, messages: list[Message], mode: Mode = "live") -> dict[str, Any]:
    """What the listener says it has got; the stage stays until it has all."""
    async with StageHarness(stage, mode=mode) as harness:
        assert await asyncio.to_thread(listener.line) == "listening"
        for message in messages:
            await harness.send("emotions", message)
        got: dict[str, Any] = json.loads(await asyncio.to_thread(listener.line))
        await harness.finish()
    return got


def test_a_listener_gets_what_the_jsonl_holds_at_equal_times(listen: Listen, tmp_path: Path) -> None:
    messages = [seen(message) for message in scene()]
    run_stage(
        JsonLines(JsonLines.Settings(path=str(tmp_path / "r.jsonl"))), [("emotions", m) for m in messages], mode="live"
    )
    lines = (tmp_path / "r.jsonl").read_text().splitlines()
    count = {"emopipe test": samples(messages), "emopipe test results": len(lines)}
    stage = lsl(announce="test")
    got = asyncio.run(sent(stage, listen(count), messages))
    texts = got["emopipe test results"]["samples"]
    assert [json.loads(values[0]) for _, values in texts] == [json.loads(line) for line in lines]
    first = ORIGIN + stage._offset
    assert [round(stamp * SECOND) - first for stamp, _ in texts] == pytest.approx(
        [json.loads(line)["pts"] for line in lines], abs=2
    )
    expected = [row for m in messages if m.kind == "data" for row in rows(m.stream, m.pts, m.duration, m.payload)]
    numbers = got["emopipe test"]["samples"]
    for (stamp, values), row in zip(numbers, expected, strict=True):
        assert round(stamp * SECOND) - first == pytest.approx(row["pts_ns"], abs=2)
        for name, value in zip(CHANNELS, values, strict=True):
            assert math.isnan(value) if row[name] is None else value == row[name], name
    assert abs(got["emopipe test"]["correction"]) < 0.05  # two processes, one clock
    assert stage.counters["sent"] == len(lines)


def test_channels_say_what_they_hold(listen: Listen) -> None:
    got = asyncio.run(sent(lsl(announce="a", prefix="Anna"), listen({"Anna a": 1}), [seen(result(5, stream="a"))]))
    xml = got["Anna a"]["xml"]
    assert re.findall("<label>(.*?)</label>", xml) == list(CHANNELS)
    assert "<type>Emotions</type>" in xml
    assert "<channel_format>double64</channel_format>" in xml
    assert re.findall("<nominal_srate>(.*?)</nominal_srate>", xml) in (["0"], ["0.000000000000000"])
    assert "/lab/a</source_id>" in xml
    assert "<manufacturer>emopipe</manufacturer>" in xml


def test_a_replay_is_as_if_it_had_begun_with_the_run(listen: Listen) -> None:
    stage = lsl(announce="test")
    messages = [result(0, {0: "happy"}), result(7 * SECOND, {0: "sad"})]  # their hops are of now, whatever their pts
    got = asyncio.run(sent(stage, listen({"emopipe test": 2}), messages, mode="replay"))
    (first, _), (second, _) = got["emopipe test"]["samples"]
    assert second - first == pytest.approx(7, abs=1e-6)


def test_a_replay_that_begins_anew_sends_nothing_twice(lsl_world: dict[str, str]) -> None:
    journal = Journal()
    messages = [("emotions", result(n * SECOND, {0: "happy"})) for n in range(3)]
    first = lsl()
    run_stage(first, messages[:2], journal=journal)
    origin = journal.get("origin")
    second = lsl()
    run_stage(second, messages, journal=journal)
    assert (first.counters["sent"], second.counters["sent"]) == (2, 1)
    assert journal.get("origin") == origin


def test_more_streams_than_there_may_be_are_named_and_left_out(
    lsl_world: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink_module, "MAX_STREAMS", 2)
    stage = lsl()
    sending = [*(("emotions", result(0, stream=name)) for name in "abc"), ("emotions", eos("a"))]
    outputs = run_stage(stage, [*sending, ("emotions", result(0, stream="d")), ("emotions", result(5, stream="c"))])
    assert outputs.damage == ["more than 2 streams at a time: c is not sent to LSL"]
    assert stage.counters["sent"] == 3
    assert stage.counters["frames_without_face"] == 5  # all are accounted for


def test_a_run_that_nobody_listens_to_does_not_begin_where_somebody_must(lsl_world: dict[str, str]) -> None:
    with pytest.raises(EmopipeError, match=r'nobody listens to the LSL stream "emopipe test" after 0\.1 s; start the'):
        run_stage(lsl(announce="test", wait=0.1), [("emotions", result(0))])


def test_what_to_wait_for_must_be_said() -> None:
    [(key, text)] = Lsl.Settings(open=True, wait=3.0).check()
    assert (key, "announce" in text) == ("wait", True)
    assert Lsl.Settings(open=True, announce=["a", "b"], wait=3.0).check() == []
    assert Lsl.Settings(announce=["a", "b"], wait=3.0).waits() == 6


def test_that_everybody_hears_it_must_be_said() -> None:
    [(key, text)] = Lsl.Settings().check()
    assert (key, "no encryption" in text, "open = true" in text) == ("open", True, True)


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emopipe.stages.lab.extra.find_spec", lambda module: None)
    [(_, text)] = Lsl.Settings(open=True).check()
    assert text == 'needs pylsl, which is not installed: pip install "emopipe[lsl]"'


def test_every_channel_is_a_column() -> None:
    [row] = rows("a", 0, 0, result(0).payload)
    assert outlets_module.sample(row)[0] != outlets_module.sample(row)[0]  # NaN: nobody is there
    assert outlets_module.sample(row)[-1] == 0
