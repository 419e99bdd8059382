"""Results as a file of JSON, one object a line."""

from pathlib import Path
from typing import Annotated, Any, ClassVar

import msgspec

from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Invalid, Port, about
from emopipe.pipeline.stage import Stage
from emopipe.stages.sinks.line_file import LineFile, path_problem
from emopipe.stages.sinks.records import count_result, record, timing
from emopipe.stages.types import Emotions


class JsonLines(Stage):
    """Writes one JSON object a line for each result; the same results always give the same bytes.

    A line is written at once and whole, so the file is readable after any kind of end. Wall-clock figures are no
    results: they go to a file of their own, `timing`.
    """

    name = "jsonl"
    resumes = True
    inputs: ClassVar[dict[str, Port]] = {"emotions": Port(Emotions, "the results to write")}

    class Settings(Stage.Settings, kw_only=True):
        path: Annotated[str, about("the file to write; an old one is overwritten", min_length=1)]
        timing: Annotated[
            str | None, about("a second file: the latency of each result, hop by hop, in ms, as JSON lines")
        ] = None

        def check(self) -> list[Invalid]:
            given = {"path": self.path, "timing": self.timing}
            problems = {key: path_problem(path) for key, path in given.items() if path is not None}
            if len(set(self.writes())) < len(problems):
                problems["timing"] = f"{self.timing} is the file of the results already; choose another path"
            return [Invalid(key, problem) for key, problem in problems.items() if problem]

        def writes(self) -> list[str]:
            return [str(Path(path).resolve()) for path in (self.path, self.timing) if path is not None]

    settings: Settings

    async def setup(self) -> None:
        self._encoder = msgspec.json.Encoder()
        live = self.host.mode == "live"
        self._results = self._open(self.settings.path, append=live)
        self._timing = self._open(self.settings.timing, append=True) if self.settings.timing is not None else None

    async def process(self, port: str, message: Message) -> None:
        self._write(self._results, record(message))
        if self._timing is not None:
            self._write(self._timing, timing(message, self.host.clock.now()))
        count_result(self, message)

    async def gap(self, port: str, message: Message) -> None:
        count_result(self, message)

    async def moved(self, port: str, stream: str, watermark: int) -> None:
        for file in self._files:
            file.begin()

    async def flush(self, stream: str) -> None:
        for file in self._files:
            file.end(stream)

    async def finish(self) -> None:
        for file in self._files:
            file.finish()

    @property
    def _files(self) -> list[LineFile]:
        return [file for file in (self._results, self._timing) if file is not None]

    def _open(self, path: str, *, append: bool) -> LineFile:
        file = LineFile(path, journal=self.host.journal, finished=self.host.finished, append=append)
        self.exit.callback(file.close)
        return file

    def _write(self, file: LineFile, value: dict[str, Any]) -> None:
        file.write(self._encoder.encode(value) + b"\n")
