"""A user's own labelled files in a table, CSV or Parquet: a row each, with its path, its label and perhaps a person."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from emopipe.fine_tuning.labelled import Labelled, Labels, checked
from emopipe.pipeline.errors import DataError
from emopipe.pipeline.text import instead, listing, show

ENDINGS = (".csv", ".parquet")
NEEDED, COLUMNS = ("path", "label"), ("path", "label", "person")


class Row(NamedTuple):
    """A row's values by column, without spaces around, and where it stands: `line 3` of a CSV file, else `row 2`."""

    place: str
    values: dict[str, str]


def read_table(table: Path, endings: Sequence[str]) -> Labels:
    """The labelled files that a table names, by paths relative to it; those of other `endings` are counted and left
    out.

    Raises:
        DataError: it is no such table, a row names no file or no label, or its classes cannot be right.
    """
    columns, rows = read_rows(table, NEEDED)
    if unknown := [name for name in columns if name not in COLUMNS]:
        raise DataError(f"{table}: unknown column {show(unknown[0])}; {instead(unknown[0], COLUMNS)}")
    if not rows:
        raise DataError(f"{table}: no row; a row names a file: {', '.join(COLUMNS)}, or without the last")
    known = any(row.values.get("person") for row in rows)
    named: dict[Path, tuple[Row, Labelled]] = {}
    left_out: Counter[str] = Counter()
    for row in rows:
        each = _labelled(table, row, known)
        if each.path.suffix.lower() not in endings:
            left_out[f"{each.path.suffix or 'no ending'}: not read here"] += 1
            continue
        before, other = named.setdefault(each.path.resolve(), (row, each))
        if (other.label, other.person) != (each.label, each.person):
            raise DataError(
                f"{table}: {row.place}: {show(row.values['path'])} is {_said(other)} in {before.place}, and "
                f"{_said(each)} here; keep one"
            )
        if before is not row:
            left_out["named twice"] += 1
    if not named:
        raise DataError(f"{table}: it names no file that can be read; expected files as {', '.join(endings)}")
    return checked(table, (each for _, each in named.values()), left_out)


def read_rows(table: Path, needed: Sequence[str]) -> tuple[list[str], list[Row]]:
    """The columns of a CSV or Parquet file, among them all that are `needed`, and its rows.

    Raises:
        DataError: it cannot be read, or has other columns.
    """
    read = _parquet if table.suffix.lower() == ".parquet" else _csv
    try:
        columns, rows = read(table)
    except OSError as error:
        problem = error.strerror or str(error).partition("\n")[0]
        raise DataError(f"{table}: cannot be read ({problem}); give a CSV file: {','.join(needed)}") from None
    if missing := [name for name in needed if name not in columns]:
        found = ", ".join(columns[:5]) or "nothing"
        raise DataError(
            f"{table}: no column {listing(missing)} (found: {found}); expected {', '.join(needed)}, in a "
            "CSV file's first line with commas between"
        )
    if twice := [name for name, number in Counter(columns).items() if number > 1]:
        raise DataError(f"{table}: the column {show(twice[0])} is there twice; keep one")
    return columns, rows


def _csv(table: Path) -> tuple[list[str], list[Row]]:
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            columns = [name.strip() for name in next(reader, [])]
            return columns, list(_rows(table, columns, ((f"line {reader.line_num}", row) for row in reader if row)))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{table}: no CSV file ({error}); save it as UTF-8, with commas") from None


def _parquet(table: Path) -> tuple[list[str], list[Row]]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise DataError(f"{table}: reading Parquet needs pyarrow: pip install 'emopipe[train]', or give CSV") from None
    try:
        content = pyarrow.parquet.read_table(table)
    except pyarrow.ArrowException as error:
        problem = str(error).partition("\n")[0]
        raise DataError(f"{table}: no Parquet file ({problem}); write it again, or give CSV") from None
    values = zip(*(column.to_pylist() for column in content.columns), strict=True)
    places = ((f"row {number}", row) for number, row in enumerate(values, start=1))
    return content.column_names, list(_rows(table, content.column_names, places))


def _rows(table: Path, columns: Sequence[str], rows: Iterable[tuple[str, Sequence[Any]]]) -> Iterator[Row]:
    for place, row in rows:
        if len(row) != len(columns):
            raise DataError(
                f"{table}: {place}: {len(row)} fields, but {len(columns)} columns; put what has commas in quotes"
            )
        values = ("" if value is None else str(value).strip() for value in row)
        yield Row(place, dict(zip(columns, values, strict=True)))


def _labelled(table: Path, row: Row, known: bool) -> Labelled:
    name, label, person = (row.values.get(column, "") for column in COLUMNS)
    if not name:
        raise DataError(f"{table}: {row.place}: no path; name a file, or take the row out")
    path = table.parent / name.replace("\\", "/")
    if not path.is_file():
        raise DataError(
            f"{table}: {row.place}: there is no file {show(name)}; paths begin at {table.parent}, correct or remove it"
        )
    if not label:
        raise DataError(f"{table}: {row.place}: no label for {show(name)}; give it one, or take the row out")
    if known and not person:
        raise DataError(
            f"{table}: {row.place}: no person for {show(name)}, but other rows name one; name one here, or none at all"
        )
    return Labelled(path, label, person, f"{name} ({row.place})")


def _said(each: Labelled) -> str:
    return f"{show(each.label)} of {each.person}" if each.person else show(each.label)
