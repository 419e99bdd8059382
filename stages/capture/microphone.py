"""microphone: what a microphone of this machine hears."""

import sys
from typing import Annotated, ClassVar

from emopipe.pipeline.port import Invalid, Port, about
from emopipe.stages.capture import devices as live_devices
from emopipe.stages.capture.live import LiveCapture, wall
from emopipe.stages.capture.live_tracks import LiveAudio, LiveVideo
from emopipe.stages.capture.reader import CapturedFrame, FFmpegReader, Kind, OpenError
from emopipe.stages.capture.timestamps import captured
from emopipe.stages.media.audio import BLOCK_S
from emopipe.stages.types import AudioBlock


class Microphone(LiveCapture):
    """Reads a microphone through FFmpeg: ALSA on Linux (and by its default PulseAudio and PipeWire), AVFoundation on
    macOS, DirectShow on Windows.

    Its sound follows the clock that pictures go by: how far the sound card's clock is off is measured (counter
    `drift_ppm`) and made up for, and sound that was lost is a gap. A microphone that is unplugged is opened again when
    it is back. `emopipe devices` lists what is there.
    """

    name: ClassVar[str] = "microphone"
    outputs: ClassVar[dict[str, Port]] = {"audio": Port(AudioBlock, "the sound as 16 kHz mono")}

    class Settings(LiveCapture.Settings, kw_only=True):
        device: Annotated[str, about("its name as `emopipe devices` lists it; empty: the default one")] = ""
        format: Annotated[
            str, about("FFmpeg's name of the system that devices come by; empty: this machine's; lavfi makes sound")
        ] = ""
        rate: Annotated[int, about("to ask for; 0: the device's own", unit="Hz", ge=0, le=384_000)] = 0
        channels: Annotated[int, about("to ask for; they are mixed; 0: the device's own", ge=0, le=64)] = 0
        stream: Annotated[str, about("the stream's name; a camera's is the same", min_length=1)] = "webcam"
        reconnect: Annotated[
            float,
            about("longest pause between attempts to open a lost microphone again; 0: its stream ends", unit="s", ge=0),
        ] = 5.0
        timeout: Annotated[float, about("a microphone that gives nothing for so long is lost", unit="s", gt=0)] = 5.0
        block: Annotated[float, about("length of a block of sound", unit="s", ge=0.01, le=1)] = BLOCK_S

        def check(self) -> list[Invalid]:
            problems = []
            if not self.format and not live_devices.default_format("audio"):
                problems.append(
                    Invalid("format", f"microphones of {sys.platform} are not known; name FFmpeg's format of them")
                )
            if self.format and not live_devices.known(self.format):
                problems.append(Invalid("format", live_devices.without(self.format)))
            if self.format == "lavfi" and not self.device:
                problems.append(
                    Invalid("device", 'lavfi needs a graph of filters, such as "sine=frequency=300,arealtime"')
                )
            return problems

        def latency(self) -> float:
            return self.block

    settings: Settings

    @property
    def what(self) -> str:
        return f"the microphone {self._device}"

    @property
    def _format(self) -> str:
        return self.settings.format or live_devices.default_format("audio")

    async def setup(self) -> None:
        self._wall = wall()
        live_devices.prepare(self._format)
        self._device = self.settings.device or await self.compute(live_devices.default_device, self._format, "audio")
        await super().setup()

    def make(self) -> FFmpegReader:
        return FFmpegReader(
            self._device,
            format=self._format,
            options=self._options(),
            kinds=["audio"],
            on_frame=self.taken,
            on_damage=self.damage,
            timeout=self.settings.timeout,
        )

    def track(self, kind: Kind) -> LiveVideo | LiveAudio:
        return LiveAudio(self, self.stream, block=self.settings.block)

    def explain(self, error: OpenError) -> str:
        return live_devices.explain("audio", self._format, self._device, self._options(), error)

    def seen(self, taken: CapturedFrame) -> int:
        return captured(taken.time, taken.duration, taken.arrived, self._wall)

    def _options(self) -> dict[str, str]:
        options = live_devices.default_options(self._format, "audio")
        if self.settings.rate:
            options["sample_rate"] = str(self.settings.rate)
        if self.settings.channels:
            options["channels"] = str(self.settings.channels)
        return options
