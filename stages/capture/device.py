"""What a camera and a microphone have in common: a device of this machine, read through FFmpeg."""

import sys
from abc import abstractmethod
from typing import Annotated, ClassVar

from emopipe.pipeline.port import Invalid, about
from emopipe.stages.capture import devices
from emopipe.stages.capture.live import LiveCapture, wall
from emopipe.stages.capture.reader import CapturedFrame, FFmpegReader, Kind, OpenError
from emopipe.stages.capture.stream_name import check_stream_name
from emopipe.stages.capture.timestamps import captured


class DeviceCapture(LiveCapture):
    """Opens a device by its name, or the default one, and takes its frames at the times at which it had them."""

    class Settings(LiveCapture.Settings, kw_only=True):
        kind: ClassVar[Kind]
        example: ClassVar[str]
        """A graph of FFmpeg's filters that makes up what such a device would give."""

        device: Annotated[
            str, about("its name as `emopipe devices` lists it; empty: the default one, or of cameras the first")
        ] = ""
        format: Annotated[
            str, about("FFmpeg's name of the system that devices come by; empty: this machine's; lavfi makes one up")
        ] = ""
        stream: Annotated[str, about("the stream's name; camera and microphone have the same", min_length=1)] = "webcam"
        reconnect: Annotated[
            float,
            about("longest pause between attempts to open a lost device again; 0: its stream ends", unit="s", ge=0),
        ] = 5.0
        timeout: Annotated[float, about("a device that gives nothing for so long is lost", unit="s", gt=0)] = 5.0

        def check(self) -> list[Invalid]:
            problems = check_stream_name(self.stream)
            if not self.format and not devices.default_format(self.kind):
                unknown = f"{devices.NOUN[self.kind]}s of {sys.platform} are not known; name FFmpeg's format of them"
                problems.append(Invalid("format", unknown))
            if self.format and not devices.known(self.format):
                problems.append(Invalid("format", devices.without(self.format)))
            if self.format == "lavfi" and not self.device:
                problems.append(Invalid("device", f'lavfi needs a graph of filters, such as "{self.example}"'))
            return problems

    settings: Settings

    @abstractmethod
    def options(self) -> dict[str, str]:
        """What FFmpeg is to ask of the device."""

    @property
    def what(self) -> str:
        return f"the {devices.NOUN[self.settings.kind]} {self._device}"

    @property
    def format(self) -> str:
        """FFmpeg's name of the system that the device comes by."""
        return self.settings.format or devices.default_format(self.settings.kind)

    async def setup(self) -> None:
        devices.prepare(self.format)
        named = self.settings.device
        self._device = named or await self.compute(devices.default_device, self.format, self.settings.kind)
        await super().setup()

    def make(self) -> FFmpegReader:
        return FFmpegReader(
            self._device,
            format=self.format,
            options=self.options(),
            kinds=[self.settings.kind],
            on_frame=self.taken,
            on_damage=self.damage,
            timeout=self.settings.timeout,
        )

    def explain(self, error: OpenError) -> str:
        return devices.explain(self.settings.kind, self.format, self._device, self.options(), error)

    def seen(self, taken: CapturedFrame) -> int:
        return captured(taken.time, taken.duration, taken.arrived, wall())
