"""Two files of results, line by line: where they differ first, and in what."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.text import show

MAX_SHOWN_CHARS = 80


class Difference(NamedTuple):
    """The first line that differs: its number from 1, whose result it is of, and in what they differ.

    Attributes:
        line: counted from 1.
        stream: of the result; empty where the line is none.
        time: of the result, in s.
        field: the path of the value, such as `faces[0].emotion`; empty where a whole line has come or gone.
        stored: the value that was stored; None where there was none.
        now: the value of today.
    """

    line: int
    stream: str
    time: float
    field: str
    stored: Any
    now: Any

    def __str__(self) -> str:
        where = f"line {self.line}"
        if self.stream:
            where += f", stream {show(self.stream)} at {self.time:.3f} s"
        if self.field:
            return f"{where}: {self.field}: {_value(self.stored)} stored, {_value(self.now)} now"
        if self.now is None:
            return f"{where}: stored, and not there now"
        return f"{where}: {'not stored' if self.stored is None else 'stored as no result'}, and there now"


def first_difference(stored: Path, now: Path) -> Difference | None:
    """Where two files of results differ first; None where they do not.

    Lines of streams that ran at once may stand in another order: each stream is compared by itself, then.

    Raises:
        EmopipeError: one of them cannot be read.
    """
    for number, (before, after) in enumerate(zip_longest(_lines(stored), _lines(now)), 1):
        if before != after:
            found = _difference(number, before, after)
            return _first_by_stream(stored, now) if found.field == "stream" else found
    return None


def _first_by_stream(stored: Path, now: Path) -> Difference | None:
    """The first difference of two files, stream by stream; its line is that of the stored file, where it has one."""
    before, after = _by_stream(stored), _by_stream(now)
    for stream in before | after:
        for one, other in zip_longest(before.get(stream, []), after.get(stream, [])):
            if one is None or other is None or one[1] != other[1]:
                number = (one or other or (0, b""))[0]
                return _difference(number, one and one[1], other and other[1])
    return None


def _by_stream(path: Path) -> dict[str, list[tuple[int, bytes]]]:
    """The lines of each stream, with their numbers."""
    found: dict[str, list[tuple[int, bytes]]] = {}
    for number, line in enumerate(_lines(path), 1):
        found.setdefault(str((_record(line) or {}).get("stream", "")), []).append((number, line))
    return found


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise EmopipeError(f"{path}: cannot be read ({error.strerror})") from None


def _difference(number: int, before: bytes | None, after: bytes | None) -> Difference:
    stored, now = _record(before), _record(after)
    known = now or stored or {}
    stream, time = str(known.get("stream", "")), known.get("time", 0.0)
    place = stream, float(time) if isinstance(time, int | float) else 0.0
    if stored is None or now is None:
        return Difference(number, *place, "", before, after)
    return Difference(number, *place, *_first(stored, now, ""))


def _record(line: bytes | None) -> dict[str, Any] | None:
    """A line as a result; None where it is none."""
    try:
        return msgspec.json.decode(line or b"", type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _first(stored: Any, now: Any, path: str) -> tuple[str, Any, Any]:
    """The path of the first value that differs, and both."""
    if isinstance(stored, dict) and isinstance(now, dict):
        for key in {**stored, **now}:
            if key not in stored or key not in now or stored[key] != now[key]:
                return _first(stored.get(key), now.get(key), f"{path}.{key}".lstrip("."))
    elif isinstance(stored, list) and isinstance(now, list):
        for index, (one, other) in enumerate(zip_longest(stored, now)):
            if one != other:
                return _first(one, other, f"{path}[{index}]")
    return path or "its spelling", stored, now


def _value(value: Any) -> str:
    if value is None:
        return "nothing"
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= MAX_SHOWN_CHARS else text[:MAX_SHOWN_CHARS] + "…"
