"""`emopipe` in a process of its own, as a user starts it, for what only shows there."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import IO

from emopipe.pipeline.errors import EmopipeError

ROOT = Path(__file__).resolve().parents[1]
RUN_TIMEOUT_S = 3600.0  # far longer than anything that is played for a figure
END_TIMEOUT_S = 30.0


def environment() -> dict[str, str]:
    """This process's, in which the checkout can be imported from any folder."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}


class Command:
    """A verb of `emopipe` that runs; a context manager, at whose end SIGTERM ends it, if it has not ended by then.

    What it says goes to a file: nobody reads it while it plays, and a full pipe would stop it.

    Args:
        arguments: of `emopipe`.
        folder: where it runs.
        failure: how the error begins where nothing comes of it.
        more: of its environment.

    Attributes:
        pid: of its process.
    """

    pid: int

    def __init__(
        self, *arguments: object, folder: Path, failure: str, more: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._command = [sys.executable, "-m", "emopipe", *map(str, arguments)]
        self._folder = folder
        self._failure = failure
        self._environment = environment() | dict(more)
        self._said: IO[bytes]
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> "Command":
        self._said = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._command, cwd=self._folder, env=self._environment, stdout=subprocess.DEVNULL, stderr=self._said
        )
        self.pid = self._process.pid
        self._deadline = time.monotonic() + RUN_TIMEOUT_S
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        try:
            self._process.wait(timeout=END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()

    def ended(self) -> bool:
        """Whether it has come to its end.

        Raises:
            EmopipeError: it has failed, or still runs after `RUN_TIMEOUT_S`.
        """
        code = self._process.poll()
        if code:
            raise EmopipeError(f"{self._failure}: {self._complaint() or f'it ended with {code}'}")
        if code is None and time.monotonic() > self._deadline:
            raise EmopipeError(f"{self._failure}: it still runs after {RUN_TIMEOUT_S:g} s; play less")
        return code is not None

    def wait(self) -> None:
        """Wait for its end.

        Raises:
            EmopipeError: as `ended` does.
        """
        with suppress(subprocess.TimeoutExpired):  # which is said next
            self._process.wait(timeout=self._deadline - time.monotonic())
        self.ended()

    def _complaint(self) -> str:
        """The last line that it has said."""
        self._said.seek(0)
        return self._said.read().decode(errors="replace").strip().rpartition("\n")[2].removeprefix("emopipe: ")
