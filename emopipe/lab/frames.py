"""Results as a data frame, whichever file they are in.

import emopipe

frame = emopipe.read("results.parquet")
frame[~frame.uncertain].groupby(["stream", "face"]).emotion.value_counts(normalize=True)
"""

import csv
import os
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypedDict

from emopipe.lab.results import markers, results
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.text import instead, one_line, show
from emopipe.stages.lab.extra import extra_problem
from emopipe.stages.lab.parquet import schema
from emopipe.stages.sinks.csv import table_text
from emopipe.stages.sinks.records import seconds
from emopipe.stages.sinks.table import ALWAYS, COLUMNS, DERIVED, GEOMETRY, RESERVED, Row, columns, other_labels, rows

CHUNK_ROWS = 20_000
FRAMES = ("pandas", "polars")
WHAT = ("results", "markers")
MARKER_COLUMNS: dict[str, type] = {
    **{"stream": str, "time_s": float, "pts_ns": int},
    **{"marker": str, "sender": str, "sent_s": float},
}
TRUTHS = {"true": True, "false": False}


def read(
    path: str | os.PathLike[str],
    frame: Literal["pandas", "polars"] = "pandas",
    what: Literal["results", "markers"] = "results",
) -> Any:
    """The results in a file (.jsonl, .csv or .parquet) as a data frame, in the columns of docs/formats.md.

    A row is a face of a result, or a result without a face. `pts_ns` and `duration_ns` are exact integers, `time_s` is
    in s; `face` is an integer and `uncertain` true or false also where some rows have none. The columns `derived_…` are
    there if the file has them, and so are those of the faces' geometry and of labels that are no emotions. A line of
    JSONL that says what is missing (`gap`) or what happened (`marker`) is no result, and has no row. Markers have a
    frame of their own, with a row for each and the columns `stream`, `time_s`, `pts_ns`, `marker`, `sender` and
    `sent_s`, the time that its sender gave it (s of the sender's clock).

    Args:
        path: of the file.
        frame: the library whose data frame it is to be.
        what: the results, or the markers, which are in JSONL alone.

    Raises:
        EmopipeError: the file is not there, not one of results, or damaged; or a library is not installed.
    """
    file = Path(path)
    reader = READERS.get(file.suffix)
    if reader is None:
        raise EmopipeError(f"{file}: expected results, whose name ends in {', '.join(READERS)}")
    if not file.is_file():
        raise EmopipeError(f"{file}: no such file")
    if frame not in FRAMES:
        raise EmopipeError(f"frame: {show(frame)} is unknown; {instead(frame, FRAMES)}")
    if what not in WHAT:
        raise EmopipeError(f"what: {show(what)} is unknown; {instead(what, WHAT)}")
    if what == "markers" and reader is not _read_jsonl:
        raise EmopipeError(f"{file}: markers are in results that end in .jsonl alone")
    if find_spec(frame) is None:
        others = " or ".join(f'frame="{other}"' for other in FRAMES if other != frame)
        raise EmopipeError(f"{frame} is not installed: pip install {frame}, or choose {others}")
    if problem := extra_problem("pyarrow"):
        raise EmopipeError(f"emopipe.read {problem}")
    try:
        table = reader(file) if what == "results" else _read_markers(file)
    except OSError as error:
        raise EmopipeError(f"{file}: cannot be read ({error.strerror or one_line(error)})") from None
    return _pandas(table) if frame == "pandas" else _polars(table)


def _read_markers(file: Path) -> Any:
    import pyarrow as pa

    found = [(m.stream, seconds(m.pts), m.pts, m.marker, m.sender, m.sent) for m in markers(file)]
    types = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    shape = pa.schema([(name, types[kind]) for name, kind in MARKER_COLUMNS.items()])
    return pa.Table.from_pylist([dict(zip(MARKER_COLUMNS, values, strict=True)) for values in found], shape)


def _read_jsonl(file: Path) -> Any:
    labels = dict.fromkeys(label for each in results(file) for label in other_labels(each) if label not in RESERVED)
    with file.open("rb") as lines:
        geometry = any(b'"geometry":' in line for line in lines)
    found = (row for each in results(file) for row in rows(each.stream, each.pts, each.duration, each))
    return _table(found, geometry=geometry, labels=labels)


def _read_csv(file: Path) -> Any:
    found = _csv_rows(file)
    head = next(found)
    return _table(found, **_columns_of(head))


def _read_parquet(file: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(file)
    except pa.ArrowInvalid as error:
        raise EmopipeError(f"{file}: not a Parquet file, or a damaged one: {one_line(error)}") from None
    if missing := [name for name in COLUMNS if name not in table.schema.names]:
        raise EmopipeError(f"{file}: not a table of emopipe's: there is no column {missing[0]}")
    found = _columns_of(table.schema.names)
    try:  # others write texts and numbers in types of their own
        return table.select(list(columns(**found))).cast(schema(**found))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise EmopipeError(f"{file}: not a table of emopipe's: {one_line(error)}") from None


READERS: dict[str, Callable[[Path], Any]] = {".jsonl": _read_jsonl, ".csv": _read_csv, ".parquet": _read_parquet}


class _Columns(TypedDict):
    derived: bool
    geometry: bool
    labels: list[str]


def _columns_of(names: Iterable[str]) -> _Columns:
    """What a table has beside the columns that all have."""
    found = list(names)
    return {
        "derived": DERIVED.keys() <= set(found),
        "geometry": GEOMETRY.keys() <= set(found),
        "labels": [name for name in found if name not in RESERVED],
    }


def _csv_rows(file: Path) -> Iterator[Row]:
    """The head of a table that the stage `csv` has written, by column, and then its rows, typed.

    Raises:
        EmopipeError: it is none.
    """
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            reader = csv.reader(lines, strict=True)
            head = next(reader, [])
            if missing := [name for name in COLUMNS if name not in head]:
                raise EmopipeError(f"{file}: not a table of emopipe's: there is no column {missing[0]}")
            kinds = columns(**_columns_of(head))
            yield dict.fromkeys(kinds)
            for cells in reader:
                try:
                    texts = dict(zip(head, cells, strict=True))
                    row = {name: _cell(texts[name], kind) for name, kind in kinds.items()}
                    row["stream"] = table_text(texts["stream"])
                    filled = all(row[name] is not None for name in ALWAYS)
                except (ValueError, KeyError):
                    filled = False
                if not filled:
                    raise EmopipeError(f"{file}: line {reader.line_num} is no row of results")
                yield row
    except (csv.Error, UnicodeDecodeError) as error:
        raise EmopipeError(f"{file}: not a table of emopipe's: {one_line(error)}") from None


def _cell(text: str, kind: type) -> Any:
    """Raises: ValueError, KeyError: it is no value of that kind."""
    if not text:
        return None
    return TRUTHS[text] if kind is bool else kind(text)


def _table(found: Iterable[Row], *, derived: bool = False, geometry: bool = False, labels: Iterable[str] = ()) -> Any:
    import pyarrow as pa

    types, waiting = schema(derived=derived, geometry=geometry, labels=labels), iter(found)
    chunks = iter(lambda: list(islice(waiting, CHUNK_ROWS)), [])
    return pa.concat_tables([types.empty_table(), *(pa.Table.from_pylist(chunk, types) for chunk in chunks)])


def _pandas(table: Any) -> Any:
    """Whole numbers and truths stay what they are where some are missing, in the types that pandas has for that."""
    import pandas as pd
    import pyarrow as pa

    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame = table.to_pandas(types_mapper=nullable.get)
    always = {"pts_ns": "int64", "duration_ns": "int64", "forced": "bool"}
    return frame.astype({name: kind for name, kind in always.items() if name in frame.columns})


def _polars(table: Any) -> Any:
    import polars as pl

    return pl.from_arrow(table)
