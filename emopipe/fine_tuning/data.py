"""Data of a user's own: what is such and no known corpus, and reading it, a folder or a table."""

from collections.abc import Sequence
from pathlib import Path

from emopipe.fine_tuning.folder import CLASS_DEPTH, LAYOUT, PERSON_DEPTH, hidden, read_folder
from emopipe.fine_tuning.labelled import Labels
from emopipe.fine_tuning.table import COLUMNS, ENDINGS, read_table
from emopipe.pipeline.errors import DataError
from emopipe.predictor.inputs import IMAGES, SOUNDS, VIDEOS
from emopipe.training.facial.class_folders import RAFDB
from emopipe.training.facial.fer2013_files import IMAGES as FER2013_IMAGES
from emopipe.training.facial.fer2013_files import SPLIT_OF_FOLDER, SPLITS
from emopipe.training.speech.layouts import NoClass, NotSpeech, parse

MAX_HEAD = 4096  # characters of a table's first line; longer ones are no names of columns
FILE_ENDINGS = {"facial": tuple(IMAGES), "speech": (*SOUNDS, *VIDEOS)}
"""The files that teach a model, by its task."""

OWN = f"{LAYOUT}, or a table with the columns {', '.join(COLUMNS)}"


def read(data: Path, endings: Sequence[str], people: Path | None = None) -> Labels:
    """The labelled files of a folder or a table; those of other `endings` are counted and left out.

    Args:
        people: of a folder, a table with the columns `file` (as it lies in the folder) and `person`.

    Raises:
        DataError: see `read_folder` and `read_table`; there are people for a table.
    """
    if data.is_dir():
        return read_folder(data, endings, people)
    if people:
        raise DataError(f"{people}: {data} says itself who is in which, in a column person; leave the list out")
    return read_table(data, endings)


def is_own(task: str, data: Path) -> bool:
    """Whether this is a user's own, for the model of `task`, and no corpus that its training knows."""
    return {"facial": is_own_faces, "speech": is_own_voices}[task](data)


def is_own_faces(root: Path) -> bool:
    """Whether these are pictures of a user's own, and none of FER2013 or RAF-DB, known by their files' names."""
    if _is_table(root):
        return root.suffix.lower() != ".csv" or not _is_fer2013(root)
    if not root.is_dir():
        return False
    paths = [path.relative_to(root) for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")]
    pictures = [path for path in paths if path.suffix.lower() in FER2013_IMAGES]
    if not pictures and any(path.suffix.lower() == ".csv" for path in paths):
        return False
    return not any(
        path.stem.partition("_")[0] in SPLITS
        or path.parent.parent.name.lower() in SPLIT_OF_FOLDER
        or RAFDB.fullmatch(path.name)
        for path in pictures
    )


def is_own_voices(root: Path) -> bool:
    """Whether these are sounds of a user's own, in a table or folders of classes, and no corpus known by its names."""
    if _is_table(root):
        return True
    if not root.is_dir():
        return False
    paths = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
    places = [path for path in paths if path.suffix.lower() in (*SOUNDS, *VIDEOS) and not hidden(path)]
    if not places or any(len(place.parts) not in (CLASS_DEPTH, PERSON_DEPTH) for place in places):
        return False
    return not any(_of_a_corpus(place) for place in places)


def _of_a_corpus(place: Path) -> bool:
    try:
        parse(place.as_posix())
    except (NoClass, NotSpeech):
        return True
    except DataError:
        return False
    return True


def _is_table(path: Path) -> bool:
    return path.is_file() and path.suffix.lower() in ENDINGS


def _is_fer2013(table: Path) -> bool:
    try:
        with table.open(encoding="utf-8-sig", errors="replace") as file:
            head = file.readline(MAX_HEAD)
    except OSError:
        return False  # what reads it says why
    return "pixels" in (name.strip() for name in head.split(","))
