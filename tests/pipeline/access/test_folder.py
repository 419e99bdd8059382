"""access.folder: private, short enough for sockets, and swept when its run is dead."""

import errno
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from emopipe.pipeline.access import folder
from emopipe.pipeline.access.folder import LOCK, PREFIX, living_runs, run_folder
from emopipe.pipeline.errors import EmopipeError


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty short folder for temporary files."""
    path = Path(mkdtemp(dir="/tmp"))
    monkeypatch.setenv("TMPDIR", str(path))
    yield path
    shutil.rmtree(path)


def test_it_is_its_users_alone_and_gone_at_the_end(place: Path) -> None:
    with run_folder() as path:
        assert path.parent == place
        assert path.stat().st_mode & 0o777 == 0o700
    assert list(place.iterdir()) == []


def test_where_temporary_files_lie_too_deep_for_a_socket_it_is_private_elsewhere(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = place / ("d" * 100)
    deep.mkdir()
    monkeypatch.setenv("TMPDIR", str(deep))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(place))
    with run_folder() as path:
        assert path.parent == place
        assert path.stat().st_mode & 0o777 == 0o700
        with socket.socket(socket.AF_UNIX) as own:
            own.bind(str(path / ("n" * folder.MAX_SOCKET_NAME_BYTES)))


def test_without_any_place_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "_places", lambda: [Path("/no/such/folder"), Path("/tmp", "x" * 120)])
    with pytest.raises(EmopipeError) as caught, run_folder():
        pass
    assert str(caught.value) == (
        "no place for a run's temporary folder (/no/such/folder: No such file or directory; /tmp/" + "x" * 120 + " is "
        "too long for the path of a Unix socket); set TMPDIR to a short one that can be written"
    )


def test_a_zeromq_without_unix_sockets_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder.zmq, "has", lambda feature: feature != "ipc")
    with pytest.raises(EmopipeError, match="has no Unix sockets, which join a run's processes; reinstall pyzmq"):
        run_folder().__enter__()


def test_what_a_dead_run_left_is_swept_and_nothing_else(place: Path) -> None:
    killed = "import os, signal\nfrom emopipe.pipeline.access.folder import run_folder\n"
    killed += "with run_folder():\n    os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", killed], check=False)
    (dead,) = place.iterdir()
    others = [place / f"{PREFIX}without-a-lock", place / "of-somebody-else"]
    for other in others:
        other.mkdir()
    with run_folder() as first, run_folder() as second:
        assert not dead.exists()
        assert first.exists()
        assert second.exists()
    assert sorted(place.iterdir()) == sorted(others)


def test_a_folder_of_another_user_is_left_alone(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = place / f"{PREFIX}theirs"
    theirs.mkdir()
    (theirs / folder.LOCK).touch()
    monkeypatch.setattr(os, "getuid", lambda: theirs.stat().st_uid + 1)
    with run_folder():
        assert theirs.exists()


def test_a_file_system_without_locks_is_said_to_have_none(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(folder.fcntl, "flock", refuse)
    with pytest.raises(EmopipeError) as caught, run_folder():
        pass
    assert str(caught.value) == (
        f"{place}: no file can be locked there (No locks available); set TMPDIR to a folder on a local disk"
    )
    assert list(place.iterdir()) == []


def test_runs_that_live_are_found_and_the_dead_are_not(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "_places", lambda: [place, place / "nowhere", place])
    dead = place / f"{PREFIX}dead"
    dead.mkdir()
    (dead / LOCK).touch()
    (place / f"{PREFIX}without-a-lock").mkdir()
    with run_folder() as first:
        os.utime(first, (1, 1))
        assert not dead.exists()  # swept
        dead.mkdir()
        (dead / LOCK).touch()
        with run_folder() as second:
            assert living_runs() == [first, second]
        assert living_runs() == [first]
    assert living_runs() == []
