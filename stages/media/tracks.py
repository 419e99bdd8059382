"""The picture and the sound track of a recording: decoded frames in, items with honest times out."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, Literal, NamedTuple

import av

from emopipe.pipeline.clock import MS, SECOND
from emopipe.stages.media.audio import BLOCK_S, AudioConverter
from emopipe.stages.media.frames import FrameConverter
from emopipe.stages.media.timeline import Timeline, Times, ns
from emopipe.stages.types import AudioBlock, VideoFrame


class Item(NamedTuple):
    """One piece of a recording.

    Attributes:
        kind: of which track; `pts` never goes back within one.
        pts: ns of running time.
        duration: ns.
        payload: none where the track has nothing from `pts` for `duration`.
    """

    kind: Literal["video", "audio"]
    pts: int
    duration: int
    payload: VideoFrame | AudioBlock | None


class Track(ABC):
    """One stream of a recording on the time line that it shares with the others."""

    kind: Literal["video", "audio"]
    stated = 0  # its length by the number of frames in the header (ns), if there is one

    def __init__(self, stream: av.VideoStream | av.AudioStream, timeline: Timeline, counters: Counter[str]) -> None:
        self.stream = stream
        self.base = stream.time_base or Fraction(1, av.time_base)
        self.times: Times[Any] = Times(timeline, self.base)
        self.decodes = False  # whether its decoder has given a frame yet
        self.counters = counters

    @abstractmethod
    def read(self, frame: Any, at: int | None) -> Iterator[Item]:
        """The items that `frame` completes; `at` is its running time (ns), none where nobody knows.

        Raises:
            ValueError, av.error.FFmpegError: the frame's format cannot be converted.
        """

    @abstractmethod
    def skip_to(self, until: int) -> Iterator[Item]:
        """Promise that nothing comes before `until` (ns): a gap."""

    def flush(self) -> Iterator[Item]:
        """What is still held when the recording has ended."""
        yield from ()


class VideoTrack(Track):
    """Pictures, with times that increase even where the container's do not.

    `wanted` is asked with a picture's pts before it is converted, which costs more than decoding it; what is not wanted
    counts as `skipped` and is left out.
    """

    kind: Literal["video"] = "video"

    def __init__(
        self,
        stream: av.VideoStream,
        timeline: Timeline,
        counters: Counter[str],
        small_size: int,
        luma_size: int,
        wanted: Callable[[int], bool] = lambda pts: True,
    ) -> None:
        super().__init__(stream, timeline, counters)
        self._wanted = wanted
        self._aspect = stream.sample_aspect_ratio
        self._pictures = FrameConverter(small_size, luma_size)
        self._nominal = round(SECOND / (stream.average_rate or stream.guessed_rate or 25))
        self.stated = stream.frames * self._nominal
        self._last = -MS  # what follows has a larger pts, and none below 0

    def read(self, frame: av.VideoFrame, at: int | None) -> Iterator[Item]:
        self.counters["frames"] += 1
        pts = self.times.end if at is None else at
        if pts <= self._last or pts < 0:
            pts = max(0, self._last + MS)  # a whole ms later: MediaPipe counts in these
        picture = self._pictures.read(frame, self._aspect) if self._wanted(pts) else None
        self.counters["repaired"] += pts != at or frame.pts is None
        duration = ns(frame.duration, self.base) if frame.duration else self._nominal
        self._last = pts
        self.times.end = max(self.times.end, pts + duration)
        if picture is None:
            self.counters["skipped"] += 1
        else:
            yield Item("video", pts, duration, picture)

    def skip_to(self, until: int) -> Iterator[Item]:
        start, self.times.end, self._last = self.times.end, until, until - 1
        yield Item("video", start, until - start, None)


class AudioTrack(Track):
    """Sound in blocks whose times are exact sample counts, as long as the container's times agree within a block."""

    kind: Literal["audio"] = "audio"

    def __init__(
        self, stream: av.AudioStream, timeline: Timeline, counters: Counter[str], block: float = BLOCK_S
    ) -> None:
        super().__init__(stream, timeline, counters)
        self._sound = AudioConverter(block)
        self._tolerance = round(block * SECOND)
        self._anchored = False  # whether the next frame goes on from the last one

    def read(self, frame: av.AudioFrame, at: int | None) -> Iterator[Item]:
        sound = self._sound
        self.counters["repaired"] += at is None
        ahead = 0 if at is None else at - sound.end
        if ahead > self._tolerance:
            yield from self.skip_to(sound.end + ahead)
        elif ahead < -self._tolerance:
            # The time is taken. Keeping the samples would part sound and pictures from here on.
            self.counters["overlapping"] += sound.skip(-ahead)
        elif not self._anchored:
            sound.begin(sound.end + max(0, ahead))
        self._anchored = True
        self.counters["source-samples"] += frame.samples
        yield from self._items(frame)
        self.times.end = max(self.times.end, sound.end)

    def skip_to(self, until: int) -> Iterator[Item]:
        yield from self._items(None)
        start = self._sound.next
        if until > start:
            yield Item("audio", start, until - start, None)
        self._sound.begin(max(start, until))
        self.times.end = self._sound.end
        self._anchored = False

    def flush(self) -> Iterator[Item]:
        yield from self._items(None)

    def _items(self, frame: av.AudioFrame | None) -> Iterator[Item]:
        for block in self._sound.flush() if frame is None else self._sound.push(frame):
            self.counters["samples"] += len(block.samples)
            yield Item("audio", block.pts, block.duration, AudioBlock(samples=block.samples))
