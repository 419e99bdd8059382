"""Files that outlast a crash: those that are written whole or not at all, and a journal of what is done for good."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emopipe.pipeline.errors import StageFailed

RUN_IDENTITY = "identity.json"
"""Beside the journals of a run: what its results depend on (`graph.identity.RunIdentity`), without passwords."""

MAX_JOURNAL_BYTES = 1 << 20  # beyond it a journal is written anew, without what is outdated


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to: it takes the place of `path` when the block ends without an error.

    A full disk or a crash leaves the old file as it was.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


class Journal:
    """Values by key that outlast their writer: each is a line at the end of a file, in one write.

    What a process that is killed has set is kept, and what a machine that goes down has set with `durable`. A line
    that was cut short counts as not written.

    Args:
        path: of the file; it is made with the first value. None keeps the values in memory alone.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._file: int | None = None
        self._size = 0
        self._values: dict[str, Any] = {}
        if path is not None and path.exists():
            for line in path.read_bytes().splitlines(keepends=True):
                if line.endswith(b"\n"):
                    key, value = json.loads(line)
                    self._values[key] = value
            self._rewrite()

    @property
    def folder(self) -> Path | None:
        """Where the journal lies, and its writer may keep more; None for one in memory."""
        return self._path.parent if self._path is not None else None

    def get(self, key: str, default: Any = None) -> Any:
        """The newest value of `key`."""
        return self._values.get(key, default)

    def starting(self, prefix: str) -> dict[str, Any]:
        """The values whose keys begin so, by what follows."""
        return {key.removeprefix(prefix): value for key, value in self._values.items() if key.startswith(prefix)}

    def set(self, key: str, value: Any, *, durable: bool = False) -> None:
        """Keep `value`, which JSON must be able to hold; `durable`: on the disk before this returns.

        Raises:
            StageFailed: it cannot be written.
        """
        self._values[key] = value
        if self._path is None:
            return
        try:
            if self._size > MAX_JOURNAL_BYTES:
                self._rewrite()
            if self._file is None:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._size += os.write(self._file, _line(key, value))
            if durable:
                os.fsync(self._file)
        except OSError as error:
            raise StageFailed(f"{self._path} cannot be written: {error.strerror}; free some space") from None

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _rewrite(self) -> None:
        assert self._path is not None
        self.close()
        with replacing(self._path) as new, new.open("wb") as file:
            file.writelines(_line(key, value) for key, value in self._values.items())
            file.flush()
            os.fsync(file.fileno())
        self._size = 0


def _line(key: str, value: Any) -> bytes:
    return json.dumps([key, value]).encode() + b"\n"
