"""What a camera and a microphone bring, kept as it is."""

from typing import ClassVar

from emopipe.pipeline.message import FOREVER, Message
from emopipe.pipeline.port import Port
from emopipe.stages.mp4.sink import AUDIO, VIDEO, FilmStage


class Record(FilmStage):
    """Stores pictures and sound as an mp4 (H.264, AAC), a file a stream; nothing else in a graph stores raw media.

    They are what the graph sees: pictures of at most the capture's `luma_size` with colours as fine as its
    `small_size`, and 16 kHz mono sound. While it grows, a file can be played; whatever ends the run, it loses a second
    or two. Ask the people who are recorded.
    """

    name = "record"
    inputs: ClassVar[dict[str, Port]] = {"video": VIDEO, "audio": AUDIO}

    async def process(self, port: str, message: Message) -> None:
        if port == "audio":
            await self.hear(message)
        elif (film := await self.film(message.stream)) is not None:
            await self.compute(film.add_frame, message.payload, message.pts, message.duration)
            self.count("pictures", message.stream)

    async def gap(self, port: str, message: Message) -> None:
        """A film shows the last picture on, and is silent, by itself."""

    async def moved(self, port: str, stream: str, watermark: int) -> None:
        if watermark == FOREVER:
            await self.ended(port, stream)

    def reset(self, stream: str) -> None:
        if (film := self._open.get(stream)) is not None:
            film.jump()
