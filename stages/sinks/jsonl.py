"""Results as a file of JSON, one object a line."""

from pathlib import Path
from typing import Annotated, Any, ClassVar

import msgspec

from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Port, about
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
    inputs: ClassVar[dict[str, Port]] = {"emotions": Port(Emotions, "the results to write")}

    class Settings(Stage.Settings, kw_only=True):
        path: Annotated[str, about("the file to write; an old one is overwritten", min_length=1)]
        timing: Annotated[
            str | None, about("a second file: the latency of each result, hop by hop, in ms, as JSON lines")
        ] = None

    settings: Settings

    @classmethod
    def endpoints(cls, settings: Any) -> list[str]:
        return [str(Path(path).resolve()) for path in (settings.path, settings.timing) if path is not None]

    @classmethod
    def check(cls, settings: Any) -> list[tuple[str, str]]:
        given = {"path": settings.path, "timing": settings.timing}
        problems = {key: path_problem(path) for key, path in given.items() if path is not None}
        if len(set(cls.endpoints(settings))) < len(problems):
            problems["timing"] = f"{settings.timing} is the file of the results already; choose another path"
        return [(key, problem) for key, problem in problems.items() if problem]

    def __init__(self, settings: Any = None, label: str = "") -> None:
        super().__init__(settings, label)
        self._encoder = msgspec.json.Encoder()
        self._files: dict[str, LineFile] = {}

    async def setup(self) -> None:
        self._files["path"] = LineFile(self.settings.path)
        if self.settings.timing is not None:
            self._files["timing"] = LineFile(self.settings.timing)

    async def process(self, port: str, message: Message) -> None:
        self._write("path", record(message))
        if "timing" in self._files:
            self._write("timing", timing(message, self.host.clock.now()))
        count_result(self, message)

    async def gap(self, port: str, message: Message) -> None:
        count_result(self, message)

    async def moved(self, port: str, stream: str, watermark: int) -> None:
        for file in self._files.values():
            file.begin()

    async def finish(self) -> None:
        for file in self._files.values():
            file.begin()

    async def close(self) -> None:
        for file in self._files.values():
            file.close()

    def _write(self, file: str, value: dict[str, Any]) -> None:
        self._files[file].write(self._encoder.encode(value) + b"\n")
