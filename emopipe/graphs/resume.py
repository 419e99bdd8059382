"""What lets a replay that was interrupted go on: a folder beside its results, for as long as they are not complete.

`results.jsonl.run/` holds `run.json`, which says of which graph, weights and recordings the results are, and a journal
of each sink (docs/guarantees.md).
"""

import fcntl
import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.files import replacing
from emopipe.pipeline.graph.identity import RunIdentity, Subject, changes
from emopipe.stages.sinks.line_file import path_problem

SUFFIX = ".run"
IDENTITY = "run.json"
LOCK = "lock"
MOST_TELLING: list[Subject] = ["recording", "weights", "graph", "mode", "version"]
BEGIN_ANEW = "leave out --resume to begin anew"


class RunState:
    """The folder beside `out`, the first of a run's results, for what the run keeps for one that goes on.

    Leaving the context removes it after a run that came to its end, and where nothing was begun; else it stays.

    Args:
        resume: whether this is the run that goes on.

    Raises (on entering):
        EmopipeError: there is nothing to go on with; another run is writing there; or the folder cannot be made.
    """

    def __init__(self, out: Path, *, resume: bool) -> None:
        self.folder = out.with_name(out.name + SUFFIX)
        self._out = out
        self._resume = resume
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        if self._resume and not (self.folder / IDENTITY).is_file():
            raise EmopipeError(
                f"--resume: {self.folder} is not there, as it is only after a replay to {self._out} was interrupted; "
                f"{BEGIN_ANEW}"
            )
        if (problem := path_problem(str(self._out))) is not None:
            raise EmopipeError(f"--out {problem}")
        try:
            self.folder.mkdir(exist_ok=True)
            file = self._exit.enter_context((self.folder / LOCK).open("w"))
        except OSError as error:
            raise EmopipeError(f"--out {self._out}: {self.folder} cannot be made: {error.strerror}") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._exit.close()
            raise EmopipeError(f"--out {self._out}: another replay writes there; wait for it, or stop it") from None
        return self

    def begin(self, run: RunIdentity) -> None:
        """Take down what the results will be of (`run`); in a run that goes on, make sure that it is the same.

        Raises:
            EmopipeError: it is not.
        """
        path = self.folder / IDENTITY
        if self._resume:
            self._check_same(path, run)
            return
        for old in self.folder.glob("*"):
            if old.name != LOCK:
                old.unlink()
        with replacing(path) as new, new.open("wb") as file:
            file.write(msgspec.json.encode(run))
            file.flush()
            os.fsync(file.fileno())

    @property
    def begun(self) -> bool:
        """Whether there is anything to go on with."""
        return any(self.folder.glob("*.journal"))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or not self.begun:
            shutil.rmtree(self.folder, ignore_errors=True)
        self._exit.close()

    def _check_same(self, path: Path, run: RunIdentity) -> None:
        try:
            before = msgspec.json.decode(path.read_bytes(), type=RunIdentity)
        except (OSError, msgspec.MsgspecError) as error:
            raise EmopipeError(f"--resume: {path} cannot be read: {error}; {BEGIN_ANEW}") from None
        if differing := changes(before, run):
            first = min(differing, key=lambda change: MOST_TELLING.index(change.subject))
            more = f" (and {len(differing) - 1} more)" if len(differing) > 1 else ""
            raise EmopipeError(
                f"--resume: not what was interrupted: {first.subject}: {first.text}{more}; "
                f"resume with what it was then, or {BEGIN_ANEW}"
            )
