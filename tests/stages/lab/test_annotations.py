"""What the lab's sinks promise of their files, whatever the format."""

import subprocess
import sys
from pathlib import Path

import pytest

from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.files import Journal
from emopipe.pipeline.message import Message
from emopipe.pipeline.stage import Stage
from emopipe.pipeline.testing import eos, run_stage
from emopipe.stages.lab.annotations import AnnotationFiles
from emopipe.stages.lab.elan import Eaf
from emopipe.stages.lab.parquet import Parquet
from emopipe.stages.lab.praat import TextGrid
from emopipe.stages.lab.subtitles import Subtitles
from tests.support.lab import scene

ANNOTATIONS: list[tuple[type[AnnotationFiles], str]] = [
    (Eaf, ".eaf"),
    (TextGrid, ".TextGrid"),
    (Subtitles, ".srt"),
    (Subtitles, ".vtt"),
]
SINKS: list[tuple[type[Stage], str]] = [*ANNOTATIONS, (Parquet, ".parquet")]
each_format = pytest.mark.parametrize(("cls", "suffix"), ANNOTATIONS)
each_sink = pytest.mark.parametrize(("cls", "suffix"), SINKS)


def stage(cls: type[Stage], path: Path) -> Stage:
    return cls(cls.Settings(path=str(path)), label="out0")  # type: ignore[call-arg]


def messages(*streams: str) -> list[tuple[str, Message]]:
    return [("emotions", message) for stream in streams for message in [*scene(stream), eos(stream)]]


@each_format
def test_each_recording_has_a_file(tmp_path: Path, cls: type[Stage], suffix: str) -> None:
    run_stage(stage(cls, tmp_path / f"{{stream}}{suffix}"), messages("a", "../b"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".._b{suffix}", f"a{suffix}"]
    run_stage(stage(cls, tmp_path / f"alone{suffix}"), messages("a"))
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"alone{suffix}").read_bytes()


@each_format
def test_a_file_that_is_named_after_a_stream_replaces_none(tmp_path: Path, cls: type[Stage], suffix: str) -> None:
    corrected = tmp_path / f"a{suffix}"
    corrected.write_text("an annotator's work of a week")
    said = run_stage(stage(cls, tmp_path / f"{{stream}}{suffix}"), messages("a"))
    assert corrected.read_text() == "an annotator's work of a week"
    assert (tmp_path / f"a-2{suffix}").exists()
    assert said.warnings == [
        f"{corrected} is there already, and not of this run: a is written to {tmp_path / f'a-2{suffix}'}"
    ]


@each_format
def test_two_streams_do_not_share_a_file(tmp_path: Path, cls: type[Stage], suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    said = run_stage(stage(cls, path), messages("a", "b"))
    assert said.damage == [
        f"{path} is another stream's file already, so b is not written; put {{stream}} into the path, for a file each"
    ]
    run_stage(stage(cls, tmp_path / f"y{suffix}"), messages("a"))
    assert path.read_bytes() == (tmp_path / f"y{suffix}").read_bytes()


@each_format
def test_a_run_that_goes_on_makes_the_same_files(tmp_path: Path, cls: type[Stage], suffix: str) -> None:
    pattern = tmp_path / f"{{stream}}{suffix}"
    with pytest.raises(RuntimeError, match="struck"):
        run_stage(
            stage(_dying(cls), pattern),
            messages("a", "b"),
            connect=["emotions"],
            journal=Journal(tmp_path / "out0.journal"),
        )
    assert [path.name for path in tmp_path.glob(f"*{suffix}")] == [f"a{suffix}"]  # and no half one
    before = (tmp_path / f"a{suffix}").stat()
    run_stage(stage(cls, pattern), messages("b"), journal=Journal(tmp_path / "out0.journal"), finished=["a"])
    assert (tmp_path / f"a{suffix}").stat().st_mtime_ns == before.st_mtime_ns
    whole = tmp_path / "whole"
    whole.mkdir()
    run_stage(stage(cls, whole / pattern.name), messages("a", "b"))
    found = {path.name: path.read_bytes() for path in tmp_path.glob(f"*{suffix}")}
    assert found == {path.name: path.read_bytes() for path in whole.iterdir()}


def _dying(cls: type[Stage]) -> type[Stage]:
    async def process(self: Stage, port: str, message: Message) -> None:
        if message.stream == "b" and message.pts > 10**9:
            raise RuntimeError("struck")
        await cls.process(self, port, message)

    return type(cls.__name__, (cls,), {"process": process, "__module__": cls.__module__})


@each_sink
def test_an_old_file_stays_until_the_new_one_is_whole(tmp_path: Path, cls: type[Stage], suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="struck"):
        run_stage(stage(_dying(cls), path), [("emotions", message) for message in scene("b")])
    assert path.read_text() == "old"
    run_stage(stage(cls, path), messages("b"))
    assert path.read_bytes() != b"old"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


FULL_DISK = """
import resource, signal
from emopipe.pipeline.errors import StageFailed
from emopipe.pipeline.testing import run_stage
from tests.support.lab import scene

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
"""
TRY = """
{imports}
try:
    run_stage(Sink(Sink.Settings(path={path!r})), [("emotions", message) for message in scene()])
except StageFailed as error:
    print(error)
"""


def test_a_full_disk_ends_the_run_and_leaves_the_old_file(tmp_path: Path) -> None:
    names = {f"x{suffix}": f"from {cls.__module__} import {cls.__name__} as Sink" for cls, suffix in SINKS}
    for name in names:
        (tmp_path / name).write_text("old")
    tries = "".join(TRY.format(imports=line, path=str(tmp_path / name)) for name, line in names.items())
    done = subprocess.run([sys.executable, "-c", FULL_DISK + tries], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{tmp_path / name} cannot be written: File too large; free some space, or choose another path"
        for name in names
    ]
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(names, "old")


@each_sink
def test_a_folder_that_has_vanished_is_told_before_play(tmp_path: Path, cls: type[Stage], suffix: str) -> None:
    with pytest.raises(EmopipeError, match=r"the directory .*gone does not exist; create it, or choose another path"):
        run_stage(stage(cls, tmp_path / "gone" / f"x{suffix}"))


@each_sink
def test_who_writes_says_so(tmp_path: Path, cls: type[Stage], suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    settings = stage(cls, path).settings
    assert settings.writes() == [str(path)]
    assert settings.check() == []
    assert cls.resumes
