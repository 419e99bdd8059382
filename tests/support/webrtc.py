"""What the tests of WebRTC share: the stage by itself on the machine's own clock, and recordings to send."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from aiortc import MediaStreamTrack

from benchmarks.peers.whip_client import encode
from emopipe.pipeline.clock import SystemClock
from emopipe.pipeline.testing import StageHarness
from emopipe.stages.webrtc.source import WebRtc
from tests.support.endpoints import free_endpoint

RATE = 48_000


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[StageHarness]:
    """The stage, taking offers at `harness.stage.settings.endpoint`."""
    stage = WebRtc(WebRtc.Settings(**{"endpoint": free_endpoint(), "offers_per_second": 100, **settings}))
    harness = StageHarness(stage, mode="live")
    harness.clock = SystemClock()  # type: ignore[assignment]
    async with harness:
        await asyncio.sleep(0)  # play has begun
        yield harness


def ended(harness: StageHarness, stream: str) -> Callable[[], bool]:
    """Whether a stream has ended on both outputs."""
    messages = harness.outputs.messages.values()
    return lambda: all(any(m.kind == "eos" and m.stream == stream for m in each) for each in messages)


class Never(MediaStreamTrack):
    """A track on which nothing ever comes."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    async def recv(self) -> Any:
        await asyncio.Future()


def flashes_and_beeps(
    target: Path, seconds: float, *, size: tuple[int, int] = (160, 120), fps: int = 30, codec: str = "libx264"
) -> Path:
    """A recording whose picture is white, and whose sound is a tone, for the first 0.2 s of each second from 1 s on."""
    raw = target.with_suffix(".raw.mkv")
    with av.open(str(raw), "w") as made:
        video = made.add_stream("ffv1", rate=fps)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        audio = made.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for number in range(round(seconds * fps)):
            picture = np.full((size[1] * 3 // 2, size[0]), 128, np.uint8)
            picture[: size[1]] = 235 if _on(number / fps) else 16
            frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            made.mux(video.encode(frame))
        for start in range(0, round(seconds * RATE), 960):
            at = (start + np.arange(960)) / RATE
            tone = np.where([_on(t) for t in at], np.sin(2 * np.pi * 1000 * at) * 20_000, 0).astype(np.int16)
            sound = av.AudioFrame.from_ndarray(tone[None], format="s16", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = RATE, start, Fraction(1, RATE)
            made.mux(audio.encode(sound))
        for stream in (video, audio):
            made.mux(stream.encode(None))
    return encode(raw, target, codec=codec)


def _on(seconds: float) -> bool:
    return seconds >= 1 and seconds % 1 < 0.2


def flashes(harness: StageHarness, stream: str) -> list[int]:
    """When (pts, ns) the picture turned white."""
    return list(_onsets((m.pts, m.payload.luma.mean() > 128) for m in harness.outputs.data("video", stream)))


def beeps(harness: StageHarness, stream: str) -> list[int]:
    """When (pts, ns) the tone began."""
    samples = (
        (message.pts + number * 62_500, bool(np.abs(message.payload.samples[number : number + 16]).max() > 0.1))
        for message in harness.outputs.data("audio", stream)
        for number in range(0, len(message.payload.samples), 16)
    )
    return list(_onsets(samples))


def _onsets(levels: Iterator[tuple[int, bool]]) -> Iterator[int]:
    """Where it goes on after at least a quarter of a second off."""
    last_on: int | None = None
    for pts, on in levels:
        if on and (last_on is None or pts - last_on > 250_000_000):
            yield pts
        if on:
            last_on = pts
