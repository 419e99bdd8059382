"""A recording in place of a camera and a microphone: the live benchmarks' source."""

import asyncio
import heapq
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

from pipeline import stage
from pipeline.clock import SECOND
from pipeline.errors import MediaError
from pipeline.stage import Port, Stage, about
from stages.types import AudioBlock, VideoFrame

if TYPE_CHECKING:
    import av

    from stages.live import LiveAudio, LiveVideo


class PlayedCamera(Stage):
    """Plays a recording over and over as a live source: pictures and sound come when they are due, taken or not.

    It decodes in a thread of its own, as cameras' and peers' stages do, and hands over to the same code
    (`stages.live`). A picture's pts is the running time at which it was due, so that whatever makes its result late,
    decoding included, is seen in its age. `base_time_ns` is counted so that others can tell that age.
    """

    name: ClassVar[str] = "played-camera"
    outputs: ClassVar[dict[str, Port]] = {
        "video": Port(VideoFrame, "as many of the pictures as there is room for"),
        "audio": Port(AudioBlock, "the sound as 16 kHz mono"),
    }

    class Settings(stage.Settings, kw_only=True):
        uri: Annotated[str, about("the recording")]
        stream: Annotated[str, about("the stream's name", min_length=1)]
        seconds: Annotated[float, about("how long it is played", unit="s", gt=0)]
        start: Annotated[float, about("when it begins, after play", unit="s", ge=0)] = 0.0

    settings: Settings

    @classmethod
    def reads(cls, settings: Any) -> list[str]:
        return [str(Path(settings.uri).resolve())]

    async def run(self) -> None:
        from stages.live import LiveAudio, LiveVideo

        self.counters["base_time_ns"] = self.host.base_time
        pictures, sound = LiveVideo(self, self.settings.stream), LiveAudio(self, self.settings.stream)
        stopped = threading.Event()
        playing = asyncio.create_task(asyncio.to_thread(self._play, pictures, sound, stopped))
        try:
            await asyncio.gather(pictures.run(), sound.run(), playing)
        finally:
            stopped.set()
            await asyncio.gather(playing, return_exceptions=True)
        await self.end(self.settings.stream)

    def _play(self, pictures: "LiveVideo", sound: "LiveAudio", stopped: threading.Event) -> None:
        """Hand over each frame at its time, in a thread, until the time is up."""
        import av

        try:
            began = self.host.base_time + round(self.settings.start * SECOND)
            for played in over_and_over(self.settings.uri):
                late = (time.monotonic_ns() - began) / SECOND - played.due
                if played.due > self.settings.seconds or stopped.wait(max(0.0, -late)):
                    break
                seen = self.running_time(began + round(played.at * SECOND))
                if isinstance(played.frame, av.VideoFrame):
                    pictures.offer(played.frame, seen)
                else:
                    sound.offer(played.frame, seen)
        finally:
            pictures.close()
            sound.close()


class Played(NamedTuple):
    """One decoded frame: when a device would hand it over (sound once it is complete), and when it begins; both s."""

    due: float
    at: float
    frame: "av.VideoFrame | av.AudioFrame"
    end: float


def over_and_over(path: str) -> Iterator[Played]:
    """The frames of a recording in the order in which they are due, again and again, on one time line from 0."""
    start = 0.0
    while True:
        end = start
        # A container for each track: how far apart a file holds what belongs together is its own affair.
        for played in heapq.merge(_pictures(path, start), _sound(path, start), key=lambda each: each.due):
            end = max(end, played.end)
            yield played
        if end == start:
            raise MediaError(f"{path}: nothing in it can be played; choose another recording")
        start = end


def _pictures(path: str, start: float) -> Iterator[Played]:
    import av

    with av.open(path) as container:
        for frame in container.decode(video=0) if container.streams.video else ():
            at = start + max(0.0, frame.time or 0.0)
            length = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else 1 / 30
            yield Played(at, at, frame, at + length)


def _sound(path: str, start: float) -> Iterator[Played]:
    import av

    with av.open(path) as container:
        for frame in container.decode(audio=0) if container.streams.audio else ():
            at = start + (frame.time or 0.0)
            end = at + frame.samples / frame.sample_rate
            if at >= start:  # an encoder's delay lies before the beginning
                yield Played(end, at, frame, end)
