"""What camera, microphone and network-capture have in common: one live input, its outputs, and its coming back."""

import asyncio
import threading
import time
from abc import abstractmethod
from collections.abc import Coroutine
from typing import Annotated, Any

from emopipe.pipeline.clock import SystemClock
from emopipe.pipeline.errors import MediaError
from emopipe.pipeline.port import about
from emopipe.pipeline.source import Source
from emopipe.stages.capture.live_tracks import LiveAudio, LiveVideo
from emopipe.stages.capture.reader import CapturedFrame, FFmpegReader, Kind, OpenError
from emopipe.stages.capture.reconnect import Reconnection
from emopipe.stages.media.damage import clock_time


class LiveCapture(Source):
    """Opens its input at setup, throws away what comes before play, and emits what comes from then on.

    An input that is lost is opened again (`live_reconnect`), with one warning when it goes and one when it returns;
    its sound and pictures have a gap meanwhile.
    """

    class Settings(Source.Settings, kw_only=True):
        stream: Annotated[str, about("the stream's name", min_length=1)]
        reconnect: Annotated[
            float,
            about("longest pause between attempts to open it again when lost; 0: its stream ends", unit="s", ge=0),
        ]

        def plays(self) -> list[str]:
            return [self.stream]

    settings: Settings

    # -- what one of them says of itself ---------------------------------------------------------------------

    @property
    @abstractmethod
    def what(self) -> str:
        """The input as messages name it."""

    @property
    def stream(self) -> str:
        """The stream's name."""
        return self.settings.stream

    @abstractmethod
    def make(self) -> FFmpegReader:
        """The input, not opened yet."""

    @abstractmethod
    def track(self, kind: Kind) -> LiveVideo | LiveAudio:
        """What emits the frames of one kind."""

    @abstractmethod
    def explain(self, error: OpenError) -> str:
        """Why the input cannot be opened, and what to do."""

    @abstractmethod
    def seen(self, taken: CapturedFrame) -> int:
        """When a frame was seen or heard (monotonic ns); called in the input's thread, before play, too."""

    def origin(self, at: int) -> int:
        """When running time 0 is (monotonic ns); asked from play on, first with the first frame's time."""
        return self.host.base_time

    def await_play(self) -> None:
        """Called in the input's thread, before play, with each frame that then is thrown away; may keep it waiting."""

    def lost(self) -> None:
        """The input is lost, and another will come."""

    # -- a stage ---------------------------------------------------------------------------------------------

    async def setup(self) -> None:
        self.input: FFmpegReader | None = None
        self.playing = threading.Event()  # set from play on: frames count
        self._tracks: dict[Kind, LiveVideo | LiveAudio] = {}
        self.exit.push_async_callback(self._shut)
        opened = await self._open()
        self._tracks.update({kind: self.track(kind) for kind in opened.kinds})

    async def run(self) -> None:
        for output in set(self.outputs).difference(self._tracks):
            await self.end(self.stream, output)  # at once: a join would wait for it
        self.playing.set()
        work: list[Coroutine[Any, Any, None]] = [self._follow(), *(track.run() for track in self._tracks.values())]
        tasks = [asyncio.create_task(each) for each in work]
        try:
            await asyncio.gather(*tasks)
        finally:
            self.playing.clear()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for kind in self._tracks:
            await self.end(self.stream, kind)

    async def _shut(self) -> None:
        self.playing.clear()
        for track in self._tracks.values():
            track.close()
        if self.input is not None:
            await self.input.close()

    # -- the input -------------------------------------------------------------------------------------------

    async def _open(self) -> FFmpegReader:
        self.input = made = self.make()  # at once: its thread asks for it with the first frame
        try:
            await made.open()
        except OpenError as error:
            # Finding out what else there is may take a moment.
            raise MediaError(await self.compute(self.explain, error)) from None
        return made

    async def _follow(self) -> None:
        """See to the input until it is over."""
        now = self.host.clock.now
        state = Reconnection(self.settings.reconnect, now())
        while True:
            assert self.input is not None
            reason = await self.input.ended()
            finite = self.input.finite and reason == "it ended"
            await self.input.close()
            if finite:
                break
            state.lost(now())
            if state.state == "over":
                self.warn(f"{self.what} was lost ({reason}); its stream ends here")
                break
            self._lose()
            self.warn(f"{self.what} was lost ({reason}); it is tried again until it is back")
            self.count("lost", self.stream)
            await self._find(state)
            away = clock_time(now() - state.lost_at)
            self.warn(f"{self.what} is back after {away}")
        for track in self._tracks.values():
            track.close()

    def _lose(self) -> None:
        """What comes next is of another connection. Not at the end of a stream: what is under way would be stale."""
        self.lost()
        sound = self._tracks.get("audio")
        if isinstance(sound, LiveAudio):
            sound.restart()

    async def _find(self, state: Reconnection) -> None:
        """Try until the input is open again."""
        while state.state != "playing":
            await self.host.clock.sleep_until(state.due)
            state.connect()
            self.input = made = self.make()
            try:
                await made.open()
            except OpenError:
                await made.close()
                state.failed(self.host.clock.now())
            else:
                state.opened(self.host.clock.now())

    def damage(self) -> None:
        """A packet could not be decoded."""
        self.count("damaged", self.stream)

    def taken(self, taken: CapturedFrame) -> None:
        """One frame; called in the input's thread."""
        if not self.playing.is_set():
            self.await_play()
            if self.playing.is_set():
                taken = taken._replace(arrived=SystemClock().now())  # it was kept waiting until now
        at = self.seen(taken)
        if self.playing.is_set() and (track := self._tracks.get(taken.kind)) is not None:
            track.offer(taken.frame, at - self.origin(at))


def wall() -> int:
    """Wall clock − the run's monotonic clock (ns), now: the wall clock may be set meanwhile."""
    return time.time_ns() - SystemClock().now()


def size_of(text: str) -> tuple[int, int] | None:
    """`640x480` in pixels, none where that is no size."""
    width, _, height = text.partition("x")
    return (int(width), int(height)) if width.isdecimal() and height.isdecimal() else None
