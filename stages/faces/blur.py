"""Pictures with their faces hidden, for whatever keeps or shows them."""

from typing import ClassVar

from emopipe.models import assets
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Port
from emopipe.pipeline.stage import Stage
from emopipe.stages.privacy import BEFORE_NS, FaceBlur, Picture, open_detector
from emopipe.stages.types import VideoFrame


class BlurFaces(Stage):
    """Passes pictures on in which no face that is found can be recognised, half a second later.

    What `privacy = "blur"` does for a film, for anything else: recorded messages, a report, a page. Analyse the
    pictures themselves: in these there is nobody.
    """

    name = "face-blur"
    work_ms = 5.0
    inputs: ClassVar[dict[str, Port]] = {"video": Port(VideoFrame, "frames", policy="drop-oldest", size=4)}
    outputs: ClassVar[dict[str, Port]] = {"video": Port(VideoFrame, "the same frames, with faces hidden")}

    class Settings(Stage.Settings):
        def loads(self) -> list[str]:
            return [str((assets.FOLDER / assets.FACE_DETECTOR).resolve())]

        def latency(self) -> float:
            return BEFORE_NS / SECOND

    settings: Settings

    async def setup(self) -> None:
        self._detector = await self.exit.enter(open_detector)
        self._blurs = self.per_stream(self._new_blur)

    async def process(self, port: str, message: Message) -> None:
        picture = Picture(message.payload, message.pts, message)
        await self._send(await self.compute(self._blurs[message.stream].push, picture))

    async def gap(self, port: str, message: Message) -> None:
        """Nothing to show; that time has passed is said by the watermark."""

    async def flush(self, stream: str) -> None:
        await self._send(await self.compute(self._blurs[stream].drain))

    def reset(self, stream: str) -> None:
        if (blur := self._blurs.get(stream)) is not None:
            self.count("stale", stream, len(blur.drain()))

    def watermark(self, stream: str) -> int:
        """What waits is still to come."""
        blur = self._blurs.get(stream)
        bound = self.host.input_watermark(stream)
        return bound if blur is None or blur.oldest is None else min(bound, blur.oldest)

    async def _send(self, pictures: list[Picture[Message]]) -> None:
        for picture in pictures:
            self.count("pictures", picture.tag.stream)
            await self.emit("video", picture.frame, cause=picture.tag, watermark=picture.pts)

    def _new_blur(self) -> FaceBlur[Message]:
        return FaceBlur(self._detector)
