"""RAF-DB and CK+ as their users have them: a picture a file, in a folder named after its class, in folders or a zip.

- RAF-DB, basic: `train/<class>/train_NNNNN_aligned.jpg`, `test/<class>/test_NNNN_aligned.jpg`. The split is in each
  file's name. A class is a word, or RAF-DB's own number, 1 to 7. In the original download no folder names a class:
  `list_patition_label.txt` beside the pictures does, a line a picture.
- CK+ at 48×48: `CK+48/<class>/S…_….png`; it has no splits.

What has a label that no class of ours has (CK+'s contempt) is counted, said and left out.
"""

import hashlib
import logging
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emopipe.models.facial.crops import SIZE
from emopipe.models.labels import FACE
from emopipe.pipeline.errors import DataError

Corpus = Literal["fer2013", "rafdb", "ck+"]

SPLITS: dict[Corpus, tuple[str, ...]] = {
    "fer2013": ("Training", "PublicTest", "PrivateTest"),
    "rafdb": ("train", "validation", "test"),
    "ck+": ("all",),
}
"""By corpus; RAF-DB's `validation` is our tenth of its training part: the files whose number ends in 0. `train` is the
rest."""

CLASSES = {
    **{label: label for label in FACE},
    **{"anger": "angry", "happiness": "happy", "sadness": "sad", "surprised": "surprise", "fearful": "fear"},
    **dict(zip("1234567", ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral"), strict=True)),
}
"""What folders are called, in small letters, and the class that it is; the numbers are RAF-DB's."""

LEFT_OUT = ("contempt",)
LIST = "list_patition_label.txt"  # spelt so
IMAGES = (".jpg", ".jpeg", ".png")
RAFDB = re.compile(r"(train|test)_(\d+)(_aligned)?\.(jpg|jpeg|png)", re.IGNORECASE)
CK = re.compile(r"S\d{3}_\d{3}_\d{8}\.png", re.IGNORECASE)

log = logging.getLogger(__name__)


class Pictures(NamedTuple):
    """The pictures of one split.

    `images` uint8 [N, size, size], or [N, size, size, 3] RGB; `targets` int64 [N], indices into `labels.FACE`; their
    file names; how many were left out, by why; the SHA-256 of what was read.
    """

    images: NDArray[np.uint8]
    targets: NDArray[np.int64]
    names: tuple[str, ...]
    left_out: dict[str, int]
    sha256: str


def corpus_of(data: Path) -> Corpus:
    """Which corpus lies at `data`, by the names of its files; FER2013, whose loader says what is wrong, if no other.

    Raises:
        DataError: nothing is there.
    """
    if not data.exists():
        raise DataError(f"{data}: no such file or folder; give FER2013, RAF-DB or CK+, as a folder or a zip")
    for name in _names(data):
        if RAFDB.fullmatch(PurePosixPath(name).name):
            return "rafdb"
        if CK.fullmatch(PurePosixPath(name).name) or "CK+" in PurePosixPath(name).parts[0]:
            return "ck+"
    return "fer2013"


def load(data: Path, split: str, size: int = SIZE, colour: bool = False) -> Pictures:
    """Read the pictures of `split` of RAF-DB or CK+, each scaled to `size` by averaging.

    Raises:
        DataError: nothing of this split is there; a folder names no class; a listed picture is missing.
    """
    import cv2

    images, targets, names, digest = [], [], [], hashlib.sha256()
    left_out: Counter[str] = Counter()
    for path, content in _contents(data, split):
        name, label = path.name, _label(path, data)
        if label in LEFT_OUT:
            left_out[label] += 1
            continue
        flag = cv2.IMREAD_COLOR_RGB if colour else cv2.IMREAD_GRAYSCALE
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flag) if content else None
        if image is None:
            log.warning("%s: %s: skipped: not a decodable image", data, path)
            left_out["damaged"] += 1
            continue
        digest.update(f"{name}\0{label}\0".encode() + content)
        images.append(image if len(image) == size else cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA))
        targets.append(FACE.index(label))
        names.append(name)
    if not images:
        there = {name for each in _names(data) if (name := _split(PurePosixPath(each).name))}
        found = f"there is {', '.join(sorted(there))}" if there else "no picture of RAF-DB or CK+ is there"
        raise DataError(
            f"{data}: the {split} split is empty; {found}; expected train/<class>/train_NNNNN_aligned.jpg, "
            "test/<class>/test_NNNN_aligned.jpg or CK+48/<class>/…png in a folder or a zip"
        )
    for reason, count in left_out.items():
        log.warning("%s: %d images left out: %s", data, count, reason)
    return Pictures(np.stack(images), np.array(targets), tuple(names), dict(left_out), digest.hexdigest())


def _split(name: str) -> str:
    """The split of a picture by its file's name; empty where it is no picture of either corpus."""
    if rafdb := RAFDB.fullmatch(name):
        part, number = rafdb[1].lower(), rafdb[2]
        return "validation" if part == "train" and number.endswith("0") else part
    return "all" if name.lower().endswith(IMAGES) else ""


def _label(path: PurePosixPath, data: Path) -> str:
    """The class of a picture by its folder's name, one of `FACE` or of `LEFT_OUT`."""
    label = path.parent.name.lower()
    if label in LEFT_OUT:
        return label
    if label not in CLASSES:
        known = ", ".join([*FACE, "or 1 to 7 as RAF-DB counts"])
        raise DataError(f"{data}: {path}: its folder {path.parent.name!r} is no class; the classes are {known}")
    return CLASSES[label]


def _names(data: Path) -> list[str]:
    if data.is_dir():
        return sorted(path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file())
    if not zipfile.is_zipfile(data):
        return []
    with zipfile.ZipFile(data) as members:
        return sorted(name for name in members.namelist() if not name.endswith("/"))


def _contents(data: Path, split: str) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Each picture of the split with its bytes, its path ending in <class>/<file>; empty bytes for a damaged one."""
    if data.is_dir():
        yield from _of_split(data, split, _names(data), lambda name: (data / name).read_bytes())
    elif zipfile.is_zipfile(data):
        with zipfile.ZipFile(data) as members:
            yield from _of_split(data, split, _names(data), lambda name: _read(members, name))
    else:
        raise DataError(f"{data}: neither a folder nor a whole zip: half a download?")


def _read(members: zipfile.ZipFile, name: str) -> bytes:
    try:
        return members.read(name)
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError, RuntimeError, ValueError):
        return b""


def _of_split(
    data: Path, split: str, names: Iterable[str], read: Callable[[str], bytes]
) -> Iterator[tuple[PurePosixPath, bytes]]:
    paths = [PurePosixPath(name) for name in names]
    lists = [path for path in paths if path.name == LIST]
    pictures = [path for path in paths if _split(path.name) == split and not path.name.startswith(".")]
    if not lists:
        for path in pictures:
            yield path, read(str(path))
        return
    files = {RAFDB.sub(r"\1_\2", path.name).lower(): path for path in pictures}
    for line in read(str(lists[0])).decode().splitlines():
        name, _, label = line.strip().partition(" ")
        if not name or _split(name) != split:
            continue
        key = RAFDB.sub(r"\1_\2", name).lower()
        if key not in files:
            raise DataError(f"{data}: {LIST} names {name}, but no such picture is there: half a download?")
        yield PurePosixPath(label) / files[key].name, read(str(files[key]))
