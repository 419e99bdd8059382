"""FER+: what ten people each saw in the images of FER2013 (Barsoum et al. 2016, arXiv:1608.01041), by image.

Two layouts: a Parquet or csv file with a column `name` that holds FER2013's file names (`PublicTest_N.jpg`), or the
original `fer2013new.csv`, whose rows are those of `fer2013.csv`, in its order.
"""

import csv
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emopipe.models.labels import FACE
from emopipe.pipeline.errors import DataError

COLUMNS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
"""The columns of our seven classes, in the order of `labels.FACE`."""

OTHERS = ("contempt", "unknown", "NF")
"""Votes for no class of ours; NF: not a face."""

CLEAR = 6
"""Votes of ten from which on an image counts as clear."""


class Votes(NamedTuple):
    """Ten people's votes on N images: counts [N, 10], the seven classes and then `OTHERS`; all 0 where nobody voted."""

    counts: NDArray[np.int64]

    @property
    def clear(self) -> NDArray[np.bool_]:
        """Whether `CLEAR` or more of the votes are for one of our classes, and none has more, [N]."""
        seven = self.counts[:, : len(FACE)].max(axis=1)
        result: NDArray[np.bool_] = (seven >= CLEAR) & (seven == self.counts.max(axis=1))
        return result

    @property
    def shares(self) -> NDArray[np.float32]:
        """Of the votes for our classes, [N, 7]."""
        seven = self.counts[:, : len(FACE)]
        result: NDArray[np.float32] = (seven / np.maximum(1, seven.sum(axis=1, keepdims=True))).astype(np.float32)
        return result

    @property
    def weights(self) -> NDArray[np.float32]:
        """How much these shares count in training, 0 to 1, [N]: nothing for what is no face or has hardly a vote."""
        seven = self.counts[:, : len(FACE)].sum(axis=1)
        usable = (self.counts[:, -1] < 5) & (seven >= 3)
        result: NDArray[np.float32] = np.where(usable, np.minimum(1, seven / 10), 0).astype(np.float32)
        return result


def load(path: Path, names: tuple[str, ...]) -> Votes:
    """The votes on the images called `names`, in their order.

    Raises:
        DataError: no such file, not FER+'s columns, counts that are none, or votes that fit no image.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; give FER+'s votes, as Parquet, or as csv such as fer2013new.csv")
    rows = _parquet(path) if path.suffix.lower() == ".parquet" else _csv(path)
    found = [rows.get(PurePosixPath(name).name) for name in names]
    if not any(row is not None for row in found):
        example = next(iter(rows), "nothing")
        raise DataError(
            f"{path}: its votes fit none of the {len(names)} images: it speaks of {example}, the images are called "
            f"{names[0]}; give the votes of this edition and split"
        )
    none = (0,) * (len(COLUMNS) + len(OTHERS))
    return Votes(np.array([row or none for row in found], np.int64))


def _parquet(path: Path) -> dict[str, tuple[int, ...]]:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        problem = str(error).partition("\n")[0]
        raise DataError(f"{path}: not a readable Parquet file ({problem}); download it again") from None
    _check_columns(path, ("name", *COLUMNS, *OTHERS), table.column_names)
    return _rows(path, [(str(row["name"]), row) for row in table.to_pylist()])


def _csv(path: Path) -> dict[str, tuple[int, ...]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or [])
            _check_columns(path, (*COLUMNS, *OTHERS), columns)
            # FER2013's csv is named by its lines, of which the first is the header.
            return _rows(path, [(row.get("name") or f"line {line}", row) for line, row in enumerate(reader, start=2)])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: not a readable csv ({error}); download it again") from None


def _check_columns(path: Path, needed: tuple[str, ...], found: list[str]) -> None:
    if missing := [name for name in needed if name not in found]:
        raise DataError(f"{path}: no column {', '.join(missing)}: not FER+'s votes (found: {', '.join(found[:6])})")


def _rows(path: Path, rows: list[tuple[str, dict[str, Any]]]) -> dict[str, tuple[int, ...]]:
    result = {}
    for name, row in rows:
        try:
            counts = tuple(int(row[column] or 0) for column in (*COLUMNS, *OTHERS))
        except (TypeError, ValueError):
            raise DataError(f"{path}: {name}: a count of votes is no whole number") from None
        if min(counts) < 0:
            raise DataError(f"{path}: {name}: a count of votes is below 0")
        result[name] = counts
    return result
