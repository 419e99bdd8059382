"""mcap and messages: what one keeps the other sends again, whatever it was."""

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from emopipe.pipeline.clock import MS
from emopipe.pipeline.errors import EmopipeError, MediaError
from emopipe.pipeline.files import Journal
from emopipe.pipeline.message import FOREVER, Message
from emopipe.pipeline.runtime.source_host import host_of
from emopipe.pipeline.testing import Outputs, StageHarness, data, eos, gap, run_stage, watermark
from emopipe.stages.messages.recorder import Mcap
from emopipe.stages.messages.source import Messages
from tests.support.payloads import Other
from tests.support.recordings import Sample, everything, sample, write_recording

OWN = {"look.scores": "tests.support.recordings:Sample"}


def record(path: Path, sent: list[tuple[str, Message]]) -> Outputs:
    inputs = dict.fromkeys((port for port, _ in sent), Sample)
    return run_stage(Mcap.with_ports(inputs)(Mcap.Settings(path=str(path))), sent)


def source(path: Path, **settings: Any) -> Messages:
    given = Messages.Settings(path=str(path), **{"types": OWN, **settings})
    return Messages.with_ports(outputs=given.carries())(given)


def facts(messages: list[Message]) -> list[tuple[Any, ...]]:
    return [(m.kind, m.stream, m.pts, m.duration, m.watermark, m.epoch, m.payload and m.payload.note) for m in messages]


def test_what_is_recorded_is_played(tmp_path: Path) -> None:
    path = tmp_path / "tape.mcap"
    record(path, [("look.scores", message) for message in everything()])
    outputs = run_stage(source(path))
    *played, end = outputs.messages["look.scores"]
    assert facts(played) == facts(everything())
    assert [m.seq for m in played] == [m.seq for m in everything()]
    assert (end.kind, end.stream) == ("eos", "")
    assert [hop.stage for m in played for hop in m.trace] == ["messages"] * 6


def test_a_stream_may_come_on_any_number_of_inputs_and_in_any_epoch(tmp_path: Path) -> None:
    """Two outputs of one stream, one of which is an epoch behind: to a recorder nothing is stale."""
    path = tmp_path / "tape.mcap"
    sent = [
        ("a", data(sample(1), pts=5, epoch=1)),
        ("b", data(sample(2), pts=9)),
        ("b", data(sample(3), pts=1, epoch=1)),
        ("a", eos(epoch=1)),
        ("b", eos(epoch=1)),
    ]
    outputs = record(path, sent)
    assert outputs.warnings == []
    types = dict.fromkeys(("a", "b"), OWN["look.scores"])
    played = run_stage(source(path, types=types))
    for port in ("a", "b"):
        assert facts(played.messages[port][:-1]) == facts([m for name, m in sent if name == port])


def test_a_live_run_that_goes_on_after_a_crash_keeps_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "tape.mcap"
    (tmp_path / "tape-2.mcap").write_text("somebody else's")
    journal = Journal()
    told: list[str] = []

    async def part(value: float) -> None:
        stage = Mcap.with_ports({"look.scores": Sample})(Mcap.Settings(path=str(path)))
        async with StageHarness(stage, mode="live") as harness:
            await harness.send("look.scores", data(sample(value), pts=0))
            await harness.finish()
            told.extend(harness.outputs.warnings)

    def with_journal(stage: Any, **given: Any) -> Any:
        host = host_of(stage, **given)
        host.journal = journal
        return host

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emopipe.pipeline.testing.host_of", with_journal)
        for value in (1.0, 2.0):
            asyncio.run(part(value))
    assert told == [f"{path} ends where its process did; it goes on in {tmp_path}/tape-3.mcap"]
    for name, value in (("tape", 1.0), ("tape-3", 2.0)):
        played = run_stage(source(tmp_path / f"{name}.mcap")).payloads("look.scores")
        assert [payload.value for payload in played] == [value]


def test_the_pace_is_that_at_which_they_passed(tmp_path: Path) -> None:
    path = tmp_path / "tape.mcap"

    async def record_slowly() -> None:
        async with StageHarness(Mcap.with_ports({"look.scores": Sample})(Mcap.Settings(path=str(path)))) as stage:
            for pts in range(3):
                await stage.send("look.scores", data(sample(pts), pts=pts))
                await stage.clock.advance(40 * MS)
            await stage.finish()

    async def play() -> None:
        async with StageHarness(source(path, realtime=True)) as stage:
            seen = []
            for _ in range(5):
                await asyncio.wait_for(_until_batch(stage), 5)
                seen.append(len(stage.outputs.data("look.scores")))
                await stage.clock.advance(20 * MS)
            assert seen == [1, 1, 2, 2, 3]

    async def _until_batch(stage: StageHarness) -> None:
        while not stage.outputs.data("look.scores"):  # the first are read in another thread
            await asyncio.sleep(0)

    asyncio.run(record_slowly())
    asyncio.run(play())


def test_a_source_says_how_far_it_has_come(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "tape.mcap", {"look.scores": everything()})

    async def play() -> tuple[int, int]:
        async with StageHarness(source(path)) as stage:
            await stage.finish()
            report = stage._host.report()
            return report.done, report.total

    assert asyncio.run(play()) == (5 * MS, 5 * MS)


def test_a_file_that_breaks_off_is_played_up_to_there_where_that_will_do(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "tape.mcap", {"look.scores": everything()})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(MediaError, match="breaks off"):
        source(path)
    outputs = run_stage(source(path, partial=True))
    assert facts(outputs.messages["look.scores"][:-1]) == facts(everything())
    assert outputs.warnings == [f"{path} breaks off; it is played up to there"]


@pytest.mark.parametrize(
    ("messages", "problem"),
    [
        ([data(sample(1), pts=10), data(sample(2), pts=5)], "stream test, message 0: pts 5 is below the watermark 11"),
        ([watermark(10), watermark(9)], "stream test, message 0: watermark 9 after 10"),
        ([gap(5, 5, epoch=2), gap(9, 5, epoch=1)], "stream test, message 0: epoch 1 after 2"),
        ([data(sample(1), watermark=FOREVER)], f"stream test, message 0: watermark {FOREVER} after 0"),
        ([data(sample(1), stream="")], "stream , message 0: it is of no stream"),
    ],
)
def test_messages_that_break_their_promises_end_the_run(tmp_path: Path, messages: list[Message], problem: str) -> None:
    path = write_recording(tmp_path / "tape.mcap", {"look.scores": messages})
    with pytest.raises(MediaError) as caught:
        run_stage(source(path))
    assert str(caught.value) == f"{path}: look.scores: {problem}"


def test_a_message_of_another_type_than_its_channel_ends_the_run(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "tape.mcap", {"look.scores": [data(Other(x=1))]})
    with pytest.raises(MediaError, match=r"look.scores: a message of type 'Other', but 'Sample' was expected"):
        run_stage(source(path))


def test_a_damaged_file_is_found_before_anything_is_sent(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "tape.mcap", {"look.scores": everything()})
    content = bytearray(path.read_bytes())
    content[content.index(b"zstd") + 40] ^= 1
    path.write_bytes(content)

    async def play() -> None:
        async with StageHarness(source(path)):
            raise AssertionError("it is set up")

    with pytest.raises(MediaError, match="damaged at byte"):
        asyncio.run(play())


def test_what_a_file_says_of_types_is_never_imported(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "tape.mcap", {"look.scores": everything()})
    outputs = run_stage(Messages.with_ports(outputs={})(Messages.Settings(path=str(path))))
    assert Messages.Settings(path=str(path)).carries() == {}
    assert outputs.warnings == [f"{path}: not played, since `types` does not say what it holds: look.scores"]
    (problem,) = Messages.Settings(path=str(path), types={"looks": "a:B"}).check()
    assert problem.text == f'{path} has no channel looks; did you mean "look.scores"?'
    with pytest.raises(EmopipeError, match="holds Sample, not Other; name that type in `types`"):
        source(path, types={"look.scores": "tests.support.payloads:Other"})
    with pytest.raises(EmopipeError, match='no payload type "nowhere:Sample"'):
        source(path, types={"look.scores": "nowhere:Sample"})
    with pytest.raises(EmopipeError, match='"os:system" is no payload type'):
        source(path, types={"look.scores": "os:system"})


def test_another_version_of_a_type_is_refused(tmp_path: Path) -> None:
    older = msgspec.defstruct("SpeechEmotion", [("start", int)], bases=(Sample.__base__,), kw_only=True)  # type: ignore[arg-type]
    path = write_recording(tmp_path / "tape.mcap", {"speech.emotions": []}, {"speech.emotions": older})  # type: ignore[dict-item]
    with pytest.raises(EmopipeError) as caught:
        Messages.Settings(path=str(path)).carries()
    assert str(caught.value) == (
        f"{path}: channel speech.emotions holds another version of SpeechEmotion: SpeechEmotion had no field 'end' "
        "then; play it with the emopipe that has written it"
    )
