"""The sink of a run that is certified: what it saw and heard, when that was by its time stamps, and when it came."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

import msgspec
import numpy as np

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Port, about
from emopipe.pipeline.stage import Stage
from emopipe.stages.lsl.origins import Origins
from emopipe.stages.media.audio import SAMPLE_NS
from emopipe.stages.types import AudioBlock, Emotions, VideoFrame

PEAK_NS = SECOND // 1000
_PEAK_SAMPLES = PEAK_NS // SAMPLE_NS


class Observation(msgspec.Struct):
    """One thing that came.

    Attributes:
        kind: a picture, a block of sound, or a result.
        came: when it came to the sink (monotonic ns).
        moment: when it was by its time stamp (monotonic ns); of sound, its first sample.
        value: mean luma of a picture; of a result, how many faces.
        voice: of a result, whether a voice is heard.
        peaks: of sound, the greatest amplitude in each ms, of full scale.
    """

    kind: Literal["picture", "sound", "result"]
    came: int
    moment: int
    value: float = 0.0
    voice: bool = False
    peaks: list[float] = []


class Observer(Stage):
    """Writes an `Observation` a line."""

    name = "observer"
    inputs: ClassVar[dict[str, Port]] = {
        "video": Port(VideoFrame, "the pictures as captured"),
        "audio": Port(AudioBlock, "the sound as captured"),
        "emotions": Port(Emotions, "the results"),
    }

    class Settings(Stage.Settings, kw_only=True):
        path: Annotated[str, about("the file to write", min_length=1)]

    settings: Settings

    async def setup(self) -> None:
        self._file = await self.exit.enter(Path(self.settings.path).open, "wb", 0)
        self._origins = Origins()
        self._encoder = msgspec.json.Encoder()

    async def process(self, port: str, message: Message) -> None:
        self._file.write(self._encoder.encode(self._observe(message)) + b"\n")

    def reset(self, stream: str) -> None:
        self._origins.forget(stream)

    def _observe(self, message: Message) -> Observation:
        came, payload = self.host.clock.now(), message.payload
        if isinstance(payload, VideoFrame):
            return Observation("picture", came, message.trace[0].received, float(payload.luma.mean()))
        if isinstance(payload, AudioBlock):
            whole = len(payload.samples) // _PEAK_SAMPLES * _PEAK_SAMPLES
            peaks = np.abs(payload.samples[:whole]).reshape(-1, _PEAK_SAMPLES).max(axis=1)
            start = message.trace[0].received - message.duration
            return Observation("sound", came, start, peaks=[round(float(peak), 5) for peak in peaks])
        moment = self._origins.origin(message) + message.pts
        return Observation("result", came, moment, len(payload.faces), payload.voice is not None)
