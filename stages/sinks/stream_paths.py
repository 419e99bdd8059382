"""Where films and annotations go: one file a stream, named after it where the path asks for that."""

import os
import re
from itertools import chain, count
from pathlib import Path

from emopipe.pipeline.files import Journal
from emopipe.stages.sinks.line_file import path_problem

FILE = "file "
STREAM_SLOT = "{stream}"


def path_problems(path: str, *suffixes: str) -> str | None:
    """Why nothing can be written at `path`, which may hold `{stream}`; None where nothing stands against it."""
    if path and not path.endswith(suffixes):
        return f'{path}: expected a name that ends in {" or ".join(suffixes)}, such as "{Path(path).stem}{suffixes[0]}"'
    if STREAM_SLOT in str(Path(path).parent):
        return f"{path}: {STREAM_SLOT} may only stand in the file's own name, not in its directory's"
    return path_problem(path)


class OutputPaths:
    """The files of one run, one for each stream.

    Args:
        path: where they go; `{stream}` stands for the stream's name.
        journal: of the stage, which says what a process of this run before this one has taken.

    Attributes:
        taken: the files of this run, with the streams that are in them.
    """

    def __init__(self, path: str, journal: Journal | None = None) -> None:
        self._path = path
        self._journal = journal if journal is not None else Journal()
        self._before = {stream: Path(file) for file, stream in self._journal.starting(FILE).items()}
        self.taken: dict[Path, str] = {file: stream for stream, file in self._before.items()}

    def take(self, stream: str) -> Path | None:
        """A file for `stream` that no other of this run has; None if another stream has the only one.

        A file that is named after a stream replaces none that this run has not made: whoever names the stream would
        choose what is lost. It gets a number, as that of a stream that comes again does; in names, what no file system
        takes becomes `_`.
        """
        if (again := self._before.pop(stream, None)) is not None:
            return again
        named = STREAM_SLOT not in self._path  # by the user, who may have an old one replaced
        if named and self.taken and stream not in self.taken.values():
            return None
        whole = self.name(stream)
        others = (whole.with_stem(f"{whole.stem}-{number}") for number in count(2))
        free = (path for path in chain([whole], others) if path not in self.taken)
        path = next(path for path in free if (named and path == whole) or not os.path.lexists(path))
        self.taken[path] = stream
        self._journal.set(f"{FILE}{path}", stream)
        return path

    def name(self, stream: str) -> Path:
        """What the file of `stream` is called where nothing is in its way."""
        return Path(self._path.replace(STREAM_SLOT, re.sub(r'[\x00-\x1f/\\:*?"<>|]', "_", stream)[:100] or "_"))
