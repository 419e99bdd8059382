"""Files of whole lines, whatever happens."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from emopipe.pipeline.errors import EmopipeError, StageFailed
from emopipe.pipeline.files import Journal
from emopipe.stages.sinks.line_file import LineFile, path_problem

REMEDY = "free some space, or choose another path"


def test_every_line_is_in_the_file_as_soon_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    file = LineFile(str(path))
    for count in range(1, 4):
        file.write(b"line\n")
        assert path.read_bytes() == b"line\n" * count
    file.close()


def test_an_old_file_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("old\n" * 100)
    file = LineFile(str(path))
    file.write(b"new\n")
    file.close()
    assert path.read_bytes() == b"new\n"


def test_a_full_disk_leaves_whole_lines_and_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    # The limit on a file's size acts like a full disk: the last write is cut short, the next one fails.
    script = """
import resource, signal, sys
from emopipe.pipeline.errors import StageFailed
from emopipe.stages.sinks.line_file import LineFile
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (105, 105))
file = LineFile(sys.argv[1])
try:
    while True:
        file.write(b"123456789\\n")
except StageFailed as error:
    print(error)
"""
    told = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert path.read_bytes() == b"123456789\n" * 10
    assert told == f"{path} cannot be written any more: File too large; the 10 lines before are whole; {REMEDY}\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which is always full")
def test_a_device_that_is_full() -> None:
    file = LineFile("/dev/full")
    with pytest.raises(StageFailed, match=r"^/dev/full cannot be written any more: No space left on device; the 0 "):
        file.write(b"line\n")
    file.close()


def test_what_stands_against_a_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert path_problem(str(tmp_path / "new")) is None
    assert path_problem(str(tmp_path / "file")) is None
    assert path_problem("results.jsonl") is None
    assert path_problem("") == "is empty, expected the path of a file"
    assert path_problem(str(tmp_path)) == (
        f"{tmp_path} is a directory, expected the path of a file in it, such as {tmp_path}/results"
    )
    missing = tmp_path / "no" / "new"
    assert path_problem(str(missing)) == (
        f"{missing}: the directory {missing.parent} does not exist; create it, or choose another path"
    )


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Root may write everywhere: give its rights up for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def test_a_path_without_permission() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        wanted = str(Path(folder) / "new")
        with as_nobody():
            assert (
                path_problem(wanted) == f"{wanted} may not be written; change its permissions, or choose another path"
            )
            with pytest.raises(EmopipeError, match="may not be written"):
                LineFile(wanted)


def test_what_the_system_alone_knows_to_be_wrong() -> None:
    with pytest.raises(EmopipeError, match=r"^/proc/emopipe cannot be written: "):
        LineFile("/proc/emopipe")


def test_an_old_file_is_kept_until_there_is_something_to_write(tmp_path: Path) -> None:
    path = tmp_path / "results"
    path.write_text("precious\n" * 3)
    file = LineFile(str(path), b"head\n")
    assert path.read_text() == "precious\n" * 3
    file.begin()
    assert path.read_text() == "head\n"
    file.write(b"line\n")
    file.begin()
    file.close()
    assert path.read_text() == "head\nline\n"


def interrupted(path: Path, written: bytes, left: bytes) -> Journal:
    """The journal of a writer that has begun the file and died; `left` is what stands there now."""
    journal = Journal()
    file = LineFile(str(path), b"head\n", journal=journal)
    for line in written.splitlines(keepends=True):
        file.write(line)
    file.close()
    path.write_bytes(left)
    return journal


@pytest.mark.parametrize("cut", range(len(b"head\none\ntwo\n") + 1))
def test_a_writer_that_begins_anew_writes_only_what_is_not_there(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "lines"
    journal = interrupted(path, b"one\ntwo\n", b"head\none\ntwo\n"[:cut])
    file = LineFile(str(path), b"head\n", journal=journal)
    for line in (b"one\n", b"two\n", b"three\n"):
        file.write(line)
        assert path.read_bytes() == max(b"head\none\ntwo\nthree\n"[: file._size], b"head\none\ntwo\n"[:cut], key=len)
    file.finish()
    file.close()
    assert path.read_bytes() == b"head\none\ntwo\nthree\n"


def test_a_file_that_was_not_begun_is_somebody_elses(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"of another run\n")
    journal = Journal()
    LineFile(str(path), journal=journal).close()  # died before its first line
    file = LineFile(str(path), journal=journal)
    file.write(b"one\n")
    file.close()
    assert path.read_bytes() == b"one\n"


def test_other_bytes_are_told_and_left(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    journal = interrupted(path, b"one\ntwo\n", b"head\none\ntwx\n")
    file = LineFile(str(path), b"head\n", journal=journal)
    file.write(b"one\n")
    with pytest.raises(StageFailed, match=rf"^{path}: what this run .* differs from byte 11 on"):
        file.write(b"two\n")
    file.close()
    assert path.read_bytes() == b"head\none\ntwx\n"


def test_more_than_comes_is_told(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    journal = interrupted(path, b"one\ntwo\n", b"head\none\ntwo\n")
    file = LineFile(str(path), b"head\n", journal=journal)
    file.write(b"one\n")
    with pytest.raises(StageFailed, match="differs from byte 9 on"):
        file.finish()
    file.close()


def test_what_is_there_for_good_does_not_come_again(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    journal = Journal()
    first = LineFile(str(path), b"head\n", journal=journal)
    first.write(b"a 1\n")
    first.end("a")
    first.write(b"b 1\n")
    first.close()
    again = LineFile(str(path), b"head\n", journal=journal, finished=["a"])
    again.write(b"b 1\n")
    again.write(b"b 2\n")
    again.finish()
    again.close()
    assert path.read_bytes() == b"head\na 1\nb 1\nb 2\n"
    path.write_bytes(b"head\n")
    with pytest.raises(EmopipeError, match="has been cut since: 5 bytes, of 9; begin anew"):
        LineFile(str(path), b"head\n", journal=journal, finished=["a"])


@pytest.mark.parametrize("size", [3, 1 << 16, 200_000])
def test_what_never_is_the_same_is_appended_after_whole_lines(tmp_path: Path, size: int) -> None:
    path = tmp_path / "lines"
    line = b"x" * size + b"\n"
    journal = interrupted(path, b"one\n", b"head\n" + line + line[: size // 2])
    file = LineFile(str(path), b"head\n", journal=journal, append=True)
    file.write(b"new\n")
    file.finish()
    file.close()
    assert path.read_bytes() == b"head\n" + line + b"new\n"


def test_a_pipe_is_not_looked_at_again(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    journal = Journal()
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    for _ in range(2):
        file = LineFile(str(tmp_path / "pipe"), journal=journal)
        file.write(b"one\n")
        file.end("a")
        file.close()
    assert os.read(reader, 100) == b"one\n" * 2
    os.close(reader)
