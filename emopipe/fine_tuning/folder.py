"""A user's own labelled files: folder/<class>/<file>, or folder/<person>/<class>/<file>, with classes of any name."""

import csv
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from emopipe.models.labels import FACE, as_emotion, labels_problem
from emopipe.pipeline.errors import DataError
from emopipe.pipeline.text import count, listing, show
from emopipe.predictor.inputs import SOUNDS, VIDEOS
from emopipe.training.facial.class_folders import RAFDB
from emopipe.training.facial.fer2013_files import IMAGES as FER2013_IMAGES
from emopipe.training.facial.fer2013_files import SPLIT_OF_FOLDER, SPLITS
from emopipe.training.speech.layouts import NoClass, NotSpeech, parse

LAYOUT = "folder/<class>/<file> or folder/<person>/<class>/<file>"
CLASS_DEPTH, PERSON_DEPTH = 2, 3


class Labelled(NamedTuple):
    """A file, its class, and who is in it; empty where nobody knows."""

    path: Path
    label: str
    person: str


class Labels(NamedTuple):
    """The files of a folder in the order of their paths, the classes in that of their names, and what was left out, by
    why."""

    files: list[Labelled]
    labels: tuple[str, ...]
    left_out: Counter[str]


def is_own(root: Path) -> bool:
    """Whether this is a folder of a user's own, and none of FER2013 or RAF-DB, known by their files' names."""
    if not root.is_dir():
        return False
    paths = [path for path in root.rglob("*") if path.is_file() and not path.name.startswith(".")]
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
    """Whether this is a folder of a user's own sounds, in folders of classes, and no corpus known by its names."""
    if not root.is_dir():
        return False
    paths = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
    places = [path for path in paths if path.suffix.lower() in (*SOUNDS, *VIDEOS) and not _hidden(path)]
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


def read(root: Path, endings: Sequence[str], people: Path | None = None) -> Labels:
    """The labelled files in a folder; those of other `endings` are counted and left out.

    Args:
        people: a CSV file with the columns `file` (as it lies in the folder) and `person`.

    Raises:
        DataError: it is in no layout or in both, or its classes, or the list of people, cannot be right.
    """
    found = sorted(path for path in root.rglob("*") if path.is_file() and not _hidden(path.relative_to(root)))
    taken = [path for path in found if path.suffix.lower() in endings]
    left_out = Counter(
        f"{path.suffix or 'no ending'}: not read here" for path in found if path.suffix.lower() not in endings
    )
    if not taken:
        raise DataError(f"{root}: no file in it that can be read; expected {LAYOUT}")
    places = [path.relative_to(root) for path in taken]
    depths = {len(place.parts): place for place in places}
    if strange := [place for depth, place in depths.items() if depth not in (CLASS_DEPTH, PERSON_DEPTH)]:
        raise DataError(f"{root}: {strange[0]} lies in no class; expected {LAYOUT}")
    if len(depths) > 1:
        raise DataError(
            f"{root}: {depths[CLASS_DEPTH]} has no person's folder, but {depths[PERSON_DEPTH]} has one; lay all "
            "of them alike, in one of both ways"
        )
    by_person = PERSON_DEPTH in depths
    if by_person and people:
        raise DataError(f"{people}: {root} has a folder for each person already; leave the list out")
    labels = _labels(root, {place.parts[-2] for place in places}, {place.parts[0] for place in places}, by_person)
    persons = {place.as_posix(): place.parts[0] if by_person else "" for place in places}
    if people:
        persons = _people(people, root, set(persons))
    files = [
        Labelled(path, place.parts[-2], persons[place.as_posix()]) for path, place in zip(taken, places, strict=True)
    ]
    return _checked(root, files, labels, left_out)


def _checked(root: Path, files: list[Labelled], labels: tuple[str, ...], left_out: Counter[str]) -> Labels:
    """Each content once; the same in two classes is refused."""
    seen: dict[bytes, Labelled] = {}
    for each in files:
        try:
            digest = hashlib.sha256(each.path.read_bytes()).digest()
        except OSError as error:
            raise DataError(f"{each.path}: cannot be read ({error.strerror}); give leave to read it") from None
        twin = seen.setdefault(digest, each)
        if twin.label != each.label:
            raise DataError(
                f"{root}: {each.path.relative_to(root)} is the same file as {twin.path.relative_to(root)}, in another "
                "class; remove one of them"
            )
        if twin is not each:
            left_out["a copy of another file"] += 1
    return Labels(sorted(seen.values()), labels, left_out)


def _hidden(place: Path) -> bool:
    return any(part.startswith(".") for part in place.parts) or place.name == "Thumbs.db"


def _labels(root: Path, found: set[str], first: set[str], by_person: bool) -> tuple[str, ...]:
    labels = sorted(found)
    if (
        by_person
        and any(as_emotion(name, FACE) for name in first)
        and not any(as_emotion(each, FACE) for each in labels)
    ):
        raise DataError(
            f"{root}: {listing(sorted(first))} look like classes, and {listing(labels[:3])} in them like people; "
            "expected folder/<person>/<class>/<file>, persons outside"
        )
    alike: dict[str, str] = {}
    for label in labels:
        other = alike.setdefault(" ".join(label.split()).casefold(), label)
        if other != label:
            raise DataError(
                f"{root}: the classes {show(other)} and {show(label)} differ by case or spaces; make them one"
            )
    if len(labels) == 1:
        raise DataError(f"{root}: {show(labels[0])} is the only class; two at least are needed to tell apart")
    if problem := labels_problem(labels):
        raise DataError(f"{root}: {problem}; rename the folder")
    return tuple(labels)


def _people(people: Path, root: Path, places: set[str]) -> dict[str, str]:
    try:
        with people.open(encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            if not {"file", "person"} <= {*(table.fieldnames or ())}:
                raise DataError(f"{people}: no columns file and person in its first line; add them")
            rows = [(table.line_num, row["file"] or "", (row["person"] or "").strip()) for row in table]
    except OSError as error:
        raise DataError(f"{people}: cannot be read ({error.strerror}); give a CSV file: file,person") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{people}: no CSV file ({error}); save it as UTF-8: file,person") from None
    found: dict[str, str] = {}
    for line, name, person in rows:
        place = name.strip().replace("\\", "/")
        if not person:
            raise DataError(f"{people}: line {line}: no person for {show(place)}; name one, or take the file out")
        if place not in places:
            raise DataError(f"{people}: line {line}: {root} has no file {show(place)} to read; correct or remove it")
        if found.setdefault(place, person) != person:
            raise DataError(
                f"{people}: line {line}: {show(place)} is {found[place]} above, and {person} here; keep one"
            )
    if missing := sorted(places - found.keys()):
        rest = f", and {count(len(missing) - 1, 'other file')}" if len(missing) > 1 else ""
        raise DataError(f"{people}: nobody is named for {show(missing[0])}{rest}; add a line for each")
    return found
