"""Labelled files of a user's own, however they lie: what holds for all of them."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from emopipe.models.labels import labels_problem
from emopipe.pipeline.errors import DataError
from emopipe.pipeline.text import show


class Labelled(NamedTuple):
    """A file, its class, and who is in it.

    Attributes:
        person: empty where nobody knows.
        place: where its user finds it: the path in the folder, or the row of the table.
        sha256: of its content, once that has been read.
    """

    path: Path
    label: str
    person: str
    place: str = ""
    sha256: str = ""


class Labels(NamedTuple):
    """The files in the order of their paths, the classes in that of their names, and what was left out, by why."""

    files: list[Labelled]
    labels: tuple[str, ...]
    left_out: Counter[str]


def checked(root: Path, files: Iterable[Labelled], left_out: Counter[str]) -> Labels:
    """The files of `root`, each content once, with what it is known by.

    Raises:
        DataError: their classes cannot be right, one cannot be read, or the same content is in two classes.
    """
    files = list(files)
    labels = _labels(root, {each.label for each in files})
    seen: dict[str, Labelled] = {}
    for each in files:
        try:
            sha256 = hashlib.sha256(each.path.read_bytes()).hexdigest()
        except OSError as error:
            raise DataError(f"{each.path}: cannot be read ({error.strerror}); give leave to read it") from None
        twin = seen.setdefault(sha256, each._replace(sha256=sha256))
        if twin.label != each.label:
            raise DataError(
                f"{root}: {each.place} is the same file as {twin.place}, in another class; remove one of them"
            )
        if twin.place != each.place:
            left_out["a copy of another file"] += 1
    return Labels(sorted(seen.values()), labels, left_out)


def _labels(root: Path, found: Iterable[str]) -> tuple[str, ...]:
    labels = sorted(found)
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
        raise DataError(f"{root}: {problem}; rename the class")
    return tuple(labels)
