"""network-capture: a stream from the network, such as an IP camera's."""

import asyncio
import math
from typing import Annotated, ClassVar, Literal

import msgspec

from emopipe.pipeline.clock import SECOND, SystemClock
from emopipe.pipeline.port import Invalid, Port, about
from emopipe.stages.capture import address as live_address
from emopipe.stages.capture.live import LiveCapture
from emopipe.stages.capture.live_tracks import LiveAudio, LiveVideo
from emopipe.stages.capture.reader import CapturedFrame, FFmpegReader, Kind, OpenError
from emopipe.stages.capture.stream_name import check_stream_name
from emopipe.stages.capture.timestamps import ArrivalTimes
from emopipe.stages.media.audio import BLOCK_S
from emopipe.stages.media.frames import LUMA_SIZE_PX, SMALL_SIZE_PX
from emopipe.stages.types import AudioBlock, VideoFrame


class NetworkCapture(LiveCapture):
    """Reads RTSP, RTMP, HTTP (HLS, MPEG-TS, Motion JPEG), MPEG-TS over UDP or TCP, and SRT, through FFmpeg.

    Pictures and sound share the stream's own times, put onto our clock; pts 0 is its first frame. Where these times
    jump, and where the connection was lost and came back, a new epoch begins. While the next stage is busy the newest
    picture replaces older ones.
    """

    name: ClassVar[str] = "network-capture"
    work_ms: ClassVar[float] = 5.0
    memory_mb: ClassVar[float] = 50.0
    outputs: ClassVar[dict[str, Port]] = {
        "video": Port(VideoFrame, "each picture, as luma and as a small RGB image"),
        "audio": Port(AudioBlock, "the sound as 16 kHz mono"),
    }

    class Settings(LiveCapture.Settings, kw_only=True):
        uri: Annotated[str, about("address of the stream, such as rtsp://USER:PASSWORD@camera.local/stream")]
        stream: Annotated[str, about("the stream's name", min_length=1)] = "network"
        transport: Annotated[
            Literal["tcp", "udp"], about("what RTSP sends its pictures by: tcp loses none, udp may be quicker")
        ] = "tcp"
        format: Annotated[str, about("FFmpeg's name of the container; empty: found out")] = ""
        options: Annotated[list[str], about("for FFmpeg, each NAME=VALUE, such as rtsp_flags=listen")] = msgspec.field(
            default_factory=list
        )
        timeout: Annotated[
            float,
            about("how long connecting may take; a stream that gives nothing for so long is lost", unit="s", gt=0),
        ] = 10.0
        reconnect: Annotated[
            float,
            about(
                "longest pause between attempts to connect again; 0: the stream ends when it is lost", unit="s", ge=0
            ),
        ] = 10.0
        small_size: Annotated[int, about("longer side of the RGB image, at most", unit="px", ge=64)] = SMALL_SIZE_PX
        luma_size: Annotated[int, about("longer side of the luma plane, at most", unit="px", ge=64)] = LUMA_SIZE_PX
        block: Annotated[float, about("length of a block of sound", unit="s", ge=0.01, le=1)] = BLOCK_S

        def check(self) -> list[Invalid]:
            problems = check_stream_name(self.stream)
            if problem := live_address.problem(self.uri):
                problems.append(Invalid("uri", problem))
            for option in self.options:
                if not option.partition("=")[0].strip() or "=" not in option:
                    problems.append(Invalid("options", f'"{option}" is not NAME=VALUE'))
            return problems

        def secrets(self) -> list[str]:
            return live_address.secrets(self.uri)

        def latency(self) -> float:
            return self.block

        def waits(self) -> float:
            return self.timeout

    settings: Settings

    @property
    def what(self) -> str:
        return live_address.shown(self.settings.uri)

    @property
    def _pushed(self) -> bool:
        return live_address.scheme(self.settings.uri) in live_address.PUSHED

    async def setup(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._times = ArrivalTimes(self._pushed)
        self._first: int | None = None  # when the first frame was (monotonic ns): running time 0
        await super().setup()

    def make(self) -> FFmpegReader:
        settings = self.settings
        return FFmpegReader(
            settings.uri,
            format=settings.format,
            options=self._options(),
            kinds=["video", "audio"],
            on_frame=self.taken,
            on_damage=self.damage,
            timeout=settings.timeout,
        )

    def track(self, kind: Kind) -> LiveVideo | LiveAudio:
        settings = self.settings
        if kind == "video":
            sizes = {"small_size": settings.small_size, "luma_size": settings.luma_size}
            return LiveVideo(self, self.stream, origin=self._began, **sizes)
        return LiveAudio(self, self.stream, block=settings.block, origin=self._began)

    def explain(self, error: OpenError) -> str:
        return live_address.explain(self.settings.uri, error, self.settings.timeout)

    def seen(self, taken: CapturedFrame) -> int:
        at, cut = taken.arrived - taken.duration, False
        if taken.time is not None and self.input is not None and not self.input.timeless:
            at, cut = self._times.at(taken.time, taken.arrived)
        if cut:
            self._loop.call_soon_threadsafe(self._jump)
        ahead = at - SystemClock().now()
        if ahead > 0 and self.input is not None:  # fetched early: it is shown when it is due
            self.input.stopped.wait(ahead / SECOND)
        return at

    def origin(self, at: int) -> int:
        self._first = at if self._first is None else self._first
        return self._first

    def _began(self) -> int:
        assert self._first is not None  # what is emitted came after it
        return self._first

    def await_play(self) -> None:
        """What is fetched waits for play, or its beginning would be lost."""
        while not self._pushed and self.input is not None and not self.input.stopped.is_set():
            if self.playing.wait(0.1):
                return

    def lost(self) -> None:
        self._times.restart()
        self.new_epoch(self.stream)

    def _jump(self) -> None:
        self.count("jumps", self.stream)
        self.new_epoch(self.stream)
        sound = self._tracks.get("audio")
        if isinstance(sound, LiveAudio):
            sound.restart()

    def _options(self) -> dict[str, str]:
        options = {"fflags": "nobuffer", "analyzeduration": "1000000"} if self._pushed else {}
        if live_address.scheme(self.settings.uri) in ("rtsp", "rtsps"):
            options["rtsp_transport"] = self.settings.transport
        for option in self.settings.options:
            name, _, value = option.partition("=")
            options[name.strip()] = value.strip()
        if "listen" in options.get("rtsp_flags", ""):  # FFmpeg 8 refuses its own default of -1
            options.setdefault("listen_timeout", str(math.ceil(self.settings.timeout)))
        return options
