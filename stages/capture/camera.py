"""camera: what a camera of this machine sees."""

import sys
from typing import Annotated, ClassVar

from emopipe.pipeline.port import Invalid, Port, about
from emopipe.stages.capture import devices as live_devices
from emopipe.stages.capture.live import LiveCapture, size_of, wall
from emopipe.stages.capture.live_tracks import LiveAudio, LiveVideo
from emopipe.stages.capture.reader import CapturedFrame, FFmpegReader, Kind, OpenError
from emopipe.stages.capture.timestamps import captured
from emopipe.stages.media.frames import LUMA_SIZE_PX, SMALL_SIZE_PX
from emopipe.stages.types import VideoFrame

# An option's name differs from system to system.
_PIXELS = {"v4l2": "input_format", "video4linux2": "input_format"}


class Camera(LiveCapture):
    """Reads a camera through FFmpeg: V4L2 on Linux, AVFoundation on macOS, DirectShow on Windows.

    A picture's pts is when it was taken: by the driver's own clock where that agrees with ours, else by its arrival.
    While the next stage is busy the newest picture replaces older ones. A camera that is unplugged is opened again
    when it is back. `emopipe devices` lists what is there.
    """

    name: ClassVar[str] = "camera"
    outputs: ClassVar[dict[str, Port]] = {
        "video": Port(VideoFrame, "each picture, as luma and as a small RGB image"),
    }

    class Settings(LiveCapture.Settings, kw_only=True):
        device: Annotated[str, about("its name as `emopipe devices` lists it; empty: the first one")] = ""
        format: Annotated[
            str, about("FFmpeg's name of the system that devices come by; empty: this machine's; lavfi makes pictures")
        ] = ""
        size: Annotated[str, about("WIDTHxHEIGHT to ask for; empty: 640x480 or the camera's own", unit="px")] = ""
        fps: Annotated[
            float, about("pictures a second to ask for; 0: 30 or the camera's own", unit="Hz", ge=0, le=1000)
        ] = 0.0
        pixels: Annotated[
            str, about("how pictures are to come, such as mjpeg (large ones need it over USB) or yuyv422; empty: any")
        ] = ""
        stream: Annotated[str, about("the stream's name; a microphone's is the same", min_length=1)] = "webcam"
        reconnect: Annotated[
            float,
            about("longest pause between attempts to open a lost camera again; 0: its stream ends", unit="s", ge=0),
        ] = 5.0
        timeout: Annotated[float, about("a camera that gives nothing for so long is lost", unit="s", gt=0)] = 5.0
        small_size: Annotated[int, about("longer side of the RGB image, at most", unit="px", ge=64)] = SMALL_SIZE_PX
        luma_size: Annotated[int, about("longer side of the luma plane, at most", unit="px", ge=64)] = LUMA_SIZE_PX

        def check(self) -> list[Invalid]:
            problems = []
            if self.size and size_of(self.size) is None:
                problems.append(Invalid("size", f'"{self.size}" is no size; expected WIDTHxHEIGHT, such as 1280x720'))
            if not self.format and not live_devices.default_format("video"):
                problems.append(
                    Invalid("format", f"cameras of {sys.platform} are not known; name FFmpeg's format of them")
                )
            if self.format and not live_devices.known(self.format):
                problems.append(Invalid("format", live_devices.without(self.format)))
            if self.format == "lavfi" and not self.device:
                problems.append(
                    Invalid("device", 'lavfi needs a graph of filters, such as "testsrc2=rate=30,realtime"')
                )
            return problems

        def writes(self) -> list[str]:
            return [] if self.format == "lavfi" else [self.device or "the first camera"]  # nobody else may read it

    settings: Settings

    @property
    def what(self) -> str:
        return f"the camera {self._device}"

    @property
    def _format(self) -> str:
        return self.settings.format or live_devices.default_format("video")

    async def setup(self) -> None:
        self._wall = wall()
        self._device = self.settings.device or await self.compute(live_devices.default_device, self._format, "video")
        await super().setup()
        asked = size_of(self.settings.size)
        if self.input is not None and asked not in (None, self.input.size):
            width, height = self.input.size
            self.warn(f"{self.what} gives pictures of {width}x{height}, not of {self.settings.size}")

    def make(self) -> FFmpegReader:
        return FFmpegReader(
            self._device,
            format=self._format,
            options=self._options(),
            kinds=["video"],
            on_frame=self.taken,
            on_damage=self.damage,
            timeout=self.settings.timeout,
        )

    def track(self, kind: Kind) -> LiveVideo | LiveAudio:
        settings = self.settings
        return LiveVideo(self, self.stream, small_size=settings.small_size, luma_size=settings.luma_size)

    def explain(self, error: OpenError) -> str:
        return live_devices.explain("video", self._format, self._device, self._options(), error)

    def seen(self, taken: CapturedFrame) -> int:
        return captured(taken.time, taken.duration, taken.arrived, self._wall)

    def _options(self) -> dict[str, str]:
        settings = self.settings
        options = live_devices.default_options(self._format, "video")
        if settings.size:
            options["video_size"] = settings.size
        if settings.fps:
            options["framerate"] = f"{settings.fps:g}"
        if settings.pixels:
            options[_PIXELS.get(self._format, "pixel_format")] = settings.pixels
        return options
