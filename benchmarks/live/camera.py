"""A recording in place of a camera and a microphone: the live benchmarks' source."""

import asyncio
import heapq
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import MediaError
from emopipe.pipeline.port import Port, about
from emopipe.pipeline.source import Source
from emopipe.stages.types import AudioBlock, VideoFrame

if TYPE_CHECKING:
    import av

    from emopipe.stages.capture.live_tracks import LiveAudio, LiveVideo

FPS = 30
SPAN = 4.0  # s of the recording that are kept, decoded: 170 MB of 720p at 30 frames/s, once in a process


class PlayedCamera(Source):
    """Plays the first seconds of a recording over and over as a live source: frames come when they are due, taken or
    not.

    They were decoded before and lie in memory, as a camera's do; `stages.capture.live_tracks` takes them, as it does a
    camera's. A picture's pts is the running time at which it was due, so whatever makes its result late is seen in its
    age. The counter `base_time_ns` (running time 0) lets others tell that age.
    """

    name: ClassVar[str] = "played-camera"
    outputs: ClassVar[dict[str, Port]] = {
        "video": Port(VideoFrame, "as many of the pictures as there is room for"),
        "audio": Port(AudioBlock, "the sound as 16 kHz mono"),
    }

    class Settings(Source.Settings, kw_only=True):
        uri: Annotated[str, about("the recording")]
        stream: Annotated[str, about("the stream's name", min_length=1)]
        seconds: Annotated[float, about("how long it is played", unit="s", gt=0)]

        def reads(self) -> list[str]:
            return [str(Path(self.uri).resolve())]

    settings: Settings

    async def setup(self) -> None:
        self._played = await self.compute(load, self.settings.uri)

    async def run(self) -> None:
        from emopipe.stages.capture.live_tracks import LiveAudio, LiveVideo

        self.counters["base_time_ns"] = self.host.base_time
        pictures, sound = LiveVideo(self, self.settings.stream), LiveAudio(self, self.settings.stream)
        stopped = threading.Event()
        with ThreadPoolExecutor(1) as thread:  # of its own: the loop's are too few for many cameras
            try:
                playing = asyncio.get_running_loop().run_in_executor(thread, self._play, pictures, sound, stopped)
                await asyncio.gather(pictures.run(), sound.run(), playing)
            finally:
                stopped.set()
        await self.end(self.settings.stream)

    def _play(self, pictures: "LiveVideo", sound: "LiveAudio", stopped: threading.Event) -> None:
        """Hand over each frame at its time, until the time is up."""
        import av

        length = max(each.end for each in self._played)
        try:
            for start in (length * repetition for repetition in count()):
                for each in self._played:
                    left = start + each.due - self.running_time(time.monotonic_ns()) / SECOND
                    if start + each.due > self.settings.seconds or stopped.wait(max(0.0, left)):
                        return
                    at = round((start + each.at) * SECOND)
                    if isinstance(each.frame, av.VideoFrame):
                        pictures.offer(each.frame, at)
                    else:
                        sound.offer(each.frame, at)
        finally:
            pictures.close()
            sound.close()


class Played(NamedTuple):
    """A decoded frame: when a device would hand it over (sound once it is complete), when it begins and ends; in s."""

    due: float
    at: float
    end: float
    frame: "av.VideoFrame | av.AudioFrame"


@cache  # several cameras of a process share what they play
def load(path: str) -> list[Played]:
    """The first `SPAN` s of a recording, in the order in which frames are due.

    Raises:
        MediaError: there are neither pictures nor sound in it.
    """
    played = list(heapq.merge(_pictures(path), _sound(path), key=lambda each: each.due))
    if not played:
        raise MediaError(f"{path}: nothing in it can be played; choose another recording")
    return played


def _pictures(path: str) -> list[Played]:
    import av

    found = []
    with av.open(path) as container:
        for frame in container.decode(video=0) if container.streams.video else ():
            at = max(0.0, frame.time or 0.0)
            length = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else 1 / 30
            if at + length > SPAN:
                break
            found.append(Played(at, at, at + length, frame))
    return found


def _sound(path: str) -> list[Played]:
    import av

    found = []
    with av.open(path) as container:
        for frame in container.decode(audio=0) if container.streams.audio else ():
            at = frame.time or 0.0
            end = at + frame.samples / frame.sample_rate
            if end > SPAN:
                break
            if at >= 0:  # an encoder's delay lies before the beginning
                found.append(Played(end, at, end, frame))
    return found


def prepare(clip: Path, folder: Path, size: tuple[int, int]) -> Path:
    """The recording in that size at `FPS`; itself, if it is so already."""
    import av

    with av.open(str(clip)) as source:
        video = source.streams.video[0]
        rate = float(video.average_rate or 0)
        if (video.width, video.height) == size and abs(rate - FPS) < 0.5:
            return clip
        made = folder / "clip.mp4"
        with av.open(str(made), "w") as target:
            shown = target.add_stream("libx264", rate=FPS, options={"preset": "veryfast"})
            shown.width, shown.height, shown.pix_fmt = *size, "yuv420p"
            heard = target.add_stream("aac", rate=48_000, layout="stereo") if source.streams.audio else None
            taken = -1
            for frame in source.decode(video=0):
                number = round(float(frame.time or 0) * FPS)
                scaled = frame.reformat(*size, format="yuv420p")
                for again in range(taken + 1, number + 1):  # a slower recording's frames are shown twice
                    scaled.pts, scaled.time_base = again, Fraction(1, FPS)
                    target.mux(shown.encode(scaled))
                taken = max(taken, number)
            target.mux(shown.encode(None))
            if heard is not None:
                source.seek(0)
                for sound in source.decode(audio=0):
                    target.mux(heard.encode(sound))
                target.mux(heard.encode(None))
    return made
