"""test-pattern: a face and a voice that are there at known times, with no file, camera or microphone."""

import heapq
import importlib.util
import math
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from typing import Annotated, ClassVar, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import MediaError
from emopipe.pipeline.port import Invalid, Port, about
from emopipe.pipeline.source import Source
from emopipe.stages.capture import speech_synthesis as speaking
from emopipe.stages.capture.pacing import ahead, content, due, send
from emopipe.stages.capture.stream_name import check_stream_name
from emopipe.stages.media.audio import BLOCK_S, SAMPLE_NS, SAMPLE_RATE_HZ
from emopipe.stages.media.frames import LUMA_SIZE_PX, SMALL_SIZE_PX, FrameConverter
from emopipe.stages.media.tracks import Item
from emopipe.stages.types import AudioBlock, VideoFrame

# One cycle, in s: nobody, a face, face and voice, a face, nobody, a voice, nobody.
CYCLE = 10.0
FACE = ((1.0, 6.0),)
VOICE = ((3.0, 5.5), (7.0, 9.5))
WORDS = (
    "I never thought that we would really see each other again after all of these years",
    "nobody told me that the last train had already left without any one of us on it",
)

_BACKGROUND = (96, 108, 120)
_HEAD = (slice(0, 224), slice(112, 336))  # rows and columns of scikit-image's astronaut
_MISSING = (
    "the test source needs scikit-image and espeakng-loader: pip install 'emopipe[demo]'; "
    "for a recording of your own: emopipe replay clip.mp4"
)


class TestPattern(Source):
    """Makes pictures of a real face that moves, and of nobody, and a voice that speaks, and silence.

    Face: Eileen Collins (NASA, public domain), as scikit-image ships it. Voice: eSpeak NG. When which of them is
    there repeats every 10 s; each payload's `truth` says it, and `schedule` all of it. The same settings give the
    same bytes.
    """

    __test__ = False  # no test, whatever pytest thinks of its name

    name: ClassVar[str] = "test-pattern"
    work_ms: ClassVar[float] = 5.0
    memory_mb: ClassVar[float] = 50.0
    repeatable = True
    outputs: ClassVar[dict[str, Port]] = {
        "video": Port(VideoFrame, "pictures of the face, or of nobody"),
        "audio": Port(AudioBlock, "the voice, or silence, as 16 kHz mono"),
    }

    class Settings(Source.Settings):
        duration: Annotated[float, about("how long", unit="s", gt=0)] = 10.0
        width: Annotated[int, about("of the pictures", unit="px", ge=64, le=7680)] = 640
        height: Annotated[int, about("of the pictures", unit="px", ge=64, le=4320)] = 360
        fps: Annotated[float, about("pictures a second", unit="Hz", gt=0, le=240)] = 30.0
        realtime: Annotated[bool, about("at the speed of a camera; otherwise as fast as possible")] = True
        stream: Annotated[str, about("the stream's name", min_length=1)] = "test-pattern"
        small_size: Annotated[int, about("longer side of the RGB image, at most", unit="px", ge=64)] = SMALL_SIZE_PX
        luma_size: Annotated[int, about("longer side of the luma plane, at most", unit="px", ge=64)] = LUMA_SIZE_PX
        block: Annotated[float, about("length of a block of sound", unit="s", ge=0.01, le=1)] = BLOCK_S

        def check(self) -> list[Invalid]:
            there = speaking.installed() and importlib.util.find_spec("skimage") is not None
            return check_stream_name(self.stream) + ([] if there else [Invalid("use", _MISSING)])

        def plays(self) -> list[str]:
            return [self.stream]

        def latency(self) -> float:
            return self.block if self.realtime else 0.0  # sound is sent by the block

    settings: Settings

    async def setup(self) -> None:
        self._face, self._voice = await self.compute(self._load)

    async def run(self) -> None:
        settings = self.settings
        if settings.stream in self.host.finished:
            return
        total = round(settings.duration * SECOND)
        items = heapq.merge(self._draw(), self._speak(), key=due)
        began = self.host.clock.now()
        async with aclosing(ahead(self, items)) as coming:
            async for item in coming:
                seen = began + due(item) if settings.realtime else None
                if seen is not None:
                    await self.host.clock.sleep_until(seen)
                await send(self, item, settings.stream, seen)
                name, count = content(item)
                self.count(name, settings.stream, count)
                self.progress(min(due(item), total), total)
        await self.end(settings.stream)

    def _load(self) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """The face, fit for the pictures, and one cycle of sound."""
        side = 2 * round(0.4 * min(self.settings.width, self.settings.height))
        cycle = np.zeros(round(CYCLE * SAMPLE_RATE_HZ), np.float32)
        for (start, end), words in zip(VOICE, speaking.speak(*WORDS), strict=True):
            samples = words[: round((end - start) * SAMPLE_RATE_HZ)].copy()
            fade = SAMPLE_RATE_HZ // 50
            samples[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)
            cycle[round(start * SAMPLE_RATE_HZ) :][: len(samples)] = samples
        return portrait(side), cycle

    def _draw(self) -> Iterator[Item]:
        settings = self.settings
        pictures = FrameConverter(settings.small_size, settings.luma_size)
        empty = np.full((settings.height, settings.width, 3), _BACKGROUND, np.uint8)
        side = len(self._face)
        there = schedule(settings).face
        for number in range(round(settings.duration * settings.fps)):
            pts, end = (round(n * SECOND / settings.fps) for n in (number, number + 1))
            picture, truth = empty, ""
            if _within(there, pts):
                # From side to side in 5 s, and a little up and down.
                across, down = math.sin(2 * math.pi * pts / (5 * SECOND)), math.sin(2 * math.pi * pts / (2 * SECOND))
                x = round((settings.width - side) / 2 * (1 + 0.8 * across))
                y = round((settings.height - side) / 2 * (1 + 0.5 * down))
                picture, truth = empty.copy(), "face"
                picture[y : y + side, x : x + side] = self._face
            frame = pictures.read(av.VideoFrame.from_ndarray(picture, "rgb24"), truth=truth)
            yield Item("video", pts, end - pts, frame)

    def _speak(self) -> Iterator[Item]:
        settings = self.settings
        there = schedule(settings).voice
        total, size = round(settings.duration * SAMPLE_RATE_HZ), round(settings.block * SAMPLE_RATE_HZ)
        for start in range(0, total, size):
            count = min(size, total - start)
            samples = self._voice.take(np.arange(start, start + count), mode="wrap")
            pts, duration = start * SAMPLE_NS, count * SAMPLE_NS
            truth = "voice" if _within(there, pts + duration // 2) else ""
            yield Item("audio", pts, duration, AudioBlock(samples=samples, truth=truth))


class Schedule(NamedTuple):
    """When what is there: (start, end) in ns of running time, the end not included."""

    face: list[tuple[int, int]]
    voice: list[tuple[int, int]]


def schedule(settings: TestPattern.Settings) -> Schedule:
    """The ground truth of a test source with these settings.

    A picture has the face if its pts is in a span. The voice has natural pauses of a few ms in its spans; a block's
    `truth` is that of its middle.
    """
    cycles = [CYCLE * number for number in range(math.ceil(settings.duration / CYCLE))]

    def spans(times: Sequence[tuple[float, float]]) -> list[tuple[int, int]]:
        every = ((c + start, min(c + end, settings.duration)) for c in cycles for start, end in times)
        return [(round(start * SECOND), round(end * SECOND)) for start, end in every if start < end]

    return Schedule(spans(FACE), spans(VOICE))


def _within(spans: Sequence[tuple[int, int]], pts: int) -> bool:
    return any(start <= pts < end for start, end in spans)


def portrait(side: int) -> NDArray[np.uint8]:
    """Head and shoulders, RGB [side, side, 3]."""
    try:
        from skimage.data import astronaut
    except ImportError:
        raise MediaError(_MISSING) from None
    head = av.VideoFrame.from_ndarray(np.ascontiguousarray(astronaut()[_HEAD]), "rgb24")
    face: NDArray[np.uint8] = head.reformat(side, side, interpolation="BICUBIC").to_ndarray().astype(np.uint8)
    return face
