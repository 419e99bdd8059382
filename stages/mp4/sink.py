"""What the sinks that write films share: one mp4 for each stream, begun with its first picture or sound."""

from pathlib import Path
from typing import Annotated

from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Invalid, Port, about
from emopipe.pipeline.stage import Stage
from emopipe.stages.media.container import stream_names, unreadable
from emopipe.stages.mp4.source_audio import SourceAudio
from emopipe.stages.mp4.writer import Mp4Writer
from emopipe.stages.privacy import Privacy, PrivacyNetworks, model_files
from emopipe.stages.sinks.stream_paths import STREAM_SLOT, OutputPaths, path_problems
from emopipe.stages.types import AudioBlock, VideoFrame


class FilmStage(Stage):
    """Base of `overlay` and `record`; what is written is a film a stream, begun with its first picture or sound."""

    resumes = True
    work_ms = 10.0

    class Settings(Stage.Settings, kw_only=True):
        path: Annotated[
            str, about("the mp4 to write; {stream} in it stands for the stream's name, for one film each", min_length=1)
        ]
        size: Annotated[
            int, about("longer side of the film; 0: that of its first picture", unit="px", ge=0, le=7680)
        ] = 0
        crf: Annotated[int, about("quality of the pictures: 0 is lossless, 23 good, 51 poor", ge=0, le=51)] = 23
        sound: Annotated[
            str | list[str],
            about("recordings that are played here (file-capture's `uri`): their own sound is copied into the films"),
        ] = []  # noqa: RUF012

        privacy: Annotated[
            Privacy,
            about(
                "no face that is found can be recognised in the film. blur: four means are left; mesh: the mesh of the "
                "face is drawn in its place, which shows the expression. Pictures are written half a second later"
            ),
        ] = "none"

        @property
        def recordings(self) -> list[str]:
            """The recordings whose own sound is copied."""
            return [self.sound] if isinstance(self.sound, str) else self.sound

        def check(self) -> list[Invalid]:
            problems = [Invalid("path", problem)] if (problem := path_problems(self.path, ".mp4")) else []
            files = self.recordings
            problems += [Invalid("sound", problem) for file in files if (problem := unreadable(file))]
            return problems

        def reads(self) -> list[str]:
            return [str(Path(file).resolve()) for file in self.recordings]

        def loads(self) -> list[str]:
            return model_files(self.privacy)

        def writes(self) -> list[str]:
            return [str(Path(self.path).resolve())]

    settings: Settings

    async def setup(self) -> None:
        self._paths = OutputPaths(self.settings.path, self.host.journal if self.host.mode == "replay" else None)
        privacy = self.settings.privacy
        self._networks = None if privacy == "none" else await self.exit.enter(PrivacyNetworks, privacy)
        self._open: dict[str, Mp4Writer | None] = {}  # by stream; none where it has no file to go to
        self.exit.push_async_callback(self._finish_all)

    async def film(self, stream: str) -> Mp4Writer | None:
        """The film of a stream that is there, begun where it is new; none, and said so, where it can have none."""
        if stream not in self._open:
            path = self._paths.take(stream)
            if path is None:
                self.damaged(
                    f"{self.settings.path} is another stream's film already, so {stream} is not written; "
                    f"put {STREAM_SLOT} into the path, for a film each"
                )
            elif path != (wanted := self._paths.name(stream)) and wanted not in self._paths.taken:
                self.warn(f"{wanted} is there already, and not of this run: {stream} is written to {path}")
            self._open[stream] = None if path is None else await self.compute(self._begin, path, stream)
        return self._open[stream]

    async def hear(self, message: Message) -> None:
        """Take a block of sound."""
        if (film := await self.film(message.stream)) is not None:
            await self.compute(film.add_audio, message.payload.samples, message.pts)

    async def ended(self, port: str, stream: str) -> None:
        """An input has ended: tell the stream's film, so that it need not wait for what will not come."""
        if port in ("video", "audio") and (film := await self.film(stream)) is not None:
            await self.compute(film.end_video if port == "video" else film.end_audio)

    async def flush(self, stream: str) -> None:
        film = self._open.pop(stream, None)
        if film is not None:
            await self.compute(film.finish)
            self.counters["films"] += film.written
            if film.written and not film.has_frames:
                self.warn(f"{stream} has no pictures: {film.path} holds its sound alone")

    async def _finish_all(self) -> None:
        films = [film for film in self._open.values() if film is not None]
        self._open.clear()
        for film in films:  # cut short: what there is becomes a whole film, too
            await self.compute(film.finish, False)

    def _begin(self, path: Path, stream: str) -> Mp4Writer:
        files = self.settings.recordings
        file = dict(zip(stream_names(files), files, strict=True)).get(stream)
        original = SourceAudio(file) if file is not None else None
        return Mp4Writer(
            path,
            title=stream,
            has_video=self.connected("video"),
            has_audio=self.connected("audio") and file is None,
            source_audio=original or None,
            longer_side=self.settings.size,
            crf=self.settings.crf,
            hider=None if self._networks is None else self._networks.hider(),
        )


VIDEO = Port(VideoFrame, "the pictures", optional=True, policy="drop-oldest", size=8)
# A slow disk must not hold up a live pipeline; what is left out is silence.
AUDIO = Port(AudioBlock, "the sound, where it is to be kept", optional=True, policy="drop-oldest", size=64)
