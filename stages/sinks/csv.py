"""Results as a table in a CSV file, for spreadsheets and data frames."""

import csv
import io
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Invalid, Port, about
from emopipe.pipeline.stage import Stage
from emopipe.stages.sinks.line_file import LineFile, path_problem
from emopipe.stages.sinks.records import count_result
from emopipe.stages.sinks.table import OPENFACE, Labels, MissingColumns, column_problem, columns, openface_rows, rows
from emopipe.stages.types import Emotions

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
        derived: Annotated[
            bool, about("also valence and arousal, derived from the distribution by a published map and not measured")
        ] = False
        geometry: Annotated[bool, about("also what face-geometry has measured of each face")] = False
        labels: Labels = []  # noqa: RUF012
        columns: Annotated[
            Literal["results", "openface"],
            about("ours, or those of OpenFace that face-geometry measures, in its units and for faces alone"),
        ] = "results"

        def check(self) -> list[Invalid]:
            problems = {"path": path_problem(self.path), "labels": column_problem(self.labels)}
            if self.columns == "openface":
                own = {"derived": self.derived, "labels": bool(self.labels)}
                remedy = 'columns = "openface" has none of these; leave it out'
                problems |= {key: remedy for key, asked in own.items() if asked and not problems.get(key)}
            return [Invalid(key, problem) for key, problem in problems.items() if problem]

        def writes(self) -> list[str]:
            return [str(Path(self.path).resolve())]

    settings: Settings

    async def setup(self) -> None:
        settings = self.settings
        own = columns(derived=settings.derived, geometry=settings.geometry, labels=settings.labels)
        self._columns = list(OPENFACE if settings.columns == "openface" else own)
        self._missing = MissingColumns(settings.labels)
        self._file = LineFile(
            self.settings.path,
            _line(self._columns),
            journal=self.host.journal,
            finished=self.host.finished,
            append=self.host.mode == "live",
        )
        self.exit.callback(self._file.close)

    async def process(self, port: str, message: Message) -> None:
        stream = spreadsheet_text(message.stream)
        openface = self.settings.columns == "openface"
        if openface:
            found = openface_rows(stream, message.pts, message.payload)
        else:
            found = rows(stream, message.pts, message.duration, message.payload)
        for row in found:
            self._file.write(_line(_cell(row.get(column)) for column in self._columns))
        if not openface and (sentence := self._missing.sentence(self.settings.path, message.payload)):
            self.warn(sentence)
        count_result(self, message)

    async def gap(self, port: str, message: Message) -> None:
        count_result(self, message)

    async def moved(self, port: str, stream: str, watermark: int) -> None:
        self._file.begin()

    async def flush(self, stream: str) -> None:
        self._file.end(stream)

    async def finish(self) -> None:
        self._file.finish()  # a table without results still has its header


def spreadsheet_text(text: str) -> str:
    """`text` as a cell that no spreadsheet computes; different texts stay different."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def table_text(cell: str) -> str:
    """The text that `spreadsheet_text` has made a cell of."""
    return cell[1:] if cell[:1] == "'" and cell[1:].startswith(FORMULA_STARTS) else cell


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else value


def _line(values: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue().encode()
