"""Results as a Parquet file: a typed table for data frames, which says of itself what it was made of."""

import contextlib
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar

import emopipe
from emopipe.pipeline.errors import EmopipeError, StageFailed
from emopipe.pipeline.files import RUN_IDENTITY, replacing
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Invalid, Port, about
from emopipe.pipeline.stage import Stage
from emopipe.stages.lab.annotations import sync
from emopipe.stages.lab.extra import extra_problem
from emopipe.stages.sinks.line_file import path_problem
from emopipe.stages.sinks.records import count_result
from emopipe.stages.sinks.table import ALWAYS, Labels, MissingColumns, Row, column_problem, columns, rows
from emopipe.stages.types import Emotions

MAX_ROWS = 10_000  # of a row group; as many wait in memory for each stream, in 15 MB
BEGUN, ENDED = "begun ", "ended "  # how the journal's keys begin, of a part by its number
COMPRESSION = "zstd"


class Parquet(Stage):
    """Writes one row for each face of each result, and one for a result without a face, in the columns of `csv`.

    Columns are typed, what a row has nothing to say of is null, and each stream has row groups of its own. The file's
    metadata hold the version of emopipe and what the results depend on: graph, weights, recordings, code (as their
    manifest). It is written when everything has ended; until then an old one stays. Streams that have ended wait in
    parts beside the run's journals.
    """

    name = "parquet"
    resumes = True
    inputs: ClassVar[dict[str, Port]] = {"emotions": Port(Emotions, "the results to write")}

    class Settings(Stage.Settings, kw_only=True):
        path: Annotated[str, about("the file to write; an old one is replaced at the end", min_length=1)]
        derived: Annotated[
            bool, about("also valence and arousal, derived from the distribution by a published map and not measured")
        ] = False
        geometry: Annotated[bool, about("also what face-geometry has measured of each face")] = False
        labels: Labels = []  # noqa: RUF012

        def check(self) -> list[Invalid]:
            problem = path_problem(self.path)
            if problem is None and not self.path.endswith(".parquet"):
                problem = f"{self.path}: expected a name that ends in .parquet"
            problems = [Invalid("path", problem)] if problem else []
            if problem := column_problem(self.labels):
                problems.append(Invalid("labels", problem))
            if missing := extra_problem("pyarrow"):
                problems.append(Invalid("", missing))
            return problems

        def writes(self) -> list[str]:
            return [str(Path(self.path).resolve())]

    settings: Settings

    async def setup(self) -> None:
        if problem := path_problem(self.settings.path):
            raise EmopipeError(problem)
        journal = self.host.journal
        self._folder = journal.folder or Path(self.exit.enter_context(tempfile.TemporaryDirectory()))
        begun = {stream: int(number) for number, stream in journal.starting(BEGUN).items()}
        self._before = begun if self.host.mode == "replay" else {}  # parts of a process before this one, by stream
        self._count = len(journal.starting(BEGUN))
        self._parts: dict[str, _Part] = {}  # of the streams that have not ended
        self._missing = MissingColumns(self.settings.labels)
        # Which imports the library before the run plays.
        asked = self.settings
        self._schema = await self.compute(schema, derived=asked.derived, geometry=asked.geometry, labels=asked.labels)
        self.exit.push_async_callback(self._close)

    async def process(self, port: str, message: Message) -> None:
        part = self._part(message.stream)
        part.rows += rows(message.stream, message.pts, message.duration, message.payload)
        if len(part.rows) >= MAX_ROWS:
            await self.compute(self._guarded, part.write)
        if sentence := self._missing.sentence(self.settings.path, message.payload):
            self.warn(sentence)
        count_result(self, message)

    async def gap(self, port: str, message: Message) -> None:
        count_result(self, message)

    async def moved(self, port: str, stream: str, watermark: int) -> None:
        self._part(stream)

    async def flush(self, stream: str) -> None:
        part = self._parts.pop(stream)
        await self.compute(self._guarded, part.end)
        self.host.journal.set(f"{ENDED}{part.number}", stream)

    async def finish(self) -> None:
        await self.compute(self._guarded, self._join)

    def _part(self, stream: str) -> "_Part":
        if stream not in self._parts:
            number = self._before.pop(stream, None)
            if number is None:
                number = self._count
                self._count += 1
                self.host.journal.set(f"{BEGUN}{number}", stream)
            self._parts[stream] = _Part(self._path(number), number, self._schema)
        return self._parts[stream]

    def _path(self, number: int) -> Path:
        return self._folder / f"{self.label}-{number}.parquet"

    def _join(self) -> None:
        """Write the file, of all parts, in the order in which their streams began."""
        import pyarrow.parquet as pq

        numbers = sorted(int(number) for number in self.host.journal.starting(ENDED))
        labelled = self._schema.with_metadata(metadata(self._folder))
        with replacing(Path(self.settings.path)) as file:
            with pq.ParquetWriter(file, labelled, compression=COMPRESSION) as writer:
                for number in numbers:
                    with pq.ParquetFile(self._path(number)) as part:
                        for group in range(part.num_row_groups):
                            writer.write_table(part.read_row_group(group).cast(labelled))
            sync(file)

    def _guarded(self, write: Any) -> None:
        try:
            write()
        except OSError as error:
            remedy = "free some space, or choose another path"
            said = os.strerror(error.errno) if error.errno else str(error)  # Arrow's own words name no reason
            raise StageFailed(f"{self.settings.path} cannot be written: {said}; {remedy}") from None

    async def _close(self) -> None:
        for part in self._parts.values():
            with contextlib.suppress(OSError):  # cut short: the next run makes it anew
                await self.compute(part.close)


class _Part:
    """The rows of one stream, in a file of their own.

    Attributes:
        rows: those that are not in the file yet.
    """

    def __init__(self, path: Path, number: int, columns: Any) -> None:
        self.number = number
        self.rows: list[Row] = []
        self._path = path
        self._schema = columns
        self._writer: Any = None

    def write(self) -> None:
        """Write the rows as a row group."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, self._schema, compression=COMPRESSION)
        if self.rows:
            self._writer.write_table(pa.Table.from_pylist(self.rows, schema=self._schema))
            self.rows = []

    def end(self) -> None:
        """Write what is left, and have it on the disk."""
        self.write()
        self.close()
        sync(self._path)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def schema(*, derived: bool = False, geometry: bool = False, labels: Iterable[str] = ()) -> Any:
    """The table's columns as Arrow has them; any but those that every row has may be null."""
    import pyarrow as pa

    found = columns(derived=derived, geometry=geometry, labels=labels).items()
    types = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    return pa.schema([pa.field(name, types[kind], nullable=name not in ALWAYS) for name, kind in found])


def metadata(folder: Path) -> dict[str, str]:
    """What a file says of itself: the version, and what its results depend on, where `folder` has that."""
    said = {"emopipe.version": emopipe.__version__}
    identity = folder / RUN_IDENTITY
    return said | ({"emopipe.run": identity.read_text(encoding="utf-8")} if identity.is_file() else {})
