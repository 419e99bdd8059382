"""Results as a table in a CSV file, for spreadsheets and data frames."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar

from emopipe.models.labels import FACE
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Invalid, Port, about
from emopipe.pipeline.stage import Stage
from emopipe.stages.sinks.findings import Finding, face_finding, findings, voice_finding
from emopipe.stages.sinks.line_file import LineFile, path_problem
from emopipe.stages.sinks.records import count_result, rounded, seconds
from emopipe.stages.types import Emotions

COLUMNS = (
    *("stream", "time_s", "pts_ns", "source", "face", "left", "top", "width", "height"),
    *("who", "emotion", "confidence", "uncertain", *FACE),
    *("face_emotion", "face_confidence", "face_uncertain", "speaking"),
    *("voice_emotion", "voice_confidence", "voice_uncertain", "voice_start_s", "voice_end_s", "voice_age_s"),
    "forced",
)
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "'")  # what a spreadsheet would compute, and the mark against it


class CsvTable(Stage):
    """Writes one row for each face of each result, and one for a result without a face.

    `who` is a face, the voice, or both (`face 3 + voice`), and `emotion` what they express together; the columns
    `face_…` and `voice_…` say it of each by itself, `speaking` how likely the voice is the face's. What a row has
    nothing to say of stays empty. A stream's name that a spreadsheet would take for a formula begins with an
    apostrophe. A row is written at once and whole.
    """

    name = "csv"
    work_ms = 0.3
    resumes = True
    inputs: ClassVar[dict[str, Port]] = {"emotions": Port(Emotions, "the results to write")}

    class Settings(Stage.Settings, kw_only=True):
        path: Annotated[str, about("the file to write; an old one is overwritten", min_length=1)]

        def check(self) -> list[Invalid]:
            problem = path_problem(self.path)
            return [Invalid("path", problem)] if problem else []

        def writes(self) -> list[str]:
            return [str(Path(self.path).resolve())]

    settings: Settings

    async def setup(self) -> None:
        self._file = LineFile(
            self.settings.path,
            _line(COLUMNS),
            journal=self.host.journal,
            finished=self.host.finished,
            append=self.host.mode == "live",
        )
        self.exit.callback(self._file.close)

    async def process(self, port: str, message: Message) -> None:
        for row in rows(message):
            self._file.write(_line([rounded(row.get(column, "")) for column in COLUMNS]))
        count_result(self, message)

    async def gap(self, port: str, message: Message) -> None:
        count_result(self, message)

    async def moved(self, port: str, stream: str, watermark: int) -> None:
        self._file.begin()

    async def flush(self, stream: str) -> None:
        self._file.end(stream)

    async def finish(self) -> None:
        self._file.finish()  # a table without results still has its header


def rows(message: Message) -> Iterator[dict[str, Any]]:
    """The rows of one result by column name, without the columns that stay empty."""
    emotions: Emotions = message.payload
    common: dict[str, Any] = {
        "stream": spreadsheet_text(message.stream),
        "time_s": seconds(message.pts),
        "pts_ns": message.pts,
        "source": emotions.source,
        "forced": str(emotions.forced).lower(),
    }
    voice = voice_finding(emotions)
    if voice is not None:
        common |= _verdict(voice, "voice_")
    if (window := emotions.voice) is not None:
        spans = {"voice_start_s": window.start, "voice_end_s": window.end, "voice_age_s": window.age}
        common |= {column: seconds(ns) for column, ns in spans.items()}
    for face, finding in zip(emotions.faces, findings(emotions), strict=False):
        box = zip(("left", "top", "width", "height"), face.box, strict=True)
        alone = _verdict(face_finding(face), "face_")
        yield common | {"face": face.id, "speaking": face.speaking, **dict(box)} | _row(finding) | alone
    if not emotions.faces:
        yield common | (_row(voice) if voice is not None else {})


def spreadsheet_text(text: str) -> str:
    """`text` as a cell that no spreadsheet computes; different texts stay different."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _row(finding: Finding) -> dict[str, Any]:
    return {"who": finding.who, **_verdict(finding), **finding.probabilities}


def _verdict(finding: Finding, prefix: str = "") -> dict[str, Any]:
    said = {
        "emotion": finding.emotion,
        "confidence": finding.confidence,
        "uncertain": str(finding.uncertain).lower(),
    }
    return {f"{prefix}{key}": value for key, value in said.items()}


def _line(values: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()
