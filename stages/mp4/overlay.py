"""The recording with what was found drawn in: boxes, names of emotions, and the voice's own line."""

from collections import deque
from functools import partial
from typing import Annotated, ClassVar, NamedTuple, TypeVar

from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.message import FOREVER, Message
from emopipe.pipeline.port import Port, about
from emopipe.stages.mp4.drawing import draw
from emopipe.stages.mp4.sink import AUDIO, VIDEO, FilmStage
from emopipe.stages.sinks.findings import Finding, voice_finding
from emopipe.stages.types import Emotions, VideoFrame

T = TypeVar("T")

KNOWN = 500 * MS  # how long what was last known of a face may be drawn on
HEARD = SECOND  # how long a window of speech stands for the voice, as in fusion
MOST = 240  # pictures held in live mode, whatever their age


class Overlay(FilmStage):
    """Writes an mp4 of the pictures with boxes, emotions and confidence drawn in, and the voice's line below.

    A picture waits for its own result. What is uncertain is dashed. The sound is the recording's own where `sound`
    names it, else that of the input `audio`. A killed run leaves a film that can be played.
    """

    name = "overlay"
    inputs: ClassVar[dict[str, Port]] = {
        # At equal pts the result is known before the picture that it belongs to.
        "emotions": Port(Emotions, "the results to draw", policy="drop-oldest", size=64),
        "video": Port(VideoFrame, VIDEO.doc, policy=VIDEO.policy, size=VIDEO.size),
        "audio": AUDIO,
    }

    class Settings(FilmStage.Settings, kw_only=True):
        wait: Annotated[
            float,
            about("in live mode, how long a picture waits for its result at most", unit="s", ge=0, le=10),
        ] = 1.0

    settings: Settings

    async def setup(self) -> None:
        await super().setup()
        self._lines: dict[str, _Line] = {}

    async def process(self, port: str, message: Message) -> None:
        line = await self._line(message.stream)
        if port == "audio":
            await self.hear(message)
        elif port == "video":
            line.held.append(_Held(message.pts, message.duration, message.payload, self.host.clock.now()))
            self.counters["most_held"] = max(self.counters["most_held"], len(line.held))
        else:
            line.add(message)

    async def gap(self, port: str, message: Message) -> None:
        """Nothing to draw; that time has passed is said by the watermark."""

    async def moved(self, port: str, stream: str, watermark: int) -> None:
        line = await self._line(stream)
        if port == "emotions":
            line.bound = watermark
        await self._release(stream, line)
        if watermark == FOREVER and not (port == "video" and line.held):  # those that are held are still to come
            await self.ended(port, stream)

    async def flush(self, stream: str) -> None:
        line = await self._line(stream)
        await self._draw_all(stream, line.held, line)
        del self._lines[stream]
        await super().flush(stream)

    def reset(self, stream: str) -> None:
        if (line := self._lines.get(stream)) is not None:  # time jumped
            line.before += line.held
            line.forget()

    async def _line(self, stream: str) -> "_Line":
        """What is held of a stream; after its time jumped, once what was before is drawn."""
        line = self._lines.setdefault(stream, _Line())
        if line.jumped:
            line.jumped = False
            await self._draw_all(stream, line.before, line)
            if (film := await self.film(stream)) is not None:
                film.jump()
        return line

    async def _release(self, stream: str, line: "_Line") -> None:
        """Draw the pictures whose results are known, or, in live mode, have been waited for long enough."""
        live = self.host.mode == "live"
        oldest = self.host.clock.now() - round(self.settings.wait * SECOND)
        while line.held:
            late = line.held[0].pts >= line.bound
            if late and not (live and (line.held[0].arrived <= oldest or len(line.held) > MOST)):
                return
            self.count("late", stream, late)
            await self._draw(stream, line.held.popleft(), line)

    async def _draw_all(self, stream: str, held: "deque[_Held]", line: "_Line") -> None:
        while held:
            await self._draw(stream, held.popleft(), line)

    async def _draw(self, stream: str, picture: "_Held", line: "_Line") -> None:
        film = await self.film(stream)
        if film is None:
            return
        emotions, own = line.at(picture.pts)
        self.count("pictures", stream)
        self.count("borrowed", stream, not own)  # drawn with what was last known, or with nothing
        drawing = partial(draw, emotions=emotions, voice=line.voice(picture.pts), hears=line.hears(picture.pts))
        await self.compute(film.add_frame, picture.frame, picture.pts, picture.duration, drawing)


class _Held(NamedTuple):
    """A picture that waits for its result."""

    pts: int
    duration: int
    frame: VideoFrame
    arrived: int


class _Line:
    """What is known of one stream: pictures without their results, and results without their pictures."""

    def __init__(self) -> None:
        self.held: deque[_Held] = deque()
        self.before: deque[_Held] = deque()  # of before the last jump of time
        self.bound = 0  # no result below this pts will come
        self._heard: int | None = None  # when the voice was first heard
        self.jumped = False
        self._results: deque[tuple[int, Emotions]] = deque()  # of pictures, those to come and the last one before
        self._voices: deque[tuple[int, Finding | None]] = deque()

    def add(self, message: Message) -> None:
        """Take in a result."""
        emotions: Emotions = message.payload
        voice = voice_finding(emotions)
        if voice is not None or emotions.faces:  # without a face, only the voice's own results speak of it
            if voice is not None and self._heard is None:
                self._heard = message.pts
            self._voices.append((message.pts, voice))
        if emotions.source == "face":
            self._results.append((message.pts, emotions))

    def at(self, pts: int) -> tuple[Emotions | None, bool]:
        """The result to draw on the picture at `pts`, and whether it is its own."""
        newest = _newest(self._results, pts, KNOWN)
        if newest is None:
            return None, False
        return newest[1], newest[0] == pts

    def hears(self, pts: int) -> bool:
        """Whether the voice had been heard by `pts`, however much of what follows is known already."""
        return self._heard is not None and self._heard <= pts

    def voice(self, pts: int) -> Finding | None:
        """What the voice expresses at `pts`."""
        newest = _newest(self._voices, pts, HEARD)
        return newest[1] if newest is not None else None

    def forget(self) -> None:
        """Time has jumped."""
        self.held.clear()
        self._results.clear()
        self._voices.clear()
        self._heard = None if self._heard is None else 0
        self.bound = self.bound if self.bound == FOREVER else 0
        self.jumped = True


def _newest(results: "deque[tuple[int, T]]", pts: int, age: int) -> tuple[int, T] | None:
    """The newest of at most `age` ns before `pts`; those that are older than it are let go of."""
    while len(results) > 1 and results[1][0] <= pts:
        results.popleft()
    return results[0] if results and pts - age <= results[0][0] <= pts else None
