"""Pictures with their faces hidden, for whatever keeps or shows them."""

from typing import Annotated, ClassVar

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Port, about
from emopipe.pipeline.stage import Stage
from emopipe.stages.privacy import BEFORE_NS, Hiding, Picture, PrivacyNetworks, model_files
from emopipe.stages.types import VideoFrame


class FacePrivacy(Stage):
    """Passes pictures on in which no face that is found can be recognised, half a second later.

    What `privacy` does for a film, for anything else: recorded messages, a report, a page. Analyse the
    pictures themselves: in these there is nobody.
    """

    name = "face-privacy"
    work_ms = 5.0
    inputs: ClassVar[dict[str, Port]] = {"video": Port(VideoFrame, "frames", policy="drop-oldest", size=4)}
    outputs: ClassVar[dict[str, Port]] = {"video": Port(VideoFrame, "the same frames, with faces hidden")}

    class Settings(Stage.Settings, kw_only=True):
        privacy: Annotated[
            Hiding,
            about(
                "blur: four means are left of a head; mesh: nothing, and the mesh of the face is drawn in its place, "
                "which shows the expression; about 25 ms a face"
            ),
        ] = "blur"

        def loads(self) -> list[str]:
            return model_files(self.privacy)

        def latency(self) -> float:
            return BEFORE_NS / SECOND

    settings: Settings

    async def setup(self) -> None:
        networks = await self.exit.enter(PrivacyNetworks, self.settings.privacy)
        self._hiders = self.per_stream(networks.hider)

    async def process(self, port: str, message: Message) -> None:
        picture = Picture(message.payload, message.pts, message)
        await self._send(await self.compute(self._hiders[message.stream].push, picture))

    async def gap(self, port: str, message: Message) -> None:
        """Nothing to show; that time has passed is said by the watermark."""

    async def flush(self, stream: str) -> None:
        await self._send(await self.compute(self._hiders[stream].drain))

    def reset(self, stream: str) -> None:
        if (hider := self._hiders.get(stream)) is not None:
            self.count("stale", stream, len(hider.drain()))

    def watermark(self, stream: str) -> int:
        """What waits is still to come."""
        hider = self._hiders.get(stream)
        bound = self.host.input_watermark(stream)
        return bound if hider is None or hider.oldest is None else min(bound, hider.oldest)

    async def _send(self, pictures: list[Picture[Message]]) -> None:
        for picture in pictures:
            self.count("pictures", picture.tag.stream)
            await self.emit("video", picture.frame, cause=picture.tag, watermark=picture.pts)
