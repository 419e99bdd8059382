"""How errors about a graph speak: values as the user wrote them, paths of keys, the nearest valid name."""

import difflib
import heapq
import json
import re
from collections.abc import Iterable, Mapping

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST = 60  # characters of a value that an error repeats
_MOST_COMPARED = 30  # names that another is compared with in full
_MOST_LISTED = 30


def one_line(text: object) -> str:
    """`text` on one line, with everything that a terminal would not print escaped."""
    return "".join(map(_shown, " ".join(str(text).split())))


def printable(name: str) -> str:
    """A name from outside (a recording's, a caller's) for a terminal: it must not move the cursor or turn the text.

    What a terminal would not simply show is an escape, such as `\\x1b`. Different names stay different: a backslash
    is doubled.
    """
    return "".join(map(_shown, name.replace("\\", "\\\\")))


def readable(message: object) -> str:
    """A message that quotes names from outside, for a terminal: as `printable`, but its lines and backslashes stay."""
    return "\n".join("".join(map(_shown, line)) for line in str(message).split("\n"))


def _shown(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape", "surrogatepass").decode()


def show(value: object) -> str:
    """A value as TOML would have it, shortened: `"fast"`, `1.5`, `true`, `a table`, `a list`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = value if len(value) <= _LONGEST else value[:_LONGEST] + "…"
        return one_line(json.dumps(text, ensure_ascii=False))
    if isinstance(value, int):
        return str(value) if abs(value) < 10**_LONGEST else "a number of more than 60 digits"
    if isinstance(value, float):
        return f"{value:g}" if f"{value:g}" and float(f"{value:g}") == value else repr(value)
    if isinstance(value, Mapping):
        return "a table" if value else "an empty table"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    return f"the {type(value).__name__} {one_line(value)}"


def key_path(*keys: object) -> str:
    """`stages.faces.min_confidence`, with keys quoted where TOML would need it."""
    return ".".join(str(key) if _BARE_KEY.fullmatch(str(key)) else show(str(key)) for key in keys)


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that `name` was probably meant to be; of very many only those of like letters are compared."""
    plain = {candidate[:_LONGEST].lower().replace("_", "-"): candidate for candidate in names}
    wanted = name[:_LONGEST].lower().replace("_", "-")
    compared: Iterable[str] = plain
    if len(plain) > _MOST_COMPARED:
        letters = set(wanted)
        compared = heapq.nsmallest(_MOST_COMPARED, plain, lambda other: len(letters.symmetric_difference(other)))
    found = difflib.get_close_matches(wanted, compared, n=1)
    return plain[found[0]] if found else None


def listing(values: Iterable[object], word: str = "and") -> str:
    """`"a", "b" and "c"`."""
    quoted = [show(value) for value in values]
    return f" {word} ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def instead(name: str, names: Iterable[str]) -> str:
    """What to write instead of `name`: the nearest of `names`, or all of them where none is near."""
    known = list(names)
    if (near := nearest(name, known)) is not None:
        return f"did you mean {show(near)}?"
    if len(known) > _MOST_LISTED:
        return f"known are {', '.join(map(show, known[:_MOST_LISTED]))} and {len(known) - _MOST_LISTED} more"
    return f"known are {listing(known)}" if known else "there are none"


def count(number: int, noun: str) -> str:
    """`1 stage`, `2 stages`, `3 processes`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}{'es' if noun.endswith('s') else 's'}"
