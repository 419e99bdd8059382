"""What an archive holds: a line for each recording that is over, kept so that whoever is killed goes on from there.

    results/archive.json         what all results depend on: graph, weights, code
    results/manifest.jsonl       a line for each recording: what became of it, its content's hash, its rows
    results/a/x.mp4.parquet      the results of a/x.mp4
    results/.archive/            the journal that the manifest is made of, and what is under way

Nothing in them says when, in which order or by how many processes the results were made.
"""

import contextlib
import fcntl
import json
import shutil
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import msgspec

from emopipe.archive.recordings import Recordings
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.files import Journal, replacing
from emopipe.pipeline.graph.identity import RunIdentity, changes, identify_file

ARCHIVE, MANIFEST, STATE = "archive.json", "manifest.jsonl", ".archive"
ARCHIVE_VERSION = 1

Outcome = Literal["done", "damaged", "failed"]
Word = Literal["unreadable", "changed", "crashed", "hung", "error"]


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one recording.

    Attributes:
        recording: by its name.
        outcome: `damaged`: there are results, but not of all of it.
        word: why it has failed: it cannot be read or decoded; it changed while it was read; the process that played it
            died twice, or came to nothing for too long; a stage said what is wrong, or raised what nobody expected.
        text: what there is to say of it, a sentence a line.
        result: the file of its results, below the archive's folder.
        rows: in it.
        result_size: of it (bytes).
        size: of the recording (bytes).
        modified_ns: when it was changed last, as its file system says.
        sha256: of its content.
    """

    recording: str
    outcome: Outcome
    word: Word | None = None
    text: str = ""
    result: str | None = None
    rows: int = 0
    result_size: int = 0
    size: int = 0
    modified_ns: int = 0
    sha256: str | None = None


class _Archive(msgspec.Struct, kw_only=True):
    version: int
    root: str
    run: RunIdentity


class Ledger:
    """The folder of an archive; a context manager that one process at a time can be in.

    Args:
        folder: made if it is not there.
        run: what the results depend on, without recordings.
        root: the folder from which on recordings are named.

    Attributes:
        entries: of the recordings that are over, by name.
        run: what the results depend on, as it was said when the archive was begun.

    Raises (on entering):
        EmopipeError: it holds something else, or results of another graph, weights, version or root; somebody else is
            at it; or it cannot be written.
    """

    def __init__(self, folder: Path, run: RunIdentity, root: Path) -> None:
        self.folder = folder
        self.state = folder / STATE
        self.entries: dict[str, Entry] = {}
        self.run = run
        self._archive = _Archive(version=ARCHIVE_VERSION, root=str(root), run=run)
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        path = self.folder / ARCHIVE
        try:
            if self.folder.is_dir() and not path.exists() and any(each.name != STATE for each in self.folder.iterdir()):
                raise EmopipeError(f"--out {self.folder}: holds other files, and no archive; name a folder of its own")
            self.state.mkdir(parents=True, exist_ok=True)
            lock = self._exit.enter_context((self.state / "lock").open("w"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise EmopipeError(f"--out {self.folder}: somebody else writes there; wait, or stop that") from None
            self._begin(path)
            self._journal = Journal(self.state / "journal")
            self._exit.callback(self._journal.close)
        except OSError as error:
            self._exit.close()
            place = error.filename or self.folder
            raise EmopipeError(f"--out {place}: cannot be written ({error.strerror}); choose another folder") from None
        except BaseException:
            self._exit.close()
            raise
        self.entries = {name: msgspec.convert(each, Entry) for name, each in self._journal.starting("").items()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the manifest of what is over, also after an error."""
        try:
            with replacing(self.folder / MANIFEST) as new, new.open("w", encoding="ascii") as file:
                file.writelines(
                    json.dumps(msgspec.to_builtins(self.entries[name])) + "\n" for name in sorted(self.entries)
                )
        except OSError as problem:
            if error is None:
                raise EmopipeError(
                    f"{self.folder / MANIFEST}: cannot be written ({problem.strerror}); free some space, and the same "
                    "command writes it"
                ) from None
        finally:
            for job in self.state.glob("job-*"):
                shutil.rmtree(job, ignore_errors=True)
            self._exit.close()

    def left(self, recordings: Recordings) -> list[str]:
        """The recordings to be played: new, changed or failed ones, and those whose results are gone."""
        return [name for name in recordings.names if not self._holds(name, recordings.path(name))]

    def add(self, entry: Entry) -> None:
        """Take down, on the disk, that a recording is over.

        Raises:
            StageFailed: it cannot be written.
        """
        self._journal.set(entry.recording, msgspec.to_builtins(entry), durable=True)
        self.entries[entry.recording] = entry

    def _begin(self, path: Path) -> None:
        if path.exists():
            self._check_same(path)
            return
        with replacing(path) as new:
            new.write_text(json.dumps(msgspec.to_builtins(self._archive), indent=2) + "\n", encoding="ascii")

    def _check_same(self, path: Path) -> None:
        try:
            before = msgspec.json.decode(path.read_bytes(), type=_Archive)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise EmopipeError(f"{path}: no archive of emopipe's: {error}; name another folder") from None
        now = self._archive
        problem = ""
        if before.version != now.version:
            problem = f"is of format {before.version}, and this emopipe writes {now.version}"
        elif before.root != now.root:
            problem = f"is the archive of {before.root}, and not of {now.root}"
        elif differing := changes(before.run, now.run):
            first, more = differing[0], f" (and {len(differing) - 1} more)" if len(differing) > 1 else ""
            problem = f"its results are made otherwise: {first.subject}: {first.text}{more}"
        if problem:
            raise EmopipeError(f"--out {self.folder}: {problem}; name another folder")
        self.run = before.run

    def _holds(self, name: str, path: Path) -> bool:
        entry = self.entries.get(name)
        if entry is None or entry.result is None:
            return False
        with contextlib.suppress(OSError):
            if (self.folder / entry.result).stat().st_size != entry.result_size:
                return False
            status = path.stat()
            if (status.st_size, status.st_mtime_ns) == (entry.size, entry.modified_ns):
                return True
            return status.st_size == entry.size and identify_file(path).sha256 == entry.sha256
        return False
