"""Which recordings an archive is of: those of a folder, or of a list; and what is left out, in a sentence each."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.text import count, listing

SUFFIXES = frozenset(
    {".3gp", ".aac", ".asf", ".avi", ".flac", ".flv", ".m2ts", ".m4a", ".m4v", ".mka", ".mkv", ".mov", ".mp2", ".mp3"}
    | {".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".oga", ".ogg", ".ogv", ".opus", ".ts", ".vob", ".wav", ".webm"}
    | {".wma", ".wmv", ".y4m"}
)
"""How the names of recordings end, for those of a folder; a list may name any."""

COMMENT = "#"  # how a line of a list begins that names none


class Recordings(NamedTuple):
    """The recordings of an archive.

    Attributes:
        root: the folder from which on they are named.
        names: below the root, with `/`, sorted; one that lies elsewhere by its whole path.
        left_out: what of the folder or the list is no recording, or one that is there already, as sentences.
    """

    root: Path
    names: list[str]
    left_out: list[str]

    def path(self, name: str) -> Path:
        """Where a recording lies."""
        return self.root / name


def find_recordings(source: Path, out: Path) -> Recordings:
    """The recordings of a folder with all folders in it, or of a list: a file with a path in each line.

    Folders that are links are not entered, so that none is met twice; files that are links are taken. Nothing of `out`
    is taken, where it lies in the folder.

    Raises:
        EmopipeError: there is no such folder or list, it cannot be read, or names no recording.
    """
    root = _absolute(source)
    other: list[Path] = []
    if root.is_dir():
        files, other = _walked(root, _absolute(out))
    else:
        root, files = root.parent, list(_listed(root))
    names: dict[Path, str] = {}  # by where they really lie
    twice = 0
    for file in sorted(files, key=lambda file: (file.is_symlink(), file)):
        real = file.resolve()
        twice += real in names
        names.setdefault(real, _name(file, root))
    if not names:
        what = "names no recording" if source.is_file() else "holds no recording"
        found = f" ({_endings(other)})" if other else ""
        raise EmopipeError(f"{source}: {what}{found}; expected files such as .mp4, .mkv, .mov, .wav or .mp3")
    results = Counter(map(result_name, names.values()))
    if clash := [result for result, times in results.items() if times > 1]:
        raise EmopipeError(f"{source}: two recordings would go to {clash[0]}; archive them to different folders")
    left_out = (
        [f"{count(len(other), 'file')} left out, no recordings by their names: {_endings(other)}"] if other else []
    )
    if twice:
        left_out.append(f"{count(twice, 'recording')} left out, there already by another name or line")
    return Recordings(root, sorted(names.values()), left_out)


def result_name(recording: str) -> str:
    """The name of a recording's results below the archive's folder.

    With the recording's own ending in it, so that `x.mp4` and `x.wav` go to different files, whatever else there is.
    """
    return f"{recording.lstrip('/')}.parquet"


def _absolute(path: Path) -> Path:
    """A path from `/` on; links stay as they are named."""
    return Path(os.path.normpath(path.absolute()))


def _name(file: Path, root: Path) -> str:
    return str(file.relative_to(root) if file.is_relative_to(root) else file)


def _walked(root: Path, out: Path) -> tuple[list[Path], list[Path]]:
    """The recordings in a folder, and its other files."""

    def refused(error: OSError) -> None:
        raise EmopipeError(f"{error.filename}: cannot be read ({error.strerror}); allow it, or archive another folder")

    files: list[Path] = []
    other: list[Path] = []
    for folder, folders, names in os.walk(root, onerror=refused):
        folders[:] = [name for name in folders if Path(folder, name) != out]
        for name in names:
            (files if Path(name).suffix.lower() in SUFFIXES else other).append(Path(folder, name))
    return files, other


def _listed(path: Path) -> Iterator[Path]:
    """The recordings that a list names, relative ones from its own folder on."""
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        expected = "expected a folder of recordings, or a list of them with a path in each line"
        raise EmopipeError(f"{path}: cannot be read ({error.strerror}); {expected}") from None
    if any("\0" in line for line in lines):
        raise EmopipeError(f"{path}: not a list of recordings: it is no text; name a folder, or a file of paths")
    for line in lines:
        if (name := line.strip()) and not name.startswith(COMMENT):
            yield _absolute(path.parent / name)


def _endings(files: list[Path]) -> str:
    """`.jpg, .txt`: how names end, the most frequent first."""
    found = Counter(file.suffix.lower() or "without an ending" for file in files)
    return listing([ending for ending, _ in sorted(found.items(), key=lambda each: (-each[1], each[0]))])
