"""microphone: what a microphone of this machine hears."""

from typing import Annotated, ClassVar

from emopipe.pipeline.port import Port, about
from emopipe.stages.capture import devices
from emopipe.stages.capture.device import DeviceCapture
from emopipe.stages.capture.live_tracks import LiveAudio, LiveVideo
from emopipe.stages.capture.reader import Kind
from emopipe.stages.media.audio import BLOCK_S
from emopipe.stages.types import AudioBlock


class Microphone(DeviceCapture):
    """Reads a microphone through FFmpeg: ALSA on Linux (and by its default PulseAudio and PipeWire), AVFoundation on
    macOS, DirectShow on Windows.

    Its sound follows the clock that pictures go by: how far the sound card's clock is off is measured (counter
    `drift_ppm`) and made up for, and sound that was lost is a gap. A microphone that is unplugged is opened again when
    it is back. `emopipe devices` lists what is there.
    """

    name: ClassVar[str] = "microphone"
    outputs: ClassVar[dict[str, Port]] = {"audio": Port(AudioBlock, "the sound as 16 kHz mono")}

    class Settings(DeviceCapture.Settings, kw_only=True):
        kind: ClassVar[Kind] = "audio"
        example: ClassVar[str] = "sine=frequency=300,arealtime"

        rate: Annotated[int, about("to ask for; 0: the device's own", unit="Hz", ge=0, le=384_000)] = 0
        channels: Annotated[int, about("to ask for; they are mixed; 0: the device's own", ge=0, le=64)] = 0
        block: Annotated[float, about("length of a block of sound", unit="s", ge=0.01, le=1)] = BLOCK_S

        def latency(self) -> float:
            return self.block

    settings: Settings

    def track(self, kind: Kind) -> LiveVideo | LiveAudio:
        return LiveAudio(self, self.stream, block=self.settings.block)

    def options(self) -> dict[str, str]:
        options = devices.default_options(self.format, "audio")
        if self.settings.rate:
            options["sample_rate"] = str(self.settings.rate)
        if self.settings.channels:
            options["channels"] = str(self.settings.channels)
        return options
