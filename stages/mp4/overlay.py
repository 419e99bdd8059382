"""The recording with what was found drawn in: boxes, names of emotions, and the voice's own line."""

from functools import partial
from typing import Annotated, ClassVar, NamedTuple, TypeVar

from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.join import Ended, Released
from emopipe.pipeline.message import FOREVER, Message
from emopipe.pipeline.port import Port, about
from emopipe.pipeline.stream_join import Fold, StreamJoin, latest_within
from emopipe.stages.mp4.drawing import draw
from emopipe.stages.mp4.sink import AUDIO, VIDEO, FilmStage
from emopipe.stages.sinks.findings import Finding, voice_finding
from emopipe.stages.types import Emotions, VideoFrame

T = TypeVar("T", Message, "_VoiceAt")

KNOWN_FACE = latest_within(500 * MS)  # for so long what was last known of a face may be drawn on
KNOWN_VOICE = latest_within(SECOND)  # for so long a window of speech stands for the voice, as in fusion
MAX_PENDING_FRAMES = 240  # in live mode, whatever their age


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
        self._join = StreamJoin(
            self,
            ("emotions", "video"),
            _Annotations,
            self._draw,
            budget={"video": round(self.settings.wait * SECOND)},
            max_pending=MAX_PENDING_FRAMES,
        )
        self._before: dict[str, list[_AnnotatedFrame]] = {}  # of streams whose time has jumped, what is still to draw
        self._with_voice: set[str] = set()  # streams in which the voice has been heard

    async def process(self, port: str, message: Message) -> None:
        await self._draw_before(message.stream)
        if port == "audio":
            await self.hear(message)
        else:
            self._join.push(port, message)
        if port == "video":
            self.counters["most_held"] = max(self.counters["most_held"], self._join.pending(message.stream))

    async def gap(self, port: str, message: Message) -> None:
        """Nothing to draw; that time has passed is said by the watermark."""

    async def moved(self, port: str, stream: str, watermark: int) -> None:
        await self._draw_before(stream)
        if port != "audio":
            await self._join.move(port, stream, watermark)
        if watermark == FOREVER and not (port == "video" and self._join.pending(stream)):  # some are still to come
            await self.ended(port, stream)

    async def flush(self, stream: str) -> None:
        await self._draw_before(stream)
        self._with_voice.discard(stream)
        await super().flush(stream)

    def reset(self, stream: str) -> None:
        before = self._join.drain(stream)
        if before or stream in self._open:  # time jumped
            self._before.setdefault(stream, []).extend(before)

    async def _draw_before(self, stream: str) -> None:
        """Draw what was before a jump of time, and let the film go on from there."""
        if (before := self._before.pop(stream, None)) is None:
            return
        for each in before:
            await self._draw(stream, each, FOREVER)
        if (film := await self.film(stream)) is not None:
            film.jump()

    async def _draw(self, stream: str, annotated: "_AnnotatedFrame", following: int) -> None:
        film = await self.film(stream)
        if film is None:
            return
        frame, emotions, voice, heard, late = annotated
        if heard:
            self._with_voice.add(stream)
        self.count("pictures", stream)
        self.count("late", stream, late)
        self.count("borrowed", stream, emotions is None or emotions.pts != frame.pts)  # from what was last known
        drawing = partial(
            draw,
            emotions=emotions.payload if emotions is not None else None,
            voice=voice,
            hears=stream in self._with_voice,
        )
        await self.compute(film.add_frame, frame.payload, frame.pts, frame.duration, drawing)


class _AnnotatedFrame(NamedTuple):
    """A frame with what is to be drawn on it. `late`: its own result was not there in time."""

    cause: Message
    emotions: Message | None
    voice: Finding | None
    heard: bool  # whether the voice has been
    late: bool


class _VoiceAt(NamedTuple):
    pts: int
    finding: Finding | None


class _Annotations(Fold[_AnnotatedFrame]):
    """One stream's faces and voice, as known at each of its frames."""

    def __init__(self) -> None:
        self._faces: Message | None = None
        self._voice: _VoiceAt | None = None
        self._heard = False

    def push(self, event: Released[Message] | Ended) -> list[_AnnotatedFrame]:
        if isinstance(event, Ended):
            return []
        if event.input == "emotions":
            self._add(event.item)
            return []
        faces, voice = KNOWN_FACE.choose(self._faces, event.pts), KNOWN_VOICE.choose(self._voice, event.pts)
        finding = voice.finding if voice is not None else None
        return [_AnnotatedFrame(event.item, faces, finding, self._heard, event.forced)]

    def on_late(self, input: str, message: Message) -> None:
        if input == "emotions":
            self._add(message)

    def _add(self, message: Message) -> None:
        emotions: Emotions = message.payload
        voice = voice_finding(emotions)
        if voice is not None or emotions.faces:  # without a face, only the voice's own results speak of it
            self._heard |= voice is not None
            self._voice = _newer(self._voice, _VoiceAt(message.pts, voice))
        if emotions.source == "face":
            self._faces = _newer(self._faces, message)


def _newer(known: T | None, other: T) -> T:
    return known if known is not None and known.pts > other.pts else other
