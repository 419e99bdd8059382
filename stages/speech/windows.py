"""Windows of speech on a fixed grid, from sound."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np

from emopipe.models.speech.vad import AGGRESSIVENESS
from emopipe.models.speech.windower import Silence, SpeechWindower, Window
from emopipe.pipeline.message import FOREVER, Message, Placement
from emopipe.pipeline.port import Invalid, Port, about
from emopipe.pipeline.resources import PerStream
from emopipe.pipeline.stage import Stage
from emopipe.stages.types import AudioBlock, SpeechWindow

Event = Window | Silence


class SpeechWindows(Stage):
    """Cuts speech into windows that end on a grid of hops, and says of every hop without speech that it has none.

    A window's pts is its end on the grid; it holds at most `window` seconds of one utterance. The next point of the
    grid is promised as watermark in speech and in silence, so that whoever joins the windows waits for no more
    than the sound itself. Lost sound is a hop without speech; the utterance starts anew behind it.
    """

    name = "speech-windows"
    work_ms = 0.5
    # A second of sound, in blocks of 64 ms: an older window finds no frame to be the partner of.
    inputs: ClassVar[dict[str, Port]] = {
        "audio": Port(AudioBlock, "sound, in blocks of any length", policy="drop-oldest", size=16)
    }
    outputs: ClassVar[dict[str, Port]] = {"windows": Port(SpeechWindow, "each window of speech, as MFCC and as sound")}

    class Settings(Stage.Settings, kw_only=True):
        window: Annotated[float, about("the longest span of speech in a window", unit="s", ge=0.1, le=30)] = 3.0
        hop: Annotated[float, about("from one window's end to the next one's", unit="s", ge=0.05, le=10)] = 0.5
        aggressiveness: Annotated[
            int, about("of the voice detector: 0 hears most as speech, 3 the least", ge=0, le=3)
        ] = AGGRESSIVENESS
        hangover: Annotated[float, about("how long an utterance goes on without voice", unit="s", ge=0.01, le=10)] = 0.3
        min_speech: Annotated[
            float, about("how much voice makes an utterance, so that a click is none", unit="s", ge=0.03, le=10)
        ] = 0.1

        def check(self) -> list[Invalid]:
            if self.window < self.hop:
                return [
                    Invalid("window", f"{self.window} s is shorter than hop ({self.hop} s): sound would go unheard")
                ]
            return []

    settings: Settings

    async def setup(self) -> None:
        self._windowers = self.per_stream(self._new_windower)
        self._causes: PerStream[Message | None] = self.per_stream(lambda: None)  # what the next window is made from
        await self.compute(self._warm_up)

    async def process(self, port: str, message: Message) -> None:
        self._causes[message.stream] = message
        windower = self._windowers[message.stream]
        await self._emit_all(await self.compute(windower.push, message.payload.samples, message.pts), message.stream)

    async def gap(self, port: str, message: Message) -> None:
        self._causes[message.stream] = message
        await self._emit_all(self._windowers[message.stream].skip(message.pts + message.duration), message.stream)

    async def moved(self, port: str, stream: str, watermark: int) -> None:
        if watermark < FOREVER:
            await self._emit_all(self._windowers[stream].skip(watermark), stream)

    async def flush(self, stream: str) -> None:
        await self._emit_all(self._windowers[stream].flush(), stream)

    def watermark(self, stream: str) -> int:
        return self._windowers[stream].watermark

    def reset(self, stream: str) -> None:
        if (windower := self._windowers.get(stream)) is not None:
            self.count("lost_samples", stream, windower.lost)
            self.count("repeated_samples", stream, windower.repeated)

    def _warm_up(self) -> None:
        """Make the tables of the features now, not when the first sound is there."""
        SpeechWindower().push(np.zeros(1600, np.float32), 0)

    def _new_windower(self) -> SpeechWindower:
        chosen = self.settings
        return SpeechWindower(
            window=chosen.window,
            hop=chosen.hop,
            aggressiveness=chosen.aggressiveness,
            hangover=chosen.hangover,
            min_speech=chosen.min_speech,
        )

    async def _emit_all(self, events: Sequence[Event], stream: str) -> None:
        for event in events:
            self.count("samples", stream, event.samples)
            placement = Placement(
                stream=stream, pts=event.pts, duration=event.duration, watermark=event.pts + event.duration
            )
            if (cause := self._causes[stream]) is not None:
                placement["cause"] = cause
            if isinstance(event, Silence):
                self.count("silent_hops", stream, event.duration // self._windowers[stream].hop)
                await self.emit_gap("windows", **placement)
            else:
                self.count("windows", stream)
                payload = SpeechWindow(
                    start=event.start,
                    end=event.end,
                    mfcc=event.mfcc,
                    audio=event.audio,
                    voiced=event.voiced,
                    level=event.level,
                    envelope=event.envelope,
                )
                await self.emit("windows", payload, **placement)
