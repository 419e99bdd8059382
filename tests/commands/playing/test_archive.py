"""emopipe archive: what becomes of recordings, of processes that die, and of an archive that is gone on with."""

import fcntl
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas
import polars
import pyarrow.parquet as pq
import pytest

from emopipe.__main__ import main
from emopipe.archive import players
from tests.support.archives import Archive
from tests.support.paths import ROOT
from tests.support.processes import popen, wait_for


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


Said = Callable[[], tuple[str, str]]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    def read() -> tuple[str, str]:
        out, err = capsys.readouterr()
        return out, err

    return read


def test_each_recording_has_a_file_that_everybody_reads(archive: Archive, said: Said) -> None:
    archive.record("a/x.mkv", pictures=3)
    archive.record("b/x.mkv", "x.mp4", pictures=5)
    assert archive.run("--jobs", 2) == 0
    assert said()[0] == f"3 recordings: 3 done; 13 rows in {archive.out}\n"
    files = [archive.out / "a/x.mkv.parquet", archive.out / "b/x.mkv.parquet", archive.out / "x.mp4.parquet"]
    assert [len(pandas.read_parquet(file)) for file in files] == [3, 5, 5]
    assert len(polars.read_parquet(archive.out / "**/*.parquet")) == 13
    query = f"SELECT stream, count(*) FROM '{archive.out}/**/*.parquet' GROUP BY stream"
    assert duckdb.sql(query).fetchall() == [("x", 13)]
    assert {name: (each["outcome"], each["rows"]) for name, each in archive.manifest().items()} == {
        "a/x.mkv": ("done", 3),
        "b/x.mkv": ("done", 5),
        "x.mp4": ("done", 5),
    }


@pytest.mark.slow("seven processes")
def test_it_is_the_same_to_the_byte_with_any_number_of_processes(archive: Archive) -> None:
    archive.record("1.mkv", "2.mkv", "3.mkv", "falters-4.mkv", "raises.mkv")
    found = []
    for jobs in (1, 3):
        assert archive.run("--jobs", jobs) == 1
        found.append(archive.contents())
        shutil.rmtree(archive.out)
        (archive.marks / "falters-4").unlink()
    assert found[0] == found[1]
    assert len(found[0]) == 4 + len(["archive.json", "manifest.jsonl"])


@pytest.mark.slow("six processes")
def test_a_process_that_dies_loses_what_is_under_way_and_nothing_else(archive: Archive, said: Said) -> None:
    archive.record("fine.mkv", "fine-too.mkv", "falters.mkv", "dies.mkv", "raises.mkv", "explains.mkv", "calls.mkv")
    assert archive.run("--jobs", 2) == 1
    out, err = said()
    assert out == f"7 recordings: 3 done, 4 failed (crashed: 1, error: 3); 9 rows in {archive.out}\n"
    assert "dies.mkv: failed (crashed): the process that played it was killed by SIGKILL, twice\n" in err
    assert "raises.mkv: failed (error): RuntimeError: nobody expected this\n" in err
    assert "calls.mkv: failed (error): RuntimeError: nobody awaits this\n" in err
    assert "explains.mkv: failed (error): this graph has no mind to play it\n" in err
    assert {name for name, each in archive.manifest().items() if each["outcome"] == "done"} == {
        "fine.mkv",
        "fine-too.mkv",
        "falters.mkv",
    }


def test_a_full_disk_ends_it_until_there_is_space(archive: Archive, said: Said) -> None:
    archive.record("fills.mkv", "fine.mkv")
    assert archive.run("--jobs", 1) == 2
    assert said()[1].splitlines() == [
        "emopipe: the same command goes on from here",
        f"emopipe: --out {archive.out}: no space is left on its disk; free some",
    ]
    assert archive.manifest() == {}


def test_an_archive_that_is_written_to_is_left_alone(archive: Archive, said: Said) -> None:
    archive.record("x.mkv")
    assert archive.run("--jobs", 1) == 0
    with (archive.out / ".archive/lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert archive.run("--jobs", 1) == 2
    assert f"--out {archive.out}: somebody else writes there; wait, or stop that" in said()[1]


def test_a_recording_at_which_a_stage_hangs_is_given_up(
    archive: Archive, said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(players, "HANG_TIMEOUT_S", 3.0)
    archive.record("sticks.mkv")
    assert archive.run() == 1
    assert "sticks.mkv: failed (hung): no stage has got on for 3 s, twice\n" in said()[1]


def test_what_cannot_be_read_is_counted_by_its_word(archive: Archive, said: Said) -> None:
    archive.record("fine.mkv")
    content = (archive.recordings / "fine.mkv").read_bytes()
    (archive.recordings / "torn.mkv").write_bytes(content[:200])
    (archive.recordings / "empty.mkv").touch()
    (archive.recordings / "text.mp4").write_text("no recording")
    (archive.recordings / "gone.mkv").symlink_to("nowhere")
    (archive.recordings / "again.mkv").symlink_to("fine.mkv")
    (archive.recordings / "notes.txt").write_text("left out")
    os.mkfifo(archive.recordings / "pipe.mkv")
    assert archive.run("--jobs", 1) == 1
    out, err = said()
    assert out == f"6 recordings: 1 done, 5 failed (unreadable: 5); 3 rows in {archive.out}\n"
    assert 'emopipe: 1 file left out, no recordings by their names: ".txt"\n' in err
    assert "emopipe: 1 recording left out, there already by another name or line\n" in err
    assert "gone.mkv: failed (unreadable): no such file\n" in err


def test_the_same_command_plays_what_is_new_changed_or_failed(archive: Archive, said: Said) -> None:
    archive.record("stays.mkv", "changes.mkv", "touched.mkv")
    (archive.recordings / "mended.mkv").touch()
    assert archive.run("--jobs", 1) == 1
    stays = (archive.out / "stays.mkv.parquet").stat()
    touched = (archive.out / "touched.mkv.parquet").stat()
    archive.record("mended.mkv", "new.mkv")
    archive.record("changes.mkv", pictures=7)
    os.utime(archive.recordings / "touched.mkv")
    said()
    assert archive.run("--jobs", 1) == 0
    out, err = said()
    assert "emopipe: 2 recordings done before\n" in err
    assert "emopipe: 1 recording replayed again: they, or their results, are not what they were\n" in err
    assert out == f"5 recordings: 5 done; {4 * 3 + 7} rows in {archive.out}\n"
    assert (archive.out / "stays.mkv.parquet").stat() == stays
    assert (archive.out / "touched.mkv.parquet").stat() == touched


@pytest.mark.slow("whole processes that are killed")
def test_killed_twice_it_goes_on_to_the_same_bytes(archive: Archive) -> None:
    archive.record(*(f"{number}.mkv" for number in range(8)), pictures=5)
    given = ("--set", "stages.scripted.pause=0.05", "--jobs", 2)
    assert archive.run(*given) == 0
    whole = archive.contents()
    shutil.rmtree(archive.out)
    done: dict[str, os.stat_result] = {}
    for least in (2, 5):
        command = [sys.executable, "-m", "emopipe", *archive.arguments(*given)]
        with popen(command, cwd=ROOT) as process:
            wait_for(lambda: len(archive.journal()) >= least, process, "no results")  # noqa: B023
            process.send_signal(signal.SIGKILL)
        done |= {name: (archive.out / f"{name}.parquet").stat() for name, _ in archive.journal()}
    assert archive.run(*given) == 0
    assert archive.contents() == whole
    assert done
    for name, before in done.items():  # not played again
        assert (archive.out / f"{name}.parquet").stat().st_ino == before.st_ino


@pytest.mark.slow("whole processes")
def test_ctrl_c_leaves_a_manifest_of_what_is_done_and_no_process(archive: Archive) -> None:
    archive.record(*(f"{number}.mkv" for number in range(4)), pictures=50)
    command = [sys.executable, "-m", "emopipe", *archive.arguments("--set", "stages.scripted.pause=0.05", "--jobs", 1)]
    with popen(command, cwd=ROOT) as process:
        wait_for(archive.journal, process, "no results")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate()
    assert process.returncode == 130
    assert "emopipe: the same command goes on from here\n" in err
    assert 1 <= len(archive.manifest()) < 4
    listing = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(archive.out) not in listing


def test_a_list_names_recordings_anywhere(archive: Archive, said: Said, tmp_path: Path) -> None:
    archive.record("near.mkv", "far.mkv")
    (archive.recordings / "far.mkv").rename(tmp_path / "far.mkv")
    names = archive.recordings / "names.txt"
    names.write_text(f"# what we have\nnear.mkv\n\n{tmp_path}/far.mkv\nnear.mkv\n")
    assert main(["archive", str(names), *archive.arguments()[2:]]) == 0
    assert set(archive.manifest()) == {"near.mkv", str(tmp_path / "far.mkv")}
    assert (archive.out / f"{str(tmp_path)[1:]}/far.mkv.parquet").is_file()
    assert "1 recording left out, there already" in said()[1]


def test_a_folder_of_other_files_or_of_another_graph_is_not_touched(archive: Archive, said: Said) -> None:
    archive.record("x.mkv")
    archive.out.mkdir()
    (archive.out / "thesis.tex").touch()
    assert archive.run() == 2
    assert said()[1] == f"emopipe: --out {archive.out}: holds other files, and no archive; name a folder of its own\n"
    (archive.out / "thesis.tex").unlink()
    assert archive.run() == 0
    before = archive.contents()
    said()
    assert archive.run("--set", "stages.scripted.pause=0.01") == 2
    assert "its results are made otherwise: graph: stages.scripted.pause: 0 then, 0.01 now; name" in said()[1]
    other = archive.recordings.rename(archive.recordings.with_name("other"))
    assert main(["archive", str(other), *archive.arguments()[2:]]) == 2
    assert f"is the archive of {archive.recordings}, and not of {other}; name another folder" in said()[1]
    assert archive.contents() == before


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (
            "none",
            "none: cannot be read (No such file or directory); expected a folder of recordings, or a list of them",
        ),
        ("hollow", "hollow: holds no recording; expected files such as .mp4"),
        ("pictures", 'pictures: holds no recording (".jpg"); expected files such as .mp4'),
        ("empty.txt", "empty.txt: names no recording; expected files such as .mp4"),
        ("binary.txt", "binary.txt: not a list of recordings: it is no text; name a folder, or a file of paths"),
        ("broken", "none of the 1 recording can be played; the first: "),
    ],
)
def test_a_source_without_recordings(archive: Archive, said: Said, tmp_path: Path, source: str, text: str) -> None:
    for folder in ("hollow", "pictures", "broken"):
        (tmp_path / folder).mkdir()
    (tmp_path / "pictures/x.jpg").touch()
    (tmp_path / "broken/x.mp4").touch()
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "binary.txt").write_bytes(b"\0\1\2")
    assert main(["archive", str(tmp_path / source), *archive.arguments()[2:]]) == 2
    assert text in said()[1]
    assert not archive.out.exists()


def test_a_graph_that_cannot_run_is_said_before_anything(archive: Archive, said: Said) -> None:
    archive.record("x.mkv")
    assert archive.run("--set", "stages.scripted.pause=-1") == 2
    assert "stages.scripted.pause" in said()[1]
    assert archive.run("--jobs", 0) == 2
    assert said()[1] == "emopipe: --jobs 0: expected one process at least\n"
    assert not archive.out.exists()


def test_a_library_that_was_upgraded_ends_it(archive: Archive, said: Said) -> None:
    archive.record("x.mkv", "new.mkv")
    assert archive.run("--jobs", 1) == 0
    (archive.out / "new.mkv.parquet").unlink()
    path = archive.out / "archive.json"
    content = json.loads(path.read_text())
    now = content["run"]["versions"]["onnxruntime"]
    content["run"]["versions"]["onnxruntime"] = "1.0"
    path.write_text(json.dumps(content))
    said()
    assert archive.run("--jobs", 1) == 2
    assert f'version: onnxruntime: "1.0" then, "{now}" now; name another folder' in said()[1]
    assert not (archive.out / "new.mkv.parquet").exists()


def test_a_cluster_without_ray(archive: Archive, said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "ray" else find(name, *more))
    archive.record("x.mkv")
    expected = 'emopipe: --on: Ray is not installed; `pip install "emopipe[ray]"`, here and on each node\n'
    run = ["run", str(archive.graph), "--set", f"stages.capture.uri={archive.recordings}/x.mkv"]
    for given in (archive.arguments(), run):
        assert main([*given, "--on", "ray"]) == 2
        assert said()[1] == expected
    assert not archive.out.exists()


def test_a_head_that_cannot_be_reached(archive: Archive, said: Said) -> None:
    pytest.importorskip("ray")
    archive.record("x.mkv")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        where = f"ray://127.0.0.1:{free.getsockname()[1]}"
        assert archive.run("--on", where) == 2
    assert f"emopipe: --on {where}: cannot be reached: Connection refused; is the head up" in said()[1]


@pytest.mark.slow("real media and models")
def test_the_rows_are_those_of_a_replay(tmp_path: Path, shared_media: Path) -> None:
    names = ["ravdess/Actor_01/01-01-01-01-01-01-01.mp4", "faces/single_face.mp4"]
    (tmp_path / "names.txt").write_text("\n".join(str(shared_media / name) for name in names))
    assert main(["archive", str(tmp_path / "names.txt"), "--out", str(tmp_path / "out"), "--jobs", "1"]) == 0
    for name in names:
        one = tmp_path / "one.parquet"
        assert main(["replay", str(shared_media / name), "--out", str(one)]) == 0
        assert pq.read_table(tmp_path / f"out/{shared_media / name}.parquet").equals(pq.read_table(one))
