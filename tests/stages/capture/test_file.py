"""file-capture: each recording a stream of its own, whole, in time, and clear about what is wrong."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from emopipe.pipeline.clock import SECOND, FakeClock
from emopipe.pipeline.errors import MediaError
from emopipe.pipeline.graph.settings import convert
from emopipe.pipeline.message import FOREVER, Hop
from emopipe.pipeline.testing import Outputs, StageHarness, run_stage
from emopipe.stages.capture import pacing
from emopipe.stages.capture.file import FileCapture, Lengths
from emopipe.stages.media.recording import Recording
from emopipe.stages.types import AudioBlock, VideoFrame
from tests.support.media import every, make, plainly, spoil, tone


def capture(uri: str | Path | list[str], **settings: Any) -> FileCapture:
    made, problems = convert({"uri": str(uri) if isinstance(uri, Path) else uri, **settings}, FileCapture.Settings)
    assert not problems
    return FileCapture(made)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make(tmp_path / "clip.mkv", pictures=every(25, 1), sound=tone(1, 16_000), audio="pcm_s16le")


class JumpingClock(FakeClock):
    """Nobody else is there to turn it: whoever sleeps turns it to where they wake."""

    async def sleep_until(self, when: int) -> None:
        self._now = max(self._now, when)
        await asyncio.sleep(0)


def play(stage: FileCapture) -> Outputs:
    """Run `stage` with time that passes only where it waits."""

    async def drive() -> Outputs:
        harness = StageHarness(stage)
        harness.clock = JumpingClock(start=5 * SECOND)
        async with harness:
            await harness.finish()
        return harness.outputs

    return asyncio.run(drive())


# -- what comes out ------------------------------------------------------------------------------------------


def test_everything_comes_out_and_both_outputs_end(clip: Path) -> None:
    stage = capture(clip)
    outputs = run_stage(stage)
    assert len(outputs.data("video", "clip")) == 25
    assert sum(len(block.samples) for block in outputs.payloads("audio", "clip")) == 16_000
    assert stage.counters["frames"] == 25
    assert stage.counters["samples"] == stage.counters["source-samples"] == 16_000
    for output in ("video", "audio"):
        ends = [(m.kind, m.stream) for m in outputs.messages[output] if m.kind == "eos"]
        assert ends == [("eos", "clip"), ("eos", "")]
    assert outputs.warnings == outputs.damage == []
    report = stage.host.report()
    assert report.done == report.total == SECOND


def test_watermarks_are_honest_and_close(clip: Path) -> None:
    outputs = run_stage(capture(clip))
    for message in outputs.data("video"):
        assert message.watermark == message.pts + 1
    for message in outputs.data("audio"):
        assert message.watermark == message.pts + message.duration


@pytest.mark.parametrize(("there", "missing"), [("video", "audio"), ("audio", "video")])
def test_an_output_without_a_track_ends_at_once(tmp_path: Path, there: str, missing: str) -> None:
    path = make(
        tmp_path / "a.mp4",
        pictures=every(25, 1) if there == "video" else (),
        sound=tone(1, 16_000) if there == "audio" else None,
    )

    async def drive() -> None:
        async with StageHarness(capture(path, realtime=True)) as harness:
            while not harness.outputs.messages[missing]:
                await asyncio.sleep(0.001)
            assert len(harness.outputs.messages[there]) <= 1  # time stands still
            assert harness.outputs.messages[missing][0].stream == "a"

    asyncio.run(drive())
    outputs = run_stage(capture(path))
    assert len(outputs.data(there)) > 10
    for output in (there, missing):
        ends = [m.stream for m in outputs.messages[output] if m.kind == "eos"]
        assert ends == ["a", ""]


def test_live_pictures_that_are_too_late_are_left_out_before_they_are_converted(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", pictures=every(25, 8))
    stage = capture(path, realtime=True)

    async def drive() -> None:
        async with StageHarness(stage, mode="live") as harness:
            while not harness.outputs.data("video"):
                await asyncio.sleep(0.001)
            await harness.clock.advance(60 * SECOND)  # as if nothing had got the processor for so long
            while not any(message.kind == "eos" for message in harness.outputs.messages["video"]):
                await asyncio.sleep(0.001)
            shown = len(harness.outputs.data("video"))
            assert 0 < shown < 200
            assert stage.counters["frames"] == 200
            assert stage.counters["skipped"] == 200 - shown
            assert stage.stream_counters.snapshot()["a"] == {"frames": 200, "skipped": 200 - shown}

    asyncio.run(drive())


def test_a_gap_is_a_gap(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mkv", sound=tone(2, 16_000), audio="pcm_s16le", hole=(1.024, 0.5))
    (gap,) = run_stage(capture(path)).gaps("audio")
    assert (gap.pts, gap.duration, gap.watermark) == (1_024_000_000, SECOND // 2, 1_524_000_000)


def test_the_same_recording_gives_the_same_messages(clip: Path) -> None:
    def all_of(outputs: Outputs) -> list[tuple[object, ...]]:
        return [
            (output, m.kind, m.stream, m.seq, m.pts, m.duration, m.watermark, pixels_or_samples(m.payload))
            for output, messages in outputs.messages.items()
            for m in messages
        ]

    assert all_of(run_stage(capture(clip))) == all_of(play(capture(clip, realtime=True)))


def pixels_or_samples(payload: VideoFrame | AudioBlock | None) -> bytes:
    if payload is None:
        return b""
    arrays = [payload.luma, payload.small] if isinstance(payload, VideoFrame) else [payload.samples]
    return b"".join(array.tobytes() for array in arrays)


def test_real_recordings_one_after_the_other(shared_media: Path) -> None:
    files = sorted((shared_media / "crema-d").glob("*.flv"))
    stage = capture([str(file) for file in files])
    outputs = run_stage(stage)
    for file in files:
        assert len(outputs.data("video", file.stem)) == len(plainly(file).pictures)
    assert stage.counters["source-samples"] == sum(plainly(file).samples for file in files)
    order = [m.stream for m in outputs.messages["video"] if m.kind == "eos"]
    assert order == [*(file.stem for file in files), ""]


# -- time ----------------------------------------------------------------------------------------------------


def test_in_real_time_each_item_is_sent_when_a_live_source_would_have_it(clip: Path) -> None:
    outputs = play(capture(clip, realtime=True))
    for message in [*outputs.data("video"), *outputs.data("audio")]:
        ready = message.pts + (message.duration if message.type == "AudioBlock" else 0)
        assert message.trace[0] == Hop("file-capture", 5 * SECOND + ready, 5 * SECOND + ready)  # seen, and sent


def test_otherwise_nobody_waits(clip: Path) -> None:
    outputs = play(capture(clip))
    assert {message.trace[0].sent for message in outputs.data("video")} == {5 * SECOND}


def test_a_loop_is_one_stream_on_one_time_line(clip: Path) -> None:
    stage = capture(clip, loop=3, realtime=True)
    outputs = play(stage)
    assert [m.pts for m in outputs.data("video")] == [round(at * SECOND) for at in every(25, 3)]
    assert [m.stream for m in outputs.messages["video"] if m.kind == "eos"] == ["clip", ""]
    samples = outputs.data("audio")
    assert samples[-1].pts + samples[-1].duration == 3 * SECOND
    assert outputs.data("video")[-1].trace[0].sent == 5 * SECOND + outputs.data("video")[-1].pts
    assert stage.counters["frames"] == 75
    report = stage.host.report()
    assert report.done == report.total == 3 * SECOND


def test_what_is_decoded_ahead_is_bounded(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[object] = []
    plain = Recording.__iter__

    def counting(self: Recording) -> Any:
        for item in plain(self):
            decoded.append(item)
            yield item

    monkeypatch.setattr(Recording, "__iter__", counting)

    async def drive() -> None:
        stage = capture(clip, realtime=True)
        async with StageHarness(stage) as harness:
            while not harness.outputs.data("video"):
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.1)  # as much as it likes, while time stands still
            assert 0 < len(decoded) <= 2 * pacing.BATCH_ITEMS + 32  # what the decoder is behind
            assert [m.pts for m in harness.outputs.data("video")] == [0]

    asyncio.run(drive())


def test_stopping_in_the_middle_closes_the_recording(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = threading.Event()
    close = Recording.close

    def closing(self: Recording) -> None:
        close(self)
        closed.set()

    monkeypatch.setattr(Recording, "close", closing)

    async def drive() -> None:
        async with StageHarness(capture(clip, realtime=True)) as harness:
            while not harness.outputs.data("video"):
                await asyncio.sleep(0.001)

    asyncio.run(drive())
    assert closed.wait(5)


# -- what is wrong -------------------------------------------------------------------------------------------


def test_damage_is_told_with_file_and_time(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", pictures=every(25, 4), sound=tone(4, 16_000), gop=10)
    spoil(path, 0.5, 1500)
    stage = capture(path, loop=2)
    outputs = run_stage(stage)
    with Recording(path) as recording:
        for _ in recording:
            pass
    assert outputs.damage == [f"{path}: {place}" for place in recording.damage]
    assert outputs.damage[0].startswith(f"{path}: damaged ")
    assert stage.counters["damaged"] == 2 * recording.counters["damaged"] > 0
    assert outputs.messages["video"][-1].kind == "eos"


def test_one_bad_file_of_several_is_told_and_the_others_play(tmp_path: Path, clip: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no recording")
    outputs = run_stage(capture([str(text), str(clip), str(tmp_path / "none.mp4"), str(clip)]))
    assert len(outputs.damage) == 2
    assert "text.mp4 is not a recording" in outputs.damage[0]
    assert "none.mp4: no such file" in outputs.damage[1]
    assert len(outputs.data("video", "clip")) == len(outputs.data("video", "clip-2")) == 25


def test_the_only_file_is_bad(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"none\.mp4: no such file"):
        run_stage(capture(tmp_path / "none.mp4"))


def test_all_files_are_bad(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="none of the 2 recordings can be played"):
        run_stage(capture([str(tmp_path / "a.mp4"), str(tmp_path / "b.mp4")]))


def test_a_recording_in_which_nothing_decodes_ends_its_stream(tmp_path: Path, clip: Path) -> None:
    bad = make(tmp_path / "bad.mp4", pictures=every(25, 1), options={"movflags": "faststart"})
    data = bad.read_bytes()
    start = data.index(b"mdat") + 4
    bad.write_bytes(data[:start] + bytes(len(data) - start))
    outputs = run_stage(capture([str(bad), str(clip)]))
    assert any("nothing in it can be decoded" in text for text in outputs.damage)
    ends = [m.stream for m in outputs.messages["video"] if m.watermark == FOREVER]
    assert ends == ["bad", "clip", ""]


def test_check_finds_what_is_missing_before_anything_starts(tmp_path: Path, clip: Path) -> None:
    def problems(uri: str | list[str]) -> list[tuple[str, str]]:
        return FileCapture.Settings(uri=uri).check()

    assert problems(str(clip)) == problems([str(clip), str(clip)]) == []
    ((key, text),) = problems([str(clip), str(tmp_path / "none.mp4")])
    assert key == "uri"
    assert "none.mp4: no such file; check the path" in text
    assert "is a directory" in problems(str(tmp_path))[0][1]
    expected = [("uri", "names no file; expected the path of a recording")]
    assert problems([]) == problems("") == problems([str(clip), ""]) == expected


@pytest.mark.parametrize(
    ("settings", "problem"),
    [({}, "uri"), ({"uri": 3}, "uri"), ({"uri": "a", "loop": 0}, "loop"), ({"uri": "a", "block": 2.0}, "block")],
)
def test_wrong_settings(settings: dict[str, Any], problem: str) -> None:
    made, problems = convert(settings, FileCapture.Settings)
    assert made is None
    assert problem in str(problems)


def test_sound_by_the_block_is_late_by_a_block() -> None:
    assert FileCapture.Settings(uri="a", realtime=True, block=0.1).latency() == 0.1
    assert FileCapture.Settings(uri="a").latency() == 0


# -- parts ---------------------------------------------------------------------------------------------------


def test_lengths_guess_what_is_not_open_yet_by_its_size(tmp_path: Path) -> None:
    files = []
    for name, size in (("a", 1000), ("b", 3000)):
        (tmp_path / name).write_bytes(bytes(size))
        files.append(str(tmp_path / name))
    lengths = Lengths(files, loop=2)
    lengths.begin()
    assert lengths.progress() == (0, 0)
    lengths.opened(10)
    assert lengths.progress() == (0, 80)
    lengths.reached(15)
    assert lengths.progress() == (15, 80)
    lengths.reached(20)
    lengths.begin()
    lengths.opened(50)
    lengths.reached(10)
    assert lengths.progress() == (30, 120)
