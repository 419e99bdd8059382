"""The files of FER2013, one example after the other. `emopipe.training.facial.fer2013` says which layouts there are."""

import csv
import io
import logging
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from emopipe.models.labels import FACE
from emopipe.pipeline.errors import DataError

IMAGE_SIZE = 48
SPLITS = {"Training": 28_709, "PublicTest": 3_589, "PrivateTest": 3_589}
"""The official splits and how many images each has."""

UNKNOWN = "test"
"""Test images that do not say of which of the two test splits they are."""

SPLIT_OF_FOLDER = {"train": "Training", "test": UNKNOWN, **{name.lower(): name for name in SPLITS}}
IMAGES = {".jpg", ".jpeg", ".png"}
COLUMNS = ("emotion", "pixels", "Usage")

Example = tuple[str, str, int, NDArray[np.uint8] | str]
"""Name, split, class (an index into `labels.FACE`), and the image [48, 48] or why there is none."""

log = logging.getLogger(__name__)


def files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def folder(root: Path) -> Iterator[Example]:
    """The images below `root`; where there are none, the rows of a csv."""
    paths = files(root)
    if not any(path.suffix.lower() in IMAGES for path in paths):
        tables = [path for path in paths if path.suffix.lower() == ".csv"]
        fitting = [path for path in tables if _is_table(path.open("rb"))]
        return table((fitting or tables)[0]) if tables else iter(())
    return _images(((path.relative_to(root).as_posix(), path.read_bytes()) for path in paths), root)


def archive(path: Path) -> Iterator[Example]:
    """The images in a zip; where there are none, the rows of a csv."""
    with zipfile.ZipFile(path) as members:
        names = sorted(name for name in members.namelist() if not name.endswith("/"))
        if any(PurePosixPath(name).suffix.lower() in IMAGES for name in names):
            yield from _images(_members(members, names), path)
            return
        tables = [name for name in names if name.lower().endswith(".csv")]
        fitting = [name for name in tables if _is_table(members.open(name))]
        for name in (fitting or tables)[:1]:
            with members.open(name) as file:
                yield from _rows(file, f"{path}: {name}")


def table(path: Path) -> Iterator[Example]:
    """The rows of a csv."""
    with path.open("rb") as file:
        yield from _rows(file, str(path))


def _members(members: zipfile.ZipFile, names: Iterable[str]) -> Iterator[tuple[str, bytes | Exception]]:
    for name in names:
        try:
            yield name, members.read(name)
        except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
            yield name, error


def _images(contents: Iterable[tuple[str, bytes | Exception]], source: Path) -> Iterator[Example]:
    strange = []
    for name, content in contents:
        path = PurePosixPath(name)
        if path.suffix.lower() not in IMAGES or path.name.startswith("."):
            continue  # a licence, a listing, a system's own files
        prefix = path.stem.partition("_")[0]
        split = prefix if prefix in SPLITS else SPLIT_OF_FOLDER.get(path.parent.parent.name.lower())
        if split is None:
            strange.append(name)
            continue
        emotion = path.parent.name
        if emotion not in FACE:
            raise DataError(f"{source}: {name}: unknown class {emotion!r}; the classes are {', '.join(FACE)}")
        yield name, split, FACE.index(emotion), _decode(content)
    if strange:
        log.warning("%s: %d images left out, being of no split (such as %s)", source, len(strange), strange[0])


def _decode(content: bytes | Exception) -> NDArray[np.uint8] | str:
    """The image, or why it is none."""
    if isinstance(content, Exception):
        return f"unreadable in the archive ({content})"
    if not content:
        return "empty file"
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if image is None:
        return "not a decodable image"
    if image.shape != (IMAGE_SIZE, IMAGE_SIZE):
        return f"{image.shape[1]}×{image.shape[0]} pixels, expected {IMAGE_SIZE}×{IMAGE_SIZE}"
    decoded: NDArray[np.uint8] = image
    return decoded


def _is_table(file: IO[bytes]) -> bool:
    """Whether a csv's header has FER2013's columns."""
    with file:
        names = file.readline().decode(errors="replace").strip("\ufeff \r\n").split(",")
    return {name.strip() for name in names} >= set(COLUMNS)


def _rows(file: IO[bytes], source: str) -> Iterator[Example]:
    with io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        yield from _parsed(csv.reader(text), source)


def _parsed(reader: Any, source: str) -> Iterator[Example]:
    try:
        header = [name.strip() for name in next(reader, [])]
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            found = ", ".join(header[:5]) or "nothing"
            raise DataError(
                f"{source}: no column {', '.join(missing)} (found: {found}); expected {', '.join(COLUMNS)}, "
                "as in fer2013.csv or icml_face_data.csv"
            )
        columns = [header.index(name) for name in COLUMNS]
        for row in reader:
            if row:
                yield _row(row, columns, f"line {reader.line_num}", source)
    except (UnicodeDecodeError, csv.Error, zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"{source}: damaged after line {reader.line_num} ({error}); download it again") from None


def _row(row: list[str], columns: list[int], name: str, source: str) -> Example:
    if len(row) <= max(columns):
        return name, UNKNOWN, 0, f"{len(row)} fields, expected {len(COLUMNS)}: cut off?"
    emotion, pixels, usage = (row[column].strip() for column in columns)
    if usage not in SPLITS:
        if any(split.startswith(usage) for split in SPLITS):
            return name, UNKNOWN, 0, f"{usage!r} is no split: cut off?"
        raise DataError(f"{source}: {name}: unknown split {usage!r}; the splits are {', '.join(SPLITS)}")
    if emotion not in map(str, range(len(FACE))):
        raise DataError(
            f"{source}: {name}: unknown class {emotion!r}; the classes are 0 to {len(FACE) - 1}: {', '.join(FACE)}"
        )
    target = int(emotion)
    try:
        image = np.frombuffer(bytes(map(int, pixels.split())), np.uint8)
    except ValueError:
        return name, usage, target, "its pixels are not all whole numbers from 0 to 255"
    if image.size != IMAGE_SIZE * IMAGE_SIZE:
        return name, usage, target, f"{image.size:,} pixels, expected {IMAGE_SIZE * IMAGE_SIZE:,}"
    return name, usage, target, image.reshape(IMAGE_SIZE, IMAGE_SIZE)
