"""FER2013 as its users have it: images in folders, in a zip, or the original csv, on its own or in a zip.

- Images: `train/<class>/Training_N.jpg`, `test/<class>/PublicTest_N.jpg`. The official split is in each file's name;
  where it is not, in the folder's (train, Training, PublicTest, PrivateTest). Enclosing folders do no harm.
- `fer2013.csv`: emotion (0–6, in the order of `labels.FACE`), pixels (2,304 numbers), Usage (the split).
  `icml_face_data.csv` has the same columns in another order, with spaces in their names.
"""

import hashlib
import logging
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from emopipe.pipeline.errors import DataError
from emopipe.pipeline.files import replacing
from emopipe.training.facial import fer2013_files
from emopipe.training.facial.fer2013_files import SPLITS, UNKNOWN, Example

LAYOUT = (
    "expected train/<class>/Training_N.jpg and test/<class>/PublicTest_N.jpg in a folder or a zip, or the original "
    "fer2013.csv"
)

__all__ = ["SPLITS", "Fer2013", "Split", "load"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Split:
    """Images uint8 [N, 48, 48], their classes int64 [N], indices into `labels.FACE`, and their files' names; in a csv
    these are `line 2` and so on."""

    images: NDArray[np.uint8]
    targets: NDArray[np.int64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Fer2013:
    """The splits that are there, by their official names; what could not be used; the SHA-256 of what was read."""

    splits: dict[str, Split]
    damaged: list[str]
    sha256: str

    def split(self, name: str) -> Split:
        """A split that must have images, else `DataError`."""
        if name in self.splits:
            return self.splits[name]
        if UNKNOWN in self.splits:
            raise DataError(
                f"the {name} split is empty: {len(self.splits[UNKNOWN])} test images do not say whether they are "
                "PublicTest or PrivateTest, since their files are not named PublicTest_N or PrivateTest_N; "
                "use a download that names them so, or rename their folder if you know"
            )
        there = ", ".join(self.splits) or "nothing"
        raise DataError(f"the {name} split is empty; there is {there}; {LAYOUT}")


def load(data: Path, cache: Path = Path(".cache")) -> Fer2013:
    """Read the data set. What was decoded from a zip or csv is kept in `cache`, by the file's SHA-256.

    Damaged images and rows are named in the log, skipped, and listed in the result. A split with fewer images than
    the official one is remarked on.

    Raises:
        DataError: nothing there, not one of the layouts, or a class that FER2013 does not have.
    """
    if data.is_dir():
        examples, sha256 = fer2013_files.folder(data), _digest_folder(data)
        decoded = _collect(examples, data, sha256)
    elif data.is_file():
        decoded = _load_file(data, cache)
    else:
        raise DataError(f"{data}: no such file or folder; {LAYOUT}")
    for name, split in decoded.splits.items():
        if len(split) < SPLITS.get(name, 0):
            log.warning("%s: %s has %d of its %d images: half a download?", data, name, len(split), SPLITS[name])
    return decoded


def _load_file(data: Path, cache: Path) -> Fer2013:
    with data.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    cached = cache / f"fer2013-{sha256}.3.npz"
    if cached.is_file():
        try:
            return _read_cache(cached, data, sha256)
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            log.warning("%s: damaged; made anew", cached)
    if zipfile.is_zipfile(data):
        examples = fer2013_files.archive(data)
    elif data.suffix.lower() == ".csv":
        examples = fer2013_files.table(data)
    else:
        raise DataError(f"{data}: neither a folder nor a csv nor a whole zip: half a download? {LAYOUT}")
    decoded = _collect(examples, data, sha256)
    try:
        _write_cache(cached, decoded)
    except OSError as error:  # a convenience, not worth failing for
        log.warning("%s: not kept (%s)", cached, error.strerror)
    return decoded


def _digest_folder(root: Path) -> str:
    digest = hashlib.sha256()
    for path in fer2013_files.files(root):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def _collect(examples: Iterable[Example], source: Path, sha256: str) -> Fer2013:
    images: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in (*SPLITS, UNKNOWN)}
    targets: dict[str, list[int]] = {name: [] for name in images}
    names: dict[str, list[str]] = {name: [] for name in images}
    damaged: list[str] = []
    for name, split, target, image in examples:
        if isinstance(image, str):
            log.warning("%s: %s: skipped: %s", source, name, image)
            damaged.append(name)
            continue
        images[split].append(image)
        targets[split].append(target)
        names[split].append(PurePosixPath(name).name)
    if not any(images.values()):
        found = f"all {len(damaged)} images are damaged" if damaged else "no image of FER2013 found"
        raise DataError(f"{source}: {found}; {LAYOUT}")
    if damaged:
        log.warning("%s: %d images skipped", source, len(damaged))
    splits = {
        name: Split(np.stack(images[name]), np.array(targets[name], dtype=np.int64), tuple(names[name]))
        for name in images
        if images[name]
    }
    return Fer2013(splits, damaged, sha256)


def _write_cache(path: Path, data: Fer2013) -> None:
    arrays: dict[str, NDArray[np.generic]] = {"damaged": np.array(data.damaged, dtype=np.str_)}
    for name, split in data.splits.items():
        arrays |= {f"{name}_images": split.images, f"{name}_targets": split.targets}
        arrays[f"{name}_names"] = np.array(split.names, dtype=np.str_)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _read_cache(path: Path, source: Path, sha256: str) -> Fer2013:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        names = [name for name in (*SPLITS, UNKNOWN) if f"{name}_images" in arrays]
        splits = {
            name: Split(arrays[f"{name}_images"], arrays[f"{name}_targets"], tuple(arrays[f"{name}_names"].tolist()))
            for name in names
        }
        damaged = [str(name) for name in arrays["damaged"]]
    for name in damaged:
        log.warning("%s: %s: skipped: damaged", source, name)
    return Fer2013(splits, damaged, sha256)
