"""A recording with a mark that can be both seen and heard, and the stage that measures how far these come apart."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Invalid, Port, about
from emopipe.pipeline.stage import Stage
from emopipe.stages.sinks.line_file import LineFile, path_problem
from emopipe.stages.types import AudioBlock, VideoFrame

MARK_INTERVAL_S = 2.0  # from one mark to the next
FPS = 30
FLASH_FRAMES = 3
CORNER_SHARE = 0.1  # side of the square that flashes, as a share of the picture's width
TONE_HZ = 6000.0  # above what voices hold much of, below what 16 kHz can hold
TONE_AMPLITUDE = 0.3
BEEP_S = 0.06
AVERAGE_S = 0.005  # over which the tone's strength is averaged: 30 of its periods
MAX_OFFSET_S = 0.5  # a flash and a beep further apart are not of one mark
SAMPLE_RATE_HZ = 16_000
LAG_INTERVAL_S = 0.05  # between looks at the event loop
REPORT_INTERVAL_S = 10.0


def mark(clip: Path, target: Path, seconds: float, width: int = 640) -> Path:
    """Write `clip`, over and over, for `seconds`: a black corner flashes and a tone sounds every `MARK_INTERVAL_S`."""
    import av

    with av.open(str(clip)) as given:
        shown = given.streams.video[0]
        height = round(shown.height * width / shown.width / 2) * 2
        pictures = [frame.to_ndarray(width=width, height=height, format="rgb24") for frame in given.decode(video=0)]
        rate = float(shown.average_rate or FPS)
    sound = _sound(clip)
    wanted = np.resize(sound, round(seconds * 48_000)) if len(sound) else np.zeros(round(seconds * 48_000), np.float32)
    times = np.arange(len(wanted)) / 48_000
    tone = np.where(times % MARK_INTERVAL_S < BEEP_S, TONE_AMPLITUDE * np.sin(2 * np.pi * TONE_HZ * times), 0)
    heard = (np.clip(0.6 * wanted + tone, -1, 1) * 32767).astype(np.int16)
    side = round(CORNER_SHARE * width)
    with av.open(str(target), "w", format="matroska") as made:
        video = made.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "crf": "14"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = made.add_stream("pcm_s16le", rate=48_000, layout="mono")
        for number in range(round(seconds * FPS)):
            picture = pictures[int(number / FPS * rate) % len(pictures)].copy()
            picture[:side, :side] = 255 if number % round(MARK_INTERVAL_S * FPS) < FLASH_FRAMES else 0
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            made.mux(video.encode(frame))
            piece = heard[number * 48_000 // FPS : (number + 1) * 48_000 // FPS]
            block = av.AudioFrame.from_ndarray(piece[None], format="s16", layout="mono")
            block.sample_rate, block.pts, block.time_base = 48_000, number * 48_000 // FPS, Fraction(1, 48_000)
            made.mux(audio.encode(block))
        made.mux(video.encode(None))
        made.mux(audio.encode(None))
    return target


def _sound(clip: Path) -> NDArray[np.float32]:
    import av

    with av.open(str(clip)) as given:
        if not given.streams.audio:
            return np.empty(0, np.float32)
        resampler = av.AudioResampler("flt", "mono", 48_000)
        frames = [ready for frame in given.decode(audio=0) for ready in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]).astype(np.float32)


class Flashes:
    """Detector of the corner's flashes in one stream's video."""

    def __init__(self) -> None:
        self._last: tuple[int, bool] | None = None

    def push(self, small: NDArray[np.uint8], pts: int) -> int | None:
        """The pts (ns) at which a flash begins, if it does; none where pictures are missing before it."""
        side = max(2, round(CORNER_SHARE * small.shape[1]) - 2)  # its edge is blurred
        bright = bool(small[:side, :side].mean() > 128)
        last, self._last = self._last, (pts, bright)
        begins = last is not None and bright and not last[1] and pts - last[0] < 1.5 * SECOND / FPS
        return pts if begins else None


class Beeps:
    """Detector of the tone's onsets in one stream's audio (16 kHz)."""

    def __init__(self) -> None:
        self._span = round(AVERAGE_S * SAMPLE_RATE_HZ)
        self._tail = np.zeros(self._span, np.float32)
        self._next = 0
        self._quiet = 0  # the pts before which the tone that was found still sounds

    def push(self, samples: NDArray[np.float32], pts: int) -> list[int]:
        """The pts (ns) at which a tone begins."""
        if abs(pts - self._next) > MS:
            self._tail[:] = 0
        self._next = pts + round(len(samples) * SECOND / SAMPLE_RATE_HZ)
        both = np.concatenate([self._tail, samples])
        self._tail = both[-self._span :]
        waves = both * np.exp(-2j * np.pi * TONE_HZ / SAMPLE_RATE_HZ * np.arange(len(both)))
        sums = np.concatenate([[0], np.cumsum(waves)])
        strength = np.abs(sums[self._span + 1 :] - sums[1 : -self._span]) / self._span
        found = []
        for index in np.flatnonzero(strength > TONE_AMPLITUDE / 4):  # half of what the whole tone has
            # Half of the average's span lies in the tone where it is half as strong.
            at = pts + round((int(index) - self._span / 2) * SECOND / SAMPLE_RATE_HZ)
            if at >= self._quiet:
                self._quiet = at + round(MARK_INTERVAL_S / 2 * SECOND)
                found.append(at)
        return found


class Marks(Stage):
    """Measures, on the marks of one stream, how much later the sound is than the pictures; and the event loop's lag.

    Writes JSON lines: `{"at": s of the stream, "offset_ms": …}` for each mark, and `{"lag_ms": …}`, the longest that
    the loop of this process let a timer wait in the last ten seconds.
    """

    name = "marks"
    inputs: ClassVar[dict[str, Port]] = {
        "video": Port(VideoFrame, "pictures of the marked recording", policy="drop-oldest", size=8),
        "audio": Port(AudioBlock, "its sound", policy="drop-oldest", size=16),
    }

    class Settings(Stage.Settings, kw_only=True):
        stream: Annotated[str, about("the stream that carries marks", min_length=1)]
        path: Annotated[str, about("the file to write", min_length=1)]

        def check(self) -> list[Invalid]:
            problem = path_problem(self.path)
            return [Invalid("path", problem)] if problem else []

        def writes(self) -> list[str]:
            return [str(Path(self.path).resolve())]

    settings: Settings

    async def setup(self) -> None:
        self._file = LineFile(self.settings.path)
        self.exit.callback(self._file.close)
        self._flashes, self._beeps = Flashes(), Beeps()
        self._seen: deque[int] = deque(maxlen=4)
        self._heard: deque[int] = deque(maxlen=4)
        self.exit.task(self._watch())

    async def process(self, port: str, message: Message) -> None:
        if message.stream != self.settings.stream:
            return
        if port == "video":
            begins = self._flashes.push(message.payload.small, message.pts)
            self._seen += [begins] if begins is not None else []
        else:
            self._heard += self._beeps.push(message.payload.samples, message.pts)
        for seen, heard in matched(self._seen, self._heard):
            self._write({"at": seen / SECOND, "offset_ms": (heard - seen) / MS})

    async def gap(self, port: str, message: Message) -> None:
        """Ignore it: where there is nothing, there is no mark."""

    async def _watch(self) -> None:
        longest, told = 0.0, time.monotonic()
        while True:
            began = time.monotonic()
            await asyncio.sleep(LAG_INTERVAL_S)
            now = time.monotonic()
            longest = max(longest, now - began - LAG_INTERVAL_S)
            if now - told >= REPORT_INTERVAL_S:
                self._write({"lag_ms": 1000 * longest})
                longest, told = 0.0, now

    def _write(self, value: dict[str, float]) -> None:
        self._file.write(msgspec.json.encode(value) + b"\n")


def matched(seen: deque[int], heard: deque[int]) -> Iterator[tuple[int, int]]:
    """The flashes and beeps (pts, ns) of one mark, taken out of what is known; what has no partner is dropped."""
    while seen and heard:
        apart = heard[0] - seen[0]
        if abs(apart) <= MAX_OFFSET_S * SECOND:
            yield seen.popleft(), heard.popleft()
        elif apart > 0:
            seen.popleft()
        else:
            heard.popleft()


def whole_rounds(seconds: float) -> float:
    """The next length that holds whole marks, whole frames, and whole packets of Opus (20 ms)."""
    return max(1, math.ceil(seconds / MARK_INTERVAL_S)) * MARK_INTERVAL_S
