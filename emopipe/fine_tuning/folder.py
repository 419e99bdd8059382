"""A folder of a user's own labelled files: folder/<class>/<file>, or folder/<person>/<class>/<file>, of any class."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from emopipe.fine_tuning.labelled import Labelled, Labels, checked
from emopipe.fine_tuning.table import read_rows
from emopipe.models.labels import FACE, as_emotion
from emopipe.pipeline.errors import DataError
from emopipe.pipeline.text import count, listing, show

LAYOUT = "folder/<class>/<file> or folder/<person>/<class>/<file>"
CLASS_DEPTH, PERSON_DEPTH = 2, 3


def read_folder(root: Path, endings: Sequence[str], people: Path | None = None) -> Labels:
    """The labelled files in a folder; those of other `endings` are counted and left out.

    Args:
        people: a table with the columns `file` (as it lies in the folder) and `person`.

    Raises:
        DataError: it is in no layout or in both, or its classes, or the list of people, cannot be right.
    """
    found = sorted(path for path in root.rglob("*") if path.is_file() and not hidden(path.relative_to(root)))
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
    if by_person:
        _need_persons_outside(root, {place.parts[0] for place in places}, {place.parts[1] for place in places})
    persons = {place.as_posix(): place.parts[0] if by_person else "" for place in places}
    if people:
        persons = _people(people, root, set(persons))
    named = ((path, place.as_posix(), place.parts[-2]) for path, place in zip(taken, places, strict=True))
    files = (Labelled(path, label, persons[name], name) for path, name, label in named)
    return checked(root, files, left_out)


def hidden(place: Path) -> bool:
    """Whether a system or a program made this file, for itself."""
    return any(part.startswith(".") for part in place.parts) or place.name == "Thumbs.db"


def _need_persons_outside(root: Path, outside: set[str], inside: set[str]) -> None:
    if any(as_emotion(name, FACE) for name in outside) and not any(as_emotion(name, FACE) for name in inside):
        raise DataError(
            f"{root}: {listing(sorted(outside))} look like classes, and {listing(sorted(inside)[:3])} in them like "
            "people; expected folder/<person>/<class>/<file>, persons outside"
        )


def _people(people: Path, root: Path, places: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in read_rows(people, ("file", "person"))[1]:
        place, person = row.values["file"].replace("\\", "/"), row.values["person"]
        if not person:
            raise DataError(f"{people}: {row.place}: no person for {show(place)}; name one, or take the file out")
        if place not in places:
            raise DataError(f"{people}: {row.place}: {root} has no file {show(place)} to read; correct or remove it")
        if found.setdefault(place, person) != person:
            raise DataError(
                f"{people}: {row.place}: {show(place)} is {found[place]} above, and {person} here; keep one"
            )
    if missing := sorted(places - found.keys()):
        rest = f", and {count(len(missing) - 1, 'other file')}" if len(missing) > 1 else ""
        raise DataError(f"{people}: nobody is named for {show(missing[0])}{rest}; add a line for each")
    return found
