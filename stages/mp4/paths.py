"""Where films go: one file a stream, named after it where the path asks for that."""

import re
from itertools import chain, count
from pathlib import Path

from emopipe.stages.sinks.line_file import path_problem

STREAM_SLOT = "{stream}"


def path_problems(path: str, suffix: str = ".mp4") -> str | None:
    """Why no film can be written at `path`, which may hold `{stream}`; none where nothing stands against it."""
    if path and not path.endswith(suffix):
        return f'{path}: expected a name that ends in {suffix}, such as "{Path(path).stem or "film"}{suffix}"'
    if STREAM_SLOT in str(Path(path).parent):
        return f"{path}: {STREAM_SLOT} may only stand in the file's own name, not in its directory's"
    return path_problem(path)


class OutputPaths:
    """The files of one run's films.

    Args:
        path: where they go; `{stream}` stands for the stream's name.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._taken: dict[Path, str] = {}

    def take(self, stream: str) -> Path | None:
        """A file for `stream` that none of this run's has; none where another stream has the only one.

        A stream that comes again gets a numbered file; in names, what no file system takes becomes `_`.
        """
        if STREAM_SLOT not in self._path and stream not in [*self._taken.values(), *([] if self._taken else [stream])]:
            return None
        whole = Path(self._path.replace(STREAM_SLOT, re.sub(r'[\x00-\x1f/\\:*?"<>|]', "_", stream)[:100] or "_"))
        others = (whole.with_stem(f"{whole.stem}-{number}") for number in count(2))
        path = next(each for each in chain([whole], others) if each not in self._taken)
        self._taken[path] = stream
        return path
