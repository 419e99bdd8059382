"""Replays of the full graph, with all its outputs, in which processes die: the short form of the study of crashes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.studies.crashes import hashes
from tests.support.paths import ROOT
from tests.support.processes import popen, wait_until_gone, workers_of

pytestmark = pytest.mark.slow("replays real recordings with all models")

OUTPUTS = ("results.jsonl", "results.csv", "report.html", "film.mp4")


@pytest.fixture(scope="module")
def clip(shared_media: Path) -> Path:
    """Three seconds of one person who speaks."""
    return shared_media / "ravdess" / "Actor_01" / "01-01-08-01-01-02-01.mp4"


def command(clip: Path, folder: Path, *more: str) -> list[str]:
    outs = [part for name in OUTPUTS for part in ("--out", str(folder / name))]
    settings = ["--set", "pipeline.supervision.kill_after=5", "--set", "pipeline.layout=stages"]
    return [sys.executable, "-m", "emopipe", "replay", str(clip), *outs, *settings, *more]


@pytest.fixture(scope="module")
def undisturbed(clip: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The outputs' hashes of a run to which nothing happens."""
    folder = tmp_path_factory.mktemp("undisturbed")
    subprocess.run(command(clip, folder), cwd=ROOT, check=True, capture_output=True, timeout=240)
    return hashes(folder)


def strike(process: "subprocess.Popen[str]", stage: str, number: int, when: Callable[[], bool]) -> None:
    """Send a signal to the process of a stage at a moment."""
    deadline = time.monotonic() + 120
    while not when():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    names = {
        Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[-2].decode(): pid for pid in workers_of(process.pid)
    }
    os.kill(names[stage], number)


@pytest.mark.parametrize(
    ("stage", "number"),
    [
        ("capture", signal.SIGKILL),
        ("faces", signal.SIGSTOP),
        ("speech", signal.SIGKILL),
        ("fusion", signal.SIGKILL),
        ("out0", signal.SIGSTOP),
        ("out3", signal.SIGKILL),
    ],
)
def test_a_stage_that_dies_changes_no_byte(
    clip: Path, undisturbed: dict[str, str], tmp_path: Path, stage: str, number: int
) -> None:
    with popen(command(clip, tmp_path), cwd=ROOT) as process:
        results = tmp_path / "results.jsonl"
        strike(process, stage, number, lambda: results.exists() and results.stat().st_size > 5_000)
        _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert f"replay: {stage}: restarted once" in errors
    assert hashes(tmp_path) == undisturbed


def test_a_run_whose_supervisor_was_killed_goes_on(clip: Path, undisturbed: dict[str, str], tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    with popen(command(clip, tmp_path), cwd=ROOT) as process:
        strike(process, "faces", signal.SIGSTOP, lambda: results.exists() and results.stat().st_size > 5_000)
        workers = workers_of(process.pid)
        process.kill()
        process.communicate(timeout=30)
    assert wait_until_gone(workers, 2.0) == []  # one that is stopped goes, too
    assert (tmp_path / "results.jsonl.run" / "run.json").exists()
    again = subprocess.run(
        command(clip, tmp_path, "--resume"), cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
    )
    assert again.returncode == 0, again.stderr
    assert hashes(tmp_path) == undisturbed


def test_ctrl_c_says_how_to_go_on_and_it_does(clip: Path, undisturbed: dict[str, str], tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    with popen(command(clip, tmp_path), cwd=ROOT) as process:
        strike(process, "faces", 0, lambda: results.exists() and results.stat().st_size > 5_000)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "emopipe: the same command with --resume goes on from here\n" in errors
    again = subprocess.run(
        command(clip, tmp_path, "--resume"), cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
    )
    assert again.returncode == 0, again.stderr
    assert hashes(tmp_path) == undisturbed
