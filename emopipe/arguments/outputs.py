"""Files that a verb is asked to write: one that cannot be written is found before the work, not after it."""

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from emopipe.pipeline.errors import EmopipeError

WRITTEN = ("out", "json", "svg", "trace")  # the options that name one file to write


def need_writable(path: Path, option: str) -> None:
    """Make sure that `path` can be written; its folder is made, and what stands there is left as it is.

    Raises:
        EmopipeError: it is a folder, or it or its folder cannot be written.
    """
    if path.is_dir():
        raise EmopipeError(f"{option} {path}: a folder; give the name of a file")
    existed = os.path.lexists(path)  # a link to nothing stays, too
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("ab").close()
    except OSError as error:
        raise _unwritable(path, option, error) from None
    if not existed:
        path.unlink()


def need_apart(given: Mapping[str, object]) -> None:
    """Make sure that no file that a command line says to write is one that it names to be read.

    Args:
        given: what stands on the command line, by the options' names; the graph is `pipeline.toml` where none is named.

    Raises:
        EmopipeError: they are one file, by whatever names.
    """
    taken = {name: value for name, value in given.items() if name not in WRITTEN or isinstance(value, list)}
    if given.get("graph", "") is None:
        taken["graph"] = "pipeline.toml"
    for name in WRITTEN:
        if not isinstance(given.get(name), list):  # several outputs of a replay, which its graph holds to this
            keep_apart([given.get(name)], f"--{name}", taken.values())


def keep_apart(written: Iterable[object], option: str, read: Iterable[object]) -> None:
    """Make sure that no file of `written` is one of `read`; what is no file that is there is neither.

    Raises:
        EmopipeError: they are one file, by whatever names.
    """
    files = list(read)
    for out in _files(written):
        for file in _files(files):
            if out.samefile(file):
                raise EmopipeError(f"{option} {out}: would overwrite {file}; choose another name")


def _files(values: Iterable[object]) -> Iterator[Path]:
    for value in values:
        if isinstance(value, list):
            yield from _files(value)
        elif isinstance(value, str | Path) and os.path.isfile(value):  # noqa: PTH113 – of no text whatever an error
            yield Path(value)


def need_folder(path: Path, option: str) -> None:
    """Make sure that `path` is a folder in which files can be made.

    Raises:
        EmopipeError: it is a file, or cannot be made or written to.
    """
    if path.exists() and not path.is_dir():
        raise EmopipeError(f"{option} {path}: a file; give the name of a folder")
    need_writable(path / ".emopipe", option)


@contextlib.contextmanager
def writing(path: Path, option: str) -> Iterator[Callable[[str], None]]:
    """Write `path` anew, by pieces that are whole on the disk once they are written.

    Raises:
        EmopipeError: it cannot be written, as when the disk is full.
    """
    need_writable(path, option)
    file = path.open("w", encoding="utf-8")

    def write(text: str) -> None:
        try:
            file.write(text)
            file.flush()
        except OSError as error:
            raise _unwritable(path, option, error) from None

    try:
        yield write
    finally:
        with contextlib.suppress(OSError):  # what could not be written is said already
            file.close()


def write_json(path: Path, content: dict[str, Any], option: str) -> None:
    """Write `content`, readable for people too.

    Raises:
        EmopipeError: it cannot be written after all, as when the disk is full.
    """
    with writing(path, option) as write:
        write(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _unwritable(path: Path, option: str, error: OSError) -> EmopipeError:
    return EmopipeError(f"{option} {path}: cannot be written ({error.strerror}); choose another place")
