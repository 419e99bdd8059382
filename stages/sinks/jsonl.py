"""Results as a file of JSON, one object a line."""

from pathlib import Path
from typing import Annotated, Any, ClassVar

import msgspec

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Invalid, Port, about
from emopipe.pipeline.report import Interruption
from emopipe.pipeline.stage import Stage
from emopipe.stages.sinks.line_file import LineFile, path_problem
from emopipe.stages.sinks.records import count_result, marker_record, record, seconds, timing
from emopipe.stages.types import Emotions, Marker


class JsonLines(Stage):
    """Writes one JSON object a line for each result; the same results always give the same bytes.

    A line is written at once and whole, so the file is readable after any kind of end. Wall-clock figures are no
    results: they go to a file of their own, `timing`. In live mode a line with `gap` says what is missing since a stage
    was restarted, and one with `marker` what happened, where the graph feeds `markers`.
    """

    name = "jsonl"
    work_ms = 0.3
    resumes = True
    inputs: ClassVar[dict[str, Port]] = {
        "emotions": Port(Emotions, "the results to write"),
        "markers": Port(Marker, "what happened beside them", optional=True),
    }

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
        self._ends: dict[str, int] = {}  # of each stream's newest result (ns), in live mode
        self._interruptions: dict[str, Interruption] = {}  # by stream, until its next result says how long
        live = self.host.mode == "live"
        self._results = self._open(self.settings.path, append=live)
        self._timing = self._open(self.settings.timing, append=True) if self.settings.timing is not None else None

    def interrupted(self, interruption: Interruption) -> None:
        self._interruptions |= dict.fromkeys(interruption.epochs, interruption)

    async def process(self, port: str, message: Message) -> None:
        if port == "markers":
            self._write(self._results, marker_record(message))
            self.count("markers", message.stream)
            return
        if self.host.mode == "live":
            self._write_gap(message)
        self._write(self._results, record(message))
        if self._timing is not None:
            self._write(self._timing, timing(message, self.host.clock.now()))
        count_result(self, message)

    async def gap(self, port: str, message: Message) -> None:
        if port == "emotions":
            count_result(self, message)

    async def moved(self, port: str, stream: str, watermark: int) -> None:
        for file in self._files:
            file.begin()

    async def flush(self, stream: str) -> None:
        self._ends.pop(stream, None)
        self._interruptions.pop(stream, None)
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

    def _write_gap(self, message: Message) -> None:
        """Say what is missing before a result, if a stage was restarted since the one before it."""
        stream, end = message.stream, message.pts + message.duration
        before = self._ends.get(stream)
        self._ends[stream] = end
        if (interruption := self._interruptions.pop(stream, None)) is None:
            return
        # Results may have gone on, without what the stage adds to them; and time may begin anew.
        length = max(round(interruption.seconds * SECOND), message.pts - before if before is not None else 0)
        start = max(message.pts - length, 0)
        gap = {"stream": stream, "pts": start, "time": seconds(start), "duration": length}
        self._write(self._results, {**gap, "gap": interruption.sentence})

    def _write(self, file: LineFile, value: dict[str, Any]) -> None:
        file.write(self._encoder.encode(value) + b"\n")
