"""The video and the audio track of a recording: decoded frames in, items with honest times out."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, Literal, NamedTuple

import av

from emopipe.pipeline.clock import MS, SECOND
from emopipe.stages.media.audio import BLOCK_S, SAMPLE_RATE_HZ, AudioConverter
from emopipe.stages.media.damage import MediaFault
from emopipe.stages.media.frames import FrameConverter
from emopipe.stages.media.timeline import ns
from emopipe.stages.types import AudioBlock, VideoFrame


class Item(NamedTuple):
    """One piece of a recording.

    Attributes:
        kind: of which track; `pts` never goes back within one.
        pts: ns of running time.
        duration: ns.
        payload: None where the track has nothing from `pts` for `duration`.
    """

    kind: Literal["video", "audio"]
    pts: int
    duration: int
    payload: VideoFrame | AudioBlock | None


class Track(ABC):
    """One stream of a recording on the running time that it shares with the others.

    Attributes:
        end: where it has got to (ns of running time).
        longest: how long a frame lasted that another followed, at most (ns).
        stated: its length by the number of frames in the header (ns), 0 if there is none.
    """

    kind: Literal["video", "audio"]
    longest = 0
    stated = 0

    def __init__(self, stream: av.VideoStream | av.AudioStream, counters: Counter[str]) -> None:
        self.stream = stream
        self.base = stream.time_base or Fraction(1, av.time_base)
        self.counters = counters
        self.end = 0
        self._promised = 0  # nothing earlier is taken any more (ns)

    @abstractmethod
    def read(self, frame: Any, at: int | None, aspect: Fraction | None = None) -> Iterator[Item]:
        """The items that `frame` completes.

        Args:
            at: its running time (ns), None where nobody knows.
            aspect: of its pixels.

        Raises:
            MediaFault: it is left out, or part of it is, since its time was given away.
            ValueError, av.error.FFmpegError: the frame's format cannot be converted.
        """

    @abstractmethod
    def skip_to(self, until: int) -> Iterator[Item]:
        """Promise that nothing comes before `until` (ns): a gap."""

    def flush(self) -> Iterator[Item]:
        """What is still held when the recording has ended."""
        yield from ()


class VideoTrack(Track):
    """Frames, with times that increase even where the container's do not.

    `wanted` is asked with a frame's pts before it is converted, which costs more than decoding it; what is not wanted
    counts as `skipped` and is left out.
    """

    kind: Literal["video"] = "video"

    def __init__(
        self,
        stream: av.VideoStream,
        counters: Counter[str],
        small_size: int,
        luma_size: int,
        wanted: Callable[[int], bool] = lambda pts: True,
    ) -> None:
        super().__init__(stream, counters)
        self._wanted = wanted
        self._converter = FrameConverter(small_size, luma_size)
        self._nominal = round(SECOND / (stream.average_rate or stream.guessed_rate or 25))
        self.stated = stream.frames * self._nominal
        self._last = -MS  # what follows has a larger pts, and none below 0

    def read(self, frame: av.VideoFrame, at: int | None, aspect: Fraction | None = None) -> Iterator[Item]:
        self.counters["frames"] += 1
        pts = self.end if at is None else at
        if max(pts, 0) < self._promised:
            self.counters["late"] += 1
            raise MediaFault(f"comes {_seconds(self._promised - pts)} too late in the file, and is left out")
        if pts <= self._last or pts < 0:
            pts = max(0, self._last + MS)  # a whole ms later: MediaPipe counts in these
        payload = self._converter.read(frame, aspect) if self._wanted(pts) else None
        self.counters["repaired"] += pts != at
        duration = ns(frame.duration, self.base) if frame.duration else self._nominal
        self.longest = max(self.longest, pts - max(0, self._last))
        self._last = pts
        self.end = max(self.end, pts + duration)
        if payload is None:
            self.counters["skipped"] += 1
        else:
            yield Item("video", pts, duration, payload)

    def skip_to(self, until: int) -> Iterator[Item]:
        start, self.end, self._last, self._promised = self.end, until, until - 1, until
        yield Item("video", start, until - start, None)


class AudioTrack(Track):
    """Audio in blocks whose times are exact sample counts, as long as the container's times agree within a block."""

    kind: Literal["audio"] = "audio"

    def __init__(self, stream: av.AudioStream, counters: Counter[str], block: float = BLOCK_S) -> None:
        super().__init__(stream, counters)
        self._converter = AudioConverter(block)
        self._tolerance = round(block * SECOND)
        self._anchored = False  # whether the next frame goes on from the last one

    def read(self, frame: av.AudioFrame, at: int | None, aspect: Fraction | None = None) -> Iterator[Item]:
        converter = self._converter
        self.counters["repaired"] += at is None
        ahead = 0 if at is None else at - converter.end
        overlap = 0
        if ahead > self._tolerance:
            yield from self.skip_to(converter.end + ahead)
        elif ahead < -self._tolerance:
            # The time is taken. Keeping the samples would part audio and video from here on.
            overlap = converter.skip(-ahead)
            self.counters["overlapping"] += overlap
        elif not self._anchored:
            converter.begin(converter.end + max(0, ahead))
        self._anchored = True
        self.counters["source-samples"] += frame.samples
        yield from self._items(frame)
        self.end = max(self.end, converter.end)
        if overlap:
            late = at is not None and at < self._promised
            why = "since they come too late in the file" if late else "since there is audio of that time already"
            raise MediaFault(f"{_seconds(overlap * SECOND // SAMPLE_RATE_HZ)} are left out, {why}")

    def skip_to(self, until: int) -> Iterator[Item]:
        yield from self._items(None)
        start = self._converter.next
        if until > start:
            yield Item("audio", start, until - start, None)
        self._promised = max(start, until)
        self._converter.begin(self._promised)
        self.end = self._converter.end
        self._anchored = False

    def flush(self) -> Iterator[Item]:
        yield from self._items(None)

    def _items(self, frame: av.AudioFrame | None) -> Iterator[Item]:
        for block in self._converter.flush() if frame is None else self._converter.push(frame):
            self.counters["samples"] += len(block.samples)
            yield Item("audio", block.pts, block.duration, AudioBlock(samples=block.samples))


def _seconds(time: int) -> str:
    return f"{time / SECOND:.2f} s"
