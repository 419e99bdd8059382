"""What live sources share: frames of which the newest wins, and audio that follows the clock.

A camera, a microphone, a network stream and a WebRTC peer hand over decoded frames, each with the running time at
which it was seen or heard; `run` makes messages of them:

    video = LiveVideo(source, "webcam")
    running = asyncio.create_task(video.run())
    video.offer(frame, at)        # from any thread, never waits
    video.close()
    await running                    # what was handed over has been emitted; `source.end(stream)` is the owner's
"""

from collections.abc import Callable
from typing import NamedTuple

import av

from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.mailbox import Mailbox
from emopipe.pipeline.message import Placement
from emopipe.pipeline.source import Source
from emopipe.stages.media.audio import BLOCK_S
from emopipe.stages.media.clocked_audio import AudioSpan, DriftCompensatedAudio
from emopipe.stages.media.frames import LUMA_SIZE_PX, SMALL_SIZE_PX, FrameConverter
from emopipe.stages.types import AudioBlock

MAX_PENDING_NS = 2 * SECOND
"""Audio that may wait for its source; older audio is dropped."""


class LiveVideo:
    """Emits the frames of one stream on the output `video`, as many as there is room for: the newest wins.

    A frame is converted only when the links can take it, so that what must be dropped costs nothing. Counts
    `frames` (handed over), `skipped` (of these, replaced by a newer one) and `damaged` (of a format that cannot be
    converted).

    Args:
        source: whose output, thread (`compute`) and counters are used; in its event loop.
        stream: the stream's name.
        small_size, luma_size: the longer sides of the images, in pixels; see `stages.media.frames.FrameConverter`.
        origin: what says when running time 0 of the stream is (monotonic ns), once there is a frame; where none is
            given, when the run began to play.
    """

    def __init__(
        self,
        source: Source,
        stream: str,
        *,
        small_size: int = SMALL_SIZE_PX,
        luma_size: int = LUMA_SIZE_PX,
        origin: Callable[[], int] | None = None,
    ) -> None:
        self._source = source
        self._stream = stream
        self._origin = origin or (lambda: source.host.base_time)
        self._converter = FrameConverter(small_size, luma_size)
        self._frames: Mailbox[tuple[av.VideoFrame, int]] = Mailbox(most=1)
        self._last: int | None = None
        self._warned = False

    def offer(self, frame: av.VideoFrame, at: int) -> None:
        """A frame of running time `at` (ns); from any thread, never waits."""
        self._frames.put((frame, at))

    async def run(self) -> None:
        """Emit until `close`. A frame's pts is its `at`, or 1 ms after the last one's where it is not later."""
        source, stream = self._source, self._stream
        while await self._frames.arrived():
            await source.writable("video", stream)
            [(frame, at)], skipped = self._frames.take()
            source.count("frames", stream, 1 + skipped)
            source.count("skipped", stream, skipped)
            try:
                payload = await source.compute(self._converter.read, frame)
            except (ValueError, av.error.FFmpegError) as error:
                self._damaged(frame, error)
                continue
            # Whole ms apart: MediaPipe counts in these.
            pts = max(at, 0) if self._last is None else max(at, self._last + MS)
            duration = 0 if self._last is None else min(pts - self._last, SECOND)  # as long as the one before it
            self._last = pts
            seen = self._origin() + pts
            await source.emit("video", payload, stream=stream, pts=pts, duration=duration, watermark=pts + 1, seen=seen)

    def close(self) -> None:
        """Nothing more will be offered: `run` returns once it has emitted what is there."""
        self._frames.close()

    def _damaged(self, frame: av.VideoFrame, error: Exception) -> None:
        self._source.count("damaged", self._stream)
        if not self._warned:
            self._warned = True
            self._source.warn(f"{self._stream}: frames of format {frame.format.name} cannot be converted: {error}")


class _AudioFrame(NamedTuple):
    """One frame, or (none) that the next one is another device's."""

    frame: av.AudioFrame | None
    at: int


class LiveAudio:
    """Emits the audio of one stream on the output `audio`: blocks of 16 kHz mono that follow the clock, and gaps.

    How that is done, and what is counted beside `overflowed` (frames that came while too many waited), says
    `emopipe.stages.media.clocked_audio.DriftCompensatedAudio`; `drift_ppm` is counted, too.

    Args:
        source: whose output, thread (`compute`) and counters are used; in its event loop.
        stream: the stream's name.
        block: length of a block, in s.
        origin: as of `LiveVideo`.
    """

    def __init__(
        self, source: Source, stream: str, *, block: float = BLOCK_S, origin: Callable[[], int] | None = None
    ) -> None:
        self._source = source
        self._stream = stream
        self._origin = origin or (lambda: source.host.base_time)
        self._compensated = DriftCompensatedAudio(block)
        self._frames: Mailbox[_AudioFrame] = Mailbox(most=MAX_PENDING_NS, weigh=_duration)
        self._counted: dict[str, int] = {}

    @property
    def drift_ppm(self) -> float:
        """How much too slow the device's clock is, in parts per million."""
        return self._compensated.drift_ppm

    def offer(self, frame: av.AudioFrame, at: int) -> None:
        """Audio whose first sample was heard at running time `at` (ns); from any thread, never waits."""
        if frame.samples > 0:
            self._frames.put(_AudioFrame(frame, at))

    def restart(self) -> None:
        """The device was lost: emit what is left of it. What is offered next has a clock of its own."""
        self._frames.put(_AudioFrame(None, 0))

    async def run(self) -> None:
        """Emit until `close`."""
        while await self._frames.arrived():
            # Everything at once: a hop to the thread for each 10 ms frame is how latency grows.
            frames, dropped = self._frames.take()
            self._source.count("overflowed", self._stream, dropped)
            await self._emit(await self._source.compute(self._read, frames))
        await self._emit(await self._source.compute(self._read, [_AudioFrame(None, 0)]))

    def close(self) -> None:
        """Nothing more will be offered: `run` returns once it has emitted what is there."""
        self._frames.close()

    def _read(self, frames: list[_AudioFrame]) -> list[AudioSpan]:
        spans: list[AudioSpan] = []
        for frame, at in frames:
            spans += self._compensated.push(frame, at) if frame is not None else self._compensated.restart()
        return spans

    async def _emit(self, spans: list[AudioSpan]) -> None:
        self._count()
        for pts, duration, samples in spans:
            end = pts + duration
            place = Placement(stream=self._stream, pts=pts, duration=duration, watermark=end, seen=self._origin() + end)
            if samples is None:
                await self._source.emit_gap("audio", **place)
            else:
                await self._source.emit("audio", AudioBlock(samples=samples), **place)

    def _count(self) -> None:
        for name, total in {**self._compensated.counters, "drift_ppm": round(self.drift_ppm)}.items():
            if change := total - self._counted.get(name, 0):
                self._source.count(name, self._stream, change)
                self._counted[name] = total


def _duration(audio: _AudioFrame) -> int:
    frame = audio.frame
    return frame.samples * SECOND // frame.sample_rate if frame is not None and frame.sample_rate else 0
