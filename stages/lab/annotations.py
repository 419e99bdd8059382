"""What the sinks that write annotations share: a file for each stream, written whole when the stream has ended."""

import os
from pathlib import Path
from typing import Annotated, ClassVar

from emopipe.pipeline.errors import EmopipeError, StageFailed
from emopipe.pipeline.files import replacing
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Invalid, Port, about
from emopipe.pipeline.stage import Stage
from emopipe.stages.lab.extra import extra_problem
from emopipe.stages.lab.tiers import StreamTiers
from emopipe.stages.sinks.line_file import path_problem
from emopipe.stages.sinks.records import count_result
from emopipe.stages.sinks.stream_paths import STREAM_SLOT, OutputPaths, path_problems
from emopipe.stages.types import Emotions, Marker

MARKERS = Port(Marker, "what happened beside them", optional=True)


class AnnotationSettings(Stage.Settings, kw_only=True):
    """The settings of a sink that writes annotations; `suffixes` are those of its files, `library` what it takes."""

    suffixes: ClassVar[tuple[str, ...]]
    library: ClassVar[str | None] = None

    path: Annotated[
        str,
        about(
            "the file to write, replaced when the stream has ended; {stream} in it stands for the stream's name, for "
            "one file each",
            min_length=1,
        ),
    ]

    def check(self) -> list[Invalid]:
        problems = [Invalid("path", problem)] if (problem := path_problems(self.path, *self.suffixes)) else []
        if self.library is not None and (missing := extra_problem(self.library)):
            problems.append(Invalid("", missing))
        return problems

    def writes(self) -> list[str]:
        return [str(Path(self.path).resolve())]


class AnnotationFiles(Stage):
    """Base of `eaf`, `textgrid` and `subtitles`."""

    resumes = True
    inputs: ClassVar[dict[str, Port]] = {"emotions": Port(Emotions, "the results to write")}

    Settings = AnnotationSettings
    settings: AnnotationSettings

    def write(self, path: Path, stream: str, tiers: StreamTiers) -> None:
        """Write what is known of a stream to the new file `path`.

        Raises:
            OSError: it cannot be written.
        """
        raise NotImplementedError

    async def setup(self) -> None:
        if problem := path_problem(self.settings.path):
            raise EmopipeError(problem)
        self._paths = OutputPaths(self.settings.path, self.host.journal if self.host.mode == "replay" else None)
        self._open: dict[str, tuple[Path | None, StreamTiers]] = {}  # by stream; no path where another has the only one

    async def process(self, port: str, message: Message) -> None:
        if port == "markers":
            self._tiers(message.stream).add_marker(message.payload, message.pts)
            self.count("markers", message.stream)
            return
        self._tiers(message.stream).add(message.payload, message.pts, message.duration)
        count_result(self, message)

    async def gap(self, port: str, message: Message) -> None:
        if port == "emotions":
            self._tiers(message.stream).add_gap(message.pts, message.duration)
            count_result(self, message)

    async def moved(self, port: str, stream: str, watermark: int) -> None:
        self._tiers(stream)

    async def flush(self, stream: str) -> None:
        path, tiers = self._open.pop(stream)
        if path is not None:
            await self.compute(self._write, path, stream, tiers)

    def reset(self, stream: str) -> None:
        if stream in self._open:  # time jumped
            self._open[stream][1].jump()

    def _tiers(self, stream: str) -> StreamTiers:
        if stream not in self._open:
            path = self._paths.take(stream)
            if path is None:
                self.damaged(
                    f"{self.settings.path} is another stream's file already, so {stream} is not written; "
                    f"put {STREAM_SLOT} into the path, for a file each"
                )
            elif path != (wanted := self._paths.name(stream)) and wanted not in self._paths.taken:
                self.warn(f"{wanted} is there already, and not of this run: {stream} is written to {path}")
            self._open[stream] = path, StreamTiers()
        return self._open[stream][1]

    def _write(self, path: Path, stream: str, tiers: StreamTiers) -> None:
        """Write the file so that a full disk or a crash leaves an old one in place."""
        try:
            with replacing(path) as file:
                self.write(file, stream, tiers)
                sync(file)
        except OSError as error:
            remedy = "free some space, or choose another path"
            raise StageFailed(f"{path} cannot be written: {error.strerror}; {remedy}") from None


def sync(path: Path) -> None:
    """Have a file on the disk before this returns.

    Raises:
        OSError: it cannot be.
    """
    with path.open("rb") as file:
        os.fsync(file.fileno())


def milliseconds(ns: int) -> int:
    """To the nearest one; two times that are one in ns stay one."""
    return (ns + 500_000) // 1_000_000
