"""A text file that ends with a whole line at every moment, however its writer is stopped."""

import contextlib
import os
from pathlib import Path

from emopipe.pipeline.errors import EmopipeError, StageFailed


def path_problem(path: str) -> str | None:
    """Why a file cannot be written at `path`, as a sentence for the user; None where nothing stands against it."""
    file = Path(path)
    if not path:
        return "is empty, expected the path of a file"
    if file.is_dir():
        return f"{path} is a directory, expected the path of a file in it, such as {file / 'results'}"
    if not file.parent.is_dir():
        return f"{path}: the directory {file.parent} does not exist; create it, or choose another path"
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        return f"{path} may not be written; change its permissions, or choose another path"
    return None


class LineFile:
    """A file of which every line is written at once and whole.

    A line is one unbuffered write, so nothing is lost when the process is killed; a line that does not fit on the
    disk any more is taken back. An old file is emptied by `begin` or the first line, not before: a run that fails
    at its start must not cost the results of another.

    Args:
        path: of the file.
        head: what stands before the first line.

    Raises:
        EmopipeError: the file cannot be opened.
    """

    def __init__(self, path: str, head: bytes = b"") -> None:
        self._path = path
        self._head = head
        self._begun = False
        self._size = 0
        self._lines = 0
        try:
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise EmopipeError(path_problem(path) or f"{path} cannot be written: {error.strerror}") from None

    def begin(self) -> None:
        """Empty the file and write its head, once.

        Raises:
            EmopipeError: it cannot be written.
        """
        if self._begun:
            return
        self._begun = True
        with contextlib.suppress(OSError):  # a pipe or a device cannot be cut
            os.ftruncate(self._descriptor, 0)
        if self._head:
            self.write(self._head)

    def write(self, line: bytes) -> None:
        """Append `line`, which ends with its newline.

        Raises:
            StageFailed: it cannot be written; the file holds the lines before it.
        """
        self.begin()
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            # Not every file can be cut (a pipe, a device); those take no part of a line back either.
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self._size)
            kept = f"the {self._lines} lines before are whole; free some space, or choose another path"
            raise StageFailed(f"{self._path} cannot be written any more: {error.strerror}; {kept}") from None
        self._size += len(line)
        self._lines += 1

    def close(self) -> None:
        os.close(self._descriptor)
