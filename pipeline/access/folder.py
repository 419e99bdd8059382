"""Private folders for the time of a run: for the sockets between its processes, and for files that are not kept."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import zmq

from emopipe.pipeline.errors import EmopipeError

PREFIX = "emopipe-run-"
LOCK = "lock"
MAX_SOCKET_NAME_BYTES = 24


@contextlib.contextmanager
def run_folder() -> Iterator[Path]:
    """A folder of this user's alone, with a path that is short enough for Unix sockets; gone at the end.

    Folders of runs that have died are removed first: who lives holds the lock in his.

    Raises:
        EmopipeError: there is no place for it.
    """
    if not zmq.has("ipc"):
        raise EmopipeError("this build of ZeroMQ has no Unix sockets, which join a run's processes; reinstall pyzmq")
    path = _make()
    try:
        with _locked(path):
            yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def with_temporary_files(folder: Path) -> dict[str, str]:
    """The environment of a process whose temporary files, its libraries' too, are gone when `folder` is.

    Who is killed cannot remove them.
    """
    place = folder / "tmp"
    with contextlib.suppress(FileNotFoundError):  # the folder has vanished: whoever runs the process notices
        place.mkdir(exist_ok=True)
    return {**os.environ, "TMPDIR": str(place)}


def living_runs() -> list[Path]:
    """The folders of this user's runs that live, oldest first."""
    found = []
    for place in dict.fromkeys(map(Path.resolve, _places())):
        with contextlib.suppress(OSError):
            found += [folder for folder in place.glob(f"{PREFIX}*") if _is_held(folder)]
    return sorted(found, key=lambda folder: folder.stat().st_mtime)


def _is_held(folder: Path) -> bool:
    """Whether the lock of a run of this user is held."""
    try:
        if folder.lstat().st_uid != os.getuid():
            return False
        with (folder / LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _make() -> Path:
    """A new folder in the first place that is fit, the one for temporary files before all."""
    reasons = []
    for place in _places():
        _sweep(place)
        if len(os.fsencode(place / PREFIX)) + 8 + 1 + MAX_SOCKET_NAME_BYTES > zmq.IPC_PATH_MAX_LEN:
            reasons.append(f"{place} is too long for the path of a Unix socket")
            continue
        try:
            return Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))  # for its owner alone
        except OSError as error:
            reasons.append(f"{place}: {error.strerror}")
    tried = "; ".join(reasons)
    raise EmopipeError(
        f"no place for a run's temporary folder ({tried}); set TMPDIR to a short one that can be written"
    )


def _places() -> list[Path]:
    places = [os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP", "XDG_RUNTIME_DIR")]
    return [Path(place).absolute() for place in dict.fromkeys([*filter(None, places), "/tmp", "/var/tmp"])]


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the system lets go of however this process ends.

    Raises:
        EmopipeError: the file system there has no locks, or no room.
    """
    new = folder / f"{LOCK}.new"
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(new.open("w"))
            fcntl.flock(file, fcntl.LOCK_EX)
            new.rename(folder / LOCK)  # nobody ever sees one that is not held
        except OSError as error:
            remedy = "set TMPDIR to a folder on a local disk"
            raise EmopipeError(f"{folder.parent}: no file can be locked there ({error.strerror}); {remedy}") from None
        yield


def _sweep(place: Path) -> None:
    """Remove what runs of this user that are no more have left in `place`."""
    with contextlib.suppress(OSError):
        for folder in place.glob(f"{PREFIX}*"):
            with contextlib.suppress(OSError):
                if folder.lstat().st_uid != os.getuid():
                    continue
                with (folder / LOCK).open() as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises where it is held
                    shutil.rmtree(folder, ignore_errors=True)
