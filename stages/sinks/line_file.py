"""A text file that ends with a whole line at every moment, however its writer is stopped."""

import contextlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

from emopipe.pipeline.errors import EmopipeError, StageFailed
from emopipe.pipeline.files import Journal

BEGUN = "begun "
ENDS = "ends "


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

    A writer that begins anew after a crash finds in its journal that the file is its own. What it writes is compared
    with what stands there, a half line included, and only what lies beyond is written.

    Args:
        path: of the file.
        head: what stands before the first line.
        journal: of the stage; without one the file always begins anew.
        finished: streams whose lines are there for good, and do not come again.
        append: go on after what stands there, whole lines of it, and compare nothing: for what never is the same.

    Raises:
        EmopipeError: the file cannot be opened.
    """

    def __init__(
        self,
        path: str,
        head: bytes = b"",
        *,
        journal: Journal | None = None,
        finished: Iterable[str] = (),
        append: bool = False,
    ) -> None:
        self._path = path
        self._head = head
        self._append = append
        self._journal = journal if journal is not None else Journal()
        self._begun = bool(self._journal.get(BEGUN + path))
        self._lines = 0
        self._size = 0  # of what has been written, or compared
        self._standing = 0  # bytes that another writer before this one has left
        try:
            access = os.O_RDWR if self._begun else os.O_WRONLY
            self._descriptor = os.open(path, access | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise EmopipeError(path_problem(path) or f"{path} cannot be written: {error.strerror}") from None
        if self._begun:
            self._go_on(finished)

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
        self._journal.set(BEGUN + self._path, True)  # after it is empty: what another has left is never taken for ours
        if self._head:
            self.write(self._head)

    def write(self, line: bytes) -> None:
        """Append `line`, which ends with its newline.

        Raises:
            StageFailed: it cannot be written, the file holding the lines before it; or another stands in its place.
        """
        self.begin()
        rest = memoryview(line)
        if self._size < self._standing:
            rest = rest[self._compare(line) :]
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

    def end(self, stream: str) -> None:
        """The lines of a stream are all there: keep them for good, on the disk.

        Raises:
            StageFailed: they cannot be.
        """
        if self._append or not self._regular:
            return
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            raise StageFailed(f"{self._path} cannot be kept: {error.strerror}; choose another path") from None
        self._journal.set(f"{ENDS}{self._path} {stream}", self._size)

    def finish(self) -> None:
        """Nothing follows.

        Raises:
            StageFailed: the writer before this one had written more.
        """
        self.begin()
        if self._size < self._standing:
            raise self._differs(self._size)

    def close(self) -> None:
        os.close(self._descriptor)

    @property
    def _regular(self) -> bool:
        return stat.S_ISREG(os.fstat(self._descriptor).st_mode)

    def _go_on(self, finished: Iterable[str]) -> None:
        """Find the place where this writer begins in what the one before it has written."""
        if not self._regular:  # what went through a pipe cannot be looked at again
            return
        standing = os.fstat(self._descriptor).st_size
        if self._append:
            self._size = self._end_of_lines(standing)
            os.ftruncate(self._descriptor, self._size)
        else:
            self._standing = standing
            ends = self._journal.starting(f"{ENDS}{self._path} ")
            self._size = max((ends.get(stream, 0) for stream in finished), default=0)
            if self._size > standing:
                raise EmopipeError(f"{self._path} has been cut since: {standing} bytes, of {self._size}; begin anew")
        os.lseek(self._descriptor, 0, os.SEEK_END)
        if not self._size and self._head:
            self.write(self._head)

    def _end_of_lines(self, size: int) -> int:
        """Where the last whole line ends."""
        step = 1 << 16
        for start in range(max(0, size - step), -step, -step):
            at = max(start, 0)
            newline = os.pread(self._descriptor, step, at)[: size - at].rfind(b"\n")
            if newline >= 0:
                return at + newline + 1
        return 0

    def _compare(self, line: bytes) -> int:
        """How many bytes of `line` stand there already."""
        there = os.pread(self._descriptor, min(len(line), self._standing - self._size), self._size)
        if line.startswith(there):
            return len(there)
        raise self._differs(self._size + next(at for at, byte in enumerate(there) if byte != line[at]))

    def _differs(self, at: int) -> StageFailed:
        return StageFailed(
            f"{self._path}: what this run has written before it was interrupted differs from byte {at} on; "
            "has another program written to it? Replay it as a whole"
        )
