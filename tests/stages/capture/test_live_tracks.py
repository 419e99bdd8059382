"""What live sources share, at work in a stage: the newest picture wins, sound is emitted whole."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import av
import numpy as np
import pytest

from emopipe.pipeline import source
from emopipe.pipeline.clock import MS, SECOND, settle
from emopipe.pipeline.mailbox import Mailbox
from emopipe.pipeline.port import Port
from emopipe.pipeline.testing import Outputs, StageHarness
from emopipe.stages.capture.live_tracks import MAX_PENDING_NS, LiveAudio, LiveVideo
from emopipe.stages.media.audio import SAMPLE_RATE_HZ
from emopipe.stages.types import AudioBlock, VideoFrame

Script = Callable[["Source"], Awaitable[None]]


class Source(source.Source):
    """A live source that does what a test says."""

    name: ClassVar[str] = "source"
    outputs: ClassVar[dict[str, Port]] = {"video": Port(VideoFrame, "pictures"), "audio": Port(AudioBlock, "sound")}

    def __init__(self, script: Script) -> None:
        super().__init__()
        self._script = script
        self.way = asyncio.Event()  # whether the links have room
        self.way.set()

    async def writable(self, output: str, stream: str) -> None:
        await self.way.wait()

    async def run(self) -> None:
        await self._script(self)


def play(script: Script) -> tuple[Source, Outputs]:
    async def drive() -> tuple[Source, Outputs]:
        source = Source(script)
        async with StageHarness(source, mode="live") as harness:
            await harness.finish()
        return source, harness.outputs

    return asyncio.run(drive())


def picture(grey: int, form: str = "gray") -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.full((48, 64), grey, np.uint8), form)


def sound(samples: int, rate: int = SAMPLE_RATE_HZ, layout: str = "mono") -> av.AudioFrame:
    channels = len(av.AudioLayout(layout).channels)
    frame = av.AudioFrame.from_ndarray(np.full((1, samples * channels), 8000, np.int16), "s16", layout)
    frame.sample_rate = rate
    return frame


# -- pictures ----------------------------------------------------------------------------------------------------------


def test_every_picture_goes_out_while_there_is_room() -> None:
    async def script(source: Source) -> None:
        video = LiveVideo(source, "webcam", small_size=64, luma_size=64)
        running = asyncio.create_task(video.run())
        for number in range(5):
            video.offer(picture(number), number * 33 * MS)
            await asyncio.sleep(0.02)
        video.close()
        await running

    source, outputs = play(script)
    messages = outputs.data("video")
    assert [m.pts for m in messages] == [0, 33 * MS, 66 * MS, 99 * MS, 132 * MS]
    assert [m.watermark for m in messages] == [m.pts + 1 for m in messages]
    assert [m.duration for m in messages] == [0, *[33 * MS] * 4]
    assert [m.trace[0].received - source.host.base_time for m in messages] == [m.pts for m in messages]  # when seen
    assert [int(m.payload.luma[0, 0]) for m in messages] == [0, 1, 2, 3, 4]
    assert messages[0].payload.small.shape == (48, 64, 3)
    assert {m.stream for m in messages} == {"webcam"}
    assert (source.counters["frames"], source.counters["skipped"]) == (5, 0)


def test_without_room_the_newest_wins_and_the_others_are_never_converted() -> None:
    converted: list[Any] = []

    async def script(source: Source) -> None:
        compute = source.compute

        async def counted(function: Any, *arguments: Any) -> Any:
            converted.append(arguments)
            return await compute(function, *arguments)

        source.compute = counted  # type: ignore[method-assign, assignment]
        source.way.clear()
        video = LiveVideo(source, "webcam")
        running = asyncio.create_task(video.run())
        for number in range(100):
            video.offer(picture(number), number * 33 * MS)
            await settle(2)
        video.close()
        source.way.set()
        await running

    source, outputs = play(script)
    assert [m.pts for m in outputs.data("video")] == [99 * 33 * MS]
    assert len(converted) == 1
    assert (source.counters["frames"], source.counters["skipped"]) == (100, 99)


def test_times_that_stand_still_or_go_back_go_on_by_a_millisecond() -> None:
    async def script(source: Source) -> None:
        video = LiveVideo(source, "webcam")
        running = asyncio.create_task(video.run())
        for at in (-5 * MS, 40 * MS, 40 * MS, 12 * MS, 41 * MS, 80 * MS):
            video.offer(picture(0), at)
            await asyncio.sleep(0.02)
        video.close()
        await running

    _, outputs = play(script)
    assert [m.pts // MS for m in outputs.data("video")] == [0, 40, 41, 42, 43, 80]


def test_pictures_that_cannot_be_converted_are_counted_and_told_once() -> None:
    async def script(source: Source) -> None:
        video = LiveVideo(source, "webcam")
        video._converter.read = broken  # type: ignore[method-assign]
        running = asyncio.create_task(video.run())
        for number in range(3):
            video.offer(picture(number), number * MS)
            await asyncio.sleep(0.02)
        video.close()
        await running

    def broken(*arguments: Any, **others: Any) -> VideoFrame:
        raise ValueError("no such conversion")

    source, outputs = play(script)
    assert source.counters["damaged"] == 3
    assert outputs.warnings == ["webcam: frames of format gray cannot be converted: no such conversion"]


# -- sound -------------------------------------------------------------------------------------------------------------


def test_sound_is_emitted_in_blocks_that_fill_the_time() -> None:
    async def script(source: Source) -> None:
        audio = LiveAudio(source, "webcam", block=0.05)
        running = asyncio.create_task(audio.run())
        for number in range(50):
            audio.offer(sound(960, 48_000, "stereo"), number * 20 * MS)
        audio.close()
        await running

    source, outputs = play(script)
    messages = outputs.data("audio")
    assert sum(len(m.payload.samples) for m in messages) == SAMPLE_RATE_HZ
    assert [m.pts for m in messages] == [number * 50 * MS for number in range(20)]
    assert all(m.watermark == m.pts + m.duration for m in messages)
    assert np.abs(np.concatenate([m.payload.samples for m in messages])[400:-400] - 8000 / 32768).max() < 1e-2
    assert source.counters["samples"] == SAMPLE_RATE_HZ


def test_lost_sound_is_a_gap_and_a_new_device_has_its_own_clock() -> None:
    async def script(source: Source) -> None:
        audio = LiveAudio(source, "webcam")
        running = asyncio.create_task(audio.run())
        for number in range(50):
            audio.offer(sound(320), number * 20 * MS)
        audio.restart()
        for number in range(50):
            audio.offer(sound(320), 3 * SECOND + number * 20 * MS)
        audio.close()
        await running

    source, outputs = play(script)
    [gap] = outputs.gaps("audio")
    assert (gap.pts, gap.duration) == (SECOND, 2 * SECOND)
    assert source.counters["gaps"] == 1


def test_sound_that_nobody_takes_is_dropped_oldest_first_and_counted() -> None:
    async def script(source: Source) -> None:
        audio = LiveAudio(source, "webcam")
        for number in range(500):  # 10 s, before anything is read
            audio.offer(sound(320), number * 20 * MS)
        running = asyncio.create_task(audio.run())
        audio.close()
        await running

    source, outputs = play(script)
    samples = sum(len(m.payload.samples) for m in outputs.data("audio"))
    assert samples == MAX_PENDING_NS // SECOND * SAMPLE_RATE_HZ
    assert source.counters["overflowed"] == 400
    assert outputs.data("audio")[0].pts == 8 * SECOND


def test_drift_is_counted() -> None:
    async def script(source: Source) -> None:
        audio = LiveAudio(source, "webcam")
        running = asyncio.create_task(audio.run())
        for number in range(3000):
            audio.offer(sound(320), round(number * 20 * MS * 1.0001))
            while source.counters["samples"] < (number - 20) * 320:  # no faster than it is taken
                await asyncio.sleep(0.001)
        audio.close()
        await running
        assert audio.drift_ppm == pytest.approx(100, abs=20)

    source, _ = play(script)
    assert source.counters["drift_ppm"] == pytest.approx(100, abs=20)


# -- handing over ------------------------------------------------------------------------------------------------------


def test_a_mailbox_keeps_the_newest_whoever_fills_it() -> None:
    async def fill() -> None:
        mailbox: Mailbox[int] = Mailbox(most=10, weigh=lambda item: item % 3 + 1)
        seen: list[int] = []
        dropped = 0

        def put() -> None:
            for number in range(5000):
                mailbox.put(number)
            mailbox.close()

        thread = threading.Thread(target=put)
        thread.start()
        while await mailbox.arrived():
            items, lost = mailbox.take()
            assert sum(item % 3 + 1 for item in items) <= 10
            seen += items
            dropped += lost
        thread.join()
        assert seen == sorted(set(seen))
        assert seen[-1] == 4999
        assert len(seen) + dropped == 5000

    asyncio.run(fill())


def test_a_closed_mailbox_takes_nothing_more() -> None:
    async def fill() -> Mailbox[str]:
        mailbox: Mailbox[str] = Mailbox(most=1)
        mailbox.put("kept")
        mailbox.close()
        mailbox.put("ignored")
        assert await mailbox.arrived()
        assert mailbox.take() == (["kept"], 0)
        assert not await mailbox.arrived()
        return mailbox

    mailbox = asyncio.run(fill())
    mailbox.put("ignored, although the loop is gone")
    mailbox.close()


def test_one_item_that_weighs_too_much_is_kept() -> None:
    async def fill() -> None:
        mailbox: Mailbox[int] = Mailbox(most=1, weigh=lambda item: item)
        mailbox.put(5)
        assert mailbox.take() == ([5], 0)

    asyncio.run(fill())
