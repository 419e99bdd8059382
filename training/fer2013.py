"""FER2013 in the layout of its common download: `train/<class>/Training_N.jpg`, `test/<class>/PublicTest_N.jpg`.

The official split is in each file's name: Training, PublicTest (validation) and PrivateTest (test). Folder or
zip; the three last parts of a path count, so that an enclosing folder does no harm.
"""

import hashlib
import logging
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from models.labels import FACE
from pipeline.errors import DataError

SIZE = 48
SPLITS = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
LAYOUT = "expected train/<class>/Training_N.jpg and test/<class>/PublicTest_N.jpg, in a folder or a zip"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """Images uint8 [N, 48, 48] and their classes int64 [N], indices into `labels.FACE`."""

    images: NDArray[np.uint8]
    targets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Fer2013:
    """The splits that are there, what could not be used, and the SHA-256 of what was read."""

    splits: dict[str, Split]
    damaged: list[str]
    sha256: str

    def split(self, name: str) -> Split:
        """A split that must have images, else `DataError`."""
        split = self.splits.get(name)
        if split is None or len(split) == 0:
            prefix = next(prefix for prefix, split_name in SPLITS.items() if split_name == name)
            raise DataError(f"the {name} split is empty: no usable <class>/{prefix}_N.jpg; {LAYOUT}")
        return split


def load(data: Path, cache: Path = Path(".cache")) -> Fer2013:
    """Read the data set from a folder or a zip. Decoded zips are kept in `cache`, by the archive's SHA-256.

    Damaged images are named in the log, skipped, and listed in the result.

    Raises:
        DataError: nothing there, not the expected layout, or a class that FER2013 does not have.
    """
    if data.is_dir():
        return _decode(_folder(data), data, _digest_folder(data))
    if not data.is_file():
        raise DataError(f"{data}: no such file or folder; give FER2013 as a folder or zip ({LAYOUT})")
    if not zipfile.is_zipfile(data):
        raise DataError(f"{data}: neither a folder nor a readable zip; {LAYOUT}")
    with data.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    cached = cache / f"fer2013-{sha256}.npz"
    if cached.is_file():
        try:
            return _read_cache(cached, sha256)
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            log.warning("%s: damaged; made anew", cached)
    with zipfile.ZipFile(data) as archive:
        decoded = _decode(_zip(archive), data, sha256)
    _write_cache(cached, decoded)
    return decoded


def _folder(root: Path) -> Iterator[tuple[str, bytes | Exception]]:
    for path in _files(root):
        yield path.relative_to(root).as_posix(), path.read_bytes()


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def _zip(archive: zipfile.ZipFile) -> Iterator[tuple[str, bytes | Exception]]:
    for name in sorted(archive.namelist()):
        if name.endswith("/"):
            continue
        try:
            yield name, archive.read(name)
        except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, ValueError) as error:
            yield name, error


def _digest_folder(root: Path) -> str:
    digest = hashlib.sha256()
    for path in _files(root):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _decode(files: Iterator[tuple[str, bytes | Exception]], source: Path, sha256: str) -> Fer2013:
    images: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in SPLITS.values()}
    targets: dict[str, list[int]] = {name: [] for name in SPLITS.values()}
    damaged: list[str] = []
    for name, content in files:
        path = PurePosixPath(name)
        split = SPLITS.get(path.stem.partition("_")[0])
        if split is None or path.suffix.lower() not in {".jpg", ".jpeg", ".png"}:
            continue  # a licence, a listing, a system's own files
        emotion = path.parent.name
        if emotion not in FACE:
            raise DataError(f"{source}: {name}: unknown class {emotion!r}; the classes are {', '.join(FACE)}")
        image = _decode_image(content)
        if isinstance(image, str):
            log.warning("%s: %s: skipped: %s", source, name, image)
            damaged.append(name)
            continue
        images[split].append(image)
        targets[split].append(FACE.index(emotion))
    if not any(images.values()):
        found = f"all {len(damaged)} images are damaged" if damaged else "no image of FER2013 found"
        raise DataError(f"{source}: {found}; {LAYOUT}")
    splits = {
        name: Split(np.stack(images[name]), np.array(targets[name], dtype=np.int64)) for name in images if images[name]
    }
    return Fer2013(splits, damaged, sha256)


def _decode_image(content: bytes | Exception) -> NDArray[np.uint8] | str:
    """The image, or why it is none."""
    import cv2

    if isinstance(content, Exception):
        return f"unreadable in the archive ({content})"
    if not content:
        return "empty file"
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    if image is None:
        return "not a decodable image"
    if image.shape != (SIZE, SIZE):
        return f"{image.shape[1]}×{image.shape[0]} pixels, expected {SIZE}×{SIZE}"
    decoded: NDArray[np.uint8] = image
    return decoded


def _write_cache(path: Path, data: Fer2013) -> None:
    arrays: dict[str, NDArray[np.generic]] = {"damaged": np.array(data.damaged, dtype=np.str_)}
    for name, split in data.splits.items():
        arrays |= {f"{name}_images": split.images, f"{name}_targets": split.targets}
    partial = path.with_name(path.name + ".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with partial.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _read_cache(path: Path, sha256: str) -> Fer2013:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        names = [name for name in SPLITS.values() if f"{name}_images" in arrays]
        splits = {name: Split(arrays[f"{name}_images"], arrays[f"{name}_targets"]) for name in names}
        damaged = [str(name) for name in arrays["damaged"]]
    for name in damaged:
        log.warning("%s: %s: skipped: damaged", path, name)
    return Fer2013(splits, damaged, sha256)
