"""camera: what a camera of this machine sees."""

from typing import Annotated, ClassVar

from emopipe.pipeline.port import Invalid, Port, about
from emopipe.stages.capture import devices
from emopipe.stages.capture.device import DeviceCapture
from emopipe.stages.capture.live import size_of
from emopipe.stages.capture.live_tracks import LiveAudio, LiveVideo
from emopipe.stages.capture.reader import Kind
from emopipe.stages.media.frames import LUMA_SIZE_PX, SMALL_SIZE_PX
from emopipe.stages.types import VideoFrame

# An option's name differs from system to system.
_PIXELS = {"v4l2": "input_format", "video4linux2": "input_format"}


class Camera(DeviceCapture):
    """Reads a camera through FFmpeg: V4L2 on Linux, AVFoundation on macOS, DirectShow on Windows.

    A picture's pts is when it was taken: by the driver's own clock where that agrees with ours, else by its arrival.
    While the next stage is busy the newest picture replaces older ones. A camera that is unplugged is opened again
    when it is back. `emopipe devices` lists what is there.
    """

    name: ClassVar[str] = "camera"
    work_ms: ClassVar[float] = 5.0
    memory_mb: ClassVar[float] = 50.0
    outputs: ClassVar[dict[str, Port]] = {
        "video": Port(VideoFrame, "each picture, as luma and as a small RGB image"),
    }

    class Settings(DeviceCapture.Settings, kw_only=True):
        kind: ClassVar[Kind] = "video"
        example: ClassVar[str] = "testsrc2=rate=30,realtime"

        size: Annotated[str, about("WIDTHxHEIGHT to ask for; empty: 640x480 or the camera's own", unit="px")] = ""
        fps: Annotated[
            float, about("pictures a second to ask for; 0: 30 or the camera's own", unit="Hz", ge=0, le=1000)
        ] = 0.0
        pixels: Annotated[
            str, about("how pictures are to come, such as mjpeg (large ones need it over USB) or yuyv422; empty: any")
        ] = ""
        small_size: Annotated[int, about("longer side of the RGB image, at most", unit="px", ge=64)] = SMALL_SIZE_PX
        luma_size: Annotated[int, about("longer side of the luma plane, at most", unit="px", ge=64)] = LUMA_SIZE_PX

        def check(self) -> list[Invalid]:
            problems = []
            if self.size and size_of(self.size) is None:
                problems.append(Invalid("size", f'"{self.size}" is no size; expected WIDTHxHEIGHT, such as 1280x720'))
            return problems + super().check()

        def writes(self) -> list[str]:
            return [] if self.format == "lavfi" else [self.device or "the first camera"]  # nobody else may read it

    settings: Settings

    async def setup(self) -> None:
        await super().setup()
        asked = size_of(self.settings.size)
        if self.input is not None and asked not in (None, self.input.size):
            width, height = self.input.size
            self.warn(f"{self.what} gives pictures of {width}x{height}, not of {self.settings.size}")

    def track(self, kind: Kind) -> LiveVideo | LiveAudio:
        settings = self.settings
        return LiveVideo(self, self.stream, small_size=settings.small_size, luma_size=settings.luma_size)

    def options(self) -> dict[str, str]:
        settings = self.settings
        options = devices.default_options(self.format, "video")
        if settings.size:
            options["video_size"] = settings.size
        if settings.fps:
            options["framerate"] = f"{settings.fps:g}"
        if settings.pixels:
            options[_PIXELS.get(self.format, "pixel_format")] = settings.pixels
        return options
